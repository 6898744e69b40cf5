"""The longest run of words that an answer shares, word for word, with any of the texts that were trained on.

Only hashes of the answers' n-grams are held; the training texts stream by once, a batch at a time, so memory does not
grow with them. A run that could not beat the longest one known of any answer that it touches is left alone, so common
phrases cost no time. Hashes only say where to look: a run counts when its words were compared themselves.

What does not count: runs of fewer than `ngram` words, which anybody may say; words that the answer took from its own
prompt, in runs of `ngram` or more; and text that repeats itself (of an n-gram that an answer has more than 16 times,
the first 16 are looked at).

Sources: N. Carlini et al., "Quantifying memorization across neural language models", ICLR 2023 (50 tokens, verbatim);
K. Lee et al., "Deduplicating training data makes language models better", ACL 2022 (the same length, for repeats).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from runner.contamination import Known, plain
from runner.record import Record
from runner.shingles import BATCH, Shingler, cut, joined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]
    Ints = NDArray[np.int64]

_OFTEN = 16  # times that one n-gram is looked at in one answer
_SEEN = 1 << 16  # segments that are remembered
_PAIRS = 1 << 20  # places in a text and in answers that are compared at once


class Text(NamedTuple):
    """One text that was trained on: the record's id, and whose words they are."""

    text: str
    record: str
    role: str


class Run(NamedTuple):
    """The longest run of one answer: how many words, which, and where they stand in the training data."""

    words: int
    text: str
    record: str
    role: str


def texts(records: Iterable[Record]) -> Iterator[Text]:
    """What is said in records, turn by turn, with calls' arguments; system texts are the recipe's, and left out."""
    for record in records:
        for m in record.messages:
            if m.content and m.role != "system":
                yield Text(m.content, record.id, m.role)
            for call in m.tool_calls:
                yield Text(call.function.arguments, record.id, m.role)


class Verbatim:
    """Answers, ready to be looked for in training texts. `prompts` holds, per answer, the texts that it was asked with.

    Raises ValueError if `ngram` is below 2.
    """

    def __init__(self, answers: Sequence[str], prompts: Sequence[Sequence[str]], *, ngram: int = 8) -> None:
        import numpy as np

        if ngram < 2:
            raise ValueError(f"ngram must be at least 2, not {ngram}")
        self.n, self._shingler = ngram, Shingler(ngram)
        self._words = [plain(text).split() for text in answers]
        self.best = np.full(len(answers), ngram - 1, dtype=np.int64)  # words of the longest run so far
        self.runs: list[Run | None] = [None] * len(answers)
        # Every n-gram has a place; one place is left free between answers, so that no run goes from one to the next.
        counts = [max(len(words) - ngram + 1, 0) + 1 for words in self._words]
        self._bases = np.concatenate(([0], np.cumsum(np.array(counts, dtype=np.int64))))
        hashes, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for k, grams in enumerate(self._grams([b" ".join(words) for words in self._words])):
            kept = self._own(grams, prompts[k])
            hashes.append(grams[kept])
            places.append(kept + self._bases[k])
        hash_, place = np.concatenate(hashes), np.concatenate(places)
        order = np.lexsort((place, hash_))
        table, first, number = np.unique(hash_[order], return_index=True, return_inverse=True)
        place = place[order]
        owner = self._owner(place)
        seldom = _rank(number, owner) < _OFTEN
        self._place, self._number = place[seldom], number[seldom]
        self._key = self._number * self._bases[-1] + self._place  # ascending
        self._first = np.searchsorted(self._number, np.arange(len(first)))
        self._known = Known(table) if len(table) else None
        self._need = self._needed()
        self._seen = set[bytes]()

    def look(self, trained: Iterable[Text]) -> list[Run | None]:
        """Go through texts; of each answer the longest run of `ngram` words or more, the first of equally long ones."""
        held: list[Text] = []
        size = 0
        for text in trained if self._known else ():
            held.append(text)
            size += len(text.text)
            if size >= BATCH:
                self._batch(held)
                held, size = [], 0
        if held:
            self._batch(held)
        return self.runs

    def _grams(self, parts: list[bytes]) -> Iterator[U64]:
        """The hashes of each text's n-grams: none of one that has fewer words."""
        import numpy as np

        short = [part.count(b" ") + 1 < self.n for part in parts]
        row = 0
        for some in cut(parts):
            hashes, starts = self._shingler.hashes(joined(some))
            for begin, end in pairwise([*starts.tolist(), len(hashes)]):
                yield np.zeros(0, np.uint64) if short[row] else hashes[begin:end]
                row += 1

    def _own(self, grams: U64, prompt: Sequence[str]) -> Ints:
        """Which of an answer's n-grams hold no word that stands in a run of `n` words of its prompt."""
        import numpy as np

        asked = [g for g in self._grams([b" ".join(plain(t).split()) for t in prompt]) if len(g)]
        if not asked or not len(grams):
            return np.arange(len(grams))
        taken = np.isin(grams, np.concatenate(asked))
        # A word is the prompt's if any n-gram over it is; an n-gram goes if any of its words is: n - 1 to either side.
        edge = np.zeros(self.n - 1, dtype=np.int64)
        ahead = np.cumsum(np.concatenate(([0], edge, taken, edge)))
        near = ahead[2 * self.n - 1 :] - ahead[: -2 * self.n + 1]
        return np.flatnonzero(near == 0)

    def _owner(self, place: Ints) -> Ints:
        import numpy as np

        return np.searchsorted(self._bases, place, side="right") - 1

    def _needed(self) -> Ints:
        """Of each n-gram, how long a run has to be more than to better one of the answers that have it."""
        import numpy as np

        if not len(self._place):
            return np.zeros(0, np.int64)
        return np.minimum.reduceat(self.best[self._owner(self._place)], self._first)

    def _batch(self, held: list[Text]) -> None:
        import numpy as np

        assert self._known is not None
        parts = [plain(text.text) for text in held]
        hashes, starts = self._shingler.hashes(joined(parts))
        found, number = self._known.among(hashes)
        if not len(found):
            return
        row = np.searchsorted(starts, found, side="right") - 1
        at = found + row  # a place free between texts, as between answers
        segment = np.cumsum(np.diff(at, prepend=-2) != 1) - 1
        words = self.n - 1 + np.bincount(segment)[segment]  # no run within it is longer
        promising = words > self._need[number]
        promising &= ~self._met(segment, number, promising)
        if promising.any():
            at, number, words = at[promising], number[promising], words[promising]
            rows = starts + np.arange(len(starts))
            if self._better(held, parts, rows, at, number, words, 0, len(self._words)):
                self._need = self._needed()

    def _met(self, segment: Ints, number: Ints, promising: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which n-grams stand in a segment that was looked at before: phrases that many records share come again and
        again, and all that they could better, they bettered the first time."""
        import numpy as np

        met = np.zeros(len(segment), dtype=bool)
        begins = np.searchsorted(segment, np.arange(segment[-1] + 2))
        for which in np.unique(segment[promising]).tolist():
            part = slice(int(begins[which]), int(begins[which + 1]))
            key = sha256(number[part].tobytes()).digest()
            if key in self._seen:
                met[part] = True
            else:
                if len(self._seen) >= _SEEN:
                    self._seen.clear()
                self._seen.add(key)
        return met

    def _better(
        self, held: list[Text], parts: list[bytes], rows: Ints, at: Ints, number: Ints, words: Ints, low: int, high: int
    ) -> bool:  # fmt: skip
        """Take in the runs of the answers from `low` to `high`; whether there were any that are longer than before."""
        import numpy as np

        begin = np.searchsorted(self._key, number * self._bases[-1] + self._bases[low])
        end = np.searchsorted(self._key, number * self._bases[-1] + self._bases[high])
        count = end - begin
        if count.sum() > _PAIRS and high - low > 1:
            middle = (low + high) // 2
            some = self._better(held, parts, rows, at, number, words, low, middle)
            return self._better(held, parts, rows, at, number, words, middle, high) or some
        pair = np.repeat(np.arange(len(number)), count)
        place = self._place[np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count) + begin[pair]]
        there = at[pair]
        hopeful = words[pair] > self.best[self._owner(place)]
        place, there = place[hopeful], there[hopeful]
        # Along a run, the place in the text and that in the answer go on together.
        order = np.lexsort((there, place - there))
        place, there = place[order], there[order]
        new = np.ones(len(place), dtype=bool)
        new[1:] = (np.diff(place) != 1) | (np.diff(there) != 1)
        starts = np.flatnonzero(new)
        length = self.n - 1 + np.diff(np.append(starts, len(place)))
        place, there = place[starts], there[starts]
        owner = self._owner(place)
        order = np.lexsort((there, -length, owner))
        first = order[
            np.unique(owner[order], return_index=True)[1]
        ]  # of each answer the longest, then the first
        improved = False
        for i in first[length[first] > self.best[owner[first]]].tolist():
            k = int(owner[i])
            improved |= self._take(
                held, parts, rows, k, int(place[i] - self._bases[k]), int(there[i]), int(length[i])
            )
        return improved

    def _take(
        self, held: list[Text], parts: list[bytes], rows: Ints, k: int, word: int, there: int, length: int
    ) -> bool:
        """Believe a run once its words are seen to be the same."""
        import numpy as np

        row = int(np.searchsorted(rows, there, side="right")) - 1
        begin = there - int(rows[row])
        said = self._words[k][word : word + length]
        if parts[row].split()[begin : begin + length] != said:
            return False
        self.best[k] = length
        self.runs[k] = Run(length, b" ".join(said).decode(), held[row].record, held[row].role)
        return True


def _rank(number: Ints, owner: Ints) -> Ints:
    """The how manieth of its number and owner each is, from 0; both ascend together."""
    import numpy as np

    new = np.ones(len(number), dtype=bool)
    new[1:] = (np.diff(number) != 0) | (np.diff(owner) != 0)
    starts = np.flatnonzero(new)
    rank: Ints = np.arange(len(number)) - starts[np.cumsum(new) - 1]
    return rank
