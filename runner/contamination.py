"""Finds training texts that share a run of words with what the model is judged on.

Word n-gram overlap, as GPT-3 (Brown et al. 2020, appendix C) and lm-eval's decontamination do it. Hashes of n-grams
only pick the places to look at; there, words are compared themselves: a hit is a true overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import category, is_normalized, normalize

from runner.shingles import Batch, Shingler, cut, joined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]
    Ints = NDArray[np.int64]

BOOK = 13  # words: GPT-3's. A whole book shares eight with any other by chance
SHORT = 4  # words from which a text is told even inside another

# Each byte of ASCII as a small letter, a digit or a space; the bytes of UTF-8's longer characters stay.
_PLAIN = bytes(c if c > 127 or chr(c).isalnum() else 32 for c in range(256)).lower()
# So common that an English text has no other characters beyond ASCII, and its fast way is open to it again.
_TYPESET = (*((c, " ") for c in "‘’“”—–…´\u00a0"), ("\u00ad", ""))
# Scripts written without spaces: South-East Asia's, then kana, bopomofo, Han and Yi.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0xA980, 0xA9FF),
    (0xAA60, 0xAA7F), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x312F), (0x31A0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0xA4CF), (0xF900, 0xFAFF), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF),
)  # fmt: skip


_UNKNOWN, _KEPT, _PARTS, _NOTHING, _WORD = range(5)  # what a character is


def _kind(c: str) -> int:
    kind, code = category(c), ord(c)
    # Soft hyphens, joiners and variation selectors stand within words, and say nothing. (U+200B parts them.)
    if (kind == "Cf" and code != 0x200B) or 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
        return _NOTHING
    if kind[0] not in "LN" and kind not in ("Mn", "Mc"):  # marks: vowels of Hindi, accents
        return _PARTS
    return _WORD if any(a <= code <= b for a, b in _UNSPACED) else _KEPT


@cache
def _kinds() -> NDArray[np.uint8]:
    """Of each character; worked out when it is first met."""
    import numpy as np

    return np.zeros(0x110000, dtype=np.uint8)


def plain(text: str) -> bytes:
    """The words of a text in UTF-8, with spaces between: NFKC, no case, and whatever is no letter or digit parts words.

    A character of a script written without spaces is a word by itself.
    """
    if not text.isascii():
        for typeset, instead in _TYPESET:
            text = text.replace(typeset, instead)
    return (text if text.isascii() else _folded(text)).encode().translate(_PLAIN)


def _folded(text: str) -> str:
    if not (is_normalized("NFKC", text) and is_normalized("NFKC", folded := text.casefold())):
        # Casefolding can undo NFKC (U+0390 falls apart), hence the second time.
        folded = normalize("NFKC", normalize("NFKC", text).casefold())
    return _parted(folded)


def _parted(text: str) -> str:
    """A folded text with its words parted by spaces; ASCII is left as it is."""
    import numpy as np

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = _kinds()
    kind = kinds[codes]
    if not kind.all():
        for code in np.unique(codes[kind == _UNKNOWN]).tolist():
            kinds[code] = _kind(chr(code)) if code > 127 else _KEPT
        kind = kinds[codes]
    codes = np.where(kind == _PARTS, np.uint32(32), codes)
    if (kind == _NOTHING).any():
        codes, kind = codes[kind != _NOTHING], kind[kind != _NOTHING]
    word = kind == _WORD
    if word.any():
        apart = word.copy()  # from what stands before it
        apart[1:] |= word[:-1]
        place = np.arange(len(codes)) + np.cumsum(apart)
        spaced = np.full(len(codes) + int(apart.sum()), 32, dtype=np.uint32)
        spaced[place] = codes
        codes = spaced
    return codes.tobytes().decode("utf-32-le")


class Contamination:
    """What must not be trained on, ready to be looked for in many texts.

    A text of `against` is found where `ngram` of its words stand in a row; if it has fewer, where all of them do; of
    fewer than four words, only as the whole of a text, since anybody says them. Of `books`, long plain texts, 13 words
    in a row are looked for (`ngram`, if that is more). Words are those of `plain`; a text without words is never found.

    Raises ValueError if `ngram` is below 1.
    """

    def __init__(self, against: Sequence[str], *, ngram: int = 8, books: Sequence[str] = ()) -> None:
        if ngram < 1:
            raise ValueError(f"ngram must be at least 1, not {ngram}")
        short: dict[bytes, int] = {}
        runs: dict[int, dict[int, bytes]] = {}
        for index, text in enumerate((*against, *books)):
            n = ngram if index < len(against) else max(ngram, BOOK)
            split = plain(text).split()
            if len(split) >= n:
                runs.setdefault(n, {})[index] = b" ".join(split)
            elif split:
                short.setdefault(b" ".join(split), index)
        self._looks: list[_Runs | _Wholes] = [_Runs(n, texts) for n, texts in runs.items()]
        if short:
            self._looks.append(_Wholes(short))

    def hits(self, texts: Iterable[str]) -> list[int | None]:
        """For each text the first of `against`, then `books`, that is found in it, by number; else None."""
        out: list[int | None] = []
        for parts in _pieces(texts):
            best: dict[int, int] = {}
            some = joined(parts)
            for look in self._looks:
                for row, found in look.hits(parts, some):
                    best[row] = min(found, best.get(row, found))
            out += [best.get(row) for row in range(len(parts))]
        return out


class Known:
    """Hashes that are looked for, ascending. Most others need no look-up in the table, but one in a smaller one."""

    def __init__(self, table: U64) -> None:
        import numpy as np

        self.table = table
        size = 1 << min(max(20, (16 * len(table)).bit_length()), 24)
        self._mask, self._seen = np.uint64(size - 1), np.zeros(size, dtype=bool)
        self._seen[(table & self._mask).astype(np.int64)] = True

    def among(self, hashes: U64) -> tuple[Ints, Ints]:
        """Which of the hashes are known, and the first place of each in the table."""
        import numpy as np

        maybe = np.flatnonzero(self._seen[(hashes & self._mask).astype(np.int64)])
        at = np.searchsorted(self.table, hashes[maybe])
        sure = self.table[np.minimum(at, len(self.table) - 1)] == hashes[maybe]
        return maybe[sure], at[sure]


class _Runs:
    """Every run of `n` words of texts of at least so many. Two numbers a run are in memory, and the texts once."""

    def __init__(self, n: int, texts: dict[int, bytes]) -> None:
        import numpy as np

        self.n, self._shingler = n, Shingler(n)
        self._index = list(texts)
        hashes, places, done = [], [], 0
        for parts in cut(part + b" " for part in texts.values()):
            some = joined(parts)
            hashes.append(self._shingler.hashes(some)[0])
            spaces = np.flatnonzero(some.data == 32)
            begins = np.append(0, spaces[:-1] + 1)
            last = np.searchsorted(spaces, some.ends)  # of each text, the number of its last word, plus one
            count = np.diff(last, prepend=0)
            places.append(begins[np.arange(len(begins)) + n <= np.repeat(last, count)] + done)
            done += len(some.data)
        self._data = b"".join(part + b" " for part in texts.values())
        self._ends = np.cumsum([len(part) + 1 for part in texts.values()])
        hash_, place = np.concatenate(hashes), np.concatenate(places)
        # Where hashes are equal, the first text comes first.
        order = np.argsort(hash_, kind="stable")
        self._known, self._place = Known(hash_[order]), place[order]

    def hits(self, parts: list[bytes], some: Batch) -> Iterator[tuple[int, int]]:
        """(row, number of a text) of every run that is found."""
        import numpy as np

        for row, split, word, at in _suspects(self._shingler, self._known, parts, some):
            if len(split) < self.n:
                continue
            run = b" ".join(split[word : word + self.n]) + b" "
            wanted = self._known.table[at]
            while at < len(self._place) and self._known.table[at] == wanted:
                place = int(self._place[at])
                if self._data.startswith(run, place):
                    yield row, self._index[int(np.searchsorted(self._ends, place, side="right"))]
                    break
                at += 1


class _Wholes:
    """Short texts, of which all words must be there. Their first four tell where to look."""

    def __init__(self, texts: dict[bytes, int]) -> None:
        import numpy as np

        self._texts, self._shingler = texts, Shingler(SHORT)
        self._lengths = sorted({text.count(b" ") + 1 for text in texts})
        hashes, starts = self._shingler.hashes(joined(list(texts)))
        self._known = Known(np.unique(hashes[starts]))

    def hits(self, parts: list[bytes], some: Batch) -> Iterator[tuple[int, int]]:
        """(row, number of a text) of every text that is found."""
        for row, split, word, _ in _suspects(self._shingler, self._known, parts, some):
            for n in self._lengths:
                if word + n <= len(split) and (n >= SHORT or n == len(split)):
                    found = self._texts.get(b" ".join(split[word : word + n]))
                    if found is not None:
                        yield row, found


def _suspects(
    shingler: Shingler, known: Known, parts: list[bytes], some: Batch
) -> Iterator[tuple[int, list[bytes], int, int]]:
    """Where a known hash stands: the row, its words, which of them begins the run; and its place in the table."""
    import numpy as np

    hashes, starts = shingler.hashes(some)
    found, at = known.among(hashes)
    rows = np.searchsorted(starts, found, side="right") - 1
    last, split = -1, list[bytes]()
    for row, word, place in zip(rows.tolist(), (found - starts[rows]).tolist(), at.tolist(), strict=True):
        if row != last:
            last, split = row, parts[row].split()
        yield row, split, word, place


def _pieces(texts: Iterable[str]) -> Iterator[list[bytes]]:
    return cut(plain(text) for text in texts)


def contaminated(
    texts: Sequence[str], against: Sequence[str], *, ngram: int = 8, books: Sequence[str] = ()
) -> list[int | None]:
    """For each text, the first of `against` and `books` found in it: `Contamination` used once."""
    return Contamination(against, ngram=ngram, books=books).hits(texts)
