"""Sends requests by way of other processes: those say what comes of them, and turns are given here.

What goes over the line: `("setup", 0, setup)`, then `("send", N, errand)` and `("drop", N, b"")`; back come `(N, what,
more)` as `runner.net.away.Tell` has it, `(N, "lost", b"")` where the worker has ended that had it, or
`(N, "none", b"")` where there is no worker by now: then it is sent from here.
"""

from __future__ import annotations

import pickle
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue

from runner.errors import StepError
from runner.net.away import Setup
from runner.net.errand import Errand, Outcome
from runner.net.failures import Lost, NotHere, Stopped
from runner.net.pace import SLICE, Stop, Turn

PARTING = 5.0
"""Seconds that a worker has to let go of a request that nobody waits for: until then its host is being asked."""


class Remote:
    """A `Sender`. `connect` makes the line, when first a request is to be sent. May be used from several threads."""

    apart = True

    def __init__(self, connect: Callable[[], Connection], setup: Setup) -> None:
        self._connect, self._setup = connect, setup
        self._run = secrets.token_hex(8)
        self._numbers = count(1)
        self._calls: dict[int, SimpleQueue[tuple[str, bytes]]] = {}
        self._line: Connection | None = None
        self._starting, self._saying = threading.Lock(), threading.Lock()
        self._gone = False

    @property
    def started(self) -> bool:
        return self._line is not None

    def part(self, key: str, lost: int) -> str:
        """A name that no other run has, nor a worker that was lost: it may be writing to its own yet."""
        return f"{key}.{self._run}-{lost}"

    def send(self, errand: Errand, stop: Stop, turn: Turn) -> Outcome:
        """See `Sender`. That its worker has ended, or that there is none, comes as the outcome's `error`."""
        ask = errand.ask
        if ask.secrets.private or ask.secrets.headers or ask.content is not None:
            raise AssertionError("what holds a secret is sent from here")
        self.start()
        number, said = next(self._numbers), SimpleQueue[tuple[str, bytes]]()
        self._calls[number] = said
        try:
            self._say("send", number, pickle.dumps(errand))
            return self._heard(number, said, stop, turn)
        finally:
            del self._calls[number]

    def _heard(self, number: int, said: SimpleQueue[tuple[str, bytes]], stop: Stop, turn: Turn) -> Outcome:
        until = None
        while True:
            try:
                what, more = said.get(timeout=SLICE)
            except Empty:
                if self._gone:
                    raise _lost() from None
                if until is None and stop.is_set():
                    self._say("drop", number, b"")
                    until = time.monotonic() + PARTING
                if until is not None and time.monotonic() > until:
                    raise Stopped from None
                continue
            if what == "sent":
                turn.sent()
            elif what == "over":
                turn.over()
            elif what == "done":
                outcome: Outcome = pickle.loads(more)
                return outcome
            elif what == "raised":
                raise pickle.loads(more)
            elif what == "lost":
                return Outcome(error=Lost())
            else:
                return Outcome(error=NotHere("nobody else is there to send it"))

    def close(self) -> None:
        """End the line; the other side drops what is under way."""
        self._gone = True

    def start(self) -> None:
        """Make the line, if it is not there yet."""
        with self._starting:
            if self._gone:
                raise _lost()
            if self._line is None:
                try:
                    line = self._connect()
                    line.send(("setup", 0, pickle.dumps(self._setup)))
                except (OSError, EOFError):
                    raise _lost() from None
                self._line = line
                threading.Thread(target=self._listen, args=(self._line,), daemon=True).start()

    def _say(self, what: str, number: int, more: bytes) -> None:
        assert self._line is not None
        try:
            with self._saying:
                self._line.send((what, number, more))
        except OSError:
            raise _lost() from None

    def _listen(self, line: Connection) -> None:
        with line, suppress(OSError, EOFError):
            while not self._gone:
                if line.poll(SLICE):
                    number, what, more = line.recv()
                    if (waiting := self._calls.get(number)) is not None:
                        waiting.put((what, more))
        self._gone = True


def _lost() -> StepError:
    return StepError("fetch", "the cluster that sends its requests is gone; run this again to go on")
