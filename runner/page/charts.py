"""Charts as inline SVG that keep their letters' size at any width, in any theme.

Positions across are percentages of the drawing, so a chart fits a phone and a printed page without
shrinking its text; curves lie in a stretched inner drawing whose strokes do not stretch. Colours
are classes of the page's style sheet. Numbers only are put into attributes; words are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate, pairwise

from runner.shown import count, number

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """One curve: its class in the style sheet, its points, and whether each point gets a dot."""

    style: str
    points: Points = field(default_factory=tuple)
    dots: bool = False


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 2 round numbers that cover low to high, evenly spaced."""
    if not high > low:
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * k for k in (1, 2, 2.5, 5, 10) if unit * k >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, last + 1)]


def smooth(points: Points, reach: int) -> list[tuple[float, float]]:
    """The mean of each point and up to `reach` neighbours on either side, as many on each."""
    sums = list(accumulate((y for _, y in points), initial=0.0))
    out = []
    for i, (x, _) in enumerate(points):
        near = min(reach, i, len(points) - 1 - i)
        out.append((x, (sums[i + near + 1] - sums[i - near]) / (2 * near + 1)))
    return out


def thin(points: Points, most: int = 800) -> list[tuple[float, float]]:
    """At most about `most` points: the lowest and the highest of every stretch."""
    if len(points) <= most:
        return list(points)
    stretch = math.ceil(2 * len(points) / most)
    out: list[tuple[float, float]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        out.extend(sorted(ends))
    return out


def curves(series: Sequence[Series], *, x: str, y: str, label: str, height: int = 240) -> str:
    """Curves over a common axis; empty text where no series holds a point."""
    every = [p for s in series for p in s.points]
    if not every:
        return ""
    left, right = min(p[0] for p in every), max(p[0] for p in every)
    if left == right:
        left, right = left - 1, right + 1
    marks = ticks(min(p[1] for p in every), max(p[1] for p in every), 4)
    across, up = _scale(left, right, 100), _scale(marks[-1], marks[0], height)
    inner: list[str] = []
    dots: list[str] = []
    for one in series:
        path = " ".join(f"{across(a) * 10:.1f},{up(b):.1f}" for a, b in thin(one.points))
        inner.append(f'<polyline class="curve {one.style}" points="{path}"/>')
        if one.dots or len(one.points) == 1:
            dots.extend(
                f'<circle class="dot {one.style}" cx="{across(a):.2f}%" cy="{up(b):.1f}" r="3.5"/>'
                for a, b in thin(one.points, 60)
            )
    body = (
        f'<svg viewBox="0 0 1000 {height}" preserveAspectRatio="none" width="100%" '
        f'height="{height}" overflow="visible">{"".join(inner)}</svg>{"".join(dots)}'
    )
    below = [(across(t), number(t)) for t in ticks(left, right, 5) if left <= t <= right]
    beside = [(up(t), number(t)) for t in marks]
    return _plot(body, below, beside, x=x, y=y, label=label, height=height)


def histogram(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    x: str,
    y: str,
    label: str,
    limit: float | None = None,
    name: str | None = None,
) -> str:
    """Counts between edges, drawn equally wide; with no last edge the last bar is open-ended. A `limit` is a line with
    its `name`: in its place, or at the right edge where it lies beyond."""
    if not counts or max(counts) <= 0:
        return ""
    height, each = 200, 100 / len(counts)
    marks = ticks(0, max(counts), 4)
    up = _scale(marks[-1], 0, height)
    bars = [
        f'<rect class="bar" x="{each * i + each * 0.04:.2f}%" y="{up(n):.1f}" '
        f'width="{each * 0.92:.2f}%" height="{height - up(n):.1f}"/>'
        for i, n in enumerate(counts)
    ]
    every = math.ceil(len(edges) / 7)
    below = [(each * i, count(edge)) for i, edge in enumerate(edges) if i % every == 0]
    beside = [(up(t), number(t)) for t in marks]
    if limit is not None:
        at = _among(edges, limit) * each
        beyond = at >= 100
        bars.append(
            f'<line class="limit" x1="{min(at, 100):.2f}%" x2="{min(at, 100):.2f}%" y1="-4" y2="{height}"/>'
            f'<text class="label" x="{min(at, 100):.2f}%" dx="{-6 if at > 50 else 6}" y="6" '
            f'text-anchor="{"end" if at > 50 else "start"}">{escape(name or "")}{" →" if beyond else ""}</text>'
        )
    return _plot("".join(bars), below, beside, x=x, y=y, label=label, height=height)


def _among(edges: Sequence[float], value: float) -> float:
    """How many bars lie left of a value, the part of its own included; of the last bar, which is open, the end."""
    for n, (low, high) in enumerate(pairwise(edges)):
        if value < high:
            return n + max(value - low, 0) / ((high - low) or 1)
    return float(len(edges))


def interval(
    style: str,
    value: float | None,
    limits: tuple[float, float] | None,
    domain: tuple[float, float],
    thresholds: Sequence[float] = (),
) -> str:
    """One arm's estimate as a dot on its confidence interval, with the gates as lines.

    It only draws what the text beside it says, so it is hidden from screen readers.
    """
    at = _scale(*domain, 100)
    parts = ['<line class="track" x1="0" x2="100%" y1="50%" y2="50%"/>']
    if limits:
        low, high = at(limits[0]), at(limits[1])
        wide = max(high - low, 0.4)
        parts.append(f'<rect class="reach" x="{low:.2f}%" y="6" width="{wide:.2f}%" height="8" rx="2"/>')
    for gate in thresholds:
        ends = f'x1="{at(gate):.2f}%" x2="{at(gate):.2f}%"'
        parts.append(f'<line class="gate" {ends} y1="0" y2="100%"/>')
    if value is not None:
        parts.append(f'<circle class="dot" cx="{at(value):.2f}%" cy="10" r="4.5"/>')
    return f'<svg class="interval {style}" height="20" aria-hidden="true">{"".join(parts)}</svg>'


def scale(domain: tuple[float, float], show: Callable[[float], str]) -> str:
    """The numbers under a stack of intervals."""
    low, high = domain
    spots = [(0, low, "start"), (50, (low + high) / 2, "middle"), (100, high, "end")]
    texts = "".join(
        f'<text class="tick" x="{at}%" y="11" text-anchor="{side}">{escape(show(v))}</text>'
        for at, v, side in spots
    )
    return f'<svg class="interval" height="14" aria-hidden="true">{texts}</svg>'


def bar(part: float, most: float, mark: float | None = None, style: str = "") -> str:
    """A bar of `part` on a track as long as `most`, with a tick at `mark`."""
    at = _scale(0, most or 1, 100)
    parts = f'<rect class="bar {escape(style)}" y="3" width="{at(part):.2f}%" height="10" rx="1"/>'
    if mark is not None:
        parts += f'<line class="asked" x1="{at(mark):.2f}%" x2="{at(mark):.2f}%" y1="0" y2="16"/>'
    return f'<svg class="inbar" height="16" aria-hidden="true">{parts}</svg>'


def _scale(start: float, end: float, length: float) -> Callable[[float], float]:
    """Maps start..end onto 0..length; what lies outside stands at the edge."""

    def at(value: float) -> float:
        return min(max((value - start) / ((end - start) or 1) * length, 0.0), length)

    return at


def _plot(
    body: str,
    below: Iterable[tuple[float, str]],
    beside: Iterable[tuple[float, str]],
    *,
    x: str,
    y: str,
    label: str,
    height: int,
) -> str:
    parts = []
    for at, text in beside:
        parts.append(f'<line class="grid" x1="0" x2="100%" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="-8" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    for at, text in below:
        ends = f'x1="{at:.2f}%" x2="{at:.2f}%" y1="{height}" y2="{height + 5}"'
        parts.append(f'<line class="axis" {ends}/>')
        parts.append(f'<text class="tick" x="{at:.2f}%" y="{height + 19}" text-anchor="middle">'
                     f"{text}</text>")  # fmt: skip
    parts.append(f'<line class="axis" x1="0" x2="100%" y1="{height}" y2="{height}"/>')
    parts.append(f'<text class="name" x="100%" y="{height + 38}" text-anchor="end">{escape(x)}</text>')
    parts.append(f'<text class="name" x="-48" y="-14">{escape(y)}</text>')
    return (
        f'<div class="plot"><svg role="img" aria-label="{escape(label)}" width="100%" '
        f'height="{height}">{"".join(parts)}{body}</svg></div>'
    )
