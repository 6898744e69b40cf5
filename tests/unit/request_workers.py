"""Processes that send requests for `runner.net.remote`, as a cluster has them, without one."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing.connection import Connection, Pipe
from typing import Any

from runner.net.away import Setup, Worker


def works(line: Connection) -> None:
    """A worker's process: sends what it is told, each request in a thread, until the line ends."""
    workers: dict[bytes, Worker] = {}
    saying = threading.Lock()
    while True:
        try:
            what, number, setup, more = line.recv()
        except EOFError:
            return

        def tell(what: str, more: bytes, number: int = number) -> None:
            with saying:
                line.send((number, what, more))

        worker = workers.setdefault(setup, Worker(pickle.loads(setup)))
        if what == "send":
            worker.take(number)
            threading.Thread(target=worker.send, args=(number, more, tell), daemon=True).start()
        else:
            worker.drop(number)


class Workers:
    """So many processes, which send in turn. `had` says which of them had each request."""

    def __init__(self, number: int) -> None:
        self.had: list[int] = []
        self.loopback = ""
        """Of another machine, where the workers are to take themselves for one."""
        self._numbers = count(1)
        self._calls: dict[int, tuple[Any, int, int]] = {}
        """By our own number: where to say what comes of it, its number there, and which worker has it."""
        self.processes, self._lines = [], []
        for n in range(number):
            ours, theirs = Pipe()
            process = multiprocessing.get_context("spawn").Process(target=works, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
            self._lines.append(ours)
            threading.Thread(target=self._listen, args=(n,), daemon=True).start()

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()

    def connect(self) -> Connection:
        """A line to them, as an engine makes it."""
        ours, theirs = Pipe()
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return ours

    def _listen(self, n: int) -> None:
        with suppress(EOFError, OSError):
            while True:
                ours, what, more = self._lines[n].recv()
                say, number, _ = self._calls[ours]
                if what in ("done", "raised"):
                    del self._calls[ours]
                say(number, what, more)
        for say, number, of in list(self._calls.values()):
            if of == n:
                say(number, "lost", b"")

    def _serve(self, line: Connection) -> None:
        saying = threading.Lock()

        def say(*said: Any) -> None:
            with saying, suppress(OSError):
                line.send(said)

        _, _, setup = line.recv()
        if self.loopback:
            known: Setup = pickle.loads(setup)
            setup = pickle.dumps(replace(known, loopback=self.loopback))
        with line, suppress(EOFError, OSError):
            while True:
                what, number, more = line.recv()
                if what == "drop":
                    for ours, (there, its, n) in list(self._calls.items()):
                        if (there, its) == (say, number):
                            self._lines[n].send(("drop", ours, setup, b""))
                    continue
                alive = [n for n, process in enumerate(self.processes) if process.is_alive()]
                if not alive:
                    say(number, "none", b"")
                    continue
                ours = next(self._numbers)
                n = alive[ours % len(alive)]
                self.had.append(n)
                self._calls[ours] = say, number, n
                self._lines[n].send(("send", ours, setup, more))
