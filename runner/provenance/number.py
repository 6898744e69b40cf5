"""A number of a run's report, and the step that counted it."""

from __future__ import annotations

from typing import Any

import msgspec

from runner.provenance.chain import of_number
from runner.provenance.left import Counted, Left
from runner.provenance.thing import Thing, arm_of, made
from runner.suite import Suite


def metrics(left: Left) -> dict[str, tuple[str, Counted]]:
    """Metric → its suite and all that is said of it."""
    return {m.metric: (suite.name, m) for suite in left.report.suites for m in suite.metrics}


def number(left: Left, name: str, arm: str) -> Thing | None:
    """The metric of that name; None where there is none."""
    suite, row = metrics(left).get(name, ("", None))
    if row is None or not row.arms:
        return None
    arm = arm_of(left, arm, list(row.arms))
    report, targets = left.steps.get("report", {}), []
    known = {s.common.name: s for s in _suites(report)}
    if suite in known:
        targets = [_counted(known[suite], name, arm)]
    found = {
        "value": None,
        **row.arms[arm],
        "metric": name,
        "arm": arm,
        "unit": row.unit,
        "better": row.better,
    }
    found["suite"] = {"name": suite, **_suite_file(left, suite)}
    return Thing("number", found, made(left, "report"), of_number(targets, arm))


def _suites(report: dict[str, Any]) -> list[Suite]:
    try:
        return msgspec.convert(report.get("suites", []), list[Suite])
    except msgspec.ValidationError:
        return []  # of an earlier version


def _counted(suite: Suite, metric: str, arm: str) -> str:
    """The step that counted a metric."""
    common = suite.common
    if any(
        metric.startswith(suite.task_metric(t, "")) for t in (common.lm_eval.tasks if common.lm_eval else ())
    ):
        return f"lm-eval.{arm}"
    if any(metric == suite.loss_metric(g) for g in (common.perplexity.texts if common.perplexity else ())):
        return f"perplexity.{arm}"
    return f"judge.{common.name}"


def _suite_file(left: Left, suite: str) -> dict[str, str]:
    """The suite's own file as the run's lock has it."""
    name = f"evals/suites/{suite}.yaml"
    for part in left.lock.stages.values() if left.lock else ():
        if name in part.files:
            return {"file": name, "sha256": part.files[name]}
    return {}
