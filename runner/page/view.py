"""What the report page's template shows: the report with its gaps filled, and words of judgement.

Pure: a dict in, a dict out. The report given must be `shown.clean` already.
"""

from __future__ import annotations

from typing import Any

from runner.page import charts, data, judged, machine, samples, verdict
from runner.page.samples import ARMS, words
from runner.shown import finite

__all__ = ["style", "view", "words"]

METRICS = 200
"""Metrics of all suites that a page holds at most."""
KEYS, RECIPE = 500, 60_000
"""Keys, and characters of the recipe."""


def view(report: dict[str, Any]) -> dict[str, Any]:
    """What the template shows: the report, its gaps filled with empty parts, and its verdict."""
    gates = report.get("gates") or []
    found = report.get("suites") or []
    arms = _arms(found)
    suites, room, left = [], samples.ROOM, METRICS
    for n, one in enumerate(found):
        suite = _suite(
            one, arms, room // (len(found) - n), left
        )  # what one does not need is there for the next
        room, left = room - suite["taken"], left - len(suite["metrics"])
        suites.append(suite)
    metrics = {m["metric"]: m for suite in suites for m in suite["metrics"]}
    shown_gates = []
    for gate in gates:
        metric = metrics.get(verdict.gated(gate))
        if metric and finite(gate.get("threshold")) is not None:
            metric["thresholds"].append(finite(gate["threshold"]))
        if metric:
            metric["gates"].append(verdict.mark(gate))
        shown_gates.append(verdict.gate(gate, metric.get("unit", "") if metric else ""))
    for suite in suites:
        for metric in suite["metrics"]:
            metric["domain"] = _domain(metric)
    keys = [k for k in report.get("keys") or [] if isinstance(k, dict)]
    recipe = str(report.get("recipe_yaml") or "")
    return {
        **report,
        **data.of(report),
        "suites": suites,
        "gates": shown_gates,
        "outcome": verdict.outcome(report, gates),
        "next": verdict.next_steps(report, gates),
        "unsure": sum(g.get("verdict") == "inconclusive" for g in gates),
        "unsure_counts": verdict.COUNTS.get(str(report.get("inconclusive")), ""),
        "headlines": _headlines(gates, suites, metrics),
        "training": report.get("training") or {},
        "machine": machine.of(report),
        "judged": any(suite["samples"] for suite in suites),
        "verdicts": {k: w for k, w in samples.VERDICTS.items() if any(k in s["verdicts"] for s in suites)},
        "trust": any(
            s["trust"]["confusion"] or s["trust"]["told"] or s["trust"]["facts_left"] for s in suites
        ),
        "arms": arms,
        "keys": keys[:KEYS],
        "more_keys": max(len(keys) - KEYS, 0),
        "recipe_yaml": recipe
        if len(recipe) <= RECIPE
        else f"{recipe[:RECIPE]}\n… (the rest is in recipe.yaml)",
    }


def style(arm: str) -> str:
    """The class of an arm in the style sheet: other arms than the two that are always there share one."""
    return arm if arm in ARMS else "other"


def _arms(suites: list[dict[str, Any]]) -> list[str]:
    """All arms that any metric has, in their order; the tuned one last."""
    named = [arm for suite in suites for m in suite.get("metrics") or [] for arm in m.get("arms") or ()]
    both = set(named) if named else {*ARMS}
    order = dict.fromkeys(["base", *(arm for arm in named if arm != "tuned"), "tuned"])
    return [arm for arm in order if arm in both]


def _suite(suite: dict[str, Any], arms: list[str], room: int, most: int) -> dict[str, Any]:
    every = suite.get("metrics") or []
    metrics = [{**m, "thresholds": [], "gates": []} for m in every[: max(most, 0)]]
    for metric in metrics:
        known = metric.get("arms") or {}
        shown_arms = [a for a in arms if a in known] if known else ARMS
        metric["cells"] = {a: known.get(a, metric.get(a)) for a in shown_arms}
        differences = metric.get("differences") or {"base": metric.get("difference")}
        metric["changes"] = [
            {**d, "against": a, "verdict": _change_word(metric, d)} for a, d in differences.items() if d
        ]
    more = {"more_metrics": len(every) - len(metrics), "trust": judged.of(suite, arms)}
    return {**suite, **samples.of(suite, metrics, arms, room), **more, "metrics": metrics}


def _change_word(metric: dict[str, Any], difference: dict[str, Any]) -> dict[str, str]:
    """Better, worse or no clear difference.

    It is clear only where the interval leaves out zero and the test, where there is one, agrees:
    on few samples an interval and an exact test may differ, and a page should not boast.
    """
    low, high = finite(difference.get("low")), finite(difference.get("high"))
    if low is None or high is None:
        return {"word": "", "style": "plain"}
    p = finite(difference.get("p"))
    if low <= 0 <= high or (p is not None and p >= 0.05):
        return {"word": "no clear difference", "style": "plain"}
    if metric.get("better") not in ("higher", "lower"):
        return {"word": "differs", "style": "plain"}
    better = (low > 0) == (metric["better"] == "higher")
    return {"word": "better", "style": "good"} if better else {"word": "worse", "style": "bad"}


def _headlines(
    gates: list[dict[str, Any]], suites: list[dict[str, Any]], metrics: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The numbers to show first: gated metrics, then each suite's first; four at most."""
    names = [verdict.gated(g) for g in gates] + [s["metrics"][0]["metric"] for s in suites if s["metrics"]]
    return [metrics[name] for name in dict.fromkeys(names) if name in metrics][:4]


def _domain(metric: dict[str, Any]) -> tuple[float, float]:
    """The common axis of a metric's arms and thresholds: 0 to 1 for shares, else what is needed."""
    cells = [cell or {} for cell in metric["cells"].values()]
    every = [finite(cell.get(key)) for cell in cells for key in ("value", "low", "high")]
    known = [v for v in [*every, *metric["thresholds"]] if v is not None]
    if metric.get("unit") == "share" and all(0 <= v <= 1 for v in known):
        return 0.0, 1.0
    marks = charts.ticks(min(known), max(known), 3) if known else [0.0, 1.0]
    return marks[0], marks[-1]
