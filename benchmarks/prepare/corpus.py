"""The corpus: seeded, streamed, its duplicates known.

`python benchmarks/prepare/corpus.py --rows 100000 --out DIR` writes DIR/corpus.jsonl, a line a row
(`{"id": 1, "text": "…", "lang": "en"}`), and DIR/truth.npz, which truth.py reads. The seed and the
number of rows decide every byte.

Words are drawn at natural (Zipf) frequencies, 150 to 400 a row, from eleven languages. All are in
lower case and without punctuation, so that every contender's way to split words gives the same
ones: what is compared is how duplicates are found. No two rows are alike by chance: what shares
more than a few shingles was planted here.

A row is a pure function of its number: the words of a base are hashes of (seed, base, position),
so a copy makes its base anew, wherever the two stand, and nothing but a plan of 9 bytes a row is
kept in memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from words import vocabularies

VERSION = 1  # raise it when the same seed comes to give other bytes
NGRAM = 5
FEWEST, MOST = 150, 400
# Similarity -> (unit, lost): of a base of k units of shingles, an edit takes k * lost and gives as many new
# ones, which makes the similarity exactly (unit - lost) / (unit + lost). All are whole edits of 5 shingles.
LEVELS = {
    0.95: (195, 5),
    0.9: (95, 5),
    0.85: (185, 15),
    0.8: (45, 5),
    0.75: (35, 5),
    0.7: (85, 15),
    0.5: (15, 5),
}
KINDS = ("plain", "short", "exact", "hot", *(f"{level:.2f}" for level in LEVELS))
NEAR = 4  # the kind of the first of LEVELS
SHORT, OTHER = 0.02, 0.08  # of the rows; of the groups that are not short
EXACT_COPIES, NEAR_COPIES, HOT_ROWS = 0.05, 0.105, 0.03  # of the rows
HOT_SIZES = (10, 30, 100, 300)
HOT_LEVELS = (0.95, 0.9)  # two copies of one base are then at 0.80952 or nearer
_SLOTS = 18  # bits of a word's draw
_GOLDEN, _ALL = 0x9E3779B97F4A7C15, (1 << 64) - 1
_BATCH = 256  # rows: so few that arrays stay in the processor's cache


class Plan(NamedTuple):
    """For every row of the file: its group, which of the group it is (0 is the base), and the group's kind."""

    group: np.ndarray
    member: np.ndarray
    kind: np.ndarray


def mixed(x: np.ndarray) -> np.ndarray:
    """A hash of 64-bit numbers (the finaliser of splitmix64)."""
    y = x >> np.uint64(30)
    y ^= x
    y *= np.uint64(0xBF58476D1CE4E5B9)
    y ^= y >> np.uint64(27)
    y *= np.uint64(0x94D049BB133111EB)
    y ^= y >> np.uint64(31)
    return y


def plan(rows: int, seed: int) -> Plan:
    """Which row is what. Groups are shuffled over the whole file."""
    kinds, sizes = [], []
    exact = np.resize([2, 2, 2, 3, 4], round(rows * EXACT_COPIES / 1.6))
    near = round(rows * NEAR_COPIES)
    hot = np.resize(HOT_SIZES, max(1, round(rows * HOT_ROWS / np.mean(HOT_SIZES))))
    for kind, size in ((2, exact), (3, hot), (None, np.full(near, 2))):
        sizes.append(size)
        kinds.append(
            np.resize(range(NEAR, NEAR + len(LEVELS)), len(size)) if kind is None else [kind] * len(size)
        )
    left = rows - sum(int(s.sum()) for s in sizes)
    if left < rows * SHORT:
        raise SystemExit(f"too few rows for this corpus: {rows}")
    sizes.append(np.ones(left, dtype=np.int64))
    short = round(rows * SHORT)
    kinds.append([1] * short + [0] * (left - short))
    size = np.concatenate(sizes)
    order = np.random.default_rng(seed).permutation(rows)
    group = np.repeat(np.arange(len(size), dtype=np.int32), size)
    member = (np.arange(rows) - np.repeat(np.cumsum(size) - size, size)).astype(np.int16)
    kind = np.repeat(np.concatenate(kinds).astype(np.int8), size)
    return Plan(group[order], member[order], kind[order])


class Maker:
    """Makes rows of a plan."""

    def __init__(self, seed: int) -> None:
        vocabulary = vocabularies()
        self.seed = np.uint64(seed * _GOLDEN & _ALL)
        self.languages = list(vocabulary)
        self.words = np.array([w for words in vocabulary.values() for w in words], dtype=object)
        self.first = np.cumsum([0, *map(len, vocabulary.values())])
        # A language's inverse distribution: 2 ** _SLOTS equal chances, each one word.
        self.slots = np.concatenate([
            self.first[i] + np.searchsorted(_cumulative(len(words)), _middles()).astype(np.int32)
            for i, words in enumerate(vocabulary.values())
        ])  # fmt: skip
        self.english = len(vocabulary["en"])

    def draw(self, *parts: int) -> int:
        """One hash of a few small numbers."""
        state = int(self.seed)
        for part in parts:  # the same finaliser, in plain integers: numpy is slow at one number
            state = (state ^ part) + _GOLDEN & _ALL
            state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _ALL
            state = (state ^ state >> 27) * 0x94D049BB133111EB & _ALL
            state ^= state >> 31
        return state

    def rows(self, plan: Plan) -> Iterator[tuple[str, str]]:
        """(text, language) of each row, in order."""
        for start in range(0, len(plan.group), _BATCH):
            yield from self._batch(Plan(*(part[start : start + _BATCH] for part in plan)))

    def _batch(self, plan: Plan) -> Iterator[tuple[str, str]]:
        with np.errstate(over="ignore"):
            group = plan.group.astype(np.uint64)
            state = mixed(mixed(group + np.uint64(1)) ^ self.seed)
            language = self._languages(state, plan.kind)
            shingles = self._lengths(state, plan.kind, plan.group)
            # Each word from a hash of its base's state and its place.
            count = np.where(plan.kind == 1, 0, shingles + NGRAM - 1)
            ends = np.cumsum(count)
            first = state - (ends - count).astype(np.uint64) * np.uint64(_GOLDEN)
            drawn = mixed(np.repeat(first, count) + np.arange(ends[-1], dtype=np.uint64) * np.uint64(_GOLDEN))
            slot = (drawn >> np.uint64(64 - _SLOTS)).astype(np.int64)
            slot += np.repeat(language << _SLOTS, count)
            word = self.slots.take(slot)
            near = plan.kind >= 3
            hashes = _shingle_hashes(word[np.repeat(near, count)])
            at = np.cumsum(np.where(near, count, 0)).tolist()
        for n, (kind, end) in enumerate(zip(plan.kind.tolist(), ends.tolist(), strict=True)):
            name = self.languages[language[n]]
            of, start = int(plan.group[n]), end - int(count[n])
            if kind == 1:
                yield self._short(of), name
                continue
            ids = word[start:end]
            if kind >= 3:
                ids = self._distinct(ids, hashes[at[n] - len(ids) : at[n] - NGRAM + 1], of, int(language[n]))
                if plan.member[n]:
                    ids = self._edited(ids, of, int(plan.member[n]), self._level(kind, of))
            yield " ".join(self.words.take(ids).tolist()), name

    def _languages(self, state: np.ndarray, kind: np.ndarray) -> np.ndarray:
        share = (state >> np.uint64(40)).astype(np.float64) / (1 << 24)
        other = 1 + (mixed(state) % np.uint64(len(self.languages) - 1)).astype(np.int64)
        return np.where((share < OTHER) & (kind != 1), other, 0)

    def _lengths(self, state: np.ndarray, kind: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Shingles of each base: any number, or a multiple of what its edits need."""
        unit = np.ones(len(kind), dtype=np.int64)
        for n, (size, _) in enumerate(LEVELS.values()):
            unit[kind == NEAR + n] = size
        for n in np.flatnonzero(kind == 3).tolist():
            unit[n] = LEVELS[self._level(3, int(group[n]))][0]
        fewest = -(-(FEWEST - NGRAM + 1) // unit)
        most = (MOST - NGRAM + 1) // unit
        chosen = (mixed(state + np.uint64(7)) >> np.uint64(33)).astype(np.int64)
        return unit * (fewest + chosen % (most - fewest + 1))

    def _level(self, kind: int, group: int) -> float:
        return HOT_LEVELS[group % len(HOT_LEVELS)] if kind == 3 else float(KINDS[kind])

    def _distinct(self, ids: np.ndarray, hashes: np.ndarray, group: int, language: int) -> np.ndarray:
        """The base's words, drawn anew until no shingle comes twice: similarities would not be exact else."""
        for salt in range(1, 100):
            hashes = np.sort(hashes)
            if (hashes[1:] != hashes[:-1]).all():
                break
            drawn = np.random.default_rng([int(self.seed), group, salt]).integers(1 << _SLOTS, size=len(ids))
            ids = self.slots.take((language << _SLOTS) + drawn)
            hashes = _shingle_hashes(ids)[: len(ids) - NGRAM + 1]
        return ids

    def _edited(self, ids: np.ndarray, group: int, member: int, level: float) -> np.ndarray:
        """A copy that lost exactly as many shingles as its level says, each to a new one.

        Half of the copies have single words changed, all over, to rare words; half a run of words at the start.
        """
        shingles = len(ids) - NGRAM + 1
        unit, lost = LEVELS[level]
        edits = shingles // unit * lost // NGRAM
        out = ids.copy()
        chance = self.draw(group, member)
        if chance & 1:
            at = np.arange(edits * NGRAM)
        else:
            step = (shingles - NGRAM) // edits  # 5 or more: changes that lie nearer share a shingle
            at = (
                NGRAM
                - 1
                + (chance >> 8) % (shingles - NGRAM - step * (edits - 1) + 1)
                + step * np.arange(edits)
            )
        with np.errstate(over="ignore"):
            drawn = mixed(np.uint64(chance) + at.astype(np.uint64))
        inside = int(np.searchsorted(self.first, ids[0], side="right")) - 1
        begin, end = int(self.first[inside]), int(self.first[inside + 1])
        rare = begin + (end - begin) // 4
        new = rare + (drawn % np.uint64(end - rare)).astype(ids.dtype)
        out[at] = np.where(new == ids[at], rare + (new - rare + 1) % (end - rare), new)
        if chance & 1:  # a run reads as the rest does: one word in NGRAM, so one in each shingle, stays rare
            usual = at[at % NGRAM != NGRAM - 1]
            out[usual] = self.slots.take(
                (inside << _SLOTS) + (drawn[usual] >> np.uint64(64 - _SLOTS)).astype(np.int64)
            )
        return out

    def _short(self, group: int) -> str:
        """Two to four words, fewer than a shingle has; the first two alone make it one of its kind."""
        chance = self.draw(group, 1)
        pair = (group * 0x9E3779B1 + 12345) % (
            self.english * self.english
        )  # one to one: the factor is odd, prime to it
        ids = [pair // self.english, pair % self.english]
        ids += [(chance >> shift) % self.english for shift in (8, 24)[: chance % 3]]
        return " ".join(self.words[i] for i in ids)


def _shingle_hashes(word: np.ndarray) -> np.ndarray:
    """A hash of the NGRAM words from each place on; the last few reach past the end and mean nothing."""
    out = np.zeros(len(word), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for n in range(NGRAM):
            out = out * np.uint64(_GOLDEN) + np.roll(word, -n).astype(np.uint64) + np.uint64(1)
        return out


def _cumulative(count: int) -> np.ndarray:
    share = 1 / np.arange(1, count + 1)
    return np.cumsum(share / share.sum())


def _middles() -> np.ndarray:
    return (np.arange(1 << _SLOTS) + 0.5) / (1 << _SLOTS)


def write(folder: Path, rows: int, seed: int) -> None:
    """corpus.jsonl and truth.npz into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = plan(rows, seed)
    english = np.empty(rows, dtype=bool)
    with open(folder / "corpus.jsonl.part", "w", encoding="utf-8", newline="\n") as file:
        for n, (text, language) in enumerate(
            Maker(seed).rows(whole), 1
        ):  # from 1: some tools drop an id of 0
            file.write(f'{{"id":{n},"text":"{text}","lang":"{language}"}}\n')  # no word needs escaping
            english[n - 1] = language == "en"
    np.savez(folder / "truth.npz", group=whole.group, member=whole.member, kind=whole.kind, english=english)
    (folder / "corpus.jsonl.part").rename(folder / "corpus.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    write(args.out, args.rows, args.seed)


if __name__ == "__main__":
    sys.exit(main())
