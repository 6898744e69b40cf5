"""Artifacts of an evaluation → metrics of all arms; best and worst prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.findings import changes, extremes, findings
from runner.metrics import Measured, compare
from runner.recipe import Use
from runner.record import Score
from runner.suite import LmEval, Perplexity, Suite, SuiteCommon


def measured(
    name: str, base: dict[str, float], tuned: dict[str, float], better: str = "higher", unit: str = "share"
) -> Measured:
    arms = {"base": base, "tuned": tuned}
    scores = {arm: [Score(i, arm, name, v) for i, v in values.items()] for arm, values in arms.items()}
    return Measured(name, unit, better, scores)


def test_best_and_worst_are_those_that_changed_most() -> None:
    ids = [f"p{n:02}" for n in range(30)]
    right = measured(
        "right",
        {i: 0.0 if n < 3 else 1.0 for n, i in enumerate(ids)},
        {i: 1.0 if n < 28 else 0.0 for n, i in enumerate(ids)},
    )
    best, worst = extremes([right], ids)
    assert best[:3] == ["p00", "p01", "p02"] and worst[:2] == ["p29", "p28"]
    assert len(best) == len(worst) == 10 and not set(best) & set(worst)
    assert changes([right])["p00"] == 1.0 and changes([right])["p29"] == -1.0


def test_each_metric_counts_alike_by_its_reach_and_its_way() -> None:
    share = measured("a", {"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 0.0})
    toxic = measured("b", {"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 0.0}, better="lower")
    grade = measured("c", {"x": 1.0, "y": 5.0}, {"x": 3.0, "y": 5.0}, unit="grade")
    neither = measured("d", {"x": 0.0}, {"x": 9.0}, unit="words")
    neither = Measured("d", "words", None, neither.scores)
    assert changes([share, toxic, grade, neither]) == {"x": (1 - 1 + 0.5) / 3, "y": 0.0}


def test_without_a_base_their_own_scores_decide() -> None:
    only = Measured("a", "share", "higher", {"base": [Score(f"p{n}", "base", "a", n / 4) for n in range(5)]})
    assert extremes([only], [f"p{n}" for n in range(5)]) == (["p4", "p3", "p2"], ["p0", "p1"])
    assert extremes([], ["p0"]) == ([], [])


def test_a_row_has_all_arms_and_all_differences() -> None:
    rows = [Score("p", arm, "m", v) for arm, v in (("base", 0.0), ("prompted", 1.0), ("tuned", 1.0))]
    row = compare("s.m", "share", "higher", [*rows, Score("p", "base", "other", 1.0)], "m")
    assert list(row["arms"]) == ["base", "prompted", "tuned"]
    assert row["base"]["value"] == 0.0 and row["tuned"]["value"] == 1.0
    assert {a: d["value"] for a, d in row["differences"].items()} == {"base": 1.0, "prompted": 0.0}
    assert row["difference"] == row["differences"]["base"]
    others = compare("s.m", "share", "higher", rows[:2], "m")  # a judge that compares two other arms
    assert others["tuned"]["value"] is None and others["difference"]["value"] is None
    assert others["arms"]["prompted"]["value"] == 1.0 and others["differences"]["base"]["value"] == 1.0
    alone = compare("s.m", "share", "higher", rows[:1], "m")
    assert alone["differences"] == {} and alone["difference"]["value"] is None


def write(path: Path, *rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_of_all_three_kinds(tmp_path: Path) -> None:
    scores = [
        {"id": f"p{n}", "arm": arm, "metric": "toxic", "value": float(n > 2 and arm == "base")}
        for n in range(6)
        for arm in ("base", "tuned")
    ]
    write(tmp_path / "j/scores.jsonl", *scores)
    samples = [{"id": f"p{n}", "family": f"f{n // 2}"} for n in range(6)]
    row = {"metric": "my_suite.toxic", "unit": "share", "better": "lower"}
    write(
        tmp_path / "j/suite.json",
        {"name": "my-suite", "metrics": [row], "facts": {"f1": 0.5}, "samples": samples},
    )
    steps = {"judge.my-suite": tmp_path / "j"}
    for arm in ("base", "tuned"):
        docs = {"0": 1.0, "1": 0.0}
        result = {"task": "t-1", "metric": "acc,x", "samples": docs}
        other = {"task": "not-asked", "metric": "acc", "samples": docs}
        write(tmp_path / arm / "l/results.json", {"adapter_proof": None, "results": [result, other]})
        nats = [{"id": f"my-suite/old/f{n % 2}.txt/{n}", "nats": float(n)} for n in range(6)]
        write(tmp_path / arm / "losses.jsonl", *nats, {"id": "other/old/x.txt/0", "nats": 9.0})
        steps |= {f"lm-eval.{arm}": tmp_path / arm, f"perplexity.{arm}": tmp_path / arm}
    common = SuiteCommon(
        suite=1, name="my-suite", lm_eval=LmEval(tasks=["t-1"]), perplexity=Perplexity(texts={"old": ["x"]})
    )
    (found,) = findings([Suite(common, Use("toxicity", {}))], steps, 17)
    assert {part: [m.name for m in ms] for part, ms in found.parts.items()} == {
        "judge": ["my_suite.toxic"], "lm-eval": ["my_suite.t_1.acc_x"], "perplexity": ["my_suite.old.nats"],
    }  # fmt: skip
    data = found.data()
    assert data["facts"] == {"f1": 0.5} and data["best"][0] in ("p3", "p4", "p5")
    toxic, acc, nats = data["metrics"]
    assert (toxic["better"], toxic["difference"]["value"], toxic["difference"]["families"]) == (
        "lower",
        -0.5,
        3,
    )
    assert acc["tuned"]["n"] == 2
    assert (nats["unit"], nats["tuned"]["n"], nats["difference"]["families"]) == ("nats", 6, 2)


def test_a_log_likelihood_is_shown_as_nats_and_better_is_the_tasks_word(tmp_path: Path) -> None:
    steps = {}
    for arm, worse in (("base", 1.0), ("tuned", 0.0)):
        rows = [
            {
                "task": "t",
                "metric": "perplexity",
                "samples": {"0": -2.0 - worse, "1": -3.0},
                "better": "lower",
            },
            {"task": "t", "metric": "exact_match.x", "samples": {"0": 1.0, "1": 0.0}, "better": "lower"},
        ]
        write(tmp_path / arm / "l/results.json", {"adapter_proof": None, "results": rows})
        steps[f"lm-eval.{arm}"] = tmp_path / arm
    suite = Suite(SuiteCommon(suite=1, name="s", lm_eval=LmEval(tasks=["t"])), None)
    (found,) = findings([suite], steps, 17)
    match, nats = (m.row() for m in found.measured)
    assert (match["metric"], match["unit"], match["better"]) == ("s.t.exact_match.x", "share", "lower")
    assert (nats["metric"], nats["unit"], nats["better"]) == ("s.t.nats", "nats", "lower")
    assert nats["tuned"]["value"] == 2.5 and nats["difference"]["value"] == -0.5
