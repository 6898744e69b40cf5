"""The compiled kernel (native.c) by the interface of `numpy_kernel`. Importing it fails where it could not be built."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runner.shingles import _native  # type: ignore[attr-defined,unused-ignore]

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]


def scan(
    data: U8, ends: Ints, ngram: int, characters: bool, a: U32, b: U32, bands: int, width: int
) -> tuple[U64, U32, U64]:
    """Of each row a hash of the whole, how many tokens it has, and a key for each band."""
    rows = len(ends)
    whole, length = np.empty(rows, dtype=np.uint64), np.empty(rows, dtype=np.uint32)
    keys = np.empty((bands, rows), dtype=np.uint64)
    _native.scan(data, ends, ngram, characters, a, b, bands, width, whole, length, keys)
    return whole, length, keys


def shingles(data: U8, ends: Ints, ngram: int, characters: bool) -> tuple[U64, Ints]:
    """A hash of every shingle of every row, and where each row's begin."""
    out, starts = np.empty(len(data) + len(ends), dtype=np.uint64), np.empty(len(ends), dtype=np.int64)
    count = _native.shingles(data, ends, ngram, characters, out, starts)
    return out[:count].copy(), starts


def sets(data: U8, ends: Ints, ngram: int, characters: bool) -> tuple[U64, Ints]:
    """Each row's different shingles, ascending; and where each row's end."""
    out, stops = np.empty(len(data) + len(ends), dtype=np.uint64), np.empty(len(ends), dtype=np.int64)
    count = _native.sets(data, ends, ngram, characters, out, stops)
    return out[:count].copy(), stops


def similarities(sets: U64, ends: Ints, one: Ints, other: Ints) -> NDArray[np.float64]:
    """Jaccard similarities of pairs of such sets."""
    out = np.empty(len(one), dtype=np.float64)
    _native.similarities(sets, ends, np.asarray(one, dtype=np.int64), np.asarray(other, dtype=np.int64), out)
    return out
