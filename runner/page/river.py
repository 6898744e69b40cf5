"""The flow of rows as a river: sources come in at the top, each step lets some go at the right, the split is its mouth.

It runs downwards, so that it is as readable on a phone as on a wide page. The widths are rows; every label also says
the tokens. A table beside it holds the same numbers for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from runner.shown import count, finite

NAMES = {
    "source": "Read",
    "filter": "Filters",
    "dedup": "Duplicates",
    "decontaminate": "Texts of the evaluation",
    "render": "Template and length",
    "mix": "Mix",
}
COLOURS = 6
"""Sources with a colour of their own; any more share the last."""
_WIDE, _GAP, _BAND, _BAR, _TOP = 1000.0, 36.0, 92, 12, 24
_LEAST = 3.0
"""Units of a thousand that anything has at least, so that one row of a million is seen."""


@dataclass
class Level:
    """A line across the river: rows of each source that go on, and that end here on the right."""

    name: str
    kept: list[float]
    ended: list[float]
    left: str
    right: str
    held: bool = False
    at: list[tuple[float, float]] = field(default_factory=list)  # where the kept bars lie
    off: list[tuple[float, float]] = field(default_factory=list)  # and those that end


def levels(flow: dict[str, Any]) -> list[Level]:
    """The lines of a flow; none where nothing came in. Steps that took nothing have no line."""
    sources = [str(s.get("source")) for s in flow.get("sources") or []]
    now = [finite(s.get("rows")) or 0.0 for s in flow.get("sources") or []]
    if sum(now) <= 0:
        return []
    out = [Level("source", now, [], f"{count(sum(now))} rows read", "")]
    for step in flow.get("steps") or []:
        lost, reasons = [0.0] * len(sources), dict[str, float]()
        for x in flow.get("lost") or []:
            if x.get("step") == step and x.get("source") in sources:
                n = sources.index(str(x["source"]))
                lost[n] += finite(x.get("rows")) or 0.0
                word = str(x.get("reason") or "")
                reasons[word] = reasons.get(word, 0.0) + (finite(x.get("rows")) or 0.0)
        if sum(lost) <= 0:
            continue
        now = [max(a - b, 0.0) for a, b in zip(now, lost, strict=True)]
        most = max(reasons, key=lambda r: reasons[r])
        more = f", and {len(reasons) - 1} more reasons" if len(reasons) > 2 else ", and 1 more reason"
        more = more if len(reasons) > 1 else ""
        right = f"−{count(sum(lost))} {_short(most)}{more}"
        left = f"{NAMES.get(str(step), str(step))}: {count(sum(now))} left"
        out.append(Level(str(step), now, lost, left, right))
    return [*out, _mouth(flow, sources)]


def _mouth(flow: dict[str, Any], sources: list[str]) -> Level:
    """What is trained on the left, what is held out on the right."""
    rows, tokens = ({f: [0.0] * len(sources) for f in ("trained", "validation")} for _ in range(2))
    for x in flow.get("used") or []:
        if x.get("fate") in rows and x.get("source") in sources:
            n = sources.index(str(x["source"]))
            rows[x["fate"]][n] += finite(x.get("rows")) or 0.0
            tokens[x["fate"]][n] += finite(x.get("tokens")) or 0.0
    said = {}
    for fate, many in rows.items():
        some = [f"{count(sum(many))} {'trained on' if fate == 'trained' else 'held out'}"]
        if sum(tokens[fate]):
            some.append(f"{count(sum(tokens[fate]))} tokens")
        said[fate] = ", ".join(some)
    held = sum(rows["validation"]) > 0
    return Level("split", rows["trained"], rows["validation"] if held else [], said["trained"],
                 said["validation"] if held else "", held=True)  # fmt: skip


def _short(reason: str) -> str:
    return reason if len(reason) <= 30 else f"{reason[:28].rstrip()}…"


def river(flow: dict[str, Any]) -> str:
    """The drawing; empty text where nothing came in."""
    lines = levels(flow)
    if not lines:
        return ""
    whole = sum(lines[0].kept)
    for line in lines:
        _lay(line, whole)
    height = _TOP + _BAND * (len(lines) - 1) + _BAR + 44
    shapes, texts = list[str](), list[str]()
    for n, line in enumerate(lines):
        y = _TOP + n * _BAND
        if n:
            shapes += _ribbons(lines[n - 1], line, y - _BAND + _BAR, y)
        shapes += _bars(line, y)
        above = y - 8
        texts.append(f'<text class="label" x="0" y="{above}">{escape(line.left)}</text>')
        if line.right:
            texts.append(
                f'<text class="label{"" if line.held else " gone"}" x="100%" y="{y + _BAR + 17}" text-anchor="end">'
                f"{escape(line.right)}</text>"
            )
    inner = (
        f'<svg viewBox="0 0 1000 {height}" preserveAspectRatio="none" width="100%" height="{height}">'
        f"{''.join(shapes)}</svg>"
    )
    label = ". ".join(x for line in lines for x in (line.left, line.right) if x) + "."
    return (
        f'<svg class="river" role="img" aria-label="{escape(label)}" width="100%" height="{height}">'
        f"{inner}{''.join(texts)}</svg>"
    )


def _lay(line: Level, whole: float) -> None:
    """Where the bars of a line lie: what goes on at the left, what ends at the right."""
    scale = (_WIDE - _GAP) / whole
    at = 0.0
    for n in line.kept:
        wide = max(n * scale, _LEAST) if n else 0.0
        line.at.append((at, at + wide))
        at += wide
    at = _WIDE
    for n in reversed(line.ended):
        wide = max(n * scale, _LEAST) if n else 0.0
        line.off.insert(0, (at - wide, at))
        at -= wide


def _bars(line: Level, y: int) -> Iterator[str]:
    for places, ends in ((line.at, False), (line.off, not line.held)):
        for n, (a, b) in enumerate(places):
            if b > a:
                style = "gone" if ends else f"s{min(n, COLOURS - 1) + 1}"
                yield f'<rect class="{style}" x="{a:.1f}" y="{y}" width="{b - a:.1f}" height="{_BAR}"/>'


def _ribbons(before: Level, line: Level, top: int, bottom: int) -> list[str]:
    """From each source's bar above: its left part to what goes on, its right part to what ends; the latter behind."""
    front, behind = list[str](), list[str]()
    for n, (a, b) in enumerate(before.at):
        ends = line.off[n] if n < len(line.off) else (0.0, 0.0)
        wides = [line.at[n][1] - line.at[n][0], ends[1] - ends[0]]
        cut = a + wides[0] * (b - a) / (sum(wides) or 1)
        style = f"s{min(n, COLOURS - 1) + 1}"
        if wides[0] > 0:
            front.append(_ribbon(style, (a, cut), line.at[n], top, bottom))
        if wides[1] > 0:
            behind.append(_ribbon(style if line.held else "gone", (cut, b), ends, top, bottom))
    return [*behind, *front]


def _ribbon(style: str, up: tuple[float, float], down: tuple[float, float], top: int, bottom: int) -> str:
    mid = (top + bottom) / 2
    (a, b), (c, d) = up, down
    path = (
        f"M{a:.1f},{top}C{a:.1f},{mid} {c:.1f},{mid} {c:.1f},{bottom}"
        f"L{d:.1f},{bottom}C{d:.1f},{mid} {b:.1f},{mid} {b:.1f},{top}Z"
    )
    return f'<path class="ribbon {style}" d="{path}"/>'
