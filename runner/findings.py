"""What the artifacts of an evaluation say: for each suite its metrics of all arms, its judge's facts, its samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from runner.lmresults import LmResults
from runner.metrics import Measured, measured
from runner.record import Score
from runner.suite import Suite

LISTED = 10  # best and worst prompts
Steps = Mapping[str, Path]
"""Name of a step → the folder of its artifact."""


@dataclass(frozen=True)
class Findings:
    """One suite. `judged` is what its judge left (suite.json), None where it has none; `parts` are its metrics by the
    step that made them: judge, lm-eval, perplexity. `engine` says what computed lm-eval's numbers, by arm."""

    suite: Suite
    judged: dict[str, Any] | None
    parts: dict[str, list[Measured]]
    engine: dict[str, str] = field(default_factory=dict)

    @property
    def measured(self) -> list[Measured]:
        return [m for part in self.parts.values() for m in part]

    def data(self) -> dict[str, Any]:
        """The suite as it stands in report.json."""
        common = self.suite.common
        out: dict[str, Any] = {"facts": {}, "samples": [], **(self.judged or {})}
        out |= {"name": common.name, "description": common.description}
        out["metrics"] = [m.row() for m in self.measured]
        if self.engine:
            out["lm_eval_engine"] = self.engine
        if out["samples"]:
            out["best"], out["worst"] = extremes(self.measured, [s["id"] for s in out["samples"]])
        return out


def findings(suites: Sequence[Suite], steps: Steps, seed: int) -> list[Findings]:
    """Of each suite, out of the artifacts of one run's steps."""
    tasks, losses = _tasks(steps), _losses(steps)
    return [_of(suite, steps, tasks, losses, seed) for suite in suites]


def _of(suite: Suite, steps: Steps, tasks: LmResults, losses: list[Score], seed: int) -> Findings:
    folder = steps.get(f"judge.{suite.common.name}")
    whole: dict[str, Any] | None = None
    parts: dict[str, list[Measured]] = {}
    if folder:
        whole = json.loads((folder / "suite.json").read_bytes())
        assert whole is not None
        parts["judge"] = list(_judged(suite, folder, whole, seed))
    parts["lm-eval"] = list(_task_metrics(suite, tasks, seed))
    parts["perplexity"] = list(_loss_metrics(suite, losses, seed))
    engine = tasks.engine if suite.common.lm_eval else {}
    return Findings(suite, whole, parts, engine)


def _judged(suite: Suite, folder: Path, whole: Mapping[str, Any], seed: int) -> Iterator[Measured]:
    lines = (folder / "scores.jsonl").read_bytes().splitlines()
    scores = [msgspec.json.decode(line, type=Score) for line in lines]
    families = {s["id"]: s["family"] for s in whole["samples"] if s.get("family")}
    for row in whole["metrics"]:
        name = row["metric"].removeprefix(f"{suite.metric_name}.")
        yield measured(row["metric"], row["unit"], row["better"], scores, name, families, seed)


def _tasks(steps: Steps) -> LmResults:
    found = LmResults()
    for name in [n for n in steps if n.startswith("lm-eval.")]:
        found.read(steps[name], name.split(".")[1])
    return found


def _task_metrics(suite: Suite, tasks: LmResults, seed: int) -> Iterator[Measured]:
    wanted = suite.common.lm_eval.tasks if suite.common.lm_eval else []
    for (task, metric), one in sorted(tasks.metrics.items(), key=lambda item: item[0]):
        name = suite.task_metric(task, metric)
        if task in wanted and one.wholes:
            yield Measured(name, one.unit, one.better, {}, wholes=one.wholes)
        elif task in wanted:
            yield measured(name, one.unit, one.better, one.scores, metric, seed=seed)


def _losses(steps: Steps) -> list[Score]:
    found = []
    for name in [n for n in steps if n.startswith("perplexity.")]:
        for line in (steps[name] / "losses.jsonl").read_bytes().splitlines():
            row = json.loads(line)
            found.append(Score(row["id"], name.split(".")[1], "nats", row["nats"]))
    return found


def _loss_metrics(suite: Suite, losses: Sequence[Score], seed: int) -> Iterator[Measured]:
    """Passages of one file hang together: the file is their family."""
    for group in suite.common.perplexity.texts if suite.common.perplexity else []:
        scores = [s for s in losses if s.id.startswith(f"{suite.common.name}/{group}/")]
        families = {s.id: s.id.rpartition("/")[0] for s in scores}
        yield measured(suite.loss_metric(group), "nats", "lower", scores, "nats", families, seed)


def changes(found: Sequence[Measured], base: str = "base") -> dict[str, float]:
    """Prompt → how much better the judged arm did than the arm `base`, over metrics that are better one way: each
    counts alike, by the reach of its scores. -1 to 1."""
    return {id: _mean(values) for id, values in _changes(found, base).items()}


def moves(found: Sequence[Measured], base: str) -> dict[str, float]:
    """Prompt → how far its scores are from the arm `base`'s, whichever way: a gain in one metric undoes no loss in
    another. 0 to 1."""
    return {id: _mean([abs(v) for v in values]) for id, values in _changes(found, base).items()}


def _changes(found: Sequence[Measured], base: str) -> dict[str, list[float]]:
    every: dict[str, list[float]] = {}
    for m, sign in _weighed(found):
        first = m.arms[base].values if base in m.arms and m.judged != base else {}
        for id, value in m.arms[m.judged].values.items():
            if id in first:
                every.setdefault(id, []).append(sign * (value - first[id]))
    return every


def extremes(found: Sequence[Measured], ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The prompts on which the judged arm gained most over the base, and those on which it lost most.

    Where nothing changed, the judged arm's own scores decide; where there is no base, they are all there is.
    """
    change = changes(found)
    values: dict[str, list[float]] = {}
    for m, sign in _weighed(found):
        for id, value in m.arms[m.judged].values.items():
            values.setdefault(id, []).append(sign * value)
    known = [id for id in ids if id in values]
    order = sorted(known, key=lambda id: (change.get(id, 0.0), _mean(values[id])), reverse=True)
    many = min(LISTED, (len(order) + 1) // 2)
    return order[:many], order[many:][::-1][:LISTED]


def _weighed(found: Sequence[Measured]) -> Iterator[tuple[Measured, float]]:
    for m in found:
        if m.better is not None and m.reach is not None:
            yield m, (1 if m.better == "higher" else -1) / ((m.reach[1] - m.reach[0]) or 1.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
