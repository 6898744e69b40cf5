"""The kernel that is always there: whole arrays at a time, no loop over bytes, words or rows in Python."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runner.hashes import final64
from runner.shingles import constants as c

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

_SEGMENT = 1 << 18  # bytes hashed at once
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[65:91] += 32
_SPACE = np.zeros(256, dtype=bool)
_SPACE[list(c.SPACES)] = True
# The first byte of a character: all but UTF-8's continuation bytes.
_FIRST = (np.arange(256) & 0xC0) != 0x80


def mixed32(shingle: U64) -> U32:
    """The low halves, mixed as affine32 does before it permutes."""
    mixed = shingle.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(c.MIX32_1)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(c.MIX32_2)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def _powers(base: int, count: int) -> U64:
    out = np.full(count, base, dtype=np.uint64)
    out[0] = 1
    return np.cumprod(out, dtype=np.uint64)


_tables: dict[int, U64] = {}


def _table(base: int, count: int) -> U64:
    if len(_tables.get(base, ())) < count:
        _tables[base] = _powers(base, max(count, 1024))
    return _tables[base]


def _tokens(data: U8, ends: Ints, characters: bool) -> tuple[U8, Ints, Ints, Ints]:
    """Bytes with ASCII lowered, where each token begins and ends in them, and how many tokens each row has.

    Tokens are words; or characters, where a run of white space between words is one space.
    """
    data = _LOWER[data]
    space = _SPACE[data]
    edge = np.zeros(len(data) + 1, dtype=bool)  # a row's end ends a word
    edge[ends] = True
    edge[0] = True
    before = np.ones(len(data) + 1, dtype=bool)
    before[1:] = space[:] if len(data) else before[1:]
    if not characters:
        starts = np.flatnonzero(~space & (before[:-1] | edge[:-1]))
        after = np.append(space[1:], True) if len(data) else np.zeros(0, dtype=bool)
        stops = np.flatnonzero(~space & (after | edge[1:])) + 1
    else:
        data, ends = _single_spaced(data, space, edge, ends)
        starts = np.flatnonzero(_FIRST[data])
        stops = np.append(starts[1:], len(data))[: len(starts)]
    count = np.diff(np.searchsorted(starts, ends), prepend=0)
    return data, starts, stops, count


def _single_spaced(
    data: U8, space: NDArray[np.bool_], edge: NDArray[np.bool_], ends: Ints
) -> tuple[U8, Ints]:
    """Rows with one space (0x20) where there were runs of white space, and none at either end."""
    first = space & ~(np.append(False, space[:-1]) & ~edge[:-1])  # of a run, or of a row
    keep = ~space | first
    row = np.searchsorted(ends, np.arange(len(data)), side="right")
    words = np.flatnonzero(~space)
    low = np.full(len(ends), len(data))
    high = np.full(len(ends), -1)
    np.minimum.at(low, row[words], words)
    np.maximum.at(high, row[words], words)
    place = np.arange(len(data))
    keep &= (place > low[row]) & (place < high[row]) | ~space
    out: U8 = np.where(space, np.uint8(32), data)[keep]
    kept = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(keep)))
    return out, kept[ends].astype(np.int64, copy=False)


def _hashes(data: U8, starts: Ints, stops: Ints) -> U64:
    """A hash of each token: its bytes, eight by eight, as digits of a polynomial, the first one lowest."""
    out = np.empty(len(starts), dtype=np.uint64)
    done = 0
    while done < len(starts):
        base = int(starts[done])
        upto = max(done + 1, int(np.searchsorted(stops, base + _SEGMENT, side="right")))
        size = int(stops[upto - 1]) - base
        one, two = starts[done:upto] - base, stops[done:upto] - base
        after = np.append(one[1:], size)
        within = np.arange(size) - np.repeat(one, after - one)  # how many bytes into its token each byte is
        # What stands between two tokens counts for nothing.
        digits = data[base : base + size] * (within < np.repeat(two - one, after - one))
        weight = _table(c.CHUNK, (int(within.max()) >> 3) + 1)[within >> 3] << ((within & 7) << 3).astype(
            np.uint64
        )
        out[done:upto] = np.add.reduceat(digits.astype(np.uint64) * weight, one)
        done = upto
    return final64(out + (stops - starts).astype(np.uint64) * np.uint64(c.LENGTH))


def _grams(token: U64, count: Ints, ngram: int) -> tuple[U64, Ints]:
    """Shingles of rows whose tokens' hashes stand end to end; and where each row's begin."""
    number = np.maximum(count - ngram + 1, 1)
    starts = np.cumsum(number) - number
    padded = np.concatenate((token, np.zeros(ngram, dtype=np.uint64)))
    # Where in `token` each shingle begins: its row's beginning, plus how many shingles into the row.
    at = np.arange(number.sum()) + np.repeat(np.cumsum(count) - count - starts, number)
    length = np.repeat(np.minimum(count, ngram), number)
    short = bool((count < ngram).any())
    state = np.zeros(len(at), dtype=np.uint64)
    for i in range(ngram):
        step = state * np.uint64(c.WORD) + padded[at + i]
        state = np.where(length > i, step, state) if short else step
    return final64(state + length.astype(np.uint64) * np.uint64(c.LENGTH)), starts


def shingles(data: U8, ends: Ints, ngram: int, characters: bool) -> tuple[U64, Ints]:
    """A hash of every shingle of every row, and where each row's begin."""
    data, starts, stops, count = _tokens(data, ends, characters)
    return _grams(_hashes(data, starts, stops), count, ngram)


def sets(data: U8, ends: Ints, ngram: int, characters: bool) -> tuple[U64, Ints]:
    """Each row's different shingles, ascending; and where each row's end."""
    shingle, starts = shingles(data, ends, ngram, characters)
    row = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(shingle)))
    order = np.lexsort((shingle, row))
    shingle, row = shingle[order], row[order]
    new = np.ones(len(shingle), dtype=bool)
    new[1:] = (shingle[1:] != shingle[:-1]) | (row[1:] != row[:-1])
    return shingle[new], np.cumsum(np.bincount(row[new], minlength=len(starts)))


def similarities(sets: U64, ends: Ints, one: Ints, other: Ints) -> NDArray[np.float64]:
    """Jaccard similarities of pairs of such sets."""
    begins = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1]))
    out = np.empty(len(one))
    for n, (i, j) in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
        a, b = sets[begins[i] : ends[i]], sets[begins[j] : ends[j]]
        if len(a) > len(b):
            a, b = b, a
        at = np.searchsorted(b, a)
        shared = int((b[np.minimum(at, len(b) - 1)] == a).sum())
        out[n] = shared / (len(a) + len(b) - shared)
    return out


def scan(
    data: U8, ends: Ints, ngram: int, characters: bool, a: U32, b: U32, bands: int, width: int
) -> tuple[U64, U32, U64]:
    """Of each row a hash of the whole, how many tokens it has, and a key for each band."""
    data, starts, stops, count = _tokens(data, ends, characters)
    token = _hashes(data, starts, stops)
    keys = np.zeros((bands, len(ends)), dtype=np.uint64)
    if bands:
        shingle, begins = _grams(token, count, ngram)
        mixed = mixed32(shingle)
        permuted = np.empty_like(mixed)
        for band in range(bands):
            key = np.zeros(len(ends), dtype=np.uint64)
            for i in range(band * width, (band + 1) * width):
                np.multiply(mixed, a[i], out=permuted)
                np.add(permuted, b[i], out=permuted)
                key = key * np.uint64(c.WORD) + np.minimum.reduceat(permuted, begins)
            keys[band] = final64(key)
    return _wholes(token, count), count.astype(np.uint32), keys


def _wholes(token: U64, count: Ints) -> U64:
    ends = np.cumsum(count)
    sums = np.zeros(len(token) + 1, dtype=np.uint64)
    np.cumsum(token * _table(c.WHOLE_INVERSE, len(token) + 1)[: len(token)], out=sums[1:])
    power = _table(c.WHOLE, len(token) + 1)[np.maximum(ends - 1, 0)]
    state = (sums[ends] - sums[ends - count]) * power
    return final64(state + count.astype(np.uint64) * np.uint64(c.LENGTH))
