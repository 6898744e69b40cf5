"""Finds training texts that share a run of words with what the model is judged on.

Word n-gram overlap, as GPT-3 (Brown et al. 2020, appendix C) and lm-eval's decontamination do it. Hashes of n-grams
only pick the texts to look at; there, words are compared themselves: a hit is a true overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runner.shingles import Batch, Shingler, batch, batches, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]

_BLOOM = 1 << 20  # bits, a byte each: most n-grams of a text need no look-up in the table


class Contamination:
    """What must not be trained on, ready to be looked for in many texts.

    Words are compared after NFKC and casefolding, and parted at white space, as in `dedup`. A text of fewer than
    `ngram` words, on either side, matches only one that is equal as a whole; a text without words matches nothing.

    Raises ValueError if `ngram` is below 1.
    """

    def __init__(self, against: Sequence[str], *, ngram: int = 8) -> None:
        import numpy as np

        if ngram < 1:
            raise ValueError(f"ngram must be at least 1, not {ngram}")
        self._ngram, self._shingler = ngram, Shingler(ngram)
        self._first: dict[tuple[str, ...], int] = {}
        held = [(index, split) for index, text in enumerate(against) if (split := words(text))]
        for index, split in held:
            for gram in _grams(split, ngram):
                self._first.setdefault(gram, index)
        hashes, _ = self._shingler.hashes(batch(" ".join(split) for _, split in held))
        self._table = np.unique(hashes)
        self._bloom = np.zeros(_BLOOM, dtype=bool)
        self._bloom[self._slots(self._table)] = True

    def _slots(self, hashes: U64) -> NDArray[Any]:
        import numpy as np

        return (hashes & np.uint64(_BLOOM - 1)).astype(np.int64)

    def hits(self, texts: Sequence[str]) -> list[int | None]:
        """For each text, the first index of `against` that shares `ngram` words in a row, else None."""
        out: list[int | None] = [None] * len(texts)
        if not len(self._table):
            return out
        done = 0
        for some in batches(texts):
            for row in self._suspects(some):
                out[done + row] = self._hit(texts[done + row])
            done += some.rows
        return out

    def _suspects(self, some: Batch) -> list[int]:
        """Rows of a batch that have the hash of some n-gram of `against`."""
        import numpy as np

        hashes, starts = self._shingler.hashes(some)
        maybe = np.flatnonzero(self._bloom[self._slots(hashes)])
        at = np.minimum(np.searchsorted(self._table, hashes[maybe]), len(self._table) - 1)
        maybe = maybe[self._table[at] == hashes[maybe]]
        found: list[int] = np.unique(np.searchsorted(starts, maybe, side="right") - 1).tolist()
        return found

    def _hit(self, text: str) -> int | None:
        found = (self._first[gram] for gram in _grams(words(text), self._ngram) if gram in self._first)
        return min(found, default=None)


def contaminated(texts: Sequence[str], against: Sequence[str], *, ngram: int = 8) -> list[int | None]:
    """For each text, the first index of `against` that it shares words with: `Contamination` used once."""
    return Contamination(against, ngram=ngram).hits(texts)


def _grams(split: Sequence[str], ngram: int) -> Iterator[tuple[str, ...]]:
    """The n-grams of a text, or the whole of a short one; none of a text without words."""
    if split and len(split) < ngram:
        yield tuple(split)
    for begin in range(len(split) - ngram + 1):
        yield tuple(split[begin : begin + ngram])
