"""Sends requests from a Ray cluster for runner/net/remote.py: the part of runner/jobs/ray_driver.py that fetches.

On each node that works there are a few actors, which send what they are given (runner/net/away.py) and tell what comes
of it while it goes on. They take no core: they wait for most of their time. Nothing is sent again here: what an actor
had when it died is told as lost, and who asked for it decides.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from typing import Any

from runner.jobs.ray_node import Needs, unfit
from runner.net.away import Worker

A_NODE = 4
"""Actors on one node, at most; no more than it has cores."""
THREADS = 64
"""Requests that an actor sends at once."""
DEATHS = 32
"""Of actors, for one line: then those that are left have to do, or who asks sends by itself."""
END = ("done", "raised")


class Sender:
    """An actor: sends requests in threads of its own."""

    def __init__(self, setup: bytes, needs: Needs) -> None:
        if why := unfit(needs):
            raise RuntimeError(f"this node {why}")
        self._worker = Worker(pickle.loads(setup))
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")

    async def send(self, number: int, errand: bytes) -> AsyncIterator[tuple[str, bytes]]:
        """What is told of a request, as it happens."""
        loop, said = asyncio.get_running_loop(), asyncio.Queue[tuple[str, bytes]]()

        def tell(what: str, more: bytes) -> None:
            loop.call_soon_threadsafe(said.put_nowait, (what, more))

        self._worker.take(number)
        self._pool.submit(self._worker.send, number, errand, tell)
        what = ""
        while what not in END:
            what, more = await said.get()
            yield what, more

    async def drop(self, number: int) -> None:
        self._worker.drop(number)


def listen(listener: Listener, ray: Any, needs: Needs) -> None:
    """In a thread: take lines, and serve each to its end."""
    with suppress(OSError, EOFError):  # the listener is closed when the driver ends
        while True:
            line = listener.accept()
            threading.Thread(target=serve, args=(line, ray, needs), daemon=True).start()


def serve(line: Connection, ray: Any, needs: Needs) -> None:
    """Send what is wanted until the line is closed; then nothing of it is left on the cluster."""
    with line:
        asyncio.run(_Line(line, ray, needs).run())


class _Line:
    """What is under way for one line: its actors, and how much each of them has to do."""

    def __init__(self, line: Connection, ray: Any, needs: Needs) -> None:
        self._line, self._ray, self._needs = line, ray, needs
        self._setup = b""
        self._busy: dict[Any, int] = {}
        """What each actor has to do."""
        self._node: dict[Any, str] = {}
        self._deaths = 0
        self._has: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                what, number, more = await asyncio.to_thread(self._line.recv)
                if what == "setup":
                    self._setup = more
                elif what == "send":
                    task = asyncio.create_task(self._send(number, more))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                elif (actor := self._has.get(number)) is not None:
                    actor.drop.remote(number)
        except (EOFError, OSError):
            pass
        finally:
            if self._ray.is_initialized():  # else they are gone with all that is ours
                for actor in self._busy:
                    self._ray.kill(actor)

    async def _send(self, number: int, errand: bytes) -> None:
        actor = self._idlest()
        if actor is None:
            self._tell(number, "none", b"")  # no node has a core by now, or none lets an actor live
            return
        self._has[number] = actor
        self._busy[actor] += 1
        what = ""
        try:
            async for ref in actor.send.options(num_returns="streaming").remote(number, errand):
                what, more = await ref
                self._tell(number, what, more)
        except self._ray.exceptions.RayError:
            self._replace(actor)
        finally:
            del self._has[number]
            if actor in self._busy:
                self._busy[actor] -= 1
        if what not in END:
            self._tell(number, "lost", b"")

    def _idlest(self) -> Any:
        """The actor with least to do; they are made when there is none."""
        if not self._busy:
            for node in self._ray.nodes():
                if node["Alive"] and self._deaths <= DEATHS:
                    for _ in range(min(A_NODE, int(node["Resources"].get("CPU", 0)))):
                        self._make(node["NodeID"])
        return min(self._busy, key=self._busy.__getitem__, default=None)

    def _make(self, node: str) -> None:
        """An actor on a node, or on another one where that is gone by then."""
        there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=True)
        options = {"num_cpus": 0, "max_concurrency": 2 * THREADS, "scheduling_strategy": there}
        actor = self._ray.remote(**options)(Sender).remote(self._setup, self._needs)
        self._busy[actor], self._node[actor] = 0, node

    def _replace(self, actor: Any) -> None:
        """Another one instead of one that died. Ray could start it anew, but lets nobody wait for that."""
        if self._busy.pop(actor, None) is not None:
            self._deaths += 1
            self._ray.kill(actor)  # if it was only not to be reached
            if self._deaths <= DEATHS:
                self._make(self._node.pop(actor))

    def _tell(self, number: int, what: str, more: bytes) -> None:
        with suppress(OSError):  # nobody listens any more: `run` sees it, too
            self._line.send((number, what, more))
