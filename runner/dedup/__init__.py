"""Finds rows that repeat another row: exact copies, and near-duplicates by MinHash LSH. Out of core.

Two rows are exact copies if they are equal once normalised: Unicode NFKC, casefolded, curly quotes and dashes made
plain, runs of white space made one space. Two rows are near-duplicates if the Jaccard similarity of their sets of
n-grams reaches a threshold. MinHash only proposes pairs; every pair is then checked against the rows themselves (hashes
of n-grams), so no row is dropped on an estimate. Rows that are joined, if by a chain of others, make one group,
and one row of it stays.

A first pass over all rows writes 8 bytes a band and row to disk; then one band at a time is sorted, and only the rows
that meet in some band are read a second time. Memory: some 20 bytes a row.

Sources: Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman, Ullman, "Mining of
Massive Datasets", chapter 3; permutations as in datasketch 2.0 (scheme `affine32`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from runner.pool import ahead
from runner.recipe import Near
from runner.shingles import Scan, Shingler, batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runner.pool import Mapped

    Ints = NDArray[np.int64]

RECALL = 0.999  # least chance to find a pair that lies exactly at the threshold

Reader = Callable[["Ints"], Sequence[str]]
"""Row numbers, ascending → their texts."""
Better = Callable[["Ints"], "NDArray[Any]"]
"""Row numbers → what to sort them by: of a group, the row that comes first stays."""


class Duplicate(Struct, frozen=True):
    """A row to drop and the row that stays for it.

    `kind` says how `index` relates to `of`. `similarity` is the Jaccard similarity of the two; where rows are joined
    only by others, it is the highest similarity that linked `index` (or the row that it copies exactly) to another.
    """

    index: int
    of: int
    kind: Literal["exact", "near"]
    similarity: float


class Found(Struct, frozen=True):
    """All duplicates, by ascending row: `row` and `of` are row numbers, `exact` says which are equal to `of`."""

    row: Any  # Ints
    of: Any  # Ints
    exact: Any  # bools
    similarity: Any  # floats

    def __len__(self) -> int:
        return len(self.row)


def choose_bands(jaccard: float, permutations: int) -> tuple[int, int]:
    """(bands, rows a band) for MinHash LSH: the widest that still find pairs at the threshold.

    A pair of similarity s meets in one of b bands of r rows with probability 1 - (1 - s^r)^b. Wider bands propose fewer
    false pairs; the widest with at least RECALL at s = `jaccard` are taken, 25 x 5 at 0.8 and 128. (datasketch weighs
    both errors over all s: 9 x 13, which finds 40% of the pairs at 0.8.) Where even bands of one row fall short, as at
    0.3 and 16, those are taken.

    Raises ValueError unless 0 < jaccard <= 1 and permutations >= 1.
    """
    if not 0 < jaccard <= 1 or permutations < 1:
        raise ValueError(f"no bands for jaccard {jaccard}, permutations {permutations}")
    for width in range(permutations, 1, -1):
        bands = permutations // width
        if 1 - (1 - jaccard**width) ** bands >= RECALL:
            return bands, width
    return permutations, 1


class Finder:
    """Takes rows in order, and then says which repeat others. `work` is a folder for its files, empty at first.

    Nothing is drawn at random: the same texts give the same answer, and rows that have nothing to do with one another
    do not change it. Raises ValueError if `near` holds numbers that make no sense (see `choose_bands`).
    """

    def __init__(self, work: Path, *, exact: bool, near: Near | None) -> None:
        from runner.dedup.spill import Column

        self.exact, self.near = exact, near
        bands, width = choose_bands(near.jaccard, near.permutations) if near else (0, 0)
        ngram, unit = (near.ngram, near.unit) if near else (1, "words")
        count = near.permutations if near else 0
        self.shingler = Shingler(ngram, unit, count=count, bands=bands, width=width)
        self.whole = Column(work / "whole", "u8")
        self.length = Column(work / "length", "u4")
        self.bands = [Column(work / f"band{n:03d}", "u8") for n in range(bands)]

    def add(self, texts: Iterable[str], scope: int = 0, *, threads: int = 1) -> None:
        """More rows. Those of different scopes never repeat each other."""
        for _ in self.adding(texts, scope, threads=threads):
            continue

    def adding(self, texts: Iterable[str], scope: int = 0, *, threads: int = 1) -> Iterator[int]:
        """As `add`; says now and then how many rows there are by now."""
        for scan in ahead(self.shingler.scan, batches(texts), threads):
            self.add_scan(scan, scope)
            yield self.whole.rows

    def add_scan(self, scan: Scan, scope: int = 0) -> None:
        """More rows, which `self.shingler` has looked at already."""
        import numpy as np

        salt = np.uint64((scope * 0x9E3779B97F4A7C15) % (1 << 64))
        self.whole.append(scan.whole ^ salt)
        self.length.append(scan.length)
        for band, keys in zip(self.bands, scan.keys, strict=True):
            band.append(keys ^ salt)

    def find(self, read: Reader, better: Better | None = None, mapped: Mapped | None = None) -> Found:
        """The rows to drop. Of each group the first row stays, or the one that `better` puts first. With `mapped`, keys
        are sorted and texts compared by way of it, which hands on `read`; without, here, one after another."""
        from runner.dedup import linking

        return linking.find(self, read, better, mapped)


def find_duplicates(texts: Sequence[str], *, exact: bool, near: Near | None) -> list[Duplicate]:
    """Every row of `texts` that repeats an earlier one, ordered by index: `Finder` for what is in memory.

    A text shorter than `near.ngram` words has one shingle, all its words: it matches only a row of the same words.
    """
    with tempfile.TemporaryDirectory() as folder:
        finder = Finder(Path(folder), exact=exact, near=near)
        finder.add(texts)
        found = finder.find(lambda rows: [texts[row] for row in rows.tolist()])
    columns = (found.row.tolist(), found.of.tolist(), found.exact.tolist(), found.similarity.tolist())
    return [
        Duplicate(row, of, "exact" if same else "near", similarity)
        for row, of, same, similarity in zip(*columns, strict=True)
    ]
