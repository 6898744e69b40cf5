"""Engine `local`: the cores of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from runner import pool

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Local:
    """`workers` processes of ours, where there is enough to do for them (runner/pool.py)."""

    workers: int
    name: str = "local"
    spread: bool = False

    def mapped(self, work: Callable[[P], R], pieces: Iterable[P]) -> Iterator[R]:
        return pool.mapped(work, pieces, self.workers)
