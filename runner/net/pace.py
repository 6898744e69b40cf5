"""How often and how many at once a host is asked, and how long it is left alone when it asks for that."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from itertools import count

from runner.errors import UsageError
from runner.fetching import Unfetched
from runner.net.failures import Stopped
from runner.settings import Settings

SLICE = 0.2
"""Seconds that a thread waits at most before it looks whether it should stop."""


class Stop:
    """Tells threads to end: those of one call, or (`above`) of the whole client."""

    def __init__(self, above: Stop | None = None) -> None:
        self._event, self._above = threading.Event(), above

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set() or (self._above is not None and self._above.is_set())

    def check(self) -> None:
        """Raises Stopped if told to."""
        if self.is_set():
            raise Stopped


def number(settings: Settings, name: str) -> float:
    """A setting that is a number above 0. Raises UsageError for any other."""
    try:
        value = float(settings[name])
    except ValueError:
        value = 0.0
    if not math.isfinite(value) or value <= 0:
        raise UsageError(f"setting {name}: {settings[name]!r} is not a number above 0")
    return value


def _timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after(value: str, date: str) -> float | None:
    """Seconds that a Retry-After asks for (a number, or a date against the server's own `date`), or None."""
    value = value.strip()
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", value, re.ASCII):
        return float(value)
    until, now = _timestamp(value), _timestamp(date)
    if until is None:
        return None
    seconds = until - (time.time() if now is None else now)
    # Both dates are cut to whole seconds, so up to one is missing.
    return seconds + 1 if seconds > 0 else None


def _long(seconds: float) -> str:
    """A time in seconds, and in words where those are many."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds:.0f} s ({seconds / size:.3g} {unit})"
    return f"{seconds:.0f} s"


class _Host:
    def __init__(self, gap: float, lock: threading.Lock) -> None:
        self.gap = gap
        self.changed = threading.Condition(lock)
        self.busy = 0
        self.leaving = 0
        """Requests that others send, and have not said yet that they are out: until then nobody else starts."""
        self.line: list[tuple[int, int]] = []
        """Who waits for a turn: rank, and when it came."""
        self.next = 0.0
        self.closed = 0.0
        self.asked = 0.0
        """Seconds that it asked for when it closed for longest; unlike what is left of them, the same for all items."""


class Turn:
    """A seat at a host, and what is said of its request by who sends it. May be used from any thread."""

    def __init__(self, sent: Callable[[], None], over: Callable[[], None]) -> None:
        self.sent = sent
        """The request is out."""
        self.over = over
        """The answer has come: others may be asked while it is kept."""


class Pace:
    """Per host: at most `at_once` requests under way, `1 / pace` seconds between their starts."""

    def __init__(self, pace: float, at_once: int, longest: float, say: Callable[[str], None]) -> None:
        self._gap, self._at_once, self._longest, self._say = 1 / pace, at_once, longest, say
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()
        self._came = count()

    def _host(self, place: str) -> _Host:
        return self._hosts.setdefault(place, _Host(self._gap, self._lock))

    @contextmanager
    def turn(self, place: str, stop: Stop, rank: int = 0, *, apart: bool = False) -> Iterator[Turn]:
        """Wait until the host may be asked, and hold a seat until done. Raises Unfetched.

        Of those that wait the one with the lowest `rank` goes first, and of one rank the one that came first.
        `apart`: another process sends the request, some time after its turn has come. The gap to the next one then
        begins when it says that the request is out (`Turn.sent`), whatever way it has to go until then.
        """
        with self._lock:
            host = self._host(place)
            mine = (rank, next(self._came))
            host.line.append(mine)
            try:
                self._wait(place, host, mine, stop)
            finally:
                host.line.remove(mine)
                host.changed.notify_all()
            host.busy += 1
            host.leaving += apart
            host.next = time.monotonic() + host.gap
        left = {"sent": apart, "over": True}

        def sent() -> None:
            with self._lock:
                if left["sent"]:
                    left["sent"] = False
                    host.leaving -= 1
                    host.next = time.monotonic() + host.gap
                    host.changed.notify_all()

        def over() -> None:
            sent()  # or it may be: who is cut off cannot tell
            with self._lock:
                if left["over"]:
                    left["over"] = False
                    host.busy -= 1
                    host.changed.notify_all()

        try:
            yield Turn(sent, over)
        finally:
            over()

    def _wait(self, place: str, host: _Host, mine: tuple[int, int], stop: Stop) -> None:
        told = False
        while True:
            stop.check()
            now = time.monotonic()
            if host.closed - now > self._longest:
                raise Unfetched(self.closed(place, host.asked), transient=True)
            wait = max(host.next, host.closed) - now
            if wait <= 0 and not host.leaving and host.busy < self._at_once and min(host.line) == mine:
                return
            if wait > 2 and not told:
                told = True
                self._say(f"waiting {wait:.0f} s for {place}")
            host.changed.wait(min(wait, SLICE) if wait > 0 else SLICE)

    def close(self, place: str, seconds: float) -> None:
        """The host asked to be left alone for so long."""
        with self._lock:
            host, until = self._host(place), time.monotonic() + seconds
            if until > host.closed:
                host.closed, host.asked = until, seconds

    def closed(self, place: str, seconds: float) -> str:
        """In words: what it means that a host asks to be left alone for longer than we wait."""
        return (
            f"{place} asks to be left alone for {_long(seconds)}, longer than the {self._longest:.0f} s that are "
            "waited: it was not asked again in this run"
        )

    def slow(self, place: str, gap: float) -> None:
        """The host asks for at least so many seconds between requests. Raises Unfetched where that is too much."""
        if gap > self._longest:
            raise Unfetched(f"robots.txt of {place} asks for {gap:.0f} s between requests")
        with self._lock:
            host = self._host(place)
            host.next += max(0.0, gap - host.gap)
            host.gap = max(host.gap, gap)
