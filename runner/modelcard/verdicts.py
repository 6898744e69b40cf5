"""The part of a card that says how the model was judged: gates, and every metric with the base model beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.markdown import paragraph, plain, table
from runner.modelcard.facts import Facts

_HEAD = ("metric", "better", "base", "tuned", "difference", "sees", "prompts")


def verdicts(facts: Facts) -> list[str]:
    """Its lines; none where nothing was judged."""
    judged = [s for s in facts.suites if s["metrics"] or s["facts"]]
    if not judged and not facts.gates:
        return []
    drawn = {suite["name"]: said for suite in judged if (said := _drawn(suite))}
    greedily = ", greedily" if not drawn else ""
    lines = [
        "## Evaluation",
        "",
        f"Base and tuned model got the same prompts with the same chat template{greedily}. In parentheses: 95% "
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
        if suite["name"] in drawn:
            lines += [f"Answers were drawn at {drawn[suite['name']]}.", ""]
        elif drawn and suite.get("decoding"):
            lines += ["Answers were greedy.", ""]
        if suite["metrics"]:
            lines += [*table(_HEAD, map(_metric, suite["metrics"])), ""]
        if lost := list(_lost(suite)):
            lines += [*lost, ""]
        if suite["facts"]:
            rows = ((plain(name), _number(value)) for name, value in sorted(suite["facts"].items()))
            lines += ["Of the judge itself:", "", *table(("what", "value"), rows), ""]
    return lines


def _drawn(suite: dict[str, Any]) -> str:
    """How answers were drawn, by arm where arms differ; empty where all were greedy."""
    told: dict[str, str] = {}
    for arm, how in (suite.get("decoding") or {}).items():
        if temperature := (how or {}).get("temperature"):
            told[arm] = (
                f"temperature {temperature:g}, top_p {how.get('top_p', 1):g}, {how.get('repeats', 1)} a prompt"
            )
        else:
            told[arm] = "temperature 0"
    if set(told.values()) <= {"temperature 0"}:
        return ""
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "; ".join(f"{said} ({plain(arm)})" for arm, said in told.items())


def _lost(suite: dict[str, Any]) -> Iterator[str]:
    """What was not answered, and what each metric lacks, with what its number could be had nothing been missing."""
    if failed := {arm: n for arm, n in (suite.get("failed") or {}).items() if n}:
        yield f"- Not answered: {', '.join(f'{n:,} of {plain(arm)}' for arm, n in failed.items())}"
    for metric in suite["metrics"]:
        for arm in ("base", "tuned"):
            if missing := (cell := metric[arm]).get("missing"):
                low, high = cell.get("limits") or (None, None)
                could = "" if low is None else f"; with them it could be {low:.3f} … {high:.3f}"
                yield f"- {plain(metric['metric'])}, {arm}: {missing:,} missing{could}"


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
