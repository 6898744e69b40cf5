"""Two texts side by side, the words that differ marked."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Any, NamedTuple

_WORDS = re.compile(r"\s+|\w+|[^\w\s]+")


class Piece(NamedTuple):
    """Words that both texts have, or, where `own`, that only this one has."""

    own: bool
    text: str


def marked(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces. Joined, the pieces of a text are that text."""
    a, b = _WORDS.findall(one), _WORDS.findall(other)
    left, right = list[Piece](), list[Piece]()
    for what, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for out, words in ((left, a[a1:a2]), (right, b[b1:b2])):
            if words:
                out.append(Piece(what != "equal", "".join(words)))
    return left, right


def pair(found: dict[str, Any]) -> dict[str, Any]:
    """A pair of duplicates with the words that differ marked on both sides, `pieces` in place of `text`."""
    kept, dropped = dict(found.get("kept") or {}), dict(found.get("dropped") or {})
    one, other = kept.get("text"), dropped.get("text")
    if isinstance(one, str) and isinstance(other, str):
        kept["pieces"], dropped["pieces"] = marked(one, other)
    else:
        for side, text in ((kept, one), (dropped, other)):
            side["pieces"] = [Piece(False, text)] if isinstance(text, str) else []
    return {**found, "kept": kept, "dropped": dropped}
