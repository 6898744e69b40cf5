"""Is the truth true? `python benchmarks/prepare/check.py DIR` reads a corpus and computes it anew.

Every copy's similarity to its base must be, as a fraction, exactly what its kind says; within hot
clusters no two rows may lie under 0.8; no two bases may share more than a few shingles. All rows
are read into memory: for corpora of up to some 100,000 rows.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import truth
from corpus import HOT_LEVELS, KINDS, NGRAM

LOOKED_AT = 40  # rows of a hot cluster
SHARED = 4  # shingles that two rows may share by chance


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = text.split()
    if len(words) < NGRAM:
        return frozenset([tuple(words)])
    return frozenset(tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1))


def similarity(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> Fraction:
    return Fraction(len(one & other), len(one | other))


def problems(folder: Path) -> list[str]:
    """What is wrong with a corpus, or an empty list."""
    with open(folder / "corpus.jsonl", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    known = truth.load(folder)
    groups = defaultdict(list)
    for row, group in enumerate(known.group.tolist()):
        groups[group].append(row)
    found = []
    posting = defaultdict(list)
    for group, rows in groups.items():
        rows.sort(key=known.member.__getitem__)
        kind = int(known.kind[rows[0]])
        sets = [shingles(texts[row]) for row in rows[:LOOKED_AT]]
        for shingle in sets[0]:
            posting[hash(shingle)].append(group)
        name = f"{HOT_LEVELS[group % len(HOT_LEVELS)]}" if kind == truth.HOT else KINDS[kind]
        wanted = Fraction(1) if kind == truth.EXACT else Fraction(name) if len(rows) > 1 else None
        if wrong := [s for s in sets[1:] if similarity(sets[0], s) != wanted]:
            found.append(f"group {group} ({name}): {float(similarity(sets[0], wrong[0])):.5f}")
        if kind == truth.HOT and min(similarity(*pair) for pair in combinations(sets, 2)) < Fraction("0.8"):
            found.append(f"group {group}: two rows of a hot cluster under 0.8")
    shared = defaultdict(int)
    for bases in posting.values():
        for pair in combinations(sorted(set(bases))[:50], 2):
            shared[pair] += 1
    found += [f"groups {pair} share {n} shingles" for pair, n in shared.items() if n > SHARED]
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(wrong[:20]) or "all as it should be")
    sys.exit(bool(wrong))
