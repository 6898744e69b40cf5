"""Gates: conditions on the tuned model's metrics that decide the exit code."""

from __future__ import annotations

import operator
import re
from typing import Any

from runner.recipe import GATE
from runner.wording import nearest

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def values(suites: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Metric name → its value in each arm. Facts about a judge are the same in both."""
    out: dict[str, dict[str, float | None]] = {}
    for suite in suites:
        for metric in suite["metrics"]:
            out[metric["metric"]] = {arm: metric[arm]["value"] for arm in ("base", "tuned")}
        prefix = suite["name"].replace("-", "_")
        for name, value in suite["facts"].items():
            out[f"{prefix}.{name}"] = {"base": value, "tuned": value}
    return out


def decide(gate: str, metrics: dict[str, dict[str, float | None]]) -> dict[str, Any]:
    """One gate's verdict: pass or fail, with the value, the threshold and, if it failed, why."""
    match = re.match(GATE, gate)
    assert match, gate
    name, op, base, sign, delta, number = match.groups()
    out: dict[str, Any] = {"gate": gate, "verdict": "fail", "value": None, "threshold": None, "why": ""}
    if name not in metrics:
        return out | {"why": f"no metric {name!r}{nearest(name, metrics)}"}
    value, reference = metrics[name]["tuned"], metrics[name]["base"]
    if value is None or (base and reference is None):
        return out | {"value": value, "why": f"{name} has no value: nothing was scored"}
    threshold = float(number) if not base else float(reference or 0.0)
    if sign:
        threshold += float(delta) if sign == "+" else -float(delta)
    # A difference that is only floating-point dust decides nothing: 0.9 - 0.03 is not 0.8700000000000001.
    passed = _COMPARE[op](round(value, 9), round(threshold, 9))
    why = "" if passed else f"{name} is {value:.4g}, not {op} {threshold:.4g}"
    return out | {
        "value": value,
        "threshold": threshold,
        "verdict": "pass" if passed else "fail",
        "why": why,
    }
