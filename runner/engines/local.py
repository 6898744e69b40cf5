"""Engine `local`: the cores of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runner import pool
from runner.process import Job
from runner.settings import Settings
from runner.steps import Plan, Stage

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Local:
    """`workers` processes of ours, where there is enough to do for them (runner/pool.py)."""

    workers: int
    name: str = "local"
    spread: bool = False
    fetching: None = None

    def mapped(self, work: Callable[[P], R], pieces: Iterable[P]) -> Iterator[R]:
        """See runner.pool.mapped. Raises WorkerLost."""
        return pool.mapped(work, pieces, self.workers)

    def replicas(self, gpu: bool) -> int:
        """One: a job takes all that this machine has."""
        return 1

    def run(self, jobs: Sequence[Job], *, gpu: bool, watch: Callable[[], None]) -> None:
        """One after the other. Raises Failed."""
        for job in jobs:
            job.run(watch)

    def joining(self) -> dict[str, str]:
        """Nothing: there is no cluster."""
        return {}


def opened(
    plan: Plan, to: Stage, settings: Settings, log: Path, say: Callable[[str], None]
) -> AbstractContextManager[Local]:
    return nullcontext(Local(settings.workers))
