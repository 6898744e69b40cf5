"""Requests that other processes send: what is promised to a host holds for all of them together."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from request_workers import Workers
from test_net_client import (
    BOOK,
    QUICK,
    Request,
    Upstream,
    everything,
    fixed,
    nothing_half,
    reply,
    settings,
    upstream,
)

from runner.errors import StepError
from runner.fetching import Got, Unfetched
from runner.net.away import Setup, Worker, loopback
from runner.net.client import Client
from runner.net.errand import Ask, Errand
from runner.net.failures import Again, Lost, NotHere, NotPublic, Refused, Stopped, TooMuch
from runner.net.guard import Guard
from runner.net.lanes import Lanes
from runner.net.pace import Pace, Stop, Turn
from runner.net.remote import Remote
from runner.net.urls import Secrets, parse

PATIENT = replace(QUICK, read=5, total=60)


@pytest.fixture(scope="module")
def _two() -> Iterator[Workers]:
    found = Workers(2)
    yield found
    found.end()


@pytest.fixture
def two(_two: Workers) -> Workers:
    """Two workers, which no test may kill."""
    _two.had.clear()
    _two.loopback = ""
    return _two


@pytest.fixture
def hosts() -> Iterator[tuple[Upstream, Upstream]]:
    with upstream("127.0.0.2") as one, upstream("127.0.0.3") as other:
        yield one, other


Found = list[tuple[str, "Got | Unfetched"]]


def had(found: Found) -> list[tuple[str, str, str]]:
    """What came, as a lock file would tell it."""
    return [
        (url, got.sha256, got.url) if isinstance(got, Got) else (url, type(got).__name__, f"{got} {got.gone}")
        for url, got in found
    ]


def numbered(request: Request) -> bytes:
    return reply(request.target.encode() * 100)


def pages(server: Upstream, number: int, answer: Callable[[Request], bytes] = numbered) -> list[str]:
    server.routes |= {f"/{n}": answer for n in range(number)}
    return [f"{server.base}/{n}" for n in range(number)]


# ---- what comes


def test_what_comes_is_what_comes_here(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    one, other = hosts
    urls = [u for pair in zip(pages(one, 8), pages(other, 8), strict=True) for u in pair]
    one.routes |= {
        "/robots.txt": fixed(reply(b"User-agent: *\nDisallow: /3")),
        "/gone": fixed(reply(b"", "410 Gone")),
        "/broken": lambda r: reply(b"oh", "500 Oh"),
        "/away": lambda r: reply(b"", "302 Found", Location=f"{other.base}/0"),
        "/inside": lambda r: reply(b"", "302 Found", Location="http://127.0.0.9:1/"),
        "/large": fixed(reply(b"x" * 400_000)),
        "/packed": fixed(reply(b"no gzip", Content_Encoding="gzip")),
        "/book": fixed(reply(BOOK)),
    }
    urls += [f"{one.base}/{n}" for n in ("gone", "broken", "away", "inside", "large", "packed", "book", "0")]
    urls += ["ftp://a/", "http://127.0.0.9:1/", f"{one.base}/missing"]
    found: list[list[tuple[str, str, str]]] = []
    for place, away in (("here", None), ("there", two.connect)):
        with Client(settings(one, other), tmp_path / place, limits=PATIENT, away=away) as client:
            found.append(had(list(client.get_all(urls, most=300_000))))
            assert {got for got in found[-1] if len(got[1]) == 64}
        nothing_half(tmp_path / place)
        assert list((tmp_path / place / "fetched/parts").iterdir()) == []
    here, there = found
    assert there == here
    kinds = {kind for _, kind, _ in here if len(kind) < 64}
    assert kinds == {"Refused", "Again", "TooMuch", "Unfetched"}
    assert set(two.had) == {0, 1} and len(two.had) >= len(urls) - 5


def test_what_is_kept_is_not_asked_for_and_starts_nothing(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    def never() -> None:
        raise AssertionError("nothing is to be sent")

    urls = pages(hosts[0], 3)
    with Client(settings(*hosts), tmp_path, limits=PATIENT) as client:
        first = had(list(client.get_all(urls)))
    with Client(settings(*hosts), tmp_path, limits=PATIENT, away=never) as client:  # type: ignore[arg-type]
        assert had(list(client.get_all([*urls, "ftp://a/"])))[:-1] == first
        assert client.get(f"{hosts[0].base}/0", keep="live").sha256  # one alone is asked for from here
    with Client(settings(*hosts), tmp_path, limits=PATIENT, away=two.connect, refresh=True) as client:
        assert had(list(client.get_all(urls))) == first
    assert len(two.had) == 3


def test_what_has_changed_alone_comes_again(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    def answer(request: Request) -> bytes:
        if request.headers.get("if-none-match") == '"1"':
            return reply(status="304 Not Modified", length=False)
        return reply(b"one", ETag='"1"')

    urls = pages(hosts[0], 2, answer)
    for refresh in (False, True):
        with Client(settings(*hosts), tmp_path, limits=PATIENT, away=two.connect, refresh=refresh) as client:
            assert all(isinstance(got, Got) and got.bytes() == b"one" for _, got in client.get_all(urls))
    assert [r.headers.get("if-none-match") for r in hosts[0].requests if r.target == "/0"] == [None, '"1"']
    assert len(two.had) == 4


def test_errors_arrive_as_they_are() -> None:
    for error in (
        Unfetched("u", transient=True, gone=True), Again("a", 3.5), Refused(404, "r", False), Refused(429, "r", True, 7.0),
        TooMuch("m"), NotPublic("n"), NotHere("h"), Lost(), Stopped(),
    ):  # fmt: skip
        there = pickle.loads(pickle.dumps(error))
        assert type(there) is type(error) and str(there) == str(error)
        assert vars(there) == vars(error)


# ---- what a host is promised


def test_the_pace_of_a_host_is_that_of_all_workers(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    """Also of requests that redirects of others bring to it. Each worker for itself would need half the time."""
    one, other = hosts
    came: list[float] = []

    def slow(request: Request) -> bytes:
        came.append(time.monotonic())
        time.sleep(0.05)
        return numbered(request)

    def leads(request: Request) -> bytes:
        return reply(b"", "302 Found", Location=f"{one.base}/{request.headers['host']}{request.target}")

    with upstream("127.0.0.4") as third:
        urls = [*pages(one, 4, slow), *pages(other, 4, leads), *pages(third, 4, leads)]
        one.routes |= {f"/{s.place}/{n}": slow for s in (other, third) for n in range(4)}
        mine = settings(one, other, third, pace="10", at_once="2")
        began = time.monotonic()
        with Client(mine, tmp_path, limits=PATIENT, away=two.connect) as client:
            assert all(isinstance(got, Got) for _, got in client.get_all(urls))
        assert third.busiest <= 2
    assert len(came) == 12 and set(two.had) == {0, 1}
    assert max(came) - began >= 12 / 10  # with robots.txt; a promise to the host, not a speed
    assert one.busiest <= 2 and other.busiest <= 2


def test_as_many_at_once_as_the_host_allows(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    def slow(request: Request) -> bytes:
        time.sleep(0.1)
        return numbered(request)

    urls = pages(hosts[0], 10, slow)
    with Client(settings(*hosts, at_once="3"), tmp_path, limits=PATIENT, away=two.connect) as client:
        assert all(isinstance(got, Got) for _, got in client.get_all(urls))
    assert hosts[0].busiest == 3 and set(two.had) == {0, 1}


def test_a_host_that_asks_to_be_left_alone_is_left_alone_by_all(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    said: list[float] = []
    came: list[float] = []

    def answer(request: Request) -> bytes:
        came.append(time.monotonic())
        if len(came) == 3:
            said.append(came[-1])
            return reply(b"", "429 Too Many Requests", Retry_After="1")
        return numbered(request)

    urls = pages(hosts[0], 6, answer)
    with Client(settings(*hosts, at_once="1"), tmp_path, limits=PATIENT, away=two.connect) as client:
        assert all(isinstance(got, Got) for _, got in client.get_all(urls))
    assert len(came) == 7 and set(two.had) == {0, 1}
    assert came[3] - said[0] >= 1  # a promise to the host, not a speed


def test_who_sends_for_others_says_when_the_gap_begins() -> None:
    pace, stop = Pace(20, 3, 5, lambda _: None), Stop()
    went = threading.Event()

    def second() -> None:
        with pace.turn("a", stop):
            went.set()

    thread = threading.Thread(target=second)
    with pace.turn("a", stop, apart=True) as turn:
        thread.start()
        assert not went.wait(0.3)  # it may be on its way for long
        with pace.turn("b", stop):
            pass
        turn.sent()
        sent = time.monotonic()
        assert went.wait(5) and time.monotonic() - sent >= 1 / 20
    thread.join()
    with pytest.raises(ValueError), pace.turn("a", stop, apart=True):
        raise ValueError
    with pace.turn("a", stop), pace.turn("a", stop), pace.turn("a", stop):  # all seats are there
        pass
    assert (pace._host("a").busy, pace._host("a").leaving) == (0, 0)


# ---- when something dies


def test_a_worker_that_dies_gives_its_seat_back(hosts: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    workers = Workers(2)
    killed = threading.Event()

    def answer(request: Request) -> Iterator[bytes]:
        whole = reply(BOOK, ETag='"1"')
        yield whole[:50_000]
        if request.target == "/2" and not killed.is_set():
            time.sleep(0.3)  # it has written what came
            workers.processes[workers.had[-1]].kill()
            killed.set()
            time.sleep(1)
        yield whole[50_000:]

    urls = pages(hosts[0], 6, answer)  # type: ignore[arg-type]
    try:
        with Client(settings(*hosts, at_once="1"), tmp_path, limits=PATIENT, away=workers.connect) as client:
            found = list(client.get_all(urls))
            assert [got.bytes() == BOOK for _, got in found if isinstance(got, Got)] == [True] * 6
            workers.processes[0].kill()
            workers.processes[1].kill()
            for process in workers.processes:
                process.join()
            last = pages(hosts[1], 2)
            assert all(isinstance(got, Got) for _, got in client.get_all(last))  # from here, then
    finally:
        workers.end()
    assert killed.is_set() and hosts[0].busiest <= 2
    assert not any(
        "range" in r.headers for r in hosts[0].requests
    )  # nobody goes on with what a lost one wrote
    nothing_half(tmp_path)
    assert list((tmp_path / "fetched/parts").iterdir()) == []


def test_what_nobody_waits_for_is_dropped(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    def endless(request: Request) -> Iterator[bytes]:
        yield reply(b"", length=False)
        for _ in range(600):
            yield b"x" * 1000
            time.sleep(0.05)

    urls = [*pages(hosts[1], 1), *pages(hosts[0], 3, endless)]  # type: ignore[arg-type]
    began = time.monotonic()
    with Client(settings(*hosts), tmp_path, limits=PATIENT, away=two.connect) as client:
        with closing(client.get_all(urls)) as answers:
            assert isinstance(next(answers)[1], Got)
        assert not client._away or not client._away._calls
    assert time.monotonic() - began < 15  # of thirty
    until = time.monotonic() + 5
    while hosts[0]._busy and time.monotonic() < until:
        time.sleep(0.05)
    assert hosts[0]._busy == 0  # the workers have let go of it
    assert list((tmp_path / "fetched/parts").iterdir()) == []


def test_a_line_that_ends_is_one_sentence(hosts: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    from multiprocessing.connection import Connection, Pipe

    def connect() -> Connection:
        ours, theirs = Pipe()
        threading.Timer(0.2, theirs.close).start()
        return ours

    with (
        Client(settings(*hosts), tmp_path, limits=PATIENT, away=connect) as client,
        pytest.raises(StepError, match="is gone; run this again to go on"),
    ):
        list(client.get_all(pages(hosts[0], 3)))


def test_what_the_dead_left_is_removed_unless_it_is_held(tmp_path: Path) -> None:
    from runner.net.cache import Cache

    parts = tmp_path / "fetched/parts"
    parts.mkdir(parents=True)
    key, held = "ab" * 32, "cd" * 32
    mine = f"{key}.part"
    for name in (f"{key}.{'0' * 16}-0.part", f"{key}.{'0' * 16}-1.json", f"{held}.{'0' * 16}-0.whole", mine):
        (parts / name).write_bytes(b"x")
    cache = Cache(tmp_path)
    with cache.holding(held, Stop()):
        Cache(tmp_path).sweep()
        assert {p.name for p in parts.iterdir()} == {mine, f"{held}.lock", f"{held}.{'0' * 16}-0.whole"}
    Cache(tmp_path).sweep()
    assert {p.name for p in parts.iterdir()} == {mine}


# ---- what may go there


def test_an_address_of_the_machine_itself_is_asked_from_here(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    """What the user allowed is his own machine, not what a worker of another one finds there."""
    two.loopback = "another machine"
    urls = pages(hosts[0], 3)
    with Client(settings(*hosts), tmp_path, limits=PATIENT, away=two.connect) as client:
        found = list(client.get_all([*urls, "http://127.0.0.9:1/"]))
    assert [isinstance(got, Got) for _, got in found] == [True] * 3 + [False]
    assert len(two.had) == 3 and len(hosts[0].asked()) == 3  # a worker was told, and did not ask
    guard = Guard.of(frozenset({("127.0.0.2", 80), ("169.254.169.254", 80), ("10.0.0.1", 80)}), here=False)
    for own in ("127.0.0.2", "169.254.169.254"):
        with pytest.raises(NotHere):
            guard.addresses(own, 80)
    assert guard.addresses("10.0.0.1", 80)  # in a network that they share
    for inside in ("127.0.0.3", "10.0.0.2", "169.254.169.253"):
        with pytest.raises(NotPublic):
            guard.addresses(inside, 80)


def test_a_worker_checks_by_itself(hosts: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    """Whatever it is told to send: nothing hangs on who tells it."""
    (tmp_path / "fetched/parts").mkdir(parents=True)
    worker = Worker(Setup(tmp_path, frozenset(), PATIENT, "mirepoix", loopback()))
    address = parse(f"{hosts[0].base}/0")
    ask = Ask(address, "*/*", 100, "normal", Secrets({}, {}))
    worker.take(1)
    said: list[tuple[str, bytes]] = []
    worker.send(1, pickle.dumps(Errand(ask, address, ask.key, None, 10)), lambda *told: said.append(told))
    assert [what for what, _ in said] == ["done"]
    assert isinstance(pickle.loads(said[0][1]).error, NotPublic) and not hosts[0].requests


def test_nothing_secret_goes_along(two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    told: list[bytes] = []
    real = pickle.dumps

    def connect():  # type: ignore[no-untyped-def]
        line = two.connect()
        send = line.send

        def seen(what: object) -> None:
            told.append(real(what))
            send(what)

        line.send = seen
        return line

    keys = {"hub_token": "s3cretHub", "teacher_key": "s3cretTeacher", "judge_key": "s3cretJudge"}
    urls = pages(hosts[0], 2)
    with Client(settings(*hosts, **keys), tmp_path, limits=PATIENT, away=connect) as client:
        assert all(isinstance(got, Got) for _, got in client.get_all(urls))
        sent = len(told)
        hosts[0].routes["/s"] = lambda r: reply(r.headers["authorization"].encode())
        client.get(f"{hosts[0].base}/s", headers={"Authorization": "Bearer s3cretHub"}, keep="live")
    assert sent == len(told) == 3 and b"s3cret" not in b"".join(told)
    assert b"s3cret" not in everything(tmp_path)
    address = parse(f"{hosts[0].base}/0")
    for ask in (
        Ask(address, "*/*", 9, "normal", Secrets({"key": "s3cretQuery"}, {})),
        Ask(address, "*/*", 9, "normal", Secrets({}, {"X-Key": "s3cretHead"})),
        Ask(address, "*/*", 9, "normal", Secrets({}, {}), b"{}"),
    ):
        remote = Remote(two.connect, Setup(tmp_path, frozenset(), PATIENT, "mirepoix", loopback()))
        with pytest.raises(AssertionError, match="sent from here"):
            remote.send(Errand(ask, address, ask.key, None, 1), Stop(), Turn(lambda: None, lambda: None))


def test_with_a_proxy_all_is_sent_from_here(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    one, proxy = hosts
    proxy.routes[f"{one.base}/0"] = fixed(reply(b"by the proxy"))
    proxied = settings(one, proxy, proxy=f"http://me:s3cret@{proxy.place}")
    with Client(proxied, tmp_path, limits=PATIENT, away=two.connect) as client:
        [(_, got)] = client.get_all([f"{one.base}/0"])
    assert isinstance(got, Got) and got.bytes() == b"by the proxy"
    assert two.had == []


# ---- who goes first


def test_a_host_keeps_no_other_waiting(
    two: Workers, hosts: tuple[Upstream, Upstream], tmp_path: Path
) -> None:
    """Though all of its addresses come first, and are more than there are threads."""
    one, other = hosts
    held, seen = threading.Event(), threading.Event()

    def first(request: Request) -> bytes:
        held.wait(20)
        return numbered(request)

    def second(request: Request) -> bytes:
        seen.set()
        return numbered(request)

    urls = [*pages(one, 400, first), *pages(other, 1, second)]
    with Client(settings(one, other), tmp_path, limits=replace(PATIENT, read=20), away=two.connect) as client:
        with closing(client.get_all(urls)) as answers:
            thread = threading.Thread(target=lambda: seen.wait(15) and held.set())
            thread.start()
            assert next(answers)[0] == urls[0]
            assert seen.is_set()
        thread.join()


def test_lanes() -> None:
    lanes, order, gate = Lanes(4, 2), list[str](), threading.Event()

    def work(name: str) -> str:
        gate.wait(5)
        order.append(name)
        if name == "a1":
            raise ValueError(name)
        return name

    futures = [lanes.submit(name[0], partial(work, name)) for name in ("a0", "a1", "a2", "a3", "b0", "c0")]
    time.sleep(0.1)
    assert {lane: lanes._going[lane] for lane in "abc"} == {"a": 2, "b": 1, "c": 1}
    gate.set()
    with pytest.raises(ValueError, match="a1"):
        futures[1].result(5)
    assert [f.result(5) for n, f in enumerate(futures) if n != 1] == ["a0", "a2", "a3", "b0", "c0"]
    assert order.index("a3") > order.index("a0")
    lanes.end()
    assert not lanes._going and not lanes._waiting
    ended, gate = Lanes(1, 1), threading.Event()
    going = ended.submit("a", lambda: gate.wait(5))
    never = ended.submit("a", lambda: order.append("never"))
    threading.Timer(0.1, gate.set).start()
    ended.end()
    assert going.done() and not never.done() and "never" not in order
