"""Draws that need no generator's state: each is a hash of the seed, the set's name, what is drawn and for which
record, so record 7 is the same whether 8 or 8000 are asked for, and on every Python."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")


def number(key: str) -> int:
    """A whole number below 2**64 that only `key` decides."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


@lru_cache(maxsize=4096)
def order(key: str, size: int) -> list[int]:
    """0 … size - 1, shuffled."""
    return sorted(range(size), key=lambda n: number(f"{key}/{n}"))


def deal(pool: Sequence[T], key: str, nth: int) -> T:
    """The n-th card: all of the pool comes once before any of it comes again, in an order of each round's own."""
    cycle, position = divmod(nth, len(pool))
    return pool[order(f"{key}/{cycle}", len(pool))[position]]


@dataclass(frozen=True)
class Dice:
    """Draws for one record; `what` names the draw, so adding one later changes no other."""

    key: str

    def pick(self, pool: Sequence[T], what: str) -> T:
        return pool[number(f"{self.key}/{what}") % len(pool)]

    def chance(self, one_in: int, what: str) -> bool:
        return number(f"{self.key}/{what}") % one_in == 0

    def weighted(self, weights: Mapping[T, float], what: str) -> T:
        point = number(f"{self.key}/{what}") / 2**64 * sum(weights.values())
        for choice, weight in weights.items():
            point -= weight
            if point < 0:
                return choice
        return choice  # rounding left a crumb
