"""The part of a card that says how the model was judged: gates, and every metric with the base model beside it."""

from __future__ import annotations

from typing import Any

from runner.markdown import paragraph, plain, table
from runner.modelcard.facts import Facts

_HEAD = ("metric", "better", "base", "tuned", "difference", "sees", "prompts")


def verdicts(facts: Facts) -> list[str]:
    """Its lines; none where nothing was judged."""
    judged = [s for s in facts.suites if s["metrics"] or s["facts"]]
    if not judged and not facts.gates:
        return []
    lines = [
        "## Evaluation",
        "",
        "Base and tuned model got the same prompts with the same chat template, greedily. In parentheses: 95% "
        "intervals; of differences, paired. What so many prompts see is the smallest true difference that they would "
        "show in four of five runs; a gate is inconclusive where its interval holds the threshold.",
        "",
    ]
    if facts.gates:
        told = (
            (
                plain(g["gate"]),
                plain(g["verdict"]),
                _number(g["value"]),
                _number(g["threshold"]),
                plain(g["why"]),
            )
            for g in facts.gates
        )
        lines += ["### Gates", "", *table(("gate", "verdict", "value", "threshold", "why"), told), ""]
    for suite in judged:
        lines += [f"### {plain(suite['name'])}", ""]
        if suite.get("description"):
            lines += [paragraph(suite["description"]), ""]
        if suite["metrics"]:
            lines += [*table(_HEAD, map(_metric, suite["metrics"])), ""]
        if suite["facts"]:
            rows = ((plain(name), _number(value)) for name, value in sorted(suite["facts"].items()))
            lines += ["Of the judge itself:", "", *table(("what", "value"), rows), ""]
    return lines


def _metric(metric: dict[str, Any]) -> tuple[str, ...]:
    return (
        plain(metric["metric"]),
        plain(metric.get("better") or ""),
        _estimate(metric["base"]),
        _estimate(metric["tuned"]),
        _estimate(metric["difference"], sign="+"),
        _number(metric["difference"].get("mde")),
        f"{metric['tuned'].get('n', 0):,}",
    )


def _estimate(cell: dict[str, Any], sign: str = "") -> str:
    value, low, high = cell.get("value"), cell.get("low"), cell.get("high")
    if value is None:
        return ""
    limits = "" if low is None or high is None else f" ({low:{sign}.3f} … {high:{sign}.3f})"
    return f"{value:{sign}.3f}{limits}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
