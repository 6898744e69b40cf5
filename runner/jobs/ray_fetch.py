"""Sends requests from a Ray cluster for runner/net/remote.py: the part of runner/jobs/ray_driver.py that fetches.

On each node that works there are a few actors, which send what they are given (runner/net/away.py) and tell what comes
of it while it goes on. They take no core: they wait for most of their time. Nothing is sent again here: what an actor
had when it died is told as lost, and who asked for it decides.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any

from runner.jobs.ray_node import UNSEEN, Needs, unfit
from runner.net.away import Worker

A_NODE = 4
"""Actors on one node, at most; no more than it has cores."""
THREADS = 64
"""Requests that an actor sends at once."""
DEATHS = 32
"""Of actors, for one line: then those that are left have to do, or who asks sends by itself."""
END = ("done", "raised")
GATHER = 0.005
"""Seconds that the first word waits for others."""


class Sender:
    """An actor: sends requests in threads of its own. What is told of them is heard together, a moment later: Ray
    takes as long for a call as a small request does."""

    def __init__(self, setup: bytes, needs: Needs) -> None:
        why, without = unfit(needs)
        if why or without:  # what is fetched is kept in the workspace
            raise RuntimeError(f"this node {why or UNSEEN}")
        self._worker = Worker(pickle.loads(setup))
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        self._said: list[tuple[int, str, bytes]] = []
        self._something = asyncio.Event()

    async def give(self, orders: list[tuple[str, int, bytes]]) -> None:
        """Requests to be sent, or to be dropped."""
        loop = asyncio.get_running_loop()
        for what, number, errand in orders:
            if what == "send":
                self._worker.take(number)
                self._pool.submit(self._worker.send, number, errand, partial(self._tell, loop, number))
            else:
                self._worker.drop(number)

    def _tell(self, loop: asyncio.AbstractEventLoop, number: int, what: str, more: bytes) -> None:
        loop.call_soon_threadsafe(self._note, (number, what, more))

    def _note(self, said: tuple[int, str, bytes]) -> None:
        self._said.append(said)
        self._something.set()

    async def hear(self) -> list[tuple[int, str, bytes]]:
        """What has been told of requests since the last time, once there is something."""
        await self._something.wait()
        await asyncio.sleep(GATHER)
        said, self._said = self._said, []
        self._something.clear()
        return said


def listen(listener: Listener, ray: Any, needs: Needs) -> None:
    """In a thread: take lines, and serve each to its end, until the listener is closed."""
    while True:
        try:
            line = listener.accept()
        except (
            AuthenticationError,
            ConnectionError,
            EOFError,
        ):  # one that went away, or has no key: others may come
            continue
        except OSError:
            return
        threading.Thread(target=serve, args=(line, ray, needs), daemon=True).start()


def serve(line: Connection, ray: Any, needs: Needs) -> None:
    """Send what is wanted until the line is closed; then nothing of it is left on the cluster."""
    with line:
        asyncio.run(_Line(line, ray, needs).run())


class _Line:
    """What is under way for one line: its actors, and what each of them has."""

    def __init__(self, line: Connection, ray: Any, needs: Needs) -> None:
        self._line, self._ray, self._needs = line, ray, needs
        self._setup = b""
        self._has: dict[Any, set[int]] = {}
        self._node: dict[Any, str] = {}
        self._deaths = 0
        self._of: dict[int, Any] = {}
        """Which actor has a request."""
        self._listening: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                orders: dict[Any, list[tuple[str, int, bytes]]] = {}
                for what, number, more in await asyncio.to_thread(self._read):
                    if what == "setup":
                        self._setup = more
                    elif (actor := self._actor(what, number)) is not None:
                        orders.setdefault(actor, []).append((what, number, more))
                for actor, its in orders.items():
                    actor.give.remote(its)
        except (EOFError, OSError):  # the line is closed: nobody wants more
            pass
        finally:
            if self._ray.is_initialized():  # else they are gone with all that is ours
                for actor in self._has:
                    self._ray.kill(actor)

    def _read(self) -> list[tuple[str, int, bytes]]:
        """What there is to read, once there is something."""
        read = [self._line.recv()]
        while len(read) < THREADS and self._line.poll():
            read.append(self._line.recv())
        return read

    def _actor(self, what: str, number: int) -> Any:
        """Who is to get an order."""
        if what != "send":
            return self._of.get(number)
        if (actor := self._idlest()) is None:
            self._tell(number, "none", b"")  # no node has a core by now, or none lets an actor live
            return None
        self._of[number] = actor
        self._has[actor].add(number)
        return actor

    def _idlest(self) -> Any:
        """The actor with least to do; they are made when there is none."""
        if not self._has:
            for node in self._ray.nodes():
                if node["Alive"] and self._deaths <= DEATHS:
                    for _ in range(min(A_NODE, int(node["Resources"].get("CPU", 0)))):
                        self._make(node["NodeID"])
        return min(self._has, key=lambda actor: len(self._has[actor]), default=None)

    def _make(self, node: str) -> None:
        """An actor on a node, or on another one where that is gone by then."""
        there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=True)
        actor = self._ray.remote(num_cpus=0, scheduling_strategy=there)(Sender).remote(
            self._setup, self._needs
        )
        self._has[actor], self._node[actor] = set(), node
        task = asyncio.create_task(self._listen(actor))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)

    async def _listen(self, actor: Any) -> None:
        """Hand on what an actor tells, until it dies: then another one takes its place. Ray could start it anew, but
        lets nobody wait for that."""
        try:
            while True:
                for number, what, more in await actor.hear.remote():
                    if what in END:
                        self._has[actor].discard(number)
                        self._of.pop(number, None)
                    self._tell(number, what, more)
        except self._ray.exceptions.RayError:
            self._deaths += 1
            self._ray.kill(actor)  # if it was only not to be reached
            had, node = self._has.pop(actor), self._node.pop(actor)
            if self._deaths <= DEATHS:
                self._make(node)
            for number in sorted(had):
                del self._of[number]
                self._tell(number, "lost", b"")

    def _tell(self, number: int, what: str, more: bytes) -> None:
        with suppress(OSError):  # nobody listens any more: `run` sees it, too
            self._line.send((number, what, more))
