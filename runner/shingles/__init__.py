"""Words of a text, hashes of its n-grams (shingles), and MinHash signatures of them, banded.

What a word is: text is normalised (NFKC, casefold, curly quotes and dashes made plain), words are what white space
parts. In scripts written without it, characters are the better unit. A text of fewer than n words has one shingle, all
its words; the hash of a shingle holds its length, so a short text never equals a part of a longer one.

Two kernels give the same bits: a compiled one, where a C compiler was there when this was installed, and numpy, which
is always there. All hashes are polynomials modulo 2**64 over bytes, then over words, each with a finalizer.

Sources: Broder, "On the resemblance and containment of documents" (1997); permutations as in datasketch 2.0 (scheme
`affine32`); finalizers of MurmurHash3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from unicodedata import is_normalized, normalize

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U8 = NDArray[np.uint8]
    U32 = NDArray[np.uint32]
    U64 = NDArray[np.uint64]
    Ints = NDArray[np.int64]

Unit = Literal["words", "characters"]
T = TypeVar("T", str, bytes)
_SPACES = ("\x85", "\u1680", "\u2028", "\u2029")  # white space that is not ASCII's even after NFKC
BATCH = 1 << 17  # bytes hashed at once: so much that arrays stay in the processor's cache
# Two editions of one book differ in these.
_TYPESET = (("‘", "'"), ("’", "'"), ("“", '"'), ("”", '"'), ("—", "--"), ("–", "-"), ("\u00ad", ""))


def words(text: str) -> list[str]:
    """The words of a text after normalisation."""
    return text.lower().split() if text.isascii() else _folded(text).split()


def _folded(text: str) -> str:
    if not (is_normalized("NFKC", text) and is_normalized("NFKC", folded := text.casefold())):
        # Casefolding can undo NFKC (U+0390 falls apart), hence the second time.
        folded = normalize("NFKC", normalize("NFKC", text).casefold())
    for typeset, plain in _TYPESET:
        folded = folded.replace(typeset, plain)
    return folded


def _bytes(text: str) -> bytes:
    """A text as the kernels take it: they lower ASCII letters and know ASCII's white space themselves."""
    if text.isascii():
        return text.encode()
    # Texts out of JSON can hold half a surrogate pair, which plain UTF-8 refuses.
    folded = _folded(text)
    for space in _SPACES:
        folded = folded.replace(space, " ")
    return folded.encode("utf-8", "surrogatepass")


class Batch(Struct, frozen=True):
    """Normalised texts end to end; `ends[i]` is where text i ends in `data`."""

    data: Any  # U8
    ends: Any  # Ints

    @property
    def rows(self) -> int:
        return len(self.ends)


def batch(texts: Iterable[str]) -> Batch:
    """Texts, made ready for the kernels."""
    return joined([_bytes(text) for text in texts])


def joined(parts: list[bytes]) -> Batch:
    """Texts that are plain bytes already."""
    import numpy as np

    ends = np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)))
    return Batch(np.frombuffer(b"".join(parts), dtype=np.uint8), ends)


def batches(texts: Iterable[str]) -> Iterator[Batch]:
    """Texts in batches of a size that suits the kernels."""
    return map(batch, cut(texts))


def cut(texts: Iterable[T]) -> Iterator[list[T]]:
    """Texts, or their bytes, in lists so long that a kernel's arrays stay in the processor's cache."""
    held: list[T] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= BATCH:
            yield held
            held, size = [], 0
    if held:
        yield held


class Scan(Struct, frozen=True):
    """What a scan says of each row: a hash of the whole, how many words, and a key a band.

    Shapes: `whole` (rows,), `length` (rows,), `keys` (bands, rows).
    """

    whole: Any  # U64
    length: Any  # U32
    keys: Any  # U64


class Shingler:
    """Hashes batches of texts: `ngram` words or characters a shingle, `bands` of `width` of the permutations a row."""

    def __init__(
        self, ngram: int, unit: Unit = "words", *, count: int = 0, bands: int = 0, width: int = 0
    ) -> None:
        self.ngram, self.characters = ngram, unit == "characters"
        self.bands, self.width = bands, width
        a, b = permutations(count)
        self.a, self.b = a[: bands * width].copy(), b[: bands * width].copy()

    def scan(self, batch: Batch) -> Scan:
        """Whole hashes, lengths and band keys."""
        found = _kernel().scan(
            batch.data, batch.ends, self.ngram, self.characters, self.a, self.b, self.bands, self.width
        )
        return Scan(*found)

    def hashes(self, batch: Batch) -> tuple[U64, Ints]:
        """A 64-bit hash of every shingle of every row, in order, and where each row's begin (at least one each)."""
        shingle, starts = _kernel().shingles(batch.data, batch.ends, self.ngram, self.characters)
        return shingle, starts

    def sets(self, batch: Batch) -> tuple[U64, Ints]:
        """As `hashes`, but each row's ascending and without repetitions; and where each row's end."""
        shingle, ends = _kernel().sets(batch.data, batch.ends, self.ngram, self.characters)
        return shingle, ends

    def similarities(self, sets: U64, ends: Ints, one: Ints, other: Ints) -> NDArray[np.float64]:
        """The Jaccard similarity of the rows `one[i]` and `other[i]` of such sets."""
        similarity: NDArray[np.float64] = _kernel().similarities(sets, ends, one, other)
        return similarity


def permutations(count: int) -> tuple[U32, U32]:
    """(a, b) of datasketch's `affine32` with its seed 1: h → a·h + b modulo 2**32, a odd."""
    import numpy as np

    # RandomState's stream is frozen (NEP 19): these numbers never change. All of `a` is drawn first, so `b` hangs on
    # how many there are.
    random = np.random.RandomState(1)
    a = random.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = random.randint(0, 1 << 32, count, dtype=np.uint32)
    return a, b


def signatures(texts: Sequence[str], ngram: int, count: int, *, unit: Unit = "words") -> U32:
    """MinHash signatures, a line a text: bit for bit `datasketch.MinHash(count, scheme="affine32")` of the shingles.

    datasketch must be given the same 32-bit hashes: the low halves of `Shingler.hashes`.
    """
    import numpy as np

    from runner.shingles.numpy_kernel import mixed32

    a, b = permutations(count)
    shingle, starts = Shingler(ngram, unit).hashes(batch(texts))
    mixed = mixed32(shingle)
    out = np.empty((len(starts), count), dtype=np.uint32)
    for i in range(count):
        out[:, i] = np.minimum.reduceat(mixed * a[i] + b[i], starts)
    return out


@cache
def _kernel() -> Any:
    try:
        from runner.shingles import native_kernel
    except ImportError:  # no C compiler when it was installed; the same bits come out without it
        from runner.shingles import numpy_kernel

        return numpy_kernel
    return native_kernel
