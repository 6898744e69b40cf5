"""A value of a recipe as people see it: short, on one line, and without the user's secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from runner.shown import cut

if TYPE_CHECKING:
    from runner.scrub import Scrubber

_covering: ContextVar[list[Scrubber] | None] = ContextVar("what covers secrets", default=None)


@contextmanager
def covered_by_one() -> Iterator[None]:
    """Meanwhile the user's secrets are looked for once, for all values together."""
    token = _covering.set([])
    try:
        yield
    finally:
        _covering.reset(token)


def _covered(text: str) -> str:
    """A text with the user's secrets covered, before it is cut: of half a secret nobody would know what it is."""
    from runner import scrub

    held = _covering.get()
    if held is None:
        return scrub.known().text(text)
    if not held:
        held.append(scrub.known())
    return held[0].text(text)


def show(value: Any) -> str:
    """A value as a short, one-line, terminal-safe text."""
    if isinstance(value, str):
        text = repr(_covered(value)[:61] if len(value) > 50 else value)
    else:
        text = json.dumps(value, ensure_ascii=True, default=str)
        text = _covered(text) if len(text) > 60 else text
    return cut(text, 60)
