"""From columns of keys to groups: rows that share a key are candidates, and each pair of them is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runner import shingles
from runner.dedup.buckets import repeated
from runner.dedup.gathered import Gathered
from runner.dedup.groups import Groups
from runner.hashes import final64

if TYPE_CHECKING:
    from runner.dedup import Better, Finder, Found, Reader
    from runner.pool import Mapped

Rows = NDArray[Any]
_PAIRS = 1 << 11  # pairs checked at once: at most twice as many texts in memory
_HELD = 1 << 17  # pairs that wait to be checked, when all pairs of a bucket are
_TILE = 1 << 10  # rows of a large bucket that are held at once, twice
_AT_ONCE = 1 << 16  # pairs of two tiles that are checked before it is asked again which are joined by now


class Comparing:
    """How alike the rows of each pair are, by their shingles: (first rows, second rows) → similarities, 0 to 1."""

    def __init__(self, read: Reader, shingler: shingles.Shingler) -> None:
        self.read, self.shingler = read, shingler

    def __call__(self, pairs: tuple[Rows, Rows]) -> Rows:
        both, place = np.unique(np.concatenate(pairs), return_inverse=True)
        sets, ends = self.sets(both)
        one, other = np.split(place, 2)
        alike: Rows = self.shingler.similarities(sets, ends, one, other)
        return alike

    def sets(self, rows: Rows) -> tuple[Rows, Rows]:
        """The sets of shingles of rows in ascending order, or of two such runs."""
        order = np.argsort(rows, kind="stable")
        texts = list(self.read(rows[order].astype(np.int64)))
        place = np.empty(len(rows), np.int64)
        place[order] = np.arange(len(rows))
        return self.shingler.sets(shingles.batch(texts[n] for n in place.tolist()))


def find(finder: Finder, read: Reader, better: Better | None, mapped: Mapped | None = None) -> Found:
    """See Finder.find."""
    rows = finder.whole.rows
    same = Groups(rows)  # exact copies
    _exact(finder, read, same, mapped)
    copy = same.parent != np.arange(rows, dtype=np.uint32)
    groups = Groups(rows)
    links = _Links(finder, Comparing(read, finder.shingler), groups, mapped)
    if finder.near:
        links.find(copy)
    copies = np.flatnonzero(copy)
    if finder.exact or finder.near:
        groups.join(copies, same.parent[copies])
    return _found(finder, groups, same, links, better)


def _exact(finder: Finder, read: Reader, same: Groups, mapped: Mapped | None) -> None:
    """Join the rows whose texts are equal. Equal hashes alone are not believed."""
    chunks: list[tuple[Rows, Rows]] = []
    for _, rows, ends in repeated([finder.whole], None, mapped):
        first = np.repeat(rows[np.append(0, ends[:-1])], np.diff(ends, prepend=0)) if len(ends) else rows
        one, other = first[first != rows], rows[first != rows]
        chunks += [(one[n : n + _PAIRS], other[n : n + _PAIRS]) for n in range(0, len(one), _PAIRS)]
    for (one, other), equal in zip(chunks, (mapped or map)(Equal(read), chunks), strict=True):
        same.join(one[equal], other[equal])


class Equal:
    """Whether the rows of each pair say the same: (first rows, second rows) → bools."""

    def __init__(self, read: Reader) -> None:
        self.read = read

    def __call__(self, pairs: tuple[Rows, Rows]) -> Rows:
        both, place = np.unique(np.concatenate(pairs), return_inverse=True)
        texts = self.read(both.astype(np.int64))
        one, other = (some.tolist() for some in np.split(place, 2))
        return np.array([_equal(texts[a], texts[b]) for a, b in zip(one, other, strict=True)])


def _equal(one: str, other: str) -> bool:
    return one == other or shingles.words(one) == shingles.words(other)


class _Links:
    """The pairs that were checked, and what they came to."""

    def __init__(self, finder: Finder, compare: Comparing, groups: Groups, mapped: Mapped | None) -> None:
        self.finder, self.compare, self.groups, self.mapped = finder, compare, groups, mapped
        self.pairs: list[Rows] = []  # as one number, i << 32 | j, with i < j
        self.similarity: list[Rows] = []
        self.keys: list[Rows] = []

    def find(self, skip: NDArray[np.bool_]) -> None:
        """All links. First each bucket's first row with the others; then, where that leaves a bucket in several
        groups, all pairs of rows from different groups, each in the first band in which the two meet."""
        gathered = Gathered()
        seen = np.zeros(0, np.uint64)
        larger: list[tuple[int, Rows, Rows]] = []
        for n, rows, ends in repeated(self.finder.bands, skip, self.mapped):
            if not len(ends):
                continue
            begins = np.append(0, ends[:-1])
            size = ends - begins
            first = np.repeat(rows[begins], size)
            gathered.add(_pair(first[first != rows], rows[first != rows]))
            # Near-identical rows meet in every band: one of their equal buckets is enough.
            sums = _sums(rows, begins)
            new = (size > 2) & ~np.isin(sums, seen)
            seen = np.union1d(seen, sums[new])
            larger.append((n, rows[np.repeat(new, size)], np.cumsum(size[new])))
        # All of them, whatever others come to: so they can be looked at anywhere, in any order.
        pairs = gathered.whole()
        chunks = [_rows(pairs[n : n + _PAIRS]) for n in range(0, len(pairs), _PAIRS)]
        for (one, other), alike in zip(chunks, (self.mapped or map)(self.compare, chunks), strict=True):
            self._link(one, other, alike)
        self.keys = [band.whole() for band in self.finder.bands]
        for n, rows, ends in larger:
            self._tear(n, rows, ends)

    def _tear(self, band: int, rows: Rows, ends: Rows) -> None:
        """Check the pairs of each bucket of a band whose rows are in different groups by now."""
        if not len(ends):
            return
        begins = np.append(0, ends[:-1])
        roots = self.groups.roots(rows)
        torn = np.minimum.reduceat(roots, begins) != np.maximum.reduceat(roots, begins)
        waiting: list[Rows] = []
        for begin, end in zip(begins[torn].tolist(), ends[torn].tolist(), strict=True):
            bucket = rows[begin:end]
            if len(bucket) > _TILE:
                self._check_tiles(band, bucket)
                continue
            one, other = self._apart(band, bucket[1:], bucket[1:])  # the first row was compared with all
            waiting.append(_pair(bucket[1:][one], bucket[1:][other]))
            if sum(map(len, waiting)) >= _HELD:
                self._check(np.sort(np.concatenate(waiting)))
                waiting = []
        if waiting:
            self._check(np.sort(np.concatenate(waiting)))

    def _apart(self, band: int, ones: Rows, others: Rows) -> tuple[Rows, Rows]:
        """Which of `ones` with which of `others` are in different groups, and meet in no earlier band."""
        roots = self.groups.roots(ones)[:, None] != self.groups.roots(others)[None, :]
        one, other = np.nonzero(roots & (ones[:, None] < others[None, :]))
        for keys in self.keys[:band]:
            new = keys[ones[one]] != keys[others[other]]
            one, other = one[new], other[new]
        return one, other

    def _check_tiles(self, band: int, bucket: Rows) -> None:
        """All pairs of a large bucket, two tiles of its rows at a time."""
        tiles = [bucket[n : n + _TILE] for n in range(0, len(bucket), _TILE)]
        for n, first in enumerate(tiles):
            for second in tiles[n:]:
                one, other = self._apart(band, first, second)
                if len(one):
                    both = first if second is first else np.concatenate((first, second))
                    sets, ends = self.compare.sets(both)
                    shift = 0 if second is first else len(first)
                    for at in range(0, len(one), _AT_ONCE):
                        i, j = one[at : at + _AT_ONCE], other[at : at + _AT_ONCE]
                        apart = self.groups.roots(first[i]) != self.groups.roots(second[j])
                        i, j = i[apart], j[apart]
                        alike = self.finder.shingler.similarities(sets, ends, i, j + shift)
                        self._link(first[i], second[j], alike)

    def _check(self, pairs: Rows) -> None:
        """Check pairs that no others have joined by now, and join those that are near enough."""
        for n in range(0, len(pairs), _PAIRS):
            one, other = _rows(pairs[n : n + _PAIRS])
            apart = self.groups.roots(one) != self.groups.roots(other)
            one, other = one[apart], other[apart]
            self._link(one, other, self.compare((one, other)))

    def _link(self, one: Rows, other: Rows, similarity: Rows) -> None:
        assert self.finder.near
        near = similarity >= self.finder.near.jaccard
        self.pairs.append(_pair(one[near], other[near]))
        self.similarity.append(similarity[near])
        self.groups.join(one[near], other[near])


def _pair(one: Rows, other: Rows) -> Rows:
    return (one.astype(np.uint64) << np.uint64(32)) | other.astype(np.uint64)


def _rows(pairs: Rows) -> tuple[Rows, Rows]:
    return (pairs >> np.uint64(32)).astype(np.uint32), (pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def _sums(rows: Rows, begins: Rows) -> Rows:
    """A number for each bucket's set of rows."""
    sums: Rows = np.add.reduceat(final64(rows.astype(np.uint64)), begins)
    return sums


def _found(finder: Finder, groups: Groups, same: Groups, links: _Links, better: Better | None) -> Found:
    from runner.dedup import Found

    members = groups.members().astype(np.int64)
    roots = groups.roots(members)
    order = np.lexsort((members, better(members), roots)) if better else np.lexsort((members, roots))
    members, roots = members[order], roots[order]
    first = np.append(True, roots[1:] != roots[:-1])[: len(roots)]
    kept = members[first][np.cumsum(first) - 1] if len(members) else members
    row, of = members[~first], kept[~first]
    order = np.argsort(row)
    row, of = row[order], of[order]
    exact = same.roots(row) == same.roots(of)
    similarity = np.where(exact, 1.0, _linked(links, same.roots(row), same.roots(of)))
    # Without `exact`, copies are near-duplicates like others.
    return Found(row, of, exact & finder.exact, similarity)


def _linked(links: _Links, row: Rows, of: Rows) -> Rows:
    """The similarity of each row to the other, or else the highest that links it to any."""
    if not links.pairs:
        return np.zeros(len(row))
    pairs, similarity = np.concatenate(links.pairs), np.concatenate(links.similarity)
    order = np.argsort(pairs)
    pairs, similarity = pairs[order], similarity[order]
    if not len(pairs):
        return np.zeros(len(row))
    one, other = _rows(pairs)
    rows, place = np.unique(np.concatenate((one, other)), return_inverse=True)
    highest = np.zeros(len(rows))
    np.maximum.at(highest, place, np.concatenate((similarity, similarity)))
    at = np.minimum(np.searchsorted(rows, row), len(rows) - 1)
    best = np.where(rows[at] == row, highest[at], 0.0)
    wanted = _pair(np.minimum(row, of), np.maximum(row, of))
    at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    found: Rows = np.where(pairs[at] == wanted, similarity[at], best)
    return found
