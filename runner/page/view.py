"""What the report page's template shows: the report with its gaps filled, and words of judgement.

Pure: a dict in, a dict out. The report given must be `shown.clean` already.
"""

from __future__ import annotations

import json
import re
from typing import Any

from runner import shown
from runner.page import charts
from runner.shown import finite

ARMS = ("base", "tuned")
COUNTS = {
    "pass": "count as passed",
    "fail": "count as failed",
    "estimate": "count by the number alone",
}
FATES = {"trained": 0, "validation": 1}


def view(report: dict[str, Any]) -> dict[str, Any]:
    """What the template shows: the report, its gaps filled with empty parts, and its verdict."""
    gates = report.get("gates") or []
    arms = _arms(report.get("suites") or [])
    suites = [_suite(one, arms) for one in report.get("suites") or []]
    metrics = {m["metric"]: m for suite in suites for m in suite["metrics"]}
    shown_gates = []
    for gate in gates:
        metric = metrics.get(_gated(gate))
        if metric and finite(gate.get("threshold")) is not None:
            metric["thresholds"].append(finite(gate["threshold"]))
        if metric:
            metric["gates"].append(_verdict_mark(gate))
        unit = metric.get("unit", "") if metric else ""
        shown_gates.append({**gate, "unit": unit, "mark": _verdict_mark(gate), "seen": _seen(gate, unit)})
    for metric in metrics.values():
        metric["domain"] = _domain(metric)
    rows = dict(report.get("rows") or {})
    reasons = rows.get("by_reason") or []
    rows["by_reason"] = sorted(
        reasons, key=lambda r: (FATES.get(str(r.get("fate")), 2), -(finite(r.get("rows")) or 0))
    )
    return {
        **report,
        "rows": rows,
        "suites": suites,
        "gates": shown_gates,
        "failed": sum(g.get("counts", g.get("verdict")) == "fail" for g in gates),
        "unsure": sum(g.get("verdict") == "inconclusive" for g in gates),
        "unsure_counts": COUNTS.get(str(report.get("inconclusive")), ""),
        "headlines": _headlines(gates, suites, metrics),
        "training": report.get("training") or {},
        "judged": any(suite["samples"] for suite in suites),
        "arms": arms,
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


def _suite(suite: dict[str, Any], arms: list[str]) -> dict[str, Any]:
    metrics = [{**m, "thresholds": [], "gates": []} for m in suite.get("metrics") or []]
    for metric in metrics:
        known = metric.get("arms") or {}
        shown_arms = [a for a in arms if a in known] if known else ARMS
        metric["cells"] = {a: known.get(a, metric.get(a)) for a in shown_arms}
        differences = metric.get("differences") or {"base": metric.get("difference")}
        metric["changes"] = [
            {**d, "against": a, "verdict": _change_word(metric, d)} for a, d in differences.items() if d
        ]
    samples = []
    for one in suite.get("samples") or []:
        marks = {a: _marks(one, a, metrics, str(suite.get("name") or "")) for a in arms}
        prompt = one.get("prompt") or []
        prompt = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        asked = [m.get("content") for m in prompt if m.get("role") == "user"]
        tallies = {a: _tally(marks[a]) for a in arms}
        title = words(asked[-1]) if asked else ""
        samples.append({**one, "prompt": prompt, "title": title, "marks": marks, "tallies": tallies})
    return {**suite, "metrics": metrics, "samples": samples, "groups": _groups(suite, samples)}


def _groups(suite: dict[str, Any], samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The samples as they are shown: the best and the worst prompts, then the others, folded where they are many."""
    by_id = {str(s.get("id")): s for s in samples}
    best, worst = ([by_id[i] for i in suite.get(key) or [] if i in by_id] for key in ("best", "worst"))
    if not best:
        cut = 10 if len(samples) > 12 else len(samples)
        return [{"title": "All", "open": samples[:cut], "more": samples[cut:]}]
    listed = {id(s) for s in [*best, *worst]}
    groups = [{"title": f"The {_many(best)} that went best", "open": best, "more": []}]
    if worst:
        groups.append({"title": f"The {_many(worst)} that went worst", "open": worst, "more": []})
    rest = [s for s in samples if id(s) not in listed]
    return [*groups, {"title": "The others", "open": [], "more": rest}] if rest else groups


def _many(samples: list[dict[str, Any]]) -> str:
    return "one" if len(samples) == 1 else str(len(samples))


def _seen(gate: dict[str, Any], unit: str) -> str:
    """What a gate was decided on: the interval of the value, or of the difference to the arm it is compared with."""
    low, high = finite(gate.get("low")), finite(gate.get("high"))
    if low is None or high is None:
        return ""
    write = shown.measure if gate.get("against") is None else shown.change
    return f"{write(low, unit)} to {write(high, unit)}"


def _marks(
    sample: dict[str, Any], side: str, metrics: list[dict[str, Any]], suite: str
) -> list[dict[str, Any]]:
    """Each score of one answer: its word (right, wrong or the number), its style, its reason."""
    found = []
    for name, scores in (sample.get("scores") or {}).items():
        value = finite((scores or {}).get(side))
        full = f"{suite.replace('-', '_')}.{name}"
        metric = next((m for m in metrics if m["metric"] == full), {})
        word, style = shown.measure(value, metric.get("unit", "")), "plain"
        if value is None:
            word = "not scored"
        elif value in (0, 1) and metric.get("unit") == "share" and metric.get("better"):
            right = (value == 1) == (metric["better"] == "higher")
            word, style = ("right", "good") if right else ("wrong", "bad")
        why = ((sample.get("reasons") or {}).get(name) or {}).get(side) or ""
        found.append({"name": name, "word": word, "style": style, "why": why})
    return found


def _tally(marks: list[dict[str, str]]) -> dict[str, str]:
    """One answer's marks in a word or two, for the line that stays when the sample is folded."""
    sure = [m for m in marks if m["style"] != "plain"]
    right = sum(m["style"] == "good" for m in sure)
    if not sure:
        return {"word": marks[0]["word"] if marks else "not scored", "style": "plain"}
    style = "good" if right == len(sure) else "plain" if right else "bad"
    word = sure[0]["word"] if len(sure) == 1 else f"{right} of {len(sure)} right"
    return {"word": word, "style": style}


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


def _gated(gate: dict[str, Any]) -> str:
    """The metric that a gate's text begins with."""
    found = re.match(r"\s*([^\s<>=!]+)", str(gate.get("gate") or ""))
    return found[1] if found else ""


def _verdict_mark(gate: dict[str, Any]) -> dict[str, str]:
    word = str(gate.get("verdict") or "not decided")
    return {"word": word, "style": {"pass": "good", "inconclusive": "plain"}.get(word, "bad")}


def _headlines(
    gates: list[dict[str, Any]], suites: list[dict[str, Any]], metrics: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The numbers to show first: gated metrics, then each suite's first; four at most."""
    names = [_gated(g) for g in gates] + [s["metrics"][0]["metric"] for s in suites if s["metrics"]]
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


def words(value: Any) -> str:
    """Text as it is, anything else as JSON; lists of words and of content parts by their texts."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(p, dict) and "text" in p for p in value):
        return "\n".join(str(part["text"]) for part in value)
    if isinstance(value, list) and all(isinstance(p, str) for p in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)
