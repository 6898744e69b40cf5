"""Threads for many addresses of many hosts, none of which takes all of them.

Addresses often come host by host. Who gave each in turn a thread would have all threads wait for the turn of the first
host. Here those of one host have a lane of their own, on which a few go at a time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")


class Lanes:
    """`threads` in all, of which at most `each` are on one lane."""

    def __init__(self, threads: int, each: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        self._each = each
        self._lock = threading.Lock()
        self._going: dict[str, int] = {}
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._ended = False

    def submit(self, lane: str, work: Callable[[], R]) -> Future[R]:
        """What will come of some work, once those before it on its lane have gone."""
        future = Future[R]()

        def go() -> None:
            try:
                future.set_result(work())
            except BaseException as e:  # whoever waits for it hears of it
                future.set_exception(e)
            self._next(lane)

        with self._lock:
            if self._going.get(lane, 0) < self._each:
                self._going[lane] = self._going.get(lane, 0) + 1
                self._pool.submit(go)
            else:
                self._waiting.setdefault(lane, deque()).append(go)
        return future

    def _next(self, lane: str) -> None:
        """One has left a lane."""
        with self._lock:
            waiting = self._waiting.get(lane)
            if waiting and not self._ended:
                self._pool.submit(waiting.popleft())
                return
            self._waiting.pop(lane, None)
            self._going[lane] -= 1
            if not self._going[lane]:
                del self._going[lane]

    def end(self) -> None:
        """Wait for those that are under way; the others never go."""
        with self._lock:
            self._ended = True
        self._pool.shutdown(cancel_futures=True)
