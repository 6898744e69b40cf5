"""Conversations that nearly repeat an earlier one, found while they are written, in memory that does not grow.

A text is known by its sketch: the least hash of its word 5-grams in each of 64 bins (one-permutation MinHash). The
share of bins in which two sketches agree estimates their Jaccard similarity. Earlier sketches are found by parts that
two similar texts are likely to share; a place in a table holds the latest text that had such a part, so the oldest may
be forgotten, always the same ones. What is missed is for a recipe's `dedup` to find: here nobody is dropped.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

BINS = 64
ROWS = 4  # bins that make a part: of two texts at 0.8, one of the 16 parts agrees with a chance of 0.9998
NGRAM = 5
SIMILAR = 0.72  # a sketch errs by some 0.05: better one drawn anew too many than one kept that is near
PLACES = 1 << 17
KEPT = 1 << 17  # sketches, of 256 bytes
EMPTY = 0xFFFFFFFF


class Repeats:
    """Remembers texts, in 45 MB at most."""

    def __init__(self) -> None:
        self.sketches = array("I")
        self.tables = [array("I", [0]) * PLACES for _ in range(BINS // ROWS)]
        self.count = 0

    def near(self, text: str) -> bool:
        """Whether a text is much like an earlier one; if it is not, it is remembered."""
        sketch = _sketch(text)
        places = [*_places(sketch)]
        if any(table[at] and self._alike(table[at] - 1, sketch) for table, at in self._at(places)):
            return True
        nth = self.count % KEPT
        self.sketches[nth * BINS : (nth + 1) * BINS] = array("I", sketch)
        for table, at in self._at(places):
            table[at] = nth + 1
        self.count += 1
        return False

    def _at(self, places: list[int]) -> Iterator[tuple[array[int], int]]:
        """The tables and places of the parts that are not empty."""
        return ((table, at) for table, at in zip(self.tables, places, strict=True) if at >= 0)

    def _alike(self, nth: int, sketch: list[int]) -> bool:
        other = self.sketches[nth * BINS : (nth + 1) * BINS]
        filled = [(a, b) for a, b in zip(sketch, other, strict=True) if a != EMPTY or b != EMPTY]
        return sum(a == b for a, b in filled) >= SIMILAR * len(filled)


def _sketch(text: str) -> list[int]:
    """The least hash of the text's n-grams in each bin; EMPTY where none falls."""
    words = text.casefold().split()
    bins = [EMPTY] * BINS
    for n in range(max(len(words) - NGRAM + 1, 1)):
        gram = " ".join(words[n : n + NGRAM]).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(gram, digest_size=8).digest()
        value, at = int.from_bytes(digest[:4], "big"), digest[4] % BINS
        bins[at] = min(bins[at], value)
    return bins


def _places(sketch: list[int]) -> Iterator[int]:
    """The place of each part in its table; -1 for a part in which nothing falls."""
    for n in range(0, BINS, ROWS):
        part = sketch[n : n + ROWS]
        mixed = 0
        for value in part:
            mixed = (mixed * 0x9E3779B1 + value) % (1 << 61)
        yield -1 if min(part) == EMPTY else (mixed ^ (mixed >> 29)) % PLACES
