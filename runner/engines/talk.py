"""What the engine `ray` and its job (runner/jobs/ray_driver.py) say to each other over their line."""

from __future__ import annotations

import math
import pickle
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from runner import process
from runner.errors import StepError
from runner.staging.stager import Stager

P = TypeVar("P")
R = TypeVar("R")

LOOKS = 10.0  # seconds between looks how many cores there are
_END: Any = object()


class Talk(ABC):
    """Our end of the line, while there is one. `address` is the cluster's, "" for one of this machine."""

    address: str
    _line: Connection | None
    _asked: int  # questions, so that each has a name

    @abstractmethod
    def _failed(self, why: str) -> StepError: ...

    @abstractmethod
    def _lost(self) -> StepError:
        """The error of a line that ended."""

    def _mapped(
        self,
        work: Callable[[P], R],
        pieces: Iterable[P],
        *,
        gpus: int,
        watch: Callable[[], None],
        ask: str = "next",
        stager: Stager | None = None,
    ) -> Iterator[R]:
        """What comes of pieces, in their order; with `ask="any"` as it comes, so that the first failure is heard. The
        files that they read and write pass by way of the `stager`, if there is one."""

        def packed(what: object) -> bytes:
            return pickle.dumps(stager.pack(what) if stager is not None else what)

        self._say("work", pickle.dumps((packed(work), gpus, stager is not None)))
        left, waiting, window, looked = iter(pieces), 0, 0, -math.inf
        try:
            while True:
                if time.monotonic() >= looked + LOOKS:
                    window, looked = 2 * max(1, self._room()["CPU"]), time.monotonic()
                while waiting < window and (piece := next(left, _END)) is not _END:
                    self._say("piece", packed(piece))
                    waiting += 1
                if not waiting:
                    return
                self._asked += 1
                self._say(ask, question := str(self._asked).encode())
                what, said = self._heard(question, watch=watch)
                waiting -= 1
                if what == "raised":
                    raise pickle.loads(said)
                if what != "done":
                    raise self._failed(said.decode())
                came = pickle.loads(said)
                yield stager.unpack(came) if stager is not None else came
        finally:
            if waiting and self._line is not None:
                with suppress(StepError):  # that is not why we are here
                    self._say("forget", b"")  # nobody waits for what they are at

    def _room(self) -> dict[str, int]:
        """What there is room for, by now: "CPU", "GPU", "nodes"."""
        room: dict[str, int] = pickle.loads(self._answer("room"))
        return room

    def _answer(self, what: str) -> bytes:
        """What the job says to a question that it need not wait for."""
        self._asked += 1
        self._say(what, question := str(self._asked).encode())
        return self._heard(question)[1]

    def _say(self, what: str, said: bytes) -> None:
        assert self._line is not None
        try:
            self._line.send((what, said))
        except OSError:
            raise self._lost() from None

    def _heard(
        self, question: bytes = b"", patience: float = math.inf, watch: Callable[[], None] = lambda: None
    ) -> tuple[str, bytes]:
        """What the job says to a question. Raises StepError where it ends, or says nothing for so many seconds."""
        assert self._line is not None
        until = time.monotonic() + patience
        try:
            while True:
                while not self._line.poll(0.2):
                    process.clean()
                    watch()
                    if time.monotonic() > until:
                        where = f"at {self.address}" if self.address else "on this machine"
                        raise self._failed(
                            f"no answer from a Ray cluster {where} within {patience:g} seconds"
                        )
                what, said, of = self._line.recv()
                if of == question:  # not what nobody waited for in the end
                    return what, said
        except (OSError, EOFError):
            raise self._lost() from None
