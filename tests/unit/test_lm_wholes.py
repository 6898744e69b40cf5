"""lm-eval's numbers that are no mean over documents: its own value, and what two arms are compared by."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from runner import gates, stats
from runner.findings import findings
from runner.metrics import Measured
from runner.record import Score
from runner.suite import LmEval, Suite, SuiteCommon

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from lm_eval.api import metrics as theirs
from lm_eval.api.registry import get_aggregation

from runner.jobs.lm_draws import DRAWS, SEED, _checked, drawn
from runner.jobs.lm_eval import results_of

WORDS = "the a fox dog runs over lazy quick brown jumps".split()


def of_documents(aggregation: str, n: int, wrong: float, seed: int = 3) -> list[Any]:
    """What lm-eval keeps of each of n documents, of which a share `wrong` went wrong."""
    rng = random.Random(seed)
    out: list[Any] = []
    for i in range(n):
        bad, gold = rng.random() < wrong, i % 2
        words = rng.choices(WORDS, k=8)
        said = [*words[:3], "x", *words[4:]] if bad else words
        odds = [0.7, 0.3] if (gold == 0) != bad else [0.3, 0.7]
        out.append(
            {
                "f1": (gold, gold ^ bad),
                "matthews_corrcoef": (i % 3, (i + bad) % 3),
                "brier_score": (gold, odds),
                "weighted_perplexity": (-20.0 - 9 * bad - i % 5, 8 + i % 4),
                "bits_per_byte": (-20.0 - 9 * bad - i % 5, 40 + i % 4),
                "median": float(i % 7 + bad),
            }.get(aggregation, [" ".join(words), " ".join(said)])
        )
    return out


ALL = [
    "bleu",
    "chrf",
    "ter",
    "f1",
    "matthews_corrcoef",
    "brier_score",
    "weighted_perplexity",
    "bits_per_byte",
]


@pytest.mark.parametrize("aggregation", [*ALL, "median"])
def test_a_draw_is_lm_evals_number_of_the_documents_drawn(aggregation: str) -> None:
    import numpy as np

    items, whole = of_documents(aggregation, 30, 0.3), get_aggregation(aggregation)
    value = float(whole(items))
    assert (_checked(aggregation, items, value) is not None) == (aggregation != "median")
    found = drawn(aggregation, items, value, whole)
    rows = np.random.default_rng([SEED, 30]).integers(0, 30, size=(DRAWS, 30), dtype=np.int32)
    for n in (0, 7, DRAWS - 1):
        assert found[n] == pytest.approx(float(whole([items[i] for i in rows[n]])), rel=1e-9)
    assert len(set(found)) > 5


def test_where_sums_do_not_give_lm_evals_number_its_own_function_is_called() -> None:
    items = of_documents("f1", 20, 0.3)
    assert _checked("f1", items, 0.123) is None
    assert _checked("bleu", [1, 2, 3], 0.5) is None, "what is no pair has no sums"
    found = drawn("f1", items, 0.123, lambda some: float(len(some)))
    assert set(found) == {20.0}


def test_draws_without_a_number_are_none() -> None:
    def one_class(some: Any) -> float:
        if some[0] == 1:
            raise ValueError("only one class")
        return math.inf if some[0] == 2 else 0.5

    assert set(drawn("own", [0, 1, 2], 0.5, one_class)) == {0.5, None}
    assert drawn("own", [0], 0.5, one_class) == []


def raw(aggregation: str, metric: str, items: list[Any], better: bool) -> dict[str, Any]:
    """What `simple_evaluate` gives of one task and metric."""
    value = get_aggregation(aggregation)(items)
    rows = [
        {"doc_id": i, "doc_hash": f"d{i}", "target_hash": "t", "filter": "none", metric: item}
        for i, item in enumerate(items)
    ]
    return {
        "results": {"t": {"alias": "t", f"{metric},none": value, f"{metric}_stderr,none": 0.25}},
        "configs": {"t": {"metric_list": [{"metric": metric, "aggregation": aggregation}]}},
        "samples": {"t": rows},
        "n-samples": {"t": {"effective": len(items)}},
        "higher_is_better": {"t": {metric: better}},
    }


def found_of(folder: Path, arms: dict[str, dict[str, Any]]) -> Any:
    import msgspec

    steps = {}
    for arm, one in arms.items():
        data = {
            "adapter_proof": None,
            "engine": "by hand",
            "results": msgspec.to_builtins(results_of("t", one)),
        }
        (folder / arm / "x").mkdir(parents=True)
        (folder / arm / "x/results.json").write_text(json.dumps(data))
        steps[f"lm-eval.{arm}"] = folder / arm
    suite = Suite(SuiteCommon(suite=1, name="s", lm_eval=LmEval(tasks=["t"])), None)
    (found,) = findings([suite], steps, 17)
    return found


METRICS = {"f1": "f1", "bleu": "bleu", "weighted_perplexity": "word_perplexity", "median": "acc"}


@pytest.mark.parametrize("aggregation", METRICS)
def test_the_value_is_lm_evals_and_the_difference_is_paired(tmp_path: Path, aggregation: str) -> None:
    metric, better = METRICS[aggregation], aggregation != "weighted_perplexity"
    base, tuned = of_documents(aggregation, 60, 0.5), of_documents(aggregation, 60, 0.1)
    found = found_of(
        tmp_path,
        {a: raw(aggregation, metric, items, better) for a, items in (("base", base), ("tuned", tuned))},
    )
    (measured,) = found.measured
    row = measured.row()
    whole = get_aggregation(aggregation)
    assert row["metric"] == f"s.t.{metric}" and row["unit"] == "number"
    assert row["better"] == ("higher" if better else "lower")
    assert row["base"]["value"] == whole(base) and row["tuned"]["value"] == whole(tuned), "lm-eval's own"
    assert row["base"]["stderr"] == 0.25 and row["tuned"]["n"] == 60
    difference = row["difference"]
    assert difference["value"] == whole(tuned) - whole(base) and difference["test"] == "bootstrap"
    assert difference["low"] <= difference["value"] <= difference["high"]
    alone = row["tuned"]["high"] - row["tuned"]["low"] + row["base"]["high"] - row["base"]["low"]
    assert difference["high"] - difference["low"] < alone, "paired draws are closer than two arms' own"
    if aggregation != "median":  # which is the value of one document, whatever its order
        assert (difference["low"] > 0) == better and difference["p"] < 0.05
    assert found.data()["lm_eval_engine"] == {"base": "by hand", "tuned": "by hand"}


def verdict(found: Any, gate: str) -> dict[str, Any]:
    (one,) = gates.decide([gate], {m.name: m for m in found.measured}, {})
    return one


def test_gates_on_such_numbers(tmp_path: Path) -> None:
    base, tuned = of_documents("bleu", 80, 0.6), of_documents("bleu", 80, 0.1)
    arms = {a: raw("bleu", "bleu", items, True) for a, items in (("base", base), ("tuned", tuned))}
    found = found_of(tmp_path, arms)
    assert verdict(found, "s.t.bleu > base")["verdict"] == "pass"
    assert verdict(found, "s.t.bleu <= base")["verdict"] == "fail"
    value = theirs.bleu(tuned)
    near = verdict(found, f"s.t.bleu >= {value - 0.5:.2f}")
    assert near["verdict"] == "inconclusive" and near["value"] == value and near["needs"] > 80
    assert verdict(found, "s.t.bleu >= 10")["verdict"] == "pass"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one["samples"]["t"][0].update(doc_hash="another"), "not asked the same documents"),
        (lambda one: one["samples"].update(t=one["samples"]["t"][:-1]), "not asked the same documents"),
        (lambda one: None, "no document differs between the arms"),
    ],
)
def test_without_draws_that_belong_together_a_gate_is_inconclusive(
    tmp_path: Path, change: Any, why: str
) -> None:
    base, tuned = (raw("f1", "f1", of_documents("f1", 40, 0.3), True) for _ in range(2))
    change(tuned)
    one = verdict(found_of(tmp_path, {"base": base, "tuned": tuned}), "s.t.f1 >= base - 0.5")
    assert one["verdict"] == "inconclusive" and why in one["why"] and one["difference"] is not None
    assert one["low"] is None


def test_a_few_changed_documents_are_no_finding() -> None:
    """Of 4 changes, all one way, a bootstrap alone says that they are none by chance; McNemar's p is 0.125."""
    items = [(1, 1 if i >= 10 else 0) for i in range(60)] + [(0, 0)] * 40

    def whole(changed: int) -> stats.Whole:
        mine = [(1, 1) if i < changed else item for i, item in enumerate(items)]
        value = float(theirs.f1_score(mine))
        marks = {str(i): str(item) for i, item in enumerate(mine)}
        return stats.Whole(value, 100, None, tuple(drawn("f1", mine, value, theirs.f1_score)), "all", marks)

    few, many = (stats.WholePairs(whole(0), whole(k)) for k in (4, 9))
    assert few.spread and many.spread
    draws = few.spread.draws
    assert sum(d <= 0 for d in draws) / len(draws) < 0.025 < few.difference()[1] / 2  # type: ignore[operator]
    assert few.spread.limits(0.95)[0] <= 0 < many.spread.limits(0.95)[0]


def test_limits_hold_the_truth() -> None:
    """The difference of two F1s over 60 documents: of 200 trials with no true difference at most 8% leave out 0."""
    import numpy as np

    rng, out = np.random.default_rng(5), 0
    trials = 200
    for _ in range(trials):
        gold = rng.integers(0, 2, 60)
        wholes = []
        for _ in range(2):
            said = np.where(rng.random(60) < 0.25, 1 - gold, gold)
            mine = list(zip(gold.tolist(), said.tolist(), strict=True))
            value = float(theirs.f1_score(mine))
            marks = {str(i): str(item) for i, item in enumerate(mine)}
            wholes.append(
                stats.Whole(value, 60, None, tuple(drawn("f1", mine, value, theirs.f1_score)), "d", marks)
            )
        low, high = stats.WholePairs(*wholes).spread.limits(0.95)  # type: ignore[union-attr]
        out += not low <= 0 <= high
    assert out <= 0.08 * trials, out


def test_a_function_that_only_the_task_knows_is_not_drawn_again(tmp_path: Path) -> None:
    one = raw("f1", "f1", of_documents("f1", 40, 0.3), True)
    other = raw("f1", "f1", of_documents("f1", 40, 0.1), True)
    for each in (one, other):
        each["configs"]["t"]["metric_list"][0]["aggregation"] = "def agg(items): ..."
    found = verdict(found_of(tmp_path, {"base": one, "tuned": other}), "s.t.f1 >= base")
    assert found["verdict"] == "inconclusive" and "nobody drew documents again" in found["why"]
    assert found["difference"] > 0 and found["low"] is None
    alone = verdict(found_of(tmp_path / "x", {"base": one, "tuned": other}), "s.t.f1 >= 0.1")
    assert alone["verdict"] == "inconclusive" and alone["value"] == other["results"]["t"]["f1,none"]


def test_draws_that_say_too_little_make_no_interval() -> None:
    def whole(*draws: float | None) -> stats.Whole:
        return stats.Whole(0.5, 50, None, draws * 20, "d", {"0": "a"}, (0.0, 1.0))

    few = whole(*[0.4, 0.5, 0.6, 0.7] * 5, None)  # one of 21
    assert few.spread is None and few.why.endswith("too few draws give a number")
    assert whole(0.5).spread is None and whole().why == "nobody drew documents again for it"
    assert stats.Whole(None, 50).spread is None
    one = whole(0.4, 0.6)
    assert one.spread and one.spread.limits(0.95) == (0.4, 0.6)
    assert one.spread.limits(0.95, more=4.0) == (0.45, 0.55), "four times the documents, half as wide"
    far = stats.WholePairs(
        whole(0.1, 0.2), stats.Whole(0.9, 50, None, (0.9, 0.8) * 20, "d", {"0": "b"}, (0.0, 1.0))
    )
    assert far.differing == 1 and far.spread and far.spread.limits(0.95)[1] <= 1.0, (
        "no more than there can be"
    )
    assert far.spread.limits(0.95)[0] < 0 < far.spread.value, "one document that differs tells nothing"


def test_lm_evals_stand_in_for_no_number_is_none() -> None:
    one = raw("bypass", "bypass", [None, None], True)
    assert one["results"]["t"]["bypass,none"] == 999
    assert results_of("t", one) == []


def test_two_runs_are_compared_by_draws_of_the_same_documents(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from runner.comparing import _shared

    sides: list[Any] = []
    for name, wrong in (("one", 0.5), ("two", 0.1)):
        arms = {a: raw("bleu", "bleu", of_documents("bleu", 60, wrong), True) for a in ("base", "tuned")}
        found = found_of(tmp_path / name, arms)
        sides.append(SimpleNamespace(arm="tuned", label=name, measured=found.measured))
    (one,) = _shared(sides[0], sides[1], sides[0].measured, sides[1].measured)
    row = one.row()
    assert list(row["arms"]) == ["one", "two"] and row["difference"]["n"] == 0, "no arm is called base"
    difference = row["differences"]["one"]
    assert difference["value"] == row["arms"]["two"]["value"] - row["arms"]["one"]["value"]
    assert 0 < difference["low"] < difference["high"]
    mean = Measured("s.t.bleu", "share", "higher", {"tuned": [Score("0", "tuned", "bleu", 1.0)]})
    assert not list(_shared(sides[0], sides[1], [mean], sides[1].measured)), (
        "a mean is no number of all documents"
    )
