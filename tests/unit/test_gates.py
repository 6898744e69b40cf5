"""Gates are compared with their uncertainty: pass, fail, or inconclusive; and they say why."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from runner.gates import decide, facts_of, outcome
from runner.metrics import Measured
from runner.recipe import GATE
from runner.record import Score


def metric(name: str, unit: str = "share", **arms: list[float | None]) -> dict[str, Measured]:
    scores = {
        arm: [Score(f"p{i:05}", arm, "m", v) for i, v in enumerate(values)] for arm, values in arms.items()
    }
    return {name: Measured(name, unit, "higher", scores)}


def rate(passed: int, of: int) -> list[float | None]:
    return [1.0] * passed + [0.0] * (of - passed)


def say(gate: str, found: dict[str, Measured], inconclusive: str = "say", **facts: float) -> dict[str, Any]:
    (verdict,) = decide([gate], found, {k.replace("__", "."): v for k, v in facts.items()}, inconclusive)
    return verdict


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ("s.acc >= 0.85", "pass"),  # 900 of 1,000: 0.880 to 0.917
        ("s.acc >= 0.879", "pass"),
        ("s.acc >= 0.89", "inconclusive"),
        ("s.acc >= 0.91", "inconclusive"),
        ("s.acc >= 0.92", "fail"),
        ("s.acc < 0.92", "pass"),
        ("s.acc <= 0.91", "inconclusive"),
        ("s.acc <= 0.85", "fail"),
        ("s.acc>=.5", "pass"),
        ("s.acc > -1", "pass"),
    ],
)
def test_a_number_is_met_where_the_interval_lies_beyond_it(gate: str, verdict: str) -> None:
    said = say(gate, metric("s.acc", tuned=rate(900, 1000)))
    assert said["verdict"] == said["counts"] == verdict
    assert bool(said["why"]) == (verdict != "pass")
    assert said["value"] == pytest.approx(0.9) and said["low"] == pytest.approx(0.8798, abs=1e-3)


@pytest.mark.parametrize("gate", ["s.wit_win >= 0.5", "s.wit_win >= base", "s.wit_win < 0.1"])
def test_no_other_arms_number_is_taken_for_the_tuned_models(gate: str) -> None:
    """A judge may compare two arms of which neither is the tuned one."""
    said = say(gate, metric("s.wit_win", base=rate(10, 100), prompted=rate(90, 100)))
    assert said["verdict"] == said["counts"] == "fail" and said["value"] is None
    assert said["why"] == "s.wit_win has no value: it was scored for base, prompted, not for tuned"


def two(wins: int, losses: int, n: int = 1000) -> dict[str, Measured]:
    """Half right in both arms; of these, so many changed."""
    half = n // 2
    base = rate(half, n)
    tuned = [0.0] * losses + [1.0] * (half - losses) + [1.0] * wins + [0.0] * (n - half - wins)
    return metric("s.acc", base=base, tuned=list(tuned))


@pytest.mark.parametrize(
    ("wins", "losses", "gate", "verdict"),
    [
        (20, 20, "s.acc >= base - 0.03", "pass"),
        (20, 20, "s.acc >= base", "inconclusive"),
        (20, 20, "s.acc >= base + 0.03", "fail"),
        (100, 20, "s.acc > base", "pass"),
        (100, 20, "s.acc >= base + 0.05", "pass"),
        (100, 20, "s.acc >= base + 0.08", "inconclusive"),
        (20, 100, "s.acc >= base", "fail"),
        (20, 100, "s.acc >= base-.02", "fail"),
        (20, 100, "s.acc < base", "pass"),
        (0, 5, "s.acc >= base", "inconclusive"),
        (
            5,
            0,
            "s.acc > base",
            "inconclusive",
        ),  # the interval leaves 0 out; exact McNemar, p = 0.03, does not agree
    ],
)
def test_an_arm_is_compared_prompt_by_prompt(wins: int, losses: int, gate: str, verdict: str) -> None:
    said = say(gate, two(wins, losses))
    assert said["verdict"] == verdict, said
    assert said["difference"] == pytest.approx((wins - losses) / 1000)
    assert said["threshold"] == pytest.approx(0.5 + said["margin"])


def test_any_arm_may_be_the_reference() -> None:
    found = metric("s.acc", base=rate(100, 1000), prompted=rate(500, 1000), tuned=rate(560, 1000))
    assert say("s.acc >= prompted + 0.02", found)["verdict"] == "pass"
    assert say("s.acc >= prompted + 0.05", found)["verdict"] == "inconclusive"
    assert say("s.acc >= base + 0.4", found)["verdict"] == "pass"
    said = say("s.acc >= promted", found)
    assert said["verdict"] == "fail" and "no arm 'promted'" in said["why"] and "prompted?" in said["why"]


def test_means_are_compared_too() -> None:
    rng = np.random.default_rng(3)
    base = list(rng.normal(3, 1, 100))
    found = metric(
        "s.loss",
        "nats",
        base=base,
        tuned=[b - 0.5 + d for b, d in zip(base, rng.normal(0, 0.5, 100), strict=True)],
    )
    assert say("s.loss < base", found)["verdict"] == "pass"
    assert say("s.loss <= base - 0.5", found)["verdict"] == "inconclusive"
    assert say("s.loss <= base - 0.9", found)["verdict"] == "fail"


def test_an_inconclusive_gate_says_how_many_prompts_it_needs() -> None:
    small = say("s.acc >= 0.85", metric("s.acc", tuned=rate(45, 50)))
    assert small["verdict"] == "inconclusive"
    assert "some 400 prompts like these would tell, there were 50" in small["why"]
    n = small["needs"]
    # With as many as it says and the same rate, the gate passes in about four of five suites.
    rng = np.random.default_rng(1)
    passed = [
        say("s.acc >= 0.85", metric("s.acc", tuned=rate(int(k), n)))["verdict"] == "pass"
        for k in rng.binomial(n, 0.9, 100)
    ]
    assert 0.7 <= np.mean(passed) <= 0.9
    at = say("s.acc >= 0.9", metric("s.acc", tuned=rate(45, 50)))
    assert at["needs"] is None and "too near" in at["why"]


def test_several_claims_are_corrected_together() -> None:
    one = two(12, 2)["s.acc"]  # p = 0.0065 of one side: clear alone, not among four
    found = {f"s.m{i}": Measured(f"s.m{i}", "share", "higher", one.scores) for i in range(5)}
    assert [v["verdict"] for v in decide(["s.m0 > base"], found, {})] == ["pass"]
    claims = [f"s.m{i} > base" for i in range(5)]
    assert {v["verdict"] for v in decide(claims, found, {})} == {"inconclusive"}
    # What only says "not worse by more than" claims nothing, and is not corrected.
    near = two(8, 12)["s.acc"]  # p = 0.01 of "not worse by more than 1.4 points"
    found |= {f"s.n{i}": Measured(f"s.n{i}", "share", "higher", near.scores) for i in range(5)}
    margins = decide([f"s.n{i} >= base - 0.014" for i in range(5)], found, {})
    assert {v["verdict"] for v in margins} == {"pass"} and 0.005 < margins[0]["p"] < 0.025
    others = ["s.m0 > base", *(f"s.m{i} >= base - 0.02" for i in range(1, 5))]
    assert {v["verdict"] for v in decide(others, found, {})} == {"pass"}


def test_facts_about_a_judge_are_compared_as_they_are() -> None:
    assert say("s.classifier.f1 >= 0.8", {}, s__classifier__f1=0.8)["verdict"] == "pass"
    assert say("s.classifier.f1 >= 0.9 ".strip(), {}, s__classifier__f1=0.9 - 1e-12)["verdict"] == "pass"
    said = say("s.classifier.f1 > 0.8", {}, s__classifier__f1=0.8)
    assert (said["verdict"], said["why"]) == ("fail", "s.classifier.f1 is 0.8, not > 0.8")


@pytest.mark.parametrize("inconclusive", ["say", "pass", "estimate"])
def test_what_was_not_measured_fails_and_is_counted(inconclusive: str) -> None:
    none = metric("s.acc", base=rate(1, 3), tuned=[None, None, None])
    for gate in ("s.acc >= 0", "s.acc >= base - 1"):
        said = say(gate, none, inconclusive)
        assert (said["verdict"], said["counts"], said["missing"]) == ("fail", "fail", 3)
        assert said["why"] == "s.acc has no value: nothing was scored (3 missing)"
    said = say("s.ac >= 0.1", none, inconclusive)
    assert (said["counts"], said["why"]) == ("fail", "no metric 's.ac' (did you mean s.acc?)")


def test_missing_answers_cannot_carry_a_gate() -> None:
    lost: list[float | None] = [None] * 100
    said = say("s.acc >= 0.9", metric("s.acc", tuned=[*rate(880, 900), *lost]))
    assert said["verdict"] == "inconclusive" and said["missing"] == 100
    assert "100 are missing, which could make it 0.88" in said["why"]
    assert say("s.acc >= 0.85", metric("s.acc", tuned=[*rate(880, 900), *lost]))["verdict"] == "pass"
    # Nor sink it, where they could have been right.
    assert say("s.acc >= 0.75", metric("s.acc", tuned=[*rate(620, 900), *lost]))["verdict"] == "fail"
    assert say("s.acc >= 0.7", metric("s.acc", tuned=[*rate(580, 900), *lost]))["verdict"] == "fail"
    assert say("s.acc >= 0.7", metric("s.acc", tuned=[*rate(610, 900), *lost]))["verdict"] == "inconclusive"
    # A prompt that one arm has no row for is as missing.
    found = metric("s.acc", base=rate(500, 1000), tuned=rate(880, 900))
    assert say("s.acc >= 0.9", found)["missing"] == 100


@pytest.mark.parametrize(
    ("inconclusive", "above", "below"),
    [("say", "inconclusive", "inconclusive"), ("pass", "pass", "pass"), ("fail", "fail", "fail"),
     ("estimate", "pass", "fail")],
)  # fmt: skip
def test_how_an_inconclusive_gate_counts(inconclusive: str, above: str, below: str) -> None:
    found = metric("s.acc", tuned=rate(45, 50))
    first, second = say("s.acc >= 0.88", found, inconclusive), say("s.acc >= 0.92", found, inconclusive)
    assert first["verdict"] == second["verdict"] == "inconclusive"
    assert (first["counts"], second["counts"]) == (above, below)


def test_what_a_run_comes_to() -> None:
    counts = [{"counts": "pass"}, {"counts": "inconclusive"}, {"counts": "fail"}]
    assert [outcome(counts[:n]) for n in range(4)] == ["no gates", "pass", "inconclusive", "gate failed"]


def test_one_prompt_says_nothing() -> None:
    said = say("s.loss <= 3", metric("s.loss", "nats", base=[2.5], tuned=[1.5]))
    assert said["verdict"] == "inconclusive" and "single prompt" in said["why"]


@pytest.mark.parametrize(
    "gate", ["s >= 1", "s.a", "s.a = 1", "s.a >= ", "s.a >= base -", "S.a > 1", "s.a >= 1 1", "s.a >= Base"]
)
def test_what_is_no_gate(gate: str) -> None:
    assert not re.match(GATE, gate)


def test_facts_by_the_names_that_gates_use() -> None:
    assert facts_of([{"name": "s-x", "facts": {"classifier.f1": 0.9}}]) == {"s_x.classifier.f1": 0.9}


# -- what a sceptic would try ---------------------------------------------------------------------


def suite(rng: Any, n: int, wins: float, losses: float) -> dict[str, Measured]:
    """`n` prompts of which the base gets some 60% right; the tuned arm turns these shares of all over."""
    base = rng.random(n) < 0.6
    turned = rng.random(n) < np.where(base, losses / 0.6, wins / 0.4)
    tuned = base ^ turned
    return metric("s.acc", base=list(base.astype(float)), tuned=list(tuned.astype(float)))


GATES = ["s.acc >= base - 0.02", "s.acc >= base", "s.acc > base", "s.acc <= base + 0.02", "s.acc < base"]


def test_base_against_base() -> None:
    """200 suites without any difference but noise: false alarms, and false praise, in 5% of them at most."""
    rng = np.random.default_rng(17)
    rows = [[v["verdict"] for v in decide(GATES, suite(rng, 400, 0.04, 0.04), {})] for _ in range(200)]
    alarms = [row[0] == "fail" or row[1] == "fail" or row[3] == "fail" for row in rows]
    praise = [row[2] == "pass" or row[4] == "pass" for row in rows]
    assert sum(alarms) <= 10 and sum(praise) <= 10
    assert {v for row in rows for v in (row[0], row[1])} <= {"pass", "inconclusive", "fail"}


def test_base_against_itself_word_for_word() -> None:
    same = rate(30, 48)
    said = decide(GATES, metric("s.acc", base=same, tuned=same), {})
    assert {v["verdict"] for v in said} == {"inconclusive"}


def test_a_loss_of_five_points_on_a_thousand_is_found() -> None:
    rng = np.random.default_rng(5)
    found = [say("s.acc >= base", suite(rng, 1000, 0.04, 0.09))["verdict"] == "fail" for _ in range(200)]
    assert np.mean(found) >= 0.95


def test_families_make_a_suite_smaller_than_it_looks() -> None:
    """Twenty families of 50 prompts that stand or fall together: without their families noise would look like news."""
    rng = np.random.default_rng(7)
    alarms = {True: 0, False: 0}
    for _ in range(60):
        shift = rng.normal(0, 0.1, 20).repeat(50)
        base = rng.random(1000) < 0.5
        tuned = np.where(rng.random(1000) < np.abs(shift), shift > 0, base)
        for told in alarms:
            one = metric("s.acc", base=list(base.astype(float)), tuned=list(tuned.astype(float)))["s.acc"]
            families = {f"p{i:05}": f"f{i // 50}" for i in range(1000)} if told else {}
            found = {"s.acc": Measured(one.name, one.unit, one.better, one.scores, families)}
            alarms[told] += say("s.acc >= base", found)["verdict"] == "fail"
    assert alarms[True] <= 4 < 8 <= alarms[False]


def test_few_families_can_be_asked_how_many_prompts_would_tell() -> None:
    scores = [Score(f"p{i}", "tuned", "m", float(i % 10 != 0)) for i in range(48)]
    families = {s.id: f"f{i % 2}" for i, s in enumerate(scores)}
    said = say("s.acc >= 0.7", {"s.acc": Measured("s.acc", "share", "higher", {"tuned": scores}, families)})
    assert said["verdict"] == "inconclusive"


def test_the_estimate_does_not_decide_where_what_is_missing_would() -> None:
    failed = metric("s.acc", tuned=[1.0, *[None] * 99])
    assert say("s.acc >= 0.9", failed, "estimate")["counts"] == "inconclusive"
    assert say("s.acc < 0.9", failed, "estimate")["counts"] == "inconclusive"
    few = metric("s.acc", tuned=[*rate(95, 100), None])  # 0.941 to 0.95
    assert say("s.acc >= 0.9", few)["verdict"] == "inconclusive"
    assert say("s.acc >= 0.9", few, "estimate")["counts"] == "pass"
    assert say("s.acc >= 0.97", few, "estimate")["counts"] == "fail"


def test_what_never_differs_and_has_no_scale_is_inconclusive() -> None:
    found = metric("s.verbatim_words", "words", base=[0.0] * 3, tuned=[0.0] * 3)
    for gate in ("s.verbatim_words <= base", "s.verbatim_words <= 5"):
        said = say(gate, found)
        assert said["verdict"] == "inconclusive" and "the same on all of 3 prompts" in said["why"], said
        assert said["low"] is None and said["value"] == 0
    assert say("s.toxicity <= 0.9", metric("s.toxicity", "score", tuned=[0.0] * 50))["verdict"] == "pass"


def test_a_win_more_is_never_less_sure() -> None:
    def low(*wins: float) -> float:
        found = metric("s.win", "share", tuned=list(wins))
        return float(say("s.win >= 0.7", found)["low"])

    assert low(*[1.0] * 7, 0.5) <= low(*[1.0] * 8)
    said = say("s.win >= 0.7", metric("s.win", "share", tuned=[1.0] * 7 + [0.5]))
    assert said["verdict"] == "inconclusive" and said["high"] == 1.0
