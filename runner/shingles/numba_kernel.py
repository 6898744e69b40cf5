"""The compiled kernel: one pass over the bytes of each row. The same bits as `numpy_kernel`, which explains them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint8, uint32, uint64
from numpy.typing import NDArray

from runner import hashes
from runner.shingles import constants as c

BYTE, WORD, WHOLE, LENGTH = np.uint64(c.BYTE), np.uint64(c.WORD), np.uint64(c.WHOLE), np.uint64(c.LENGTH)
MIX_1, MIX_2 = np.uint64(hashes.MIX_1), np.uint64(hashes.MIX_2)
MIX32_1, MIX32_2 = np.uint32(c.MIX32_1), np.uint32(c.MIX32_2)
ONE, SHIFT = np.uint64(1), np.uint64(33)
# What each byte adds to its word's hash: itself in lower case, plus one; 0 for white space.
_DIGIT = np.arange(1, 257, dtype=np.uint64)
_DIGIT[65:91] += 32
_DIGIT[list(c.SPACES)] = 0

_compiled = njit(cache=True, nogil=True, boundscheck=False)


@_compiled
def _final(state: Any) -> Any:
    state ^= state >> SHIFT
    state *= MIX_1
    state ^= state >> SHIFT
    state *= MIX_2
    state ^= state >> SHIFT
    return state


@_compiled
def _words(data: Any, begin: int, end: int, token: Any) -> int:
    """Hashes of the words of one row into `token`; how many."""
    n = 0
    state = uint64(0)
    first = begin
    for i in range(begin, end):
        digit = _DIGIT[data[i]]
        if digit:
            state = state * BYTE + digit
        else:
            if i > first:
                token[n] = _final(state + uint64(i - first) * LENGTH)
                n += 1
                state = uint64(0)
            first = i + 1
    if end > first:
        token[n] = _final(state + uint64(end - first) * LENGTH)
        n += 1
    return n


@_compiled
def _characters(data: Any, begin: int, end: int, token: Any) -> int:
    """Hashes of the characters of one row, white space between words as one space; how many."""
    n = 0
    i = begin
    gap = False
    while i < end:
        if not _DIGIT[data[i]]:
            gap = n > 0
            i += 1
            continue
        if gap:
            token[n] = _final(uint64(33) + LENGTH)  # a space, plus one
            n += 1
            gap = False
        state = uint64(0)
        first = i
        while True:
            state = state * BYTE + _DIGIT[data[i]]
            i += 1
            if i >= end or (data[i] & uint8(0xC0)) != uint8(0x80):
                break
        token[n] = _final(state + uint64(i - first) * LENGTH)
        n += 1
    return n


@_compiled
def _tokens(data: Any, begin: int, end: int, characters: bool, token: Any) -> int:
    if characters:
        return _characters(data, begin, end, token)
    return _words(data, begin, end, token)


@_compiled
def _grams(token: Any, count: int, ngram: int, out: Any) -> int:
    """Shingles of one row's tokens into `out`; how many (at least one)."""
    size = min(count, ngram)
    length = uint64(size) * LENGTH
    state = uint64(0)
    out_of = ONE  # WORD to the power of `size`: what the word that leaves the window has come to
    for i in range(size):
        state = state * WORD + token[i]
        out_of *= WORD
    out[0] = _final(state + length)
    n = 1
    for i in range(size, count):
        state = state * WORD + token[i] - token[i - size] * out_of
        out[n] = _final(state + length)
        n += 1
    return n


@_compiled
def _longest(ends: Any) -> int:
    longest = 0
    begin = 0
    for end in ends:
        longest = max(longest, end - begin)
        begin = end
    return longest


@_compiled
def shingles(data: Any, ends: Any, ngram: int, characters: bool) -> Any:
    """A hash of every shingle of every row, and where each row's begin."""
    token = np.empty(_longest(ends) + 1, dtype=np.uint64)
    out = np.empty(len(data) + len(ends), dtype=np.uint64)
    starts = np.empty(len(ends), dtype=np.int64)
    n = 0
    begin = 0
    for row in range(len(ends)):
        count = _tokens(data, begin, ends[row], characters, token)
        starts[row] = n
        n += _grams(token, count, ngram, out[n:])
        begin = ends[row]
    return out[:n].copy(), starts


@_compiled
def sets(data: Any, ends: Any, ngram: int, characters: bool) -> Any:
    """Each row's different shingles, ascending; and where each row's end."""
    token = np.empty(_longest(ends) + 1, dtype=np.uint64)
    out = np.empty(len(data) + len(ends), dtype=np.uint64)
    stops = np.empty(len(ends), dtype=np.int64)
    n = 0
    begin = 0
    for row in range(len(ends)):
        count = _tokens(data, begin, ends[row], characters, token)
        number = _grams(token, count, ngram, out[n:])
        out[n : n + number].sort()
        last = n
        for i in range(n + 1, n + number):
            if out[i] != out[last]:
                last += 1
                out[last] = out[i]
        n = last + 1
        stops[row] = n
        begin = ends[row]
    return out[:n].copy(), stops


@_compiled
def _similarities(sets: Any, ends: Any, one: Any, other: Any) -> Any:
    out = np.empty(len(one), dtype=np.float64)
    for n in range(len(one)):
        i = ends[one[n] - 1] if one[n] else 0
        j = ends[other[n] - 1] if other[n] else 0
        i_end, j_end = ends[one[n]], ends[other[n]]
        total = (i_end - i) + (j_end - j)
        shared = 0
        while i < i_end and j < j_end:
            a, b = sets[i], sets[j]
            shared += a == b
            i += a <= b
            j += b <= a
        out[n] = shared / (total - shared)
    return out


def similarities(sets: Any, ends: Any, one: Any, other: Any) -> NDArray[np.float64]:
    """Jaccard similarities of pairs of such sets."""
    found: NDArray[np.float64] = _similarities(sets, ends, one, other)
    return found


@_compiled
def _permute(shingle: Any, count: int, a: Any, b: Any, lowest: Any) -> None:
    lowest[:] = uint32(0xFFFFFFFF)
    for i in range(count):
        mixed = uint32(shingle[i])
        mixed ^= mixed >> uint32(16)
        mixed = uint32(mixed * MIX32_1)
        mixed ^= mixed >> uint32(13)
        mixed = uint32(mixed * MIX32_2)
        mixed ^= mixed >> uint32(16)
        for k in range(len(lowest)):
            value = uint32(mixed * a[k] + b[k])
            lowest[k] = min(lowest[k], value)


@_compiled
def scan(data: Any, ends: Any, ngram: int, characters: bool, a: Any, b: Any, bands: int, width: int) -> Any:
    """Of each row a hash of the whole, how many tokens it has, and a key for each band."""
    longest = _longest(ends) + 1
    token = np.empty(longest, dtype=np.uint64)
    shingle = np.empty(longest, dtype=np.uint64)
    lowest = np.empty(bands * width, dtype=np.uint32)
    whole = np.empty(len(ends), dtype=np.uint64)
    length = np.empty(len(ends), dtype=np.uint32)
    keys = np.empty((bands, len(ends)), dtype=np.uint64)
    begin = 0
    for row in range(len(ends)):
        count = _tokens(data, begin, ends[row], characters, token)
        begin = ends[row]
        state = uint64(0)
        for i in range(count):
            state = state * WHOLE + token[i]
        whole[row] = _final(state + uint64(count) * LENGTH)
        length[row] = count
        if bands:
            _permute(shingle, _grams(token, count, ngram, shingle), a, b, lowest)
            for band in range(bands):
                key = uint64(0)
                for i in range(band * width, (band + 1) * width):
                    key = key * WORD + uint64(lowest[i])
                keys[band, row] = _final(key)
    return whole, length, keys
