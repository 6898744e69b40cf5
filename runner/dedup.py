"""Finds rows that repeat an earlier row: exact copies, and near-duplicates by MinHash LSH.

Two rows are exact copies if they are equal once normalised: Unicode NFKC, casefolded, runs of
whitespace made one space. Two rows are near-duplicates if the Jaccard similarity of their sets of
word n-grams reaches a threshold. MinHash only proposes pairs; every pair is then checked against
the sets themselves (as 64-bit hashes of the n-grams), so no row is dropped on an estimate.

Words are what whitespace parts: in scripts written without it (Chinese, Thai) a sentence is one
word, and near-duplicates there are found late or not at all.

Sources: Broder, "On the resemblance and containment of documents" (1997); Leskovec, Rajaraman,
Ullman, "Mining of Massive Datasets", chapter 3; permutations as in datasketch 2.0 (scheme
`affine32`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from runner.recipe import Near
from runner.shingles import WordHashes, mix, shingles, signatures, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

RECALL = 0.999  # least chance to find a pair that lies exactly at the threshold
BATCH = 1 << 17  # characters hashed at once: so much that arrays stay in the processor's cache


class Duplicate(Struct, frozen=True):
    """A row to drop and the row that stays for it.

    `kind` says how `index` relates to `of`. `similarity` is the Jaccard similarity of the two;
    where rows are joined only by a chain of others and the two themselves lie below the threshold,
    it is the highest similarity that linked `index` (or the row that it copies exactly) into the
    chain.
    """

    index: int
    of: int
    kind: Literal["exact", "near"]
    similarity: float


def find_duplicates(texts: Sequence[str], *, exact: bool, near: Near | None) -> list[Duplicate]:
    """Every row of `texts` that repeats an earlier one, ordered by index.

    With `exact`, copies are found first and their first row stands for them. With `near`, rows at
    or above `near.jaccard` are joined into groups, transitively; of each group the first row stays.
    A text shorter than `near.ngram` words has one shingle, all its words: it matches only a row of
    the same words. `of` is always a row that stays. Nothing is drawn at random: the same texts give
    the same answer, and rows that have nothing to do with one another do not change it.

    Raises ValueError if `near` holds numbers that make no sense (see `choose_bands`).
    """
    copy_of = _copies(texts) if exact else {}
    rows = [row for row in range(len(texts)) if row not in copy_of]
    near_of = _near(texts, rows, near) if near else {}
    found = []
    for row in range(len(texts)):
        first = copy_of.get(row, row)
        if first in near_of:  # the row that this one copies goes too: name the one that stays
            of, similarity = near_of[first]
            found.append(Duplicate(row, of, "near", similarity))
        elif first != row:
            found.append(Duplicate(row, first, "exact", 1.0))
    return found


def choose_bands(jaccard: float, permutations: int) -> tuple[int, int]:
    """(bands, rows a band) for MinHash LSH: the widest that still find pairs at the threshold.

    A pair of similarity s meets in one of b bands of r rows with probability 1 - (1 - s^r)^b. Wider
    bands propose fewer false pairs; the widest with at least RECALL at s = `jaccard` are taken, 25
    x 5 at 0.8 and 128. (datasketch weighs both errors over all s: 9 x 13, which finds 40% of the
    pairs at 0.8.) Where even bands of one row fall short, as at 0.3 and 16, those are taken.

    Raises ValueError unless 0 < jaccard <= 1 and permutations >= 1.
    """
    if not 0 < jaccard <= 1 or permutations < 1:
        raise ValueError(f"no bands for jaccard {jaccard}, permutations {permutations}")
    for width in range(permutations, 1, -1):
        bands = permutations // width
        if 1 - (1 - jaccard**width) ** bands >= RECALL:
            return bands, width
    return permutations, 1


def _copies(texts: Sequence[str]) -> dict[int, int]:
    """Row -> the first row with the same normalised text, for all rows that are not the first."""
    first: dict[bytes, int] = {}  # by digest: 16 bytes a row, whatever its length
    copy_of = {}
    for row, text in enumerate(texts):
        whole = " ".join(words(text)).encode("utf-8", "surrogatepass")
        kept = first.setdefault(blake2b(whole, digest_size=16).digest(), row)
        if kept != row:
            copy_of[row] = kept
    return copy_of


def _near(texts: Sequence[str], rows: Sequence[int], near: Near) -> dict[int, tuple[int, float]]:
    """Row -> (row that stays, similarity), for all of `rows` that are near-duplicates to drop."""
    import numpy as np

    hashes = WordHashes()
    bands, width = choose_bands(near.jaccard, near.permutations)
    # All that is kept of a row between the two passes: 8 bytes a band.
    keys = np.empty((bands, len(rows)), dtype=np.uint64)
    done = 0
    for batch in _batches(texts, rows):
        shingle, starts = shingles([words(texts[row]) for row in batch], near.ngram, hashes)
        lowest = signatures(shingle, starts, near.permutations)[: bands * width]
        key = np.zeros((bands, len(batch)), dtype=np.uint64)
        for i in range(width):
            key = mix(key, lowest[i::width])
        keys[:, done : done + len(batch)] = key
        done += len(batch)
    near_of = {}
    for members, buckets in _components(len(rows), _buckets(keys)):
        shingle, starts = shingles([words(texts[rows[i]]) for i in members], near.ngram, hashes)
        for row, (of, similarity) in _link(_Sets(shingle, starts), buckets, near.jaccard).items():
            near_of[rows[members[row]]] = (rows[members[of]], similarity)
    return near_of


def _batches(texts: Sequence[str], rows: Iterable[int]) -> Iterator[list[int]]:
    batch, size = [], 0
    for row in rows:
        batch.append(row)
        size += len(texts[row])
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _buckets(keys: U64) -> list[Ints]:
    """All different sets of two or more rows that share a band's key, each ascending."""
    import numpy as np

    found: dict[bytes, None] = {}  # near-identical rows meet in every band: one bucket is enough
    for key in keys:
        order = np.argsort(key, kind="stable").astype(np.int64, copy=False)
        ends = np.flatnonzero(np.diff(key[order], append=~key[order[-1:]])) + 1
        begins = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1]))[: len(ends)]
        many = ends - begins > 1
        for begin, end in zip(begins[many].tolist(), ends[many].tolist(), strict=True):
            found[order[begin:end].tobytes()] = None
    return [np.frombuffer(bucket, dtype=np.int64) for bucket in found]


def _components(count: int, buckets: list[Ints]) -> Iterator[tuple[list[int], list[Ints]]]:
    """Rows that buckets connect, ascending, with those buckets as positions among these rows.

    Only one component's shingles need be in memory at a time.
    """
    import numpy as np

    if not buckets:
        return
    one = np.concatenate([np.repeat(bucket[:1], len(bucket) - 1) for bucket in buckets])
    other = np.concatenate([bucket[1:] for bucket in buckets])
    parent = np.arange(count)
    while len(one):  # every round hooks each root onto the lowest that it touches
        np.minimum.at(parent, np.maximum(one, other), np.minimum(one, other))
        one, other = _roots(parent, one), _roots(parent, other)
        one, other = one[one != other], other[one != other]
    members: dict[int, list[int]] = {}
    place = np.empty(count, dtype=np.int64)
    rows = np.unique(np.concatenate(buckets))
    for row, root in zip(rows.tolist(), _roots(parent, rows).tolist(), strict=True):
        group = members.setdefault(root, [])
        place[row] = len(group)
        group.append(row)
    within: dict[int, list[Ints]] = {root: [] for root in members}
    roots = _roots(parent, np.array([bucket[0] for bucket in buckets]))
    for bucket, root in zip(buckets, roots.tolist(), strict=True):
        within[root].append(place[bucket])
    for root, group in members.items():
        yield group, within[root]


def _roots(parent: Ints, rows: Ints) -> Ints:
    """The root of each of `rows` in a union-find forest whose roots are their own parents."""
    roots = parent[rows]
    while (parent[roots] != roots).any():
        roots = parent[roots]
    return roots


class _Sets:
    """The sets of shingles of a few rows, and their Jaccard similarities."""

    def __init__(self, shingle: U64, starts: Ints) -> None:
        import numpy as np

        unique, number = np.unique(shingle, return_inverse=True)
        row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(shingle)))
        # One integer for (row, shingle): `unique` then leaves each shingle once in each row.
        pairs = np.unique(row * len(unique) + number)
        self.size = np.bincount(pairs // len(unique))
        self._numbers = np.split(pairs % len(unique), np.cumsum(self.size)[:-1])
        self._present = np.zeros(len(unique), dtype=np.int32)

    def jaccard(self, row: int, others: Ints) -> Floats:
        """Similarity of `row` with each of `others` (at least one)."""
        import numpy as np

        self._present[self._numbers[row]] = 1
        size = self.size[others]
        joined = self._present[np.concatenate([self._numbers[other] for other in others])]
        shared = np.add.reduceat(joined, np.cumsum(size) - size)
        self._present[self._numbers[row]] = 0
        similarity: Floats = shared / (self.size[row] + size - shared)
        return similarity


def _link(sets: _Sets, buckets: list[Ints], jaccard: float) -> dict[int, tuple[int, float]]:
    """Row -> (first row of its group, similarity), for the rows that are not the first of theirs.

    Takes each pair that shares a bucket, unless the two are in one group already or their sizes
    alone keep them below the threshold (a Jaccard similarity is at most the smaller size over the
    larger).
    """
    import numpy as np

    count = groups = len(sets.size)
    buckets_of: list[list[Ints]] = [[] for _ in range(count)]
    for bucket in buckets:
        for row in bucket.tolist():
            buckets_of[row].append(bucket)
    parent = np.arange(count)
    highest = np.zeros(count)
    marked = np.zeros(count, dtype=bool)
    for row in range(count):
        if groups == 1:
            break
        for bucket in buckets_of[row]:
            marked[bucket] = True
        others = np.flatnonzero(marked)
        marked[others] = False
        others = others[others > row]
        low = np.minimum(sets.size[others], sets.size[row])
        high = np.maximum(sets.size[others], sets.size[row])
        apart = _roots(parent, others) != _roots(parent, np.array([row]))
        others = others[apart & (low / high >= jaccard)]
        if not len(others):
            continue
        similarity = sets.jaccard(row, others)
        alike = np.append(others[similarity >= jaccard], row)
        if len(alike) == 1:
            continue
        similarity = similarity[similarity >= jaccard]
        highest[alike[:-1]] = np.maximum(highest[alike[:-1]], similarity)
        highest[row] = max(highest[row], similarity.max())
        roots = np.unique(_roots(parent, alike))
        groups -= len(roots) - 1
        parent[roots] = parent[alike] = roots[0]
    roots = _roots(parent, np.arange(count))
    order = np.argsort(roots, kind="stable")
    dropped = {}
    for group in np.split(order, np.flatnonzero(np.diff(roots[order])) + 1):
        if len(group) > 1:
            similarity = sets.jaccard(int(group[0]), group[1:])
            similarity = np.where(similarity >= jaccard, similarity, highest[group[1:]])
            for row, value in zip(group[1:].tolist(), similarity.tolist(), strict=True):
                dropped[row] = (int(group[0]), value)
    return dropped
