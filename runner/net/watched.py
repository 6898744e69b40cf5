"""Connections to checked addresses, that keep the time and count what comes."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from runner.fetching import Unfetched
from runner.net.failures import Again
from runner.net.guard import Guard
from runner.net.pace import SLICE, Stop

HEAD_MOST = 256 << 10
_HEAD_END = re.compile(rb"\n\r?\n")
_INFORMATIONAL = re.compile(rb"HTTP/\d\.\d 1\d\d")


@dataclass(frozen=True)
class Limits:
    """Times in seconds, speeds in bytes a second. The defaults suit public services; tests make them small."""

    connect: float = 15.0
    read: float = 30.0
    """Without a byte."""
    think: float = 300.0
    """Until the answer to a POST begins (a model may think for long)."""
    slowest: float = 512.0
    """The least speed of a body, over each `window`."""
    window: float = 30.0
    total: float = 1800.0
    """For one item, without waiting for its turn; and besides, as long as `most` bytes take at the speed `steady`."""
    steady: float = 100_000.0
    redirects: int = 10
    attempts: int = 4
    first_wait: float = 1.0
    longest_wait: float = 15.0
    """Of the back-off between attempts, which doubles."""
    jitter: float = 1.0
    longest_closed: float = 120.0
    """A host that asks to be left alone for longer is given up for this run."""
    linger: float = 1.0
    """Wait for the connection's end, once a body of announced length has come."""


class Budget:
    """The time that one item may still take on the wire."""

    def __init__(self, seconds: float) -> None:
        self.seconds = self.left = seconds

    @contextmanager
    def running(self) -> Iterator[float]:
        """Gives the deadline, on the monotonic clock."""
        began = time.monotonic()
        try:
            yield began + self.left
        finally:
            self.left -= time.monotonic() - began


@dataclass
class Watch:
    """What one exchange has to keep to, and whether the other side has ended the connection."""

    limits: Limits
    patience: float
    """Seconds until the answer begins."""
    deadline: float
    stop: Stop
    ended: bool = False
    sent: Callable[[], None] = lambda: None
    """Told when something of the request has gone out."""


class Watched(httpcore.NetworkStream):
    """A connection that keeps the time limits and counts what comes."""

    def __init__(self, inner: httpcore.NetworkStream, watch: Watch) -> None:
        self._inner, self._watch, self._limits = inner, watch, watch.limits
        self._head: bytearray | None = bytearray()
        self._waited, self._in_window = 0.0, 0
        self.came = 0
        """Bytes of the body, as they came."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        quiet = self._limits.read if self._head is None else self._watch.patience
        began = time.monotonic()
        data = self._wait(max_bytes, quiet)
        if data is None:
            raise httpcore.ReadTimeout(f"nothing came for {quiet:g} s")
        self._watch.ended = not data
        if self._head is not None:
            self._head += data
            if len(self._head) > HEAD_MOST:
                raise Unfetched("the answer's headers are too large")
        else:
            self.came += len(data)
            self._keep_speed(len(data), time.monotonic() - began)
        return data

    def _wait(self, max_bytes: int, quiet: float) -> bytes | None:
        """Some bytes, or None after `quiet` seconds without; in slices, so that a thread can be stopped."""
        until = time.monotonic() + quiet
        while True:
            self._watch.stop.check()
            now = time.monotonic()
            if now >= self._watch.deadline:
                raise Unfetched("it took too long in all", transient=True)
            if now >= until:
                return None
            try:
                return self._inner.read(max_bytes, min(SLICE, until - now, self._watch.deadline - now))
            except httpcore.ReadTimeout:
                continue

    def _keep_speed(self, n: int, waited: float) -> None:
        """Count waiting alone: what we take to write bytes down is not the server's slowness."""
        self._in_window += n
        self._waited += waited
        if self._waited >= self._limits.window:
            if self._in_window < self._limits.slowest * self._waited:
                raise Again(f"it came slower than {self._limits.slowest:g} bytes a second")
            self._waited, self._in_window = 0.0, 0

    def head_is_over(self) -> None:
        """The answer's head was read: what came after it, and all that comes now, is its body."""
        head, at = bytes(self._head or b""), 0
        while (end := _HEAD_END.search(head, at)) is not None:
            informational = _INFORMATIONAL.match(head, at)
            at = end.end()
            if not informational:
                break
        self._head, self.came = None, len(head) - at

    def beyond(self, length: int) -> bool:
        """Whether more than `length` bytes of body came, or come before the connection ends."""
        while self.came <= length and not self._watch.ended:
            try:
                data = self._wait(4096, self._limits.linger)
            except httpcore.ReadError:
                break
            if data is None:
                break
            self.came += len(data)
            self._watch.ended = not data
        return self.came > length

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._watch.stop.check()
        self._inner.write(buffer, timeout)
        self._watch.sent()

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return Watched(self._inner.start_tls(ssl_context, server_hostname, timeout), self._watch)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Makes connections, to checked addresses only."""

    def __init__(self, guard: Guard, watch: Watch) -> None:
        self._guard, self._watch = guard, watch

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        watch = self._watch
        failure: Exception = httpcore.ConnectError("no address")
        for ip in self._guard.addresses(host, port)[:4]:
            watch.stop.check()
            left = max(0.01, min(watch.limits.connect, watch.deadline - time.monotonic()))
            try:
                stream = httpcore.SyncBackend().connect_tcp(str(ip), port, left, None, socket_options)
                return Watched(stream, watch)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as e:
                failure = e
        raise failure

    def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise Unfetched("only http and https are spoken")
