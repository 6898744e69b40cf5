"""The guarded client against small servers of our own, which answer byte for byte what a test says."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from runner.errors import StepError, UsageError
from runner.fetching import Got, Unfetched
from runner.net.cache import Cache, Facts
from runner.net.client import Client, agent
from runner.net.errand import Ask
from runner.net.pace import Stop
from runner.net.urls import Secrets, parse
from runner.net.watched import Limits
from runner.settings import SETTINGS, Settings

BOOK = b"".join(b"Line %d of a book that somebody wrote.\r\n" % n for n in range(5000))
QUICK = Limits(
    connect=2, read=0.5, think=1, slowest=1000, window=0.5, total=10, steady=1e9, attempts=3, first_wait=0.01, longest_wait=0.05,
    jitter=0.01, longest_closed=5, linger=0.3,
)  # fmt: skip


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    number: int
    """How many of the same target came before."""


Answering = Callable[[Request], "bytes | Iterator[bytes]"]


def reply(
    body: bytes = b"",
    status: str = "200 OK",
    *,
    length: bool = True,
    kind: str = "text/plain",
    **headers: str,
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Date: {formatdate(usegmt=True)}", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}"] * length
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@dataclass
class Upstream:
    """A server of one thread a connection; `routes` say what each path answers, robots.txt is absent else."""

    routes: dict[str, Answering] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    busiest: int = 0
    port: int = 0
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def base(self) -> str:
        return f"http{'s' * (self.tls is not None)}://{self.place}"

    def asked(self, *, robots: bool = False) -> list[str]:
        return [r.target for r in self.requests if robots or r.target != "/robots.txt"]

    def serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self.tls:
                    connection = self.tls.wrap_socket(connection, server_side=True)
                self._answer(connection)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(
                    65536
                ):  # until the client has gone: a reset would eat what it has not read
                    pass
            except OSError:
                pass  # the client went away, as some tests make it

    def _answer(self, connection: socket.socket) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            if not (more := connection.recv(65536)):
                return
            raw += more
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        method, target, _ = first.split(" ")
        with self._lock:
            number = sum(r.target == target for r in self.requests)
            request = Request(method, target, headers, body, number)
            self.requests.append(request)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            answer = self.routes.get(target) or self.routes.get(target.partition("?")[0])
            answer = answer or (lambda _: reply(b"no", "404 Not Found"))
            out = answer(request)
            for piece in [out] if isinstance(out, bytes) else out:
                connection.sendall(piece)
        finally:
            with self._lock:
                self._busy -= 1


@contextmanager
def upstream(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    server = Upstream(host=host, tls=tls)
    with socket.create_server((host, 0), backlog=64) as listening:
        server.port = listening.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture
def other() -> Iterator[Upstream]:
    """A server on another address of this machine."""
    with upstream("127.0.0.2") as found:
        yield found


def settings(*allow: Upstream, **values: str) -> Settings:
    mine = {"allow": ",".join(s.place for s in allow), "pace": "500", "at_once": "3"} | values
    return Settings({name: s.default for name, s in SETTINGS.items()} | mine, {})


Make = Callable[..., Client]


@pytest.fixture
def client(tmp_path: Path, server: Upstream) -> Iterator[Make]:
    """Clients of one store, which may reach `server` (and what else a test allows)."""
    made: list[Client] = []

    def make(
        *allow: Upstream,
        limits: Limits = QUICK,
        tls: Any = None,
        refresh: bool = False,
        ahead: int = 32,
        **values: str,
    ) -> Client:
        mine = settings(server, *allow, **values)
        found = Client(mine, tmp_path, refresh=refresh, ahead=ahead, limits=limits, tls=tls)
        made.append(found)
        return found

    yield make
    for one in made:
        one.close()


def fixed(answer: bytes) -> Answering:
    return lambda _: answer


def everything(folder: Path) -> bytes:
    return b"\n".join(
        str(p).encode() + b"\n" + p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    )


def nothing_half(folder: Path) -> None:
    """No bytes are kept but those whose digest names them."""
    for path in (folder / "raw").rglob("*"):
        assert path.is_dir() or path.name == sha256(path.read_bytes()).hexdigest()


def refused(client: Client, url: str, match: str, **options: Any) -> Unfetched:
    with pytest.raises(Unfetched, match=match) as e:
        client.get(url, **options)
    return e.value


# ---- asked once, kept for good


def test_an_answer_is_kept(client: Make, server: Upstream, tmp_path: Path) -> None:
    server.routes["/b"] = fixed(reply(BOOK, kind="text/plain; charset=UTF-8", ETag='"1"'))
    got = client().get(f"{server.base}/b")
    assert (got.bytes(), got.sha256) == (BOOK, sha256(BOOK).hexdigest())
    assert (got.url, got.content_type, got.charset) == (f"{server.base}/b", "text/plain", "utf-8")
    assert client().get(f"{server.base}/b") == got
    assert client().path(got.sha256) == got.path
    assert got.path.stat().st_mode & 0o222 == 0
    assert server.asked(robots=True) == ["/robots.txt", "/b"]
    [entry] = [json.loads(p.read_bytes()) for p in (tmp_path / "fetched/requests").rglob("*.json")]
    assert (entry["url"], entry["sha256"], entry["etag"]) == (got.url, got.sha256, '"1"')
    assert list((tmp_path / "fetched/parts").iterdir()) == []
    sent = server.requests[-1].headers
    assert sent["user-agent"].startswith("mirepoix/") and sent["accept-encoding"] == "identity"
    assert "cookie" not in sent and "referer" not in sent


def test_the_user_agent_tells_who_asks() -> None:
    assert re.fullmatch(r"mirepoix/[\d.]+", agent(settings()))
    assert agent(settings(contact="me@example.org")).endswith(" (+me@example.org)")
    assert agent(settings(contact="a\r\nX: (b)")).endswith(" (+aX:b)")


def test_refresh_asks_once_and_only_for_what_changed(client: Make, server: Upstream) -> None:
    now = {"etag": '"1"', "body": b"one"}

    def answer(request: Request) -> bytes:
        if request.headers.get("if-none-match") == now["etag"]:
            return reply(status="304 Not Modified", length=False)
        return reply(now["body"], ETag=now["etag"], Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")

    server.routes["/b"] = answer
    url = f"{server.base}/b"
    assert client().get(url).bytes() == b"one"
    fresh = client(refresh=True)
    assert fresh.get(url).bytes() == fresh.get(url).bytes() == b"one"
    assert [r.headers.get("if-none-match") for r in server.requests if r.target == "/b"] == [None, '"1"']
    assert server.requests[-1].headers["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    now |= {"etag": '"2"', "body": b"two"}
    assert client().get(url).bytes() == b"one"
    assert client(refresh=True).get(url).bytes() == b"two"
    assert client().get(url).bytes() == b"two"
    assert len(server.asked()) == 3


def test_recorded_is_never_asked_again_and_live_always(client: Make, server: Upstream) -> None:
    server.routes["/b"] = lambda r: reply(b"%d" % r.number)
    url = f"{server.base}/b"
    mine = client(refresh=True)
    assert [mine.get(url, keep="recorded").bytes() for _ in range(2)] == [b"0", b"0"]
    assert [mine.get(url, keep="live").bytes() for _ in range(2)] == [b"1", b"2"]


def test_what_was_recorded_stays_whatever_else_fetches_it(client: Make, server: Upstream) -> None:
    server.routes["/b"] = lambda r: reply(b"%d" % r.number)
    url = f"{server.base}/b"
    assert client().get(url, keep="recorded").bytes() == b"0"
    assert client(refresh=True).get(url, keep="live").bytes() == b"1"
    assert client(refresh=True).get(url).bytes() == b"2"
    assert client(refresh=True).get(url, keep="recorded").bytes() == b"0"
    assert len(server.asked()) == 3


def test_a_bad_answer_is_not_recorded_but_a_recording_is_not_forgotten(
    client: Make, server: Upstream
) -> None:
    server.routes["/b"] = lambda r: reply(b"%d" % r.number)
    url = f"{server.base}/b"
    first = client()
    first.forget(first.get(url, keep="recorded"))
    assert first.get(url, keep="recorded").bytes() == b"1"
    later = client()
    later.forget(later.get(url, keep="recorded"))  # another tool set, which has no use for that answer
    assert later.get(url, keep="recorded").bytes() == client().get(url, keep="recorded").bytes() == b"1"
    assert len(server.asked()) == 2


def test_what_is_accepted_is_part_of_the_request(client: Make, server: Upstream) -> None:
    server.routes["/b"] = lambda r: reply(r.headers["accept"].encode())
    mine = client()
    assert mine.get(f"{server.base}/b", accept="text/plain").bytes() == b"text/plain"
    assert mine.get(f"{server.base}/b", accept="text/csv").bytes() == b"text/csv"


def test_damaged_bytes_are_asked_for_again(client: Make, server: Upstream) -> None:
    server.routes["/b"] = fixed(reply(BOOK, ETag='"1"'))
    got = client().get(f"{server.base}/b")
    for damage in (BOOK[:-1] + b"x", b"", None):
        got.path.chmod(0o644)
        got.path.unlink() if damage is None else got.path.write_bytes(damage)
        assert client().get(f"{server.base}/b").bytes() == BOOK
    assert len(server.asked()) == 4
    assert "if-none-match" not in server.requests[-1].headers


def test_a_kept_answer_must_fit_too(client: Make, server: Upstream) -> None:
    server.routes["/b"] = fixed(reply(BOOK))
    mine = client()
    mine.get(f"{server.base}/b")
    refused(mine, f"{server.base}/b", "more than the 100 allowed", most=100)


def test_two_clients_that_want_the_same_ask_once(client: Make, server: Upstream) -> None:
    server.routes["/b"] = lambda r: (time.sleep(0.2), reply(BOOK))[1]
    got: list[Got] = []
    clients = [client(), client()]
    threads = [
        threading.Thread(target=lambda c=c: got.append(c.get(f"{server.base}/b")))
        for c in clients
        for _ in "123"
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [g.bytes() for g in got] == [BOOK] * 6
    assert server.asked() == ["/b"]


def test_what_cannot_be_written_ends_the_step(client: Make, server: Upstream, tmp_path: Path) -> None:
    server.routes["/b"] = fixed(reply(BOOK))
    mine = client()
    (tmp_path / "fetched").write_text("a file where a folder should be")
    with pytest.raises(StepError, match="cannot write"):
        mine.get(f"{server.base}/b")


# ---- where it may go


def test_only_the_named_host_and_port_is_reached(client: Make, server: Upstream, other: Upstream) -> None:
    mine = client()
    e = refused(mine, f"{other.base}/x", r"the address 127\.0\.0\.2 is not a public one")
    assert not e.transient
    with upstream() as neighbour:  # the same address, another port
        refused(mine, f"{neighbour.base}/x", r"the address 127\.0\.0\.1 is not a public one")
        assert neighbour.requests == []
    refused(mine, f"http://localhost:{server.port}/x", "of localhost is not a public one")
    refused(mine, f"http://127.1:{server.port}/x", "odd way")
    assert other.requests == server.requests == []


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
def test_redirects_are_followed_by_hand(client: Make, server: Upstream, other: Upstream, status: str) -> None:
    server.routes["/a"] = fixed(reply(b"moved", status, Location="b?x=1"))
    server.routes["/b?x=1"] = fixed(reply(BOOK))
    server.routes["/out"] = fixed(reply(b"moved", status, Location=f"{other.base}/secret"))
    got = client().get(f"{server.base}/a")
    assert (got.bytes(), got.url) == (BOOK, f"{server.base}/b?x=1")
    refused(client(), f"{server.base}/out", r"127\.0\.0\.2 is not a public one")
    refused(client(), f"{server.base}/out", r"127\.0\.0\.2 is not a public one", robots=False)
    assert other.requests == []


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/hostname",
        "ftp://127.0.0.1:9/x",
        "data:text/plain,hello",
        "http://u:p@127.0.0.1/",
        "http://[",
    ],
)
def test_redirects_that_lead_nowhere_good(client: Make, server: Upstream, location: str) -> None:
    server.routes["/a"] = fixed(reply(b"", "302 Found", Location=location))
    refused(client(), f"{server.base}/a", "only http|user or password|no proper host")
    assert server.asked() == ["/a"]


def test_redirects_end(client: Make, server: Upstream) -> None:
    server.routes["/a"] = fixed(reply(b"", "302 Found", Location="/a"))
    refused(client(), f"{server.base}/a", "more than 10 redirects")
    assert len(server.asked()) == 11


def test_a_name_is_looked_up_once_and_its_address_used(
    client: Make, server: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = socket.getaddrinfo, []

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        if host in ("books.test", "rebound.test"):
            asked.append(host)
            return real("127.0.0.1", *rest, **more)
        assert re.fullmatch(r"[\d.]+", host)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    server.routes["/b"] = fixed(reply(BOOK))
    mine = client(allow=f"books.test:{server.port}")
    assert mine.get(f"http://books.test:{server.port}/b", robots=False).bytes() == BOOK
    assert server.requests[-1].headers["host"] == f"books.test:{server.port}"
    refused(
        mine, f"http://rebound.test:{server.port}/b", r"127\.0\.0\.1 of rebound\.test is not a public one"
    )
    assert asked == ["books.test", "rebound.test"]


def test_environment_variables_change_nothing(
    client: Make, server: Upstream, other: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", other.base)
    monkeypatch.setenv("ALL_PROXY", other.base)
    server.routes["/b"] = fixed(reply(BOOK))
    assert client().get(f"{server.base}/b").bytes() == BOOK
    assert other.requests == []


def test_a_proxy_is_used_and_checked_for(client: Make, server: Upstream, other: Upstream) -> None:
    """`other` is the proxy; it alone is connected to."""
    other.routes["http://only-the-proxy-knows.invalid/b"] = fixed(reply(BOOK))
    mine = client(proxy=f"http://user:word@{other.place}")
    assert mine.get("http://only-the-proxy-knows.invalid/b").bytes() == BOOK
    assert other.asked(robots=True)[0] == "http://only-the-proxy-knows.invalid/robots.txt"
    assert other.requests[-1].headers["proxy-authorization"].startswith("Basic ")
    before = len(other.requests)
    for url in ("http://127.0.0.3/", "http://169.254.169.254/", "http://localhost/", "http://[::1]/"):
        refused(mine, url, "not a public")
    assert (len(other.requests), server.requests) == (before, [])


def test_bad_settings_are_said(tmp_path: Path) -> None:
    for values in ({"pace": "fast"}, {"pace": "0"}, {"at_once": "nan"}, {"proxy": "socks5://127.0.0.1:1"}):
        with pytest.raises(UsageError, match="setting"):
            Client(settings(**values), tmp_path)


# ---- secrets


def test_secrets_go_to_their_own_host_and_nowhere_else(
    client: Make, server: Upstream, other: Upstream, tmp_path: Path
) -> None:
    def answer(request: Request) -> bytes:
        assert "appid=s3cret" in request.target and request.headers["authorization"] == "Bearer t0ken"
        return reply(b"", "302 Found", Location=f"{other.base}/b?q=1&appid=s3cret&t=t0ken")

    server.routes["/a"] = answer
    other.routes["/b"] = fixed(reply(BOOK))
    secret: dict[str, Any] = {"private": {"appid": "s3cret"}, "headers": {"Authorization": "Bearer t0ken"}}
    got = client(other).get(f"{server.base}/a?x=1", robots=False, **secret)
    assert got.url == f"{other.base}/b?q=1&t=***"
    assert other.asked() == ["/b?q=1&t=***"]
    assert "authorization" not in other.requests[-1].headers
    assert b"s3cret" not in everything(tmp_path) and b"t0ken" not in everything(tmp_path)
    assert client(other).get(f"{server.base}/a?x=1", robots=False) == got  # found without them


def test_secrets_follow_within_their_host(client: Make, server: Upstream) -> None:
    server.routes["/a"] = fixed(reply(b"", "301 M", Location="/a/"))
    server.routes["/a/?k=s3cret"] = lambda r: reply(r.headers["x-key"].encode())
    got = client().get(f"{server.base}/a", private={"k": "s3cret"}, headers={"X-Key": "open"})
    assert (got.bytes(), got.url) == (b"open", f"{server.base}/a/")


def test_no_error_tells_a_secret(client: Make, server: Upstream, tmp_path: Path) -> None:
    told = json.dumps({"cod": 401, "message": "key s3cret is\nnot  valid"}).encode()
    server.routes["/a"] = fixed(reply(told, "401 Unauthorized", kind="application/json"))
    e = refused(client(), f"{server.base}/a", "HTTP 401", private={"appid": "s3cret"})
    assert str(e) == "HTTP 401 Unauthorized: key *** is not valid" and not e.transient
    server.routes["/echo"] = fixed(b"HTTP/1.1 s3cret no\r\n\r\n")
    assert "***" in str(refused(client(), f"{server.base}/echo", "broken HTTP", headers={"X-Key": "s3cret"}))
    e = refused(client(), f"{server.base}/a", "HTTP cannot say", headers={"X-Key": "s3cret\r\nX: y"})
    assert "s3cret" not in str(e) and b"s3cret" not in everything(tmp_path)


def test_an_answer_that_tells_our_secret_is_covered_before_it_is_kept(
    client: Make, server: Upstream, tmp_path: Path
) -> None:
    key = "s3cr3t/k3y+0123456789"

    def answer(request: Request) -> bytes:
        said = request.headers["authorization"]
        told = {
            "said": said,
            "basic": base64.b64encode(b"me:" + key.encode()).decode(),
            "url": quote(key, safe=""),
        }
        content = json.dumps(told).encode()
        packed = request.target == "/packed"
        more = {"Content_Encoding": "gzip"} if packed else {}
        kind = f"application/json; charset={key}"
        return reply(gzip.compress(content) if packed else content, kind=kind, ETag=f'"{key}"', **more)

    server.routes["/a"] = server.routes["/packed"] = answer
    for path in ("/a", "/packed"):
        got = client().get(f"{server.base}{path}", robots=False, headers={"Authorization": f"Bearer {key}"})
        told = json.loads(got.bytes())
        assert told["said"] == "Bearer " + "*" * len(key) and "*" in told["basic"] and "*" in told["url"]
    kept = everything(tmp_path)
    assert key.encode() not in kept and base64.b64encode(b"me:" + key.encode())[6:-4] not in kept
    assert quote(key, safe="").encode() not in kept


def test_what_the_client_decides_no_source_may_set(client: Make, server: Upstream) -> None:
    for name in ("Host", "User-Agent", "range", "Connection", "Content-Length", "bad name"):
        with pytest.raises(ValueError, match="may not set"):
            client().get(f"{server.base}/a", headers={name: "x"})


# ---- robots.txt


def test_robots_are_obeyed_and_asked_once(client: Make, server: Upstream) -> None:
    server.routes["/robots.txt"] = fixed(
        reply(b"User-agent: *\nDisallow: /private\nUser-agent: x\nDisallow: /")
    )
    server.routes["/b"] = fixed(reply(BOOK))
    server.routes["/in"] = fixed(reply(b"", "302 F", Location="/private/x"))
    mine = client()
    answers = list(mine.get_all([f"{server.base}{p}" for p in ("/private/x", "/b", "/in", "/private")]))
    assert [str(a) if isinstance(a, Unfetched) else a.sha256 for _, a in answers] == [
        f"robots.txt of {server.place} forbids it", sha256(BOOK).hexdigest(),
        f"robots.txt of {server.place} forbids it", f"robots.txt of {server.place} forbids it",
    ]  # fmt: skip
    assert not any(a.transient for _, a in answers if isinstance(a, Unfetched))
    assert sorted(server.asked(robots=True)) == ["/b", "/in", "/robots.txt"]


def test_our_own_name_in_robots_txt_counts(client: Make, server: Upstream) -> None:
    server.routes["/robots.txt"] = fixed(
        reply(b"User-agent: *\nDisallow:\n\nUser-agent: mirepoix\nDisallow: /")
    )
    refused(client(), f"{server.base}/b", "forbids it")


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"", "404 Not Found"), reply(b"", "403 Forbidden"), reply(b""), reply(b"User-agent: *\nDisallow:"),
        reply(b"<html><p>User-agent: *\nDisallow: /</p></html>", kind="text/html"), reply(b"\xff\xfe\0nonsense\0"),
        reply(gzip.compress(b"User-agent: *\nDisallow: /q"), Content_Encoding="gzip"),
    ],
)  # fmt: skip
def test_no_rules_forbid_nothing(client: Make, server: Upstream, answer: bytes) -> None:
    server.routes |= {"/robots.txt": fixed(answer), "/b": fixed(reply(BOOK))}
    assert client().get(f"{server.base}/b").bytes() == BOOK


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"", "500 Oh"),
        reply(b"", "503 Later"),
        reply(b"", "429 Often"),
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
    ],
)
def test_robots_that_cannot_be_read_forbid_all_for_now(client: Make, server: Upstream, answer: bytes) -> None:
    server.routes |= {"/robots.txt": fixed(answer), "/b": fixed(reply(BOOK))}
    mine = client()
    e = refused(mine, f"{server.base}/b", rf"robots\.txt of {server.place} cannot be read: ")
    assert e.transient
    before = len(server.requests)
    refused(mine, f"{server.base}/c", "cannot be read")
    assert len(server.requests) == before and "/b" not in server.asked()


def test_robots_txt_is_guarded_like_all_else(client: Make, server: Upstream, other: Upstream) -> None:
    server.routes["/robots.txt"] = fixed(reply(b"", "302 F", Location=f"{other.base}/robots.txt"))
    refused(client(), f"{server.base}/b", r"127\.0\.0\.2 is not a public one")
    server.routes["/robots.txt"] = fixed(reply(b"# " + b"x" * (2 << 20)))
    refused(client(), f"{server.base}/b", "cannot be read: .* more than")
    assert other.requests == []


def test_a_documented_api_is_not_asked_for_robots_but_others_are(
    client: Make, server: Upstream, other: Upstream
) -> None:
    server.routes["/api"] = fixed(reply(b"{}", kind="application/json"))
    server.routes["/away"] = fixed(reply(b"", "302 F", Location=f"{other.base}/x"))
    other.routes["/robots.txt"] = fixed(reply(b"User-agent: *\nDisallow: /"))
    assert client(other).get(f"{server.base}/api", robots=False).bytes() == b"{}"
    refused(client(other), f"{server.base}/away", "forbids it", robots=False)
    assert server.asked(robots=True) == ["/api", "/away"]
    assert other.asked(robots=True) == ["/robots.txt"]


def test_robots_txt_itself_may_be_fetched(client: Make, server: Upstream) -> None:
    server.routes["/robots.txt"] = fixed(reply(b"User-agent: *\nDisallow: /"))
    assert client().get(f"{server.base}/robots.txt").bytes().startswith(b"User-agent")


def test_robots_txt_is_kept_for_a_day_and_asked_for_conditionally(
    client: Make, server: Upstream, tmp_path: Path
) -> None:
    def answer(request: Request) -> bytes:
        if request.headers.get("if-none-match") == '"r"':
            return reply(status="304 Not Modified", length=False)
        return reply(b"User-agent: *\nDisallow: /private", ETag='"r"')

    server.routes |= {"/robots.txt": answer, "/b": fixed(reply(BOOK)), "/c": fixed(reply(BOOK))}

    def tags() -> list[str | None]:
        return [r.headers.get("if-none-match") for r in server.requests if r.target == "/robots.txt"]

    client().get(f"{server.base}/b")
    client().get(f"{server.base}/c")
    refused(client(), f"{server.base}/private", "forbids it")
    assert tags() == [None]
    for file in (tmp_path / "fetched/requests").rglob("*.json"):
        os.utime(file, (time.time() - 90_000,) * 2)
    for _ in range(2):  # "not modified" is good for another day
        refused(client(), f"{server.base}/private", "forbids it")
        assert tags() == [None, '"r"']
    refused(client(refresh=True), f"{server.base}/private", "forbids it")
    assert tags() == [None, '"r"', '"r"']


def test_that_there_is_no_robots_txt_is_kept_until_there_is_one(
    client: Make, server: Upstream, tmp_path: Path
) -> None:
    server.routes |= {f"/{n}": fixed(reply(BOOK)) for n in range(3)}
    for n in range(3):
        client().get(f"{server.base}/{n}")
    assert server.asked(robots=True) == ["/robots.txt", "/0", "/1", "/2"]
    server.routes["/robots.txt"] = fixed(reply(b"User-agent: *\nDisallow: /"))
    [note] = (tmp_path / "fetched/requests").rglob("*.none")
    os.utime(note, (time.time() - 90_000,) * 2)
    for _ in range(2):
        refused(client(), f"{server.base}/4", "forbids it")
    assert server.asked(robots=True).count("/robots.txt") == 2


def test_a_robots_txt_that_came_counts_before_an_older_absence(client: Make, server: Upstream) -> None:
    server.routes["/b"] = fixed(reply(BOOK))
    client().get(f"{server.base}/b")
    server.routes["/robots.txt"] = fixed(reply(b"User-agent: *\nDisallow: /"))
    refused(client(refresh=True), f"{server.base}/b", "forbids it")
    refused(client(), f"{server.base}/c", "forbids it")


def test_a_crawl_delay_beyond_reason_is_said(client: Make, server: Upstream) -> None:
    server.routes["/robots.txt"] = fixed(reply(b"User-agent: *\nCrawl-delay: 86400"))
    refused(client(), f"{server.base}/b", "asks for 86400 s between requests")
    assert server.asked() == []


# ---- whole or not at all


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n" * end


HTTP10 = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (chunked(BOOK[:999], BOOK[999:]), BOOK),
        (HTTP10 + BOOK, BOOK),
        (HTTP10.replace(b"plain", b"json") + b'{"a": 1}', b'{"a": 1}'),
        (reply(gzip.compress(BOOK), Content_Encoding="gzip"), BOOK),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + reply(b"hints"), b"hints"),
        (reply(BOOK, Content_Length=str(len(BOOK))), BOOK),
    ],
)
def test_whole_bodies(client: Make, server: Upstream, answer: bytes, body: bytes) -> None:
    server.routes["/b"] = fixed(answer)
    got = client().get(f"{server.base}/b")
    assert (got.bytes(), got.sha256) == (body, sha256(body).hexdigest())
    assert got.proven is (answer != HTTP10 + BOOK)
    assert client().get(f"{server.base}/b") == got


def test_a_cut_that_nothing_tells_is_known_as_not_proven(client: Make, server: Upstream) -> None:
    server.routes |= {"/b": fixed(HTTP10 + BOOK[:1000]), "/c": fixed(HTTP10 + b'{"a": 1}\n{"a": 2}\n')}
    assert not client().get(f"{server.base}/b").proven
    assert not client().get(f"{server.base}/c").proven
    page = b"<html><body>" + b"<p>The raft went on.</p>" * 40 + b"</body></html>"
    html = HTTP10.replace(b"plain", b"html")
    server.routes |= {"/whole": fixed(html + page), "/cut": fixed(html + page[:400])}
    assert client().get(f"{server.base}/whole").proven
    refused(client(), f"{server.base}/cut", "the page is cut off")


def test_a_rest_that_fits_proves_the_whole(client: Make, server: Upstream, tmp_path: Path) -> None:
    url = f"{server.base}/b"
    ask = Ask(parse(url), "*/*", 1 << 20, "normal", Secrets({}, {}))
    with Cache(tmp_path).holding(ask.key, Stop()) as part:  # killed while a body without length came
        part.begin(Facts(url, resume='"1"', etag='"1"'))
        part.append(0, [BOOK[:1000]], 1 << 20)
    server.routes["/b"] = serve_ranges(BOOK)
    got = client().get(url)
    assert got.bytes() == BOOK and got.proven


def test_a_body_without_end_is_asked_for_once_in_a_run(client: Make, server: Upstream) -> None:
    def endless(_: Request) -> Iterator[bytes]:
        yield HTTP10
        for _ in range(4000):
            yield bytes(65536)

    server.routes |= {"/b": endless, "/c": endless}
    mine = client()
    for _ in range(2):
        e = refused(mine, f"{server.base}/b", "more than the 1,000,000 bytes allowed", most=1_000_000)
        assert e.gone and not e.transient
    [(_, one), (_, two)] = mine.get_all([f"{server.base}/c"] * 2, most=1_000_000)
    assert isinstance(one, Unfetched) and str(one) == str(two)
    assert server.asked() == ["/b", "/c"]
    refused(mine, f"{server.base}/b", "more than the 2,000,000", most=2_000_000)
    refused(
        client(), f"{server.base}/b", "more than the 1,000,000", most=1_000_000
    )  # the next run asks again
    assert server.asked() == ["/b", "/c", "/b", "/b"]


def test_what_is_gone_and_what_only_failed(client: Make, server: Upstream) -> None:
    server.routes["/robots.txt"] = fixed(reply(b"User-agent: *\nDisallow: /private"))
    server.routes |= {f"/{s}": fixed(reply(b"", f"{s} X")) for s in (401, 403, 404, 410, 429, 451, 503)}
    mine = client()
    said = {
        path: refused(mine, f"{server.base}/{path}", ".").gone for path in ("private", "404", "410", "451")
    }
    assert all(said.values())
    for path in ("401", "403", "429", "503"):
        assert not refused(mine, f"{server.base}/{path}", f"HTTP {path}").gone
    assert not refused(mine, "http://127.0.0.9:1/x", "not a public").gone
    assert not refused(
        mine, f"{server.base}/404", "HTTP 404", robots=False
    ).gone  # a setting that leads nowhere
    [(_, answer)] = mine.get_all([f"{server.base}/404"], robots=False)
    assert isinstance(answer, Unfetched) and not answer.gone


@pytest.mark.parametrize(
    ("answer", "why", "transient"),
    [
        (reply(BOOK)[:-1], "ended the connection before", True),
        (reply(BOOK)[:30], "ended the connection before", True),
        (b"", "ended the connection before", True),
        (chunked(BOOK, end=False), "ended the connection before", True),
        (chunked(BOOK)[:-2], "ended the connection before", True),
        (reply(BOOK) + b"x", "more bytes came than", False),
        (reply(BOOK) + reply(b"a second answer"), "more bytes came than", False),
        (reply(BOOK, length=False, Content_Length="lots"), "broken HTTP", False),
        (reply(BOOK, length=False, Content_Length="-1"), "broken HTTP", False),
        (reply(BOOK, Content_Length="7"), "broken HTTP: conflicting", False),
        (reply(BOOK, length=False, Transfer_Encoding="gzip, chunked"), "broken HTTP", False),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "broken HTTP", False),
        (reply(b""), "the answer is empty", True),
        (reply(status="204 No Content", length=False), "HTTP 204", False),
        (HTTP10 + b'{"a": {"b": 1}', "broken JSON", True),
        (HTTP10[:-2] + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(BOOK)[:-9], "cut off", True),
        (reply(BOOK, Content_Encoding="gzip"), "packing is broken", True),
        (reply(BOOK, Content_Encoding="br"), "not asked for", False),
        (reply(gzip.compress(bytes(9 << 20)), Content_Encoding="gzip"), "200 times its size", False),
        (reply(BOOK, "206 Partial", Content_Range=f"bytes 0-{len(BOOK) - 1}/{len(BOOK)}"), "HTTP 206", False),
        (reply(status="304 Not Modified", length=False), "HTTP 304", False),
        (reply(b"", "302 Found"), "HTTP 302", False),
        (
            reply(BOOK, **{f"X-{n}": "x" * 4000 for n in range(90)}),
            "broken HTTP|headers are too large",
            False,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000 + reply(BOOK), "headers are too large", False),
        (reply(BOOK, length=False, Content_Length=str(1 << 40)), "more than the 67,108,864 allowed", False),
    ],
    ids=count(),  # what is sent holds the time
)
def test_what_is_not_whole_is_nothing(
    client: Make, server: Upstream, tmp_path: Path, answer: bytes, why: str, transient: bool
) -> None:
    server.routes["/b"] = fixed(answer)
    assert refused(client(), f"{server.base}/b", why).transient is transient
    assert len(server.asked()) == (3 if why.startswith("ended") else 1)
    assert list((tmp_path / "raw").rglob("?" * 64)) == []
    assert list((tmp_path / "fetched/parts").iterdir()) == []


def test_more_than_is_allowed_is_not_read_on(client: Make, server: Upstream, tmp_path: Path) -> None:
    sent = []

    def endless(_: Request) -> Iterator[bytes]:
        yield chunked(end=False)
        for _ in range(4000):
            yield b"10000\r\n" + bytes(65536) + b"\r\n"
            sent.append(65536)

    server.routes["/b"] = endless
    refused(client(), f"{server.base}/b", "more than the 1,000,000 bytes allowed", most=1_000_000)
    assert sum(sent) < 100 << 20 and list((tmp_path / "fetched/parts").iterdir()) == []


def test_a_page_where_data_was_asked_for(client: Make, server: Upstream) -> None:
    page = b"<!doctype html><title>Checking your browser</title>"
    server.routes |= {"/b": fixed(reply(page, kind="text/html; charset=utf-8")), "/c": fixed(reply(page))}
    for path in ("/b", "/c"):
        refused(client(), f"{server.base}{path}", "a web page came instead", accept="text/plain")
        assert client().get(f"{server.base}{path}").bytes() == page
    refused(client(), f"{server.base}/b", "a web page came instead", accept="application/json")


# ---- slow, broken, and in parts


def serve_ranges(body: bytes, *cuts: int, tag: str = '"1"', log: list[str] | None = None) -> Answering:
    """Serves `body` with ranges, and ends the n-th connection after cuts[n] bytes."""

    def answer(request: Request) -> bytes:
        start = 0
        if (asked := request.headers.get("range")) and request.headers.get("if-range") == tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if log is not None:
            log.append(f"{asked} {request.headers.get('if-range')}")
        part, total = body[start:], len(body)
        if start:
            out = reply(part, "206 Partial", ETag=tag, Content_Range=f"bytes {start}-{total - 1}/{total}")
        else:
            out = reply(part, ETag=tag)
        cut = cuts[request.number] if request.number < len(cuts) else len(part)
        return out[: len(out) - len(part) + cut]

    return answer


def test_a_cut_download_goes_on_where_it_was(client: Make, server: Upstream) -> None:
    log: list[str] = []
    server.routes["/b"] = serve_ranges(BOOK, 1000, 500, log=log)
    assert client().get(f"{server.base}/b").bytes() == BOOK
    assert log == ["None None", 'bytes=1000- "1"', 'bytes=1500- "1"']


def test_another_process_goes_on_too(client: Make, server: Upstream, tmp_path: Path) -> None:
    log: list[str] = []
    server.routes["/b"] = serve_ranges(BOOK, 1000, 500, 500, 500, log=log)
    refused(client(), f"{server.base}/b", "ended the connection")
    nothing_half(tmp_path)
    assert client().get(f"{server.base}/b").bytes() == BOOK
    assert log[3:] == ['bytes=2000- "1"', 'bytes=2500- "1"']


@pytest.mark.parametrize(
    ("range", "length", "again"),
    [
        (f"bytes */{len(BOOK)}", True, 0),  # the server says that there is no more
        (f"bytes */{len(BOOK)}", False, 0),  # nor had it said how much there would be
        (f"bytes */{len(BOOK) + 1}", True, 1),
        ("", True, 1),
    ],
)
def test_killed_when_all_had_come_no_byte_comes_twice(
    client: Make, server: Upstream, tmp_path: Path, range: str, length: bool, again: int
) -> None:
    sent: list[str] = []

    def answer(request: Request) -> bytes:
        sent.append(request.headers.get("range", "whole"))
        if "range" in request.headers:
            return reply(b"", "416 No", **({"Content_Range": range} if range else {}))
        return reply(BOOK, ETag='"1"')

    url = f"{server.base}/b"
    ask = Ask(parse(url), "*/*", 1 << 20, "normal", Secrets({}, {}))
    with Cache(tmp_path).holding(ask.key, Stop()) as part:  # as a kill leaves it
        part.begin(Facts(url, resume='"1"', etag='"1"', total=len(BOOK) if length else -1, proven=True))
        part.append(0, [BOOK], 1 << 20)
    server.routes["/b"] = answer
    assert client().get(url).bytes() == BOOK
    assert sent == [f"bytes={len(BOOK)}-", *["whole"] * again]
    nothing_half(tmp_path)


def test_a_part_that_was_announced_too_short_is_not_the_whole(
    client: Make, server: Upstream, tmp_path: Path
) -> None:
    url = f"{server.base}/b"
    ask = Ask(parse(url), "*/*", 1 << 20, "normal", Secrets({}, {}))
    with Cache(tmp_path).holding(ask.key, Stop()) as part:
        part.begin(Facts(url, resume='"1"', etag='"1"', total=1000, proven=True))
        part.append(0, [BOOK[:1000]], 1 << 20)
    server.routes["/b"] = serve_ranges(BOOK)
    assert client().get(url).bytes() == BOOK


def test_long_downloads_may_be_cut_often(client: Make, server: Upstream) -> None:
    body = bytes(range(256)) * (6 << 12)
    server.routes["/b"] = serve_ranges(body, *[1 << 20] * 5)
    assert client().get(f"{server.base}/b").bytes() == body
    assert len(server.asked()) == 6


def test_a_file_that_changed_starts_over(client: Make, server: Upstream) -> None:
    first, then = serve_ranges(BOOK, 1000), serve_ranges(BOOK[::-1], tag='"2"')
    server.routes["/b"] = lambda r: first(r) if r.number == 0 else then(r)
    assert client().get(f"{server.base}/b").bytes() == BOOK[::-1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Range": f"bytes 999-{len(BOOK) - 1}/{len(BOOK)}"},
        {"Content_Range": f"bytes 1001-{len(BOOK)}/{len(BOOK) + 1}"},
        {"Content_Range": f"bytes 1000-{len(BOOK)}/{len(BOOK) + 1}"},
        {"Content_Range": "bytes 1000-1001/*"},
        {"Content_Range": "pages 1-2/3"},
        {},
        {"Content_Range": f"bytes 1000-{len(BOOK) - 1}/{len(BOOK)}", "ETag": '"2"'},
        {"Content_Range": f"bytes 1000-{len(BOOK) - 1}/{len(BOOK)}", "Content_Encoding": "gzip"},
    ],
)
def test_a_rest_that_does_not_fit_is_not_taken(
    client: Make, server: Upstream, headers: dict[str, str]
) -> None:
    good = serve_ranges(BOOK, 1000)

    def answer(request: Request) -> bytes:
        if "range" in request.headers:
            return reply(BOOK[1000:], "206 Partial", **headers)
        return good(request)

    server.routes["/b"] = answer
    assert client().get(f"{server.base}/b").bytes() == BOOK
    assert [("range" in r.headers) for r in server.requests if r.target == "/b"] == [False, True, False]


def test_a_rest_in_pieces_is_put_together(client: Make, server: Upstream) -> None:
    good = serve_ranges(BOOK, 1000)

    def answer(request: Request) -> bytes:
        if request.headers.get("range") == "bytes=1000-":
            return reply(BOOK[1000:3000], "206 Partial", Content_Range=f"bytes 1000-2999/{len(BOOK)}")
        return good(request)

    server.routes["/b"] = answer
    assert client().get(f"{server.base}/b").bytes() == BOOK


def test_a_range_that_is_not_there_starts_over(client: Make, server: Upstream) -> None:
    good = serve_ranges(BOOK, 1000)
    server.routes["/b"] = lambda r: reply(b"", "416 No") if "range" in r.headers else good(r)
    assert client().get(f"{server.base}/b").bytes() == BOOK


@pytest.mark.parametrize(
    "headers",
    [{}, {"ETag": 'W/"1"'}, {"ETag": "1"}, {"ETag": '"1"', "Accept_Ranges": "none"}, {"Last_Modified": "yesterday"},
     {"Last_Modified": "this minute"}],
)  # fmt: skip
def test_without_a_sure_mark_nothing_is_resumed(
    client: Make, server: Upstream, headers: dict[str, str]
) -> None:
    if headers.get("Last_Modified") == "this minute":
        headers = {"Last_Modified": formatdate(usegmt=True)}
    whole = reply(BOOK, **headers)
    server.routes["/b"] = lambda r: whole if r.number else whole[:-1000]
    assert client().get(f"{server.base}/b").bytes() == BOOK
    assert all("range" not in r.headers for r in server.requests)


def test_an_old_date_is_mark_enough(client: Make, server: Upstream) -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    whole = reply(BOOK, Last_Modified=date)
    rest = reply(BOOK[1000:], "206 P", Content_Range=f"bytes 1000-{len(BOOK) - 1}/{len(BOOK)}")
    server.routes["/b"] = lambda r: rest if r.headers.get("if-range") == date else whole[: 1000 - len(BOOK)]
    assert client().get(f"{server.base}/b").bytes() == BOOK


def test_a_lie_about_the_length_is_found_in_the_rest_too(
    client: Make, server: Upstream, tmp_path: Path
) -> None:
    good = serve_ranges(BOOK, 1000)
    server.routes["/b"] = lambda r: good(r) + b"x" * ("range" in r.headers)
    refused(client(), f"{server.base}/b", "more bytes came than")
    nothing_half(tmp_path)


def trickle(*pieces: bytes, pause: float) -> Answering:
    def answer(_: Request) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            time.sleep(pause)

    return answer


def test_slow_servers_are_given_up(client: Make, server: Upstream) -> None:
    whole = reply(BOOK)
    server.routes |= {
        "/silent": trickle(b"", pause=3),
        "/stalls": trickle(whole[:5000], b"x", pause=3),
        "/drips": trickle(whole[:300], *[b"x"] * 100, pause=0.05),
        "/drips-head": trickle(*[b"H"] * 400, pause=0.05),
    }
    mine = client(limits=Limits(**{**QUICK.__dict__, "attempts": 1, "steady": 1e12}))
    assert refused(mine, f"{server.base}/silent", "nothing came for 0.5 s").transient
    assert refused(mine, f"{server.base}/stalls", "nothing came for 0.5 s").transient
    assert refused(mine, f"{server.base}/drips", "slower than 1000 bytes a second").transient
    patient = Limits(**{**QUICK.__dict__, "attempts": 1, "read": 30, "total": 1.0, "steady": 1e12})
    assert refused(client(limits=patient), f"{server.base}/drips-head", "too long in all").transient


def test_a_connection_that_is_refused_is_tried_again(client: Make, server: Upstream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    mine = client(allow=f"127.0.0.1:{port}")
    e = refused(mine, f"http://127.0.0.1:{port}/b", "cannot be reached: Connection refused", robots=False)
    assert e.transient


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(client: Make, server: Upstream, status: int) -> None:
    server.routes["/b"] = lambda r: reply(BOOK) if r.number == 2 else reply(b"", f"{status} X")
    server.routes["/c"] = fixed(reply(b"", f"{status} X"))
    assert client().get(f"{server.base}/b").bytes() == BOOK
    assert refused(client(), f"{server.base}/c", f"HTTP {status}").transient
    assert server.asked() == ["/b"] * 3 + ["/c"] * 3


@pytest.mark.parametrize(("status", "transient"), [(401, False), (403, False), (404, False), (410, False), (451, False), (501, True)])  # fmt: skip
def test_lasting_failures_are_not(client: Make, server: Upstream, status: int, transient: bool) -> None:
    server.routes["/b"] = fixed(reply(b"<html>", f"{status} X", kind="text/html"))
    assert refused(client(), f"{server.base}/b", f"HTTP {status}").transient is transient
    assert server.asked() == ["/b"]


def test_a_host_that_wants_to_be_left_alone_for_long_is(client: Make, server: Upstream) -> None:
    server.routes["/b"] = fixed(reply(b"", "429 X", Retry_After="86400"))
    mine = client()
    closed = f"{server.place} asks to be left alone for 86400 s \\(24 hours\\), longer than the 5 s that are waited"
    e = refused(mine, f"{server.base}/b", f"HTTP 429 Too Many Requests; {closed}: it was not asked again")
    assert e.transient
    assert refused(mine, f"{server.base}/c", f"^{closed}").transient
    assert server.asked() == ["/b"]


def test_other_hosts_go_on_beside_one_that_is_closed(client: Make, server: Upstream, other: Upstream) -> None:
    server.routes |= {f"/{n}": fixed(reply(b"", "429 X", Retry_After="604800")) for n in range(4)}
    other.routes |= {f"/{n}": fixed(reply(b"%d" % n)) for n in range(4)}
    urls = [f"{s.base}/{n}" for n in range(4) for s in (server, other)]
    got = dict(client(other, at_once="1").get_all(urls))
    assert [g.bytes() for u, g in got.items() if isinstance(g, Got)] == [b"0", b"1", b"2", b"3"]
    why = [str(g) for g in got.values() if isinstance(g, Unfetched)]
    assert len(why) == 4 and all("left alone for 604800 s (7 days)" in w for w in why)
    assert len(set(why)) == 2  # the same words for all that came after the first
    assert len(server.asked()) == 1


def test_retry_after_holds_for_the_whole_host(client: Make, server: Upstream) -> None:
    times: list[float] = []

    def answer(request: Request) -> bytes:
        times.append(time.monotonic())
        return reply(BOOK) if len(times) > 1 else reply(b"", "503 X", Retry_After="1")

    server.routes |= {"/b": answer, "/c": answer, "/d": answer}
    answers = list(client(at_once="1").get_all([f"{server.base}/{x}" for x in "bcd"]))
    assert all(isinstance(a, Got) for _, a in answers)
    assert min(times[1:]) - times[0] >= 1  # a promise to the server, not a speed


# ---- several at once


def test_many_come_in_order_within_the_limits(client: Make, server: Upstream, other: Upstream) -> None:
    def answer(request: Request) -> bytes:
        time.sleep(0.03)
        return reply(request.target.encode())

    urls = [f"{s.base}/{n}" for n in range(30) for s in (server, other)]
    for n in range(30):
        server.routes[f"/{n}"] = answer
        if n % 7:
            other.routes[f"/{n}"] = answer
    answers = list(client(other).get_all(urls))
    assert [url for url, _ in answers] == urls
    for url, got in answers:
        if url.startswith(other.base) and int(url.rpartition("/")[2]) % 7 == 0:
            assert isinstance(got, Unfetched) and "404" in str(got)
        else:
            assert isinstance(got, Got) and got.bytes().decode() == "/" + url.rpartition("/")[2]
    assert 1 < server.busiest <= 3 and other.busiest <= 3


def test_the_same_address_many_times_is_asked_for_once(client: Make, server: Upstream) -> None:
    server.routes["/b"] = fixed(reply(BOOK))
    answers = list(client().get_all([f"{server.base}/b"] * 50))
    assert len(answers) == 50 and all(isinstance(a, Got) for _, a in answers)
    assert server.asked() == ["/b"]


def test_a_bad_address_fails_alone(client: Make, server: Upstream) -> None:
    server.routes["/b"] = fixed(reply(BOOK))
    (_, bad), (_, good) = client().get_all(["ftp://x/", f"{server.base}/b"])
    assert isinstance(bad, Unfetched) and isinstance(good, Got)


def test_addresses_are_taken_as_needed_and_threads_end(client: Make, server: Upstream) -> None:
    taken = []

    def urls() -> Iterator[str]:
        for n in range(10_000):
            taken.append(n)
            yield f"{server.base}/{n}"

    before = set(threading.enumerate())
    answers = client().get_all(urls())
    assert taken == []
    next(answers)
    assert len(taken) < 100
    answers.close()  # type: ignore[attr-defined]
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("fetch")]
    asked = len(server.requests)
    time.sleep(0.1)
    assert len(server.requests) == asked < 100


def test_nothing_is_asked_for_before_it_is_needed(client: Make, server: Upstream) -> None:
    server.routes |= {f"/{n}": fixed(reply(b"%d" % n)) for n in range(30)}
    answers = client(ahead=1).get_all(f"{server.base}/{n}" for n in range(30))
    for n in range(3):
        assert next(answers)[0] == f"{server.base}/{n}"
        time.sleep(0.05)
        assert server.asked() == [f"/{m}" for m in range(n + 1)]
    answers.close()


def test_closing_ends_what_is_under_way(client: Make, server: Upstream) -> None:
    server.routes["/b"] = trickle(reply(BOOK)[:500], b"", pause=60)
    mine = client(limits=Limits(read=60))
    failed: list[Unfetched] = []

    def fetch() -> None:
        try:
            mine.get(f"{server.base}/b")
        except Unfetched as e:
            failed.append(e)

    thread = threading.Thread(target=fetch)
    thread.start()
    while "/b" not in server.asked():
        time.sleep(0.01)
    mine.close()
    thread.join(10)
    assert [str(e) for e in failed] == ["the fetch was ended"]


# ---- POST


def test_a_post_is_kept_by_its_body(client: Make, server: Upstream) -> None:
    server.routes["/v1/chat"] = lambda r: reply(
        b'{"said": %d, "to": %s}' % (r.number, r.body), kind="application/json"
    )
    mine, url = client(), f"{server.base}/v1/chat"
    asked = {"accept": "application/json", "robots": False, "headers": {"Authorization": "Bearer t0ken"}}
    one = mine.get(url, body=b'"a"', **asked)  # type: ignore[arg-type]
    two = mine.get(url, body=b'"b"', **asked)  # type: ignore[arg-type]
    assert [one.bytes(), two.bytes()] == [b'{"said": 0, "to": "a"}', b'{"said": 1, "to": "b"}']
    assert client().get(url, body=b'"a"', **asked) == one  # type: ignore[arg-type]
    assert len(server.requests) == 2
    assert server.requests[0].method == "POST"
    assert server.requests[0].headers["content-type"] == "application/json"
    assert server.requests[0].headers["authorization"] == "Bearer t0ken"


def test_errors_of_a_post_are_not_kept(client: Make, server: Upstream, tmp_path: Path) -> None:
    bad = reply(b'{"error": {"message": "too long a prompt."}}', "400 Bad Request", kind="application/json")
    server.routes["/v1"] = lambda r: bad if r.number == 0 else reply(b"{}", kind="application/json")
    refused(
        client(), f"{server.base}/v1", "^HTTP 400 Bad Request: too long a prompt$", body=b"{}", robots=False
    )
    assert everything(tmp_path) == b""
    assert client().get(f"{server.base}/v1", body=b"{}", robots=False).bytes() == b"{}"


def test_a_post_is_told_to_no_other_host(client: Make, server: Upstream, other: Upstream) -> None:
    server.routes["/v1"] = fixed(reply(b"", "307 T", Location=f"{other.base}/v1"))
    server.routes["/v2"] = fixed(reply(b"", "302 F", Location="/v3"))
    server.routes["/v4"] = fixed(reply(b"", "308 P", Location="/v5"))
    server.routes["/v5"] = lambda r: reply(r.body)
    for path in ("/v1", "/v2"):
        refused(client(other), f"{server.base}{path}", "a POST is redirected", body=b"{}", robots=False)
    assert other.requests == [] and "/v3" not in server.asked()
    assert client().get(f"{server.base}/v4", body=b'"x"', robots=False).bytes() == b'"x"'


# ---- https


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    if not shutil.which("openssl"):
        pytest.skip("the openssl command is not here")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_https_is_proven(client: Make, certificate: tuple[str, str], server: Upstream) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with upstream(tls=context) as secure, upstream(tls=context) as named:
        secure.routes["/b"] = fixed(reply(BOOK))
        secure.routes["/lies"] = fixed(reply(BOOK) + b"x")
        secure.routes["/down"] = fixed(reply(b"", "302 F", Location=f"{server.base}/b"))
        with upstream() as plain:
            secure.routes["/worse"] = fixed(reply(b"", "302 F", Location=f"http://127.0.0.1:{plain.port}/b"))
            server.routes["/b"] = fixed(reply(b"plain"))
            refused(client(secure), f"{secure.base}/b", "the certificate of .* does not hold")
            trusting = ssl.create_default_context(cafile=certificate[0])
            mine = client(secure, tls=trusting)
            assert mine.get(f"{secure.base}/b").bytes() == BOOK
            refused(mine, f"{secure.base}/lies", "more bytes came than")
            assert mine.get(f"{secure.base}/down").bytes() == b"plain"  # the user's settings name that place
            refused(mine, f"{secure.base}/worse", "redirected from https to plain http")
            assert plain.requests == []
        assert named.requests == []


@contextmanager
def tunnel(asked: list[str]) -> Iterator[int]:
    """A proxy that knows CONNECT alone, and connects to port N of this machine for anybody:N; its own port."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve(connection: socket.socket) -> None:
        with connection:
            target = connection.recv(65536).split()[1].decode()
            asked.append(target)
            if target.startswith("no."):
                connection.sendall(b"HTTP/1.1 403 No\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as there:
                connection.sendall(b"HTTP/1.1 200 Yes\r\n\r\n")
                back = threading.Thread(target=pump, args=(there, connection), daemon=True)
                back.start()
                pump(connection, there)
                back.join()

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_https_through_a_proxy(client: Make, certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=certificate[0])
    asked: list[str] = []
    with upstream(tls=context) as secure, tunnel(asked) as port:
        secure.routes |= {"/b": fixed(reply(BOOK)), "/lies": fixed(reply(BOOK) + b"x")}
        mine = client(secure, proxy=f"http://127.0.0.1:{port}", tls=trusting)
        assert mine.get(f"{secure.base}/b").bytes() == BOOK
        refused(mine, f"{secure.base}/lies", "more bytes came than")
        refused(mine, "https://no.invalid/x", "the proxy refuses: 403", robots=False)
        n = len(asked)
        refused(mine, "https://127.0.0.1/x", "not a public one")
        refused(mine, f"http://127.0.0.1:{port}/x", "not a public one")  # the proxy is one, and no source
        assert len(asked) == n and set(asked) == {secure.place, "no.invalid:443"}
