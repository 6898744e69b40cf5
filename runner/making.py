"""What a stage's function gets to make one step, and the reading and writing of rows that all share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from runner import pool
from runner.errors import StepError
from runner.process import Job
from runner.settings import Settings
from runner.steps import Plan, Step
from runner.store import Artifact

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")
Progress = Callable[[int, int, str], None]
"""done, of (0: unknown), what is being done"""


class Engine(Protocol):
    """Where batch functions run (runner/engines/). `spread`: on other machines, too, which read what they work on from
    the same folders."""

    @property
    def name(self) -> str:
        """What a recipe calls it (`compute.engine`)."""
        ...

    @property
    def spread(self) -> bool:
        """Whether others work, too, on other machines."""
        ...

    @property
    def fetching(self) -> Callable[[], Connection] | None:
        """Makes a line to others who send requests (runner/net/remote.py); None: there are none but us."""
        ...

    def mapped(self, work: Callable[[P], R], pieces: Iterable[P]) -> Iterator[R]:
        """`work` of each piece, in order. `work` and pieces go to other processes by pickle."""
        ...

    def replicas(self, gpu: bool) -> int:
        """How many jobs that each hold a model may run at once: with `gpu`, each on one of its own."""
        ...

    def run(self, jobs: Sequence[Job], *, gpu: bool, watch: Callable[[], None]) -> None:
        """Run jobs to their ends, each where there is room for it; `watch` is called now and then. Raises Failed."""
        ...

    def joining(self) -> dict[str, str]:
        """What the environment of a job says that is to join the cluster by itself; nothing where there is none."""
        ...


@dataclass(frozen=True)
class Making:
    """One step in the making: `out` becomes the artifact, `work` outlives a kill, `log` is named in errors."""

    step: Step
    plan: Plan
    inputs: Mapping[str, Artifact]
    out: Path
    work: Path
    log: Path
    progress: Progress
    ask: Callable[..., Any] | None = None  # asks a service: runner/services.py
    workers: int = 1  # processes or threads that it may take; never decides what comes out
    settings: Settings | None = None  # the user's own; None: as they are read anew
    engine: Engine | None = None  # None: `workers` processes of this machine

    def fail(self, message: str, *, log: bool = False) -> StepError:
        """The error of this step, to be raised."""
        return StepError(self.step.name, message, self.shown(self.log) if log else None)

    def mapped(self, work: Callable[[P], R], pieces: Iterable[P]) -> Iterator[R]:
        """`work` of each piece, in order, wherever the recipe wants that done. Raises WorkerLost, StepError."""
        if self.engine is not None:
            return self.engine.mapped(work, pieces)
        return pool.mapped(work, pieces, self.workers)

    def replicas(self) -> int:
        """How many jobs that each hold a model may run at once."""
        return self.engine.replicas(self.plan.profile == "gpu") if self.engine is not None else 1

    def run(self, *jobs: Job, watch: Callable[[], None] = lambda: None) -> None:
        """Run jobs that each hold a model to their ends, wherever the recipe wants that done. Raises process.Failed."""
        if self.engine is not None:
            self.engine.run(jobs, gpu=self.plan.profile == "gpu", watch=watch)
            return
        for job in jobs:
            job.run(watch)

    @property
    def spread(self) -> bool:
        """Whether others work, too, who see the same folders, so that it pays to read where they are."""
        return self.engine is not None and self.engine.spread

    def shown(self, path: Path) -> str:
        """A path as the user knows it: relative to the workspace."""
        return shown(path, self.plan.workspace.root)


def shown(path: Path, root: Path) -> str:
    """A path as the user of the workspace `root` knows it: relative to that where it lies in it."""
    full, root = path.resolve(), root.resolve()
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else str(path)


Maker = Callable[[Making], None]


def read_rows(path: Path, kind: type[T]) -> Iterator[T]:
    """Typed rows of a JSON Lines file; blank lines are none."""
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield decoder.decode(line)


class Rows:
    """Writes JSON Lines, one struct a line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb", buffering=1 << 18)
        self._encoder = msgspec.json.Encoder()
        self.count = self.size = 0

    def write(self, row: object) -> None:
        self.size += self._file.write(self._encoder.encode(row) + b"\n")
        self.count += 1

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_rows(path: Path, rows: Iterable[object]) -> int:
    """Write all rows; how many there were."""
    with Rows(path) as out:
        for row in rows:
            out.write(row)
    return out.count


def write_json(path: Path, data: object) -> None:
    """Readable JSON with sorted keys and a final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(data, order="sorted"), indent=1)
    path.write_bytes(encoded + b"\n")
