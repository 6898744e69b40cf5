"""The nearest of the names that there are, to one that is none of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from runner.wording.values import covered_by_one

MOST_SEARCHES = 200
"""How many nearest names are looked for in one recipe: more than are shown (`saying.SHOWN`), in a blink. Of 40,000
unknown keys the others are told and counted without a guess."""
MOST_COMPARED = 20_000
_left: ContextVar[list[int] | None] = ContextVar("searches that are left", default=None)


@contextmanager
def few_searches() -> Iterator[None]:
    """While a recipe is checked: `nearest` looks for so many names, and compares with so many, and then no more."""
    token = _left.set([MOST_SEARCHES, MOST_COMPARED])
    try:
        with covered_by_one():
            yield
    finally:
        _left.reset(token)


def may_look() -> bool:
    """Whether one more name may be looked for."""
    left = _left.get()
    if left is None:
        return True
    left[0] -= 1
    return left[0] >= 0 and left[1] > 0


def _compared(with_: int) -> None:
    """Counts the names that one was compared with."""
    if (left := _left.get()) is not None:
        left[1] -= with_


def closest(word: str, choices: list[str], cutoff: float = 0.6) -> str | None:
    """The choice that is the same but for case and dashes, else the nearest one."""
    plain = str(word)[:200].lower().replace("-", "_").replace(" ", "_")
    same = next((c for c in choices if c.lower().replace("-", "_") == plain), None)
    return same or next(iter(difflib.get_close_matches(str(word)[:200], choices, n=1, cutoff=cutoff)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, or the choices where none is near and they are few, or nothing."""
    if not may_look():
        return ""
    choices = sorted(str(k) for k in known)
    _compared(len(choices))
    near = closest(word, choices)
    if near:
        return f" (did you mean {near}?)"
    return f" (known: {', '.join(choices)})" if 0 < len(choices) <= 30 else ""
