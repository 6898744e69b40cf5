"""Words of a text, hashes of its word n-grams (shingles), and MinHash signatures of them.

Sources: Broder, "On the resemblance and containment of documents" (1997); permutations as in datasketch 2.0
(scheme `affine32`).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U32 = NDArray[np.uint32]
    U64 = NDArray[np.uint64]
    Ints = NDArray[np.int64]

VOCABULARY = 1 << 20  # distinct words whose hashes are kept


def words(text: str) -> list[str]:
    """The words of a text after normalisation: NFKC, casefold, parted at whitespace."""
    if text.isascii():  # the same, sooner
        return text.lower().split()
    # Casefolding can undo NFKC (U+0390 falls apart), hence the second time.
    return normalize("NFKC", normalize("NFKC", text).casefold()).split()


class WordHashes(dict[str, bytes]):
    """A 64-bit hash of each word, remembered: blake2b, the same on every machine."""

    def __missing__(self, word: str) -> bytes:
        if len(self) >= VOCABULARY:
            self.clear()
        # Texts out of JSON can hold half a surrogate pair, which plain UTF-8 refuses.
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self[word] = digest
        return digest


def shingles(rows: Sequence[list[str]], ngram: int, hashes: WordHashes) -> tuple[U64, Ints]:
    """A 64-bit hash of every shingle of every row, in order, and where each row's begin.

    A row of fewer than `ngram` words has one shingle, the whole; so every row has at least one. The
    hash starts from the shingle's length: a short row cannot equal a part of a longer one.
    """
    import numpy as np

    flat = b"".join(map(hashes.__getitem__, chain.from_iterable(rows)))
    word = np.frombuffer(flat + bytes(8 * ngram), dtype="<u8").astype(np.uint64, copy=False)
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    number = np.maximum(counts - ngram + 1, 1)
    starts = np.cumsum(number) - number
    # Where in `word` each shingle begins: its row's beginning, plus how many shingles into the row.
    at = np.arange(number.sum()) + np.repeat(np.cumsum(counts) - counts - starts, number)
    length = np.repeat(np.minimum(counts, ngram), number)
    short = bool((counts < ngram).any())
    shingle = length.astype(np.uint64)
    for i in range(ngram):
        nth = word[at + i]
        if short:
            nth[length <= i] = 0  # past the end of a short row; its length keeps it apart
        shingle = mix(shingle, nth)
    return shingle, starts


def mix(state: U64, value: U64 | U32) -> U64:
    """One step of a multiply-xorshift hash (constants of MurmurHash3's 64-bit finalizer)."""
    import numpy as np

    state = (state ^ value) * np.uint64(0xFF51AFD7ED558CCD)
    state ^= state >> np.uint64(32)
    state *= np.uint64(0xC4CEB9FE1A85EC53)
    state ^= state >> np.uint64(29)
    return state


def signatures(shingle: U64, starts: Ints, permutations: int) -> U32:
    """MinHash signatures, one line a permutation and one column a row.

    Column by column equal to `datasketch.MinHash(permutations, hashfunc=...)` of version 2.0 over
    the low 32 bits of the shingles: seed 1, MurmurHash3's finalizer, then a * h + b modulo 2^32
    with odd a.
    """
    import numpy as np

    # RandomState's stream is frozen (NEP 19): these numbers never change.
    random = np.random.RandomState(1)
    a = random.randint(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = random.randint(0, 1 << 32, permutations, dtype=np.uint32)
    mixed = shingle.astype(np.uint32)
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    lowest = np.empty((permutations, len(starts)), dtype=np.uint32)
    permuted = np.empty_like(mixed)
    for i in range(permutations):
        np.multiply(mixed, a[i], out=permuted)
        np.add(permuted, b[i], out=permuted)
        np.minimum.reduceat(permuted, starts, out=lowest[i])
    return lowest
