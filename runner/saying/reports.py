"""Many problems as one text for people: each with its line, those at one place together, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby

from runner.errors import Problem, safe
from runner.saying.excerpts import Paint, excerpt, same

SHOWN = 100
"""Problems that are shown; the others are counted. Nobody reads more before mending the first."""


def report(
    problems: Sequence[Problem],
    cover: Paint = same,
    emphasis: Callable[[str, str], str] = lambda what, text: text,
) -> str:
    """The problems, in the order given. The first line of each is `str(problem)`, on which others may count.

    `cover` hides secrets. `emphasis(what, text)` may colour what is a `place` (file, line, column) or the `carets`.
    """
    shown = problems[:SHOWN]
    cover = lru_cache(2 * SHOWN)(cover)  # many may be on one line, and that may be long
    gutter = max((len(str(p.line)) for p in shown), default=1)
    out: list[str] = []
    for _, group in groupby(shown, key=lambda p: (p.file, p.line, p.column)):
        same = list(group)
        out += [_first(p, cover, emphasis) for p in same]
        widest = max(same, key=lambda p: p.end)
        lines = excerpt(widest, gutter, cover, lambda text: emphasis("carets", text))
        out += [*lines, ""] if lines else []
    if len(problems) > SHOWN:
        out.append(f"… and {len(problems) - SHOWN:,} more")
    return "\n".join(out)


def _first(problem: Problem, cover: Paint, emphasis: Callable[[str, str], str]) -> str:
    said = safe(cover(str(problem)))
    place, colon, rest = said.partition(": ")
    return emphasis("place", place) + colon + rest


def summary(files: Sequence[str]) -> str:
    """`3 errors in 1 file`, from the file of each error."""
    errors, many = len(files), len(set(files))
    return f"{errors:,} error{'s' * (errors != 1)} in {many} file{'s' * (many != 1)}"
