"""Looking through a text, once for every row: how many words it has, whether it holds one, how many are of a small set.

Compiled where a C compiler was there at installation (native.c); Python's own methods say the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

try:
    from runner.textscan import _native as _compiled  # type: ignore[attr-defined,unused-ignore]
except ImportError:
    _compiled = None
_native: Any = _compiled

_SPREAD = 0x9E3779B97F4A7C15
_LONGEST = 8  # bytes of a word that a table can hold

Count = Callable[..., tuple[int, ...]]
"""A text, how many characters to look at, where to begin (one place or more) → of each place how many of its words are
of the set, and how many there are."""


def words(text: str, enough: int = -1) -> int:
    """How many words a text has, as many as `text.split()`; some number above `enough` where it has more than that."""
    if _native and text.isascii():
        count: int = _native.words(text)
        return count
    return len(text.split(None, enough))


def holds(text: str, word: str) -> bool:
    """Whether a text holds a word of four ASCII letters or more, which is given in lower case, in any case."""
    if _native and text.isascii():
        found: bool = _native.holds(text, word)
        return found
    return word in text.lower()


def counter(words: Iterable[str]) -> Count:
    """Counts words, parted at white space and in lower case, that are of a set. Raises ValueError for an empty one."""
    these = frozenset(words)
    if not these:
        raise ValueError("no words to count")
    if _native and all(w.isascii() and w == w.lower() and len(w) <= _LONGEST for w in these):
        return _quick(_table(these))

    def among(text: str, size: int, *begins: int) -> tuple[int, ...]:
        out: list[int] = []
        for begin in begins:
            there = text[begin : begin + size].lower().split()
            out += (sum(map(these.__contains__, there)), len(there))
        return tuple(out)

    return among


def _quick(table: bytes) -> Count:
    compiled = _native.among

    def among(text: str, size: int, *begins: int) -> tuple[int, ...]:
        found: tuple[int, ...] = compiled(text, table, size, *begins)
        return found

    return among


def _table(words: Iterable[str]) -> bytes:
    """An open hash table of words as numbers, a quarter full at most; see native.c."""
    numbers = sorted(int.from_bytes(word.encode(), "little") for word in words)
    bits = (4 * len(numbers)).bit_length()
    places = [0] * (1 << bits)
    for number in numbers:
        at = (number * _SPREAD % (1 << 64)) >> (64 - bits)
        while places[at % len(places)]:
            at += 1
        places[at % len(places)] = number
    return b"".join(number.to_bytes(8, sys.byteorder) for number in places)
