"""Who may ask, and how much: a server on 127.0.0.1, of the standard library.

It is that of `http.server`, and not of the extra `serve`: to look at runs needs no model and no Torch, and what a page
asks for is small and seldom. What that server leaves open is closed here: a bound on threads, on the size of a request
and on its time; no bodies, no other methods; and a browser's word on who asks. A page of another site cannot make a
browser read anything here: it would have to call us by our own name (`Host`), from our own pages (`Origin`,
`Sec-Fetch-Site`).
"""

from __future__ import annotations

import hashlib
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from socketserver import TCPServer
from threading import BoundedSemaphore, Thread
from typing import Any, BinaryIO

from runner import scrub
from runner.errors import UsageError
from runner.watching.answering import HTML, NOTHING, Answer, answer

HOST = "127.0.0.1"
AT_ONCE = 32
"""Requests that are answered at once; more are told to come again."""
MOST = 16 << 10
"""Bytes of a request's line and heads."""
PATIENCE = 10.0
"""Seconds that a request may take to be said, and an answer to be taken."""
HEADS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class TooMuch(Exception):
    """A request that is too long, or takes too long."""


class Heard:
    """What a client says, as far as it may."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left, self._until = file, MOST, time.monotonic() + PATIENCE

    def readline(self, most: int = -1) -> bytes:
        line = self._file.readline(min(self._left, most) if most >= 0 else self._left)
        self._left -= len(line)
        if self._left <= 0 or time.monotonic() > self._until:
            raise TooMuch
        return line

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed


class Handler(BaseHTTPRequestHandler):
    """One request; the connection ends with its answer (HTTP/1.0)."""

    server: Server
    server_version, sys_version = "mirepoix", ""
    timeout = PATIENCE

    def setup(self) -> None:
        super().setup()
        self.rfile: Any = Heard(self.rfile)

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except TooMuch:
            self.requestline, self.request_version, self.command = "", "HTTP/1.0", ""
            self.close_connection = True
            self._send(_plain(431, "that is too long"))
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._send(self._answer())

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library refuses: methods that are not ours, lines that are no HTTP."""
        self.close_connection = True
        self._send(_plain(405 if code == 501 else code, message or "that is not understood here"))

    def _answer(self) -> Answer:
        if (refused := self._refusal()) is not None:
            return refused
        try:
            return answer(self.server.workspace, self.path)
        except Exception:  # a defect of ours: this page fails, the server goes on
            self.server.tell()
            return _plain(500, "this page failed, by a defect of ours; the terminal says more")

    def _refusal(self) -> Answer | None:
        heads = self.headers
        own = (f"{HOST}:{self.server.server_port}", f"localhost:{self.server.server_port}")
        if len(heads.get_all("Host") or ()) != 1 or heads["Host"] not in own:
            return _plain(421, f"ask for {own[0]}")
        if heads["Origin"] is not None and heads["Origin"] not in [f"http://{name}" for name in own]:
            return _plain(403, "that is asked from another site")
        opened = heads["Sec-Fetch-Mode"] == "navigate" and heads["Sec-Fetch-Dest"] == "document"
        if heads["Sec-Fetch-Site"] in ("cross-site", "same-site") and not opened:
            return _plain(403, "that is asked from another site")
        if heads["Transfer-Encoding"] is not None or heads.get("Content-Length", "0") != "0":
            return _plain(413, "nothing is taken here")
        if not self.path.startswith("/"):
            return _plain(400, "that is no path")
        return None

    def _send(self, found: Answer) -> None:
        body = self.server.scrubber.data(found.body)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        same = found.status == 200 and self.command == "GET" and self.headers["If-None-Match"] == tag
        self.send_response(304 if same else found.status)
        for name, value in HEADS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", found.policy)
        self.send_header("ETag", tag)
        if found.status == 405:
            self.send_header("Allow", "GET, HEAD")
        if not same:
            self.send_header("Content-Type", found.kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not same and self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is for addresses and defects."""


def _plain(status: int, what: str) -> Answer:
    return Answer(status, HTML.replace("html", "plain"), f"{what}\n".encode(), NOTHING)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = AT_ONCE

    def __init__(self, workspace: Path, port: int) -> None:
        self.workspace, self.scrubber = workspace, scrub.known()
        self._room = BoundedSemaphore(AT_ONCE)
        super().__init__((HOST, port), Handler)

    def server_bind(self) -> None:
        """As a TCP server does: the library's would ask the resolver for our name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            with suppress(OSError):
                request.settimeout(1)
                request.sendall(b"HTTP/1.0 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A client that went away in the middle is no news; all else is a defect of ours."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            self.tell()

    def tell(self) -> None:
        """Write the exception that is handled now to stderr, without the user's secrets."""
        sys.stderr.write(self.scrubber.text(traceback.format_exc()))


@dataclass(frozen=True)
class Serving:
    """Where the pages are."""

    url: str
    port: int


@contextmanager
def serving(workspace: Path, port: int = 0) -> Iterator[Serving]:
    """The pages of a workspace's runs at 127.0.0.1, at `port` or, for 0, at a free one, until it is left.

    Raises UsageError where the workspace is no folder, or the port cannot be had.
    """
    if not workspace.is_dir():
        raise UsageError(f"no folder {str(workspace)!r} to look at runs in")
    try:
        server = Server(workspace, port)
    except PermissionError:
        raise UsageError(f"port {port} is for the system's own services; choose one from 1024 on") from None
    except OSError:
        raise UsageError(f"port {port} is taken; choose another with --port (0: any free)") from None
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    try:
        yield Serving(f"http://{HOST}:{server.server_port}/", server.server_port)
    finally:
        server.shutdown()  # first: its thread would look at a socket that is closed, again and again
        server.server_close()
