"""What the page shows of the data: the flow with its table, reasons, the mix, lengths, pairs. Pure."""

from __future__ import annotations

from typing import Any

from runner import shown
from runner.page import charts
from runner.page.pairs import pair
from runner.page.river import NAMES
from runner.shown import finite

FATES = {"trained": 0, "validation": 1}
REASONS = 200
SHARES = 60
"""Lines of a table that a page holds at most."""


def of(report: dict[str, Any]) -> dict[str, Any]:
    """The parts of the view that are about the data."""
    rows = dict(report.get("rows") or {})
    reasons = sorted(
        rows.get("by_reason") or [],
        key=lambda r: (FATES.get(str(r.get("fate")), 2), -(finite(r.get("rows")) or 0)),
    )
    rows["by_reason"], rows["more_reasons"] = reasons[:REASONS], max(len(reasons) - REASONS, 0)
    mix = dict(report.get("mix") or {})
    shares = mix.get("shares") or []
    mix["shares"], mix["more"] = shares[:SHARES], max(len(shares) - SHARES, 0)
    repeats = dict(report.get("duplicates") or {})
    if repeats:
        repeats["pairs"] = [pair(p) for p in repeats.get("pairs") or []]
    flow = report.get("flow") or {}
    return {
        "rows": rows,
        "mix": mix if shares else {},
        "flow": _flow(flow) if flow.get("sources") else {},
        "duplicates": repeats,
        "contamination": report.get("contamination") or {},
    }


def _flow(flow: dict[str, Any]) -> dict[str, Any]:
    """The flow with a table of it: what came in, what each step took, what is used."""
    table = [
        {"what": "read", "fate": "in", "source": s.get("source"), "rows": s.get("rows"), **_tokens(s)}
        for s in flow["sources"]
    ]
    lost = flow.get("lost") or []
    for x in lost[: REASONS + 100]:
        step = NAMES.get(str(x.get("step")), str(x.get("step")))
        table.append({**x, "what": step, "fate": "lost", **_tokens(x)})
    for x in flow.get("used") or []:
        what = {"trained": "trained on", "validation": "held out"}.get(str(x.get("fate")), x.get("fate"))
        table.append({**x, "what": what, **_tokens(x)})
    took = {str(x.get("step")) for x in lost}
    idle = [
        NAMES.get(str(s), str(s)).lower() for s in flow.get("steps") or [] if s not in took and s != "source"
    ]
    known = any(t["tokens"] != shown.NONE for t in table)
    about = any(x.get("exact") is False and finite(x.get("tokens")) for x in (*flow["sources"], *lost))
    most = max((finite(t.get("rows")) or 0 for t in table), default=0)
    return {**flow, "table": table, "idle": idle, "known": known, "about": about, "most": most}


def _tokens(x: dict[str, Any]) -> dict[str, str]:
    found = finite(x.get("tokens"))
    about = "" if x.get("exact", True) or not found else "about "
    return {"tokens": shown.NONE if found is None else f"{about}{shown.count(found)}"}


def histogram(lengths: dict[str, Any]) -> str:
    """How many records have how many tokens, with the limit as a line."""
    counts = [finite(n) or 0.0 for n in lengths.get("counts") or []]
    edges = [finite(e) or 0.0 for e in lengths.get("edges") or []]
    limit = finite(lengths.get("limit"))
    label = f"Histogram of token lengths of {shown.count(sum(counts))} records."
    if limit is not None:
        label += f" The limit is {shown.count(limit)} tokens."
    name = None if limit is None else f"limit {shown.count(limit)}"
    return charts.histogram(
        edges, counts, x="tokens a record", y="records", label=label, limit=limit, name=name
    )
