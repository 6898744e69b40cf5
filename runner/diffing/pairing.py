"""Which items of two lists are the same ones, and which of them moved. All of it is the same from either side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
Pair = tuple[int, int]

WEIGHED = 300
"""Pairs up to which the fewest moves are looked for; of longer lists, all that stand at another place have moved."""


def pairs(a: Sequence[T], b: Sequence[T], *alike: Callable[[T], Hashable]) -> list[Pair]:
    """Numbers of items that belong together, in the order of `a`.

    Each of `alike` says by what: those that the first finds are taken out before the next one looks. Of several that
    are alike, the first goes with the first.
    """
    out: list[Pair] = []
    left, right = list(range(len(a))), list(range(len(b)))
    for key in alike:
        there = defaultdict(list)
        for j in reversed(right):
            there[key(b[j])].append(j)
        found = [(i, there[k].pop()) for i in left if there[k := key(a[i])]]
        left = sorted(set(left) - {i for i, _ in found})
        right = sorted(set(right) - {j for _, j in found})
        out += found
    return sorted(out)


def moved(found: Iterable[tuple[Pair, str]]) -> set[Pair]:
    """The fewest pairs that must have moved for the rest to stand in one order on both sides.

    Where several choices are as few, the names that come with the pairs decide, so that the choice is the same
    whichever side is called the first.
    """
    known = sorted(found)
    if len(known) > WEIGHED:
        order = {p: n for n, p in enumerate(sorted((p for p, _ in known), key=lambda p: p[1]))}
        return {p for n, (p, _) in enumerate(known) if order[p] != n}
    # Of chains of as many, the one whose names stand last in all: as bits of a number, no two sums are the same.
    bit = {p: 1 << n for n, (p, _) in enumerate(sorted(known, key=lambda x: (x[1], x[0])))}
    best: dict[Pair, tuple[int, int, tuple[Pair, ...]]] = {}
    for p in (pair for pair, _ in known):
        before = [chain for q, chain in best.items() if q[0] < p[0] and q[1] < p[1]]
        count, names, stay = max(before, key=lambda x: x[:2], default=(0, 0, ()))
        best[p] = (count + 1, names + bit[p], (*stay, p))
    longest = max(best.values(), key=lambda x: x[:2], default=(0, 0, ()))
    return set(bit) - set(longest[2])
