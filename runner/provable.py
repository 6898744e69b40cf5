"""What gates can be shown at best: those that even a flawless result on a suite's prompts leaves inconclusive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.errors import Problem
from runner.gatechecks import reach_of
from runner.gates import Gate, decide, parse
from runner.load import Loaded
from runner.metrics import Measured
from runner.probechecks import counted
from runner.record import Score
from runner.sensitivity import documents
from runner.suite import Suite
from runner.workspace import Workspace

_RATES = (1.0, 0.0, 0.5, 0.25, 1 / 3, 2 / 3, 0.75)
"""Rates of both arms at which nothing changes: near one half the least change shows, or near the ends."""
_COUNTS = {
    "say": "a run cannot pass it, and exits 5",
    "estimate": "it will go by the number alone",
    "pass": "it will count as passed",
    "fail": "it will count as failed",
}


def unprovable(loaded: Loaded, workspace: Workspace) -> list[Problem]:
    """A warning, at its place, for each gate that no result of so many prompts could decide in the model's favour."""
    out = []
    for i, text in enumerate(loaded.recipe.evaluate.gates):
        if what := _short(parse(text), loaded, workspace):
            out.append(loaded.document.problem(("evaluate", "gates", i), what, at_value=True))
    return out


def _short(gate: Gate, loaded: Loaded, workspace: Workspace) -> str:
    for suite in loaded.suites:
        found = reach_of(gate.metric, suite)
        prompts = _prompts(gate.metric, suite, workspace) if found else None
        if found is None or not prompts:
            continue
        unit, reach = found
        tried = []
        for arms in _best(gate, reach, unit, len(prompts)):
            scores = {
                arm: [Score(key, arm, "m", v) for key, v in zip(prompts, values, strict=True)]
                for arm, values in arms.items()
            }
            one = Measured(gate.metric, unit, None, scores, prompts, loaded.recipe.seed)
            (verdict,) = decide([gate.text], {gate.metric: one}, {})
            if verdict["verdict"] == "pass":
                return ""
            tried.append(verdict)
        best = min(tried, key=lambda v: v["needs"] or float("inf"))
        n = len(prompts)
        if gate.against is None:
            seen = f"even if all {n:,} prompts go well"
        elif gate.claims:
            seen = f"even if all {n:,} prompts go well, and none does for {gate.against}"
        else:
            seen = f"even if no answer to its {n:,} prompts is worse than that of {gate.against}"
        shown = "" if best["low"] is None else f" ({best['low']:.3g} to {best['high']:.3g})"
        needs = f"{best['needs']:,} would do" if best["needs"] else "no number of prompts would do"
        counts = _COUNTS[loaded.recipe.evaluate.inconclusive]
        return f"{gate.text}: {seen} it stays inconclusive{shown}; {needs}; {counts}"
    return ""


def _prompts(metric: str, suite: Suite, workspace: Workspace) -> dict[str, str] | None:
    """The prompts that a metric is scored on → their family, "" where they are their own; None where nobody knows."""
    probes = counted(suite, workspace)
    own = metric.removeprefix(f"{suite.metric_name}.")
    for task in suite.common.lm_eval.tasks if suite.common.lm_eval else []:
        if metric.startswith(suite.task_metric(task, "")):
            many = documents(suite, task, workspace)
            return None if many is None else {f"{n:07}": "" for n in range(many)}
    return {p.id: p.family for p in probes if p.wanted.counts(own)}


def _best(gate: Gate, reach: tuple[float, float], unit: str, n: int) -> Iterator[dict[str, Sequence[float]]]:
    """The best results that there could be, by arm. Of a gate that allows some loss: that nothing was lost, at whatever
    rate; that a model happens to be far better is no reason to hope for it."""
    low, high = reach
    best, worst = (high, low) if gate.above else (low, high)
    if gate.against is None:
        yield {"tuned": [best] * n}
    elif gate.claims:
        yield {gate.against: [worst] * n, "tuned": [best] * n}
    else:
        for rate in _RATES if unit == "share" else (1.0,):
            passed = round(n * rate)
            values = [high] * passed + [low] * (n - passed)
            yield {gate.against: values, "tuned": values}
