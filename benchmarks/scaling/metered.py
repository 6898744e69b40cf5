"""An engine that weighs: it does what `ray` does to pieces and what comes of them, in this one process, and books the
CPU time, the bytes that travel and the reads on whoever would have had them, the driver or a worker.

Ray itself is not in it (roles.py has that). CPU time and not wall time: it hardly changes with who else is at work.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Book:
    """What one side spent: CPU seconds, bytes read and written by system calls (columns that are mapped into memory are
    not seen), and how many reads there were."""

    cpu: float = 0.0
    read: int = 0
    written: int = 0
    reads: int = 0

    def add(self, other: Book) -> None:
        self.cpu += other.cpu
        self.read += other.read
        self.written += other.written
        self.reads += other.reads

    def less(self, other: Book) -> Book:
        return Book(
            self.cpu - other.cpu,
            self.read - other.read,
            self.written - other.written,
            self.reads - other.reads,
        )


@dataclass
class Map:
    """All that one batch function was asked in a step: `driver` is what the driver did meanwhile."""

    work: str
    pieces: int = 0
    sent: int = 0  # bytes from the driver to workers
    back: int = 0
    driver: Book = field(default_factory=Book)
    worker: Book = field(default_factory=Book)


@dataclass
class Step:
    """A step: what the driver did alone, and its maps in order."""

    name: str
    alone: Book = field(default_factory=Book)
    maps: list[Map] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        return asdict(self)


def now() -> Book:
    """What this process has spent so far."""
    with Path("/proc/self/io").open(encoding="ascii") as file:
        io = dict(line.split(":") for line in file)
    return Book(time.process_time(), int(io["rchar"]), int(io["wchar"]), int(io["syscr"]))


class Metered:
    """The engine; `steps` fills as steps are made."""

    name, spread = "ray", True

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def making(self, name: str, make: Callable[[], Any]) -> Any:
        """Make a step, and book it."""
        self.steps.append(step := Step(name))
        begun = now()
        made = make()
        step.alone = now().less(begun)
        for one in step.maps:
            step.alone = step.alone.less(one.driver).less(one.worker)
        return made

    def mapped(self, work: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
        begun = now()
        name = getattr(work, "__qualname__", type(work).__name__)
        maps = self.steps[-1].maps
        one = next((m for m in maps if m.work == name), None)
        if one is None:
            maps.append(one := Map(name))
        worked = Book()
        there = pickle.loads(pickle.dumps(work))  # a worker has a copy of its own
        try:
            for piece in pieces:
                said = pickle.dumps(piece)
                before = now()
                done = pickle.dumps(there(pickle.loads(said)))
                worked.add(now().less(before))
                one.pieces += 1
                one.sent += len(said)
                one.back += len(done)
                yield pickle.loads(done)
        finally:
            one.worker.add(worked)
            one.driver.add(now().less(begun).less(worked))
