"""One line of a file with carets under a place of it.

The line is a stranger's text: what could steer a terminal is made visible, wide characters count as two, tabs as four,
and of a long line only what is near the place is shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from runner.errors import Problem, safe

WIDTH = 100
"""Columns of the file's text that are shown at most."""
_BEFORE = 40
_TAB = "    "
_MOST = 400
"""Characters; those that take no column would make a short line a long text."""

Paint = Callable[[str], str]


def visible(text: str) -> str:
    """A piece of a line as it is shown: all of it printable, tabs as spaces."""
    return "".join(_one(c) for c in safe(text))


def _one(c: str) -> str:
    if c == "\t":
        return _TAB
    if c.isprintable():
        return c
    return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"


def cells(text: str) -> int:
    """Columns of a terminal that printable text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(c) for c in text)


def _cells(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def same(text: str) -> str:
    return text


def excerpt(problem: Problem, gutter: int = 0, cover: Paint = same, paint: Paint = same) -> list[str]:
    """The problem's line with carets below; nothing where the line is not known or is empty.

    `gutter`: least width of the line's number. `cover` hides secrets in the line, before it is cut; `paint` colours the
    carets.
    """
    if not problem.line or not problem.text or not problem.text.strip():
        return []
    covered = cover(problem.text)
    start = min(problem.column - 1, len(problem.text))
    stop = min(max(problem.end - 1, start + 1), max(len(problem.text), start + 1))
    if covered != problem.text:
        start, stop = _moved(problem.text, covered, start, stop, cover)
    before, place, after = _cut(
        visible(covered[max(start - _MOST, 0) : start]),
        visible(covered[start : min(stop, start + _MOST)]),
        visible(covered[stop : stop + _MOST]),
        more=(start > _MOST, len(covered) > stop + _MOST),
    )
    number = f"{problem.line:>{gutter}}"
    carets = paint("^" * max(cells(place), 1))
    return [
        f"{number} | {before}{place}{after}".rstrip(),
        f"{' ' * len(number)} | {' ' * cells(before)}{carets}",
    ]


def _moved(text: str, covered: str, start: int, stop: int, cover: Paint) -> tuple[int, int]:
    """The place in a line of which parts were covered: asterisks may be more or fewer than what they cover."""
    ends = []
    for index in (start, stop):
        head = cover(text[:index])
        ends.append(len(head) if covered.startswith(head) else min(index, len(covered)))
    return ends[0], max(ends[1], ends[0] + 1)


def _cut(before: str, place: str, after: str, more: tuple[bool, bool]) -> tuple[str, str, str]:
    """What is shown of a long line: the place, and what is near it. `more`: whether there is more at its ends."""
    whole = before + place + after
    if cells(whole) <= WIDTH and len(whole) <= _MOST and not any(more):
        return before, place, after
    room = max(_BEFORE, WIDTH - cells(place) - cells(after))
    if cells(before) > room or len(before) > _MOST or more[0]:
        before = "…" + _head(before[::-1], room - 1)[::-1]
    if cells(place) > WIDTH - cells(before) or len(place) > _MOST:
        return before, _head(place, WIDTH - cells(before) - 1) + "…", ""
    room = WIDTH - cells(before) - cells(place)
    if cells(after) > room or len(after) > _MOST or more[1]:
        after = _head(after, room - 1) + "…"
    return before, place, after


def _head(text: str, room: int) -> str:
    """As much of the beginning as goes into so many columns."""
    out, used = [], 0
    for c in text[:_MOST]:
        used += _cells(c)
        if used > room:
            break
        out.append(c)
    return "".join(out)
