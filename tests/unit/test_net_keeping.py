"""What the client keeps on the disk, and how it waits: bytes whole or not there, hosts asked gently."""

from __future__ import annotations

import fcntl
import math
import os
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.fetching import Keep, Unfetched
from runner.net import robots
from runner.net.cache import VERSION, Cache, Entry, Facts
from runner.net.errand import Ask
from runner.net.failures import Stopped
from runner.net.pace import Pace, Stop, retry_after
from runner.net.urls import Secrets, parse

KEY = "ab" + "0" * 62
BYTES = b"some bytes"
DIGEST = sha256(BYTES).hexdigest()


def entry(data: bytes = BYTES) -> Entry:
    return Entry(VERSION, "GET", "http://a/", "*/*", "", "http://a/", sha256(data).hexdigest(), len(data), "", "", "", "")  # fmt: skip


def files(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


# ---- bytes


def test_bytes_of_others_are_stored_by_their_digest(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.store([b"some", b"", b" bytes"]) == cache.store([BYTES]) == DIGEST
    assert cache.path(DIGEST).read_bytes() == BYTES
    assert files(tmp_path) == [f"raw/{DIGEST[:2]}/{DIGEST}"]
    for bad in ("", "..", "../" + DIGEST, DIGEST.upper(), DIGEST + "0", DIGEST + "\n"):
        with pytest.raises(LookupError):
            cache.path(bad)


def test_what_breaks_off_is_not_stored(tmp_path: Path) -> None:
    def chunks():  # type: ignore[no-untyped-def]
        yield BYTES
        raise ValueError("the library broke off")

    with pytest.raises(ValueError, match="broke off"):
        Cache(tmp_path).store(chunks())
    assert files(tmp_path) == []


def test_leavings_of_the_dead_are_swept_and_no_others(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    parts = tmp_path / "fetched" / "parts"
    parts.mkdir(parents=True)
    (parts / "1.0.store").write_bytes(b"left by a killed process")
    with (parts / "1.1.store").open("wb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        cache.sweep()
        assert files(parts) == ["1.1.store"]


def finish(cache: Cache, data: bytes) -> None:
    with cache.holding(KEY, Stop()) as part:
        part.begin(Facts("http://a/"))
        part.append(0, [data], 1 << 20)
        part.complete()
        cache.keep(KEY, entry(data), part.whole)
        part.clear()


def test_an_answer_is_kept_until_it_is_damaged(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.kept(KEY) is None
    finish(cache, BYTES)
    assert cache.kept(KEY) == entry()
    assert files(tmp_path) == [f"fetched/requests/ab/{KEY}.json", f"raw/{DIGEST[:2]}/{DIGEST}"]
    request, raw = (tmp_path / name for name in files(tmp_path))
    for damage in (b"other byte", b""):
        raw.chmod(0o644)
        raw.write_bytes(damage)
        assert cache.kept(KEY) is None
        finish(cache, BYTES)
        assert cache.kept(KEY) == entry()
    for damage in (b"", b"{}", request.read_bytes().replace(b'"version": 1', b'"version": 0'), b"\xff"):
        request.write_bytes(damage)
        assert cache.kept(KEY) is None


def test_how_old_an_answer_is(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.age(KEY) == cache.age(KEY, absent=True) == math.inf
    finish(cache, BYTES)
    cache.note_absent(KEY)
    assert 0 <= cache.age(KEY) < 60 and 0 <= cache.age(KEY, absent=True) < 60
    entry_file = tmp_path / "fetched/requests/ab" / f"{KEY}.json"
    os.utime(entry_file, (0, 0))
    assert cache.age(KEY) > 1e9
    cache.renew(KEY)
    assert cache.age(KEY) < 60
    os.utime(entry_file, (time.time() + 9000,) * 2)  # a clock that was wrong
    assert cache.age(KEY) == math.inf
    cache.note_absent(KEY, no_longer=True)
    assert cache.age(KEY, absent=True) == math.inf


def test_a_part_is_cut_and_goes_on(tmp_path: Path) -> None:
    with Cache(tmp_path).holding(KEY, Stop()) as part:
        assert (part.facts(), part.size()) == (None, 0)
        part.begin(Facts("http://a/", resume='"1"'))
        part.append(0, [b"some", b" bits"], 100)
        part.append(5, [b"bytes"], 100)
        assert part.facts() == Facts("http://a/", resume='"1"') and part.size() == len(BYTES)
        with pytest.raises(Unfetched, match="more than the 12 bytes allowed"):
            part.append(10, [b"more"], 12)
        part.append(10, [], 100)
        part.complete()
        assert part.whole.read_bytes() == BYTES
        part.clear()
    assert files(tmp_path) == []


HOLDING = """
import sys
from pathlib import Path
from runner.net.cache import Cache
from runner.net.pace import Stop
with Cache(Path(sys.argv[1])).holding(sys.argv[2], Stop()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_waits_and_a_killed_one_frees(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path), KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        stop = Stop()
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(Stopped), Cache(tmp_path).holding(KEY, stop):
            pass
        process.kill()
        process.wait()
        with Cache(tmp_path).holding(KEY, Stop()):
            assert files(tmp_path) == [f"fetched/parts/{KEY}.lock"]
    assert files(tmp_path) == []


def test_threads_take_turns(tmp_path: Path) -> None:
    cache, inside, most = Cache(tmp_path), [0], [0]

    def work() -> None:
        for _ in range(5):
            with cache.holding(KEY, Stop()):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.002)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert most == [1] and files(tmp_path) == []


def test_what_names_a_request() -> None:
    def key(
        url: str = "http://a/",
        body: bytes | None = None,
        accept: str = "*/*",
        keep: Keep = "normal",
        **secret: str,
    ) -> str:
        return Ask(parse(url), accept, 1, keep, Secrets(secret, {"X-Key": "k"}), body).key

    assert key() == key("http://A:80/#x") == key(appid="s3cret") == key(keep="live") != key(keep="recorded")
    assert (
        len(
            {
                key(),
                key("http://a/?"),
                key("https://a/"),
                key(body=b""),
                key(body=b"1"),
                key(accept="text/csv"),
            }
        )
        == 6
    )


# ---- pace


def pace(per_second: float = 1000.0, at_once: int = 2, longest: float = 5.0) -> tuple[Pace, list[str]]:
    said: list[str] = []
    return Pace(per_second, at_once, longest, said.append), said


def test_seats_and_gaps_are_kept_per_host() -> None:
    gentle, _ = pace(50, 2)
    starts: list[float] = []
    lock = threading.Lock()
    inside, most = [0], [0]

    def work() -> None:
        with gentle.turn("a", Stop()):
            with lock:
                starts.append(time.monotonic())
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.05)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert most == [2]
    assert max(starts) - began >= 7 / 50  # a promise to the host, not a speed
    with gentle.turn("a", Stop()), gentle.turn("a", Stop()), gentle.turn("b", Stop()):
        stop = Stop()
        stop.set()
        with pytest.raises(Stopped), gentle.turn("a", stop):
            pass


def test_a_closed_host_is_waited_for_or_given_up() -> None:
    gentle, said = pace(longest=5)
    gentle.close("a", 0.3)
    closed = time.monotonic()
    with gentle.turn("a", Stop()):
        assert time.monotonic() - closed >= 0.3  # a promise to the host, not a speed
    gentle.close("a", 4)
    threading.Timer(0.1, (stop := Stop()).set).start()
    with pytest.raises(Stopped), gentle.turn("a", stop):
        pass
    assert said == ["waiting 4 s for a"]
    gentle.close("a", 86400)
    gentle.close("a", 1)
    with pytest.raises(Unfetched, match="a asks to be left alone for 86400 s"), gentle.turn("a", Stop()):
        pass
    with gentle.turn("b", Stop()):
        pass


def test_a_stop_above_stops_what_is_below() -> None:
    above = Stop()
    below, beside = Stop(above), Stop(above)
    below.set()
    assert (above.is_set(), beside.is_set()) == (False, False)
    above.set()
    assert beside.is_set()


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("2", "", 2), (" 120 ", "", 120), ("0", "", 0), ("1.5", "", 1.5),
        ("Wed, 01 Jan 2025 00:01:00 GMT", "Wed, 01 Jan 2025 00:00:00 GMT", 61),
        ("Wed, 01 Jan 2025 00:00:00 GMT", "Wed, 01 Jan 2025 00:01:00 GMT", None),
        ("Wed, 01 Jan 2020 00:00:00 GMT", "nonsense", None),
        ("soon", "", None), ("-5", "", None), ("", "", None), ("1e9", "", None), ("١٢", "", None), ("9" * 40, "", None),
        ("Wed, 99 Jan 99999999 00:00:00 GMT", "", None),
    ],
)  # fmt: skip
def test_retry_after(value: str, date: str, seconds: float | None) -> None:
    assert retry_after(value, date) == seconds


def test_retry_after_without_a_date_of_the_server() -> None:
    found = retry_after(formatdate(time.time() + 100, usegmt=True), "")
    assert found is not None and 90 < found <= 101


@given(st.text(), st.text())
def test_no_retry_after_is_too_odd(value: str, date: str) -> None:
    found = retry_after(value, date)
    assert found is None or found >= 0


# ---- robots.txt


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"", 0), (b"User-agent: *\nCrawl-delay: 2.5", 2.5), (b"User-agent: *\nRequest-rate: 1/10", 10),
        (b"User-agent: *\nCrawl-delay: 1\nUser-agent: mirepoix\nCrawl-delay: 7", 7),
        (b"User-agent: *\nCrawl-delay: nan", 0), (b"User-agent: *\nCrawl-delay: inf", 0), (b"User-agent: *\nCrawl-delay: soon", 0),
        (b"User-agent: *\nRequest-rate: 0/10", 0), (b"User-agent: other\nCrawl-delay: 9", 0),
    ],
)  # fmt: skip
def test_how_slow_a_host_wants_it(text: bytes, seconds: float) -> None:
    assert robots.delay(robots.parse(text)) == seconds


@given(
    st.binary(max_size=300)
    | st.text(max_size=100).map(lambda t: f"User-agent: *\nCrawl-delay: {t}\nDisallow: {t}".encode())
)
def test_no_robots_txt_is_too_odd(text: bytes) -> None:
    rules = robots.parse(text)
    assert robots.delay(rules) >= 0 and rules.can_fetch("http://a.example/x?y", robots.NAME) in (True, False)


def test_a_crawl_delay_makes_the_pace_slower_never_faster() -> None:
    gentle, _ = pace(10, 5, longest=100)
    gentle.slow("a", 0.01)
    with gentle.turn("a", Stop()):
        pass
    gentle.slow("a", 50)
    threading.Timer(0.3, (stop := Stop()).set).start()
    with pytest.raises(Stopped), gentle.turn("a", stop):
        pass
    with pytest.raises(Unfetched, match="asks for 101 s between requests"):
        gentle.slow("a", 101)


def test_who_is_first_in_the_line_goes_first() -> None:
    pace, stop = Pace(1000, 1, 60, lambda _: None), Stop()
    went: list[int] = []

    def ask(rank: int) -> None:
        with pace.turn("a", stop, rank):
            went.append(rank)

    ranks = [5, 2, 9, 1, 7, 3, 8, 4, 6]
    threads = [threading.Thread(target=ask, args=(rank,)) for rank in ranks]
    with pace.turn("a", stop):
        for thread in threads:
            thread.start()
        while len(pace._host("a").line) < len(ranks):
            time.sleep(0.01)
        with pace.turn("b", stop, 99):  # another host's line is its own
            pass
    for thread in threads:
        thread.join()
    assert went == sorted(ranks)
    assert pace._host("a").line == []


def test_who_gives_up_holds_nobody_up() -> None:
    pace, early = Pace(1000, 1, 60, lambda _: None), Stop()
    with pace.turn("a", Stop()):

        def ask() -> None:
            with pytest.raises(Stopped), pace.turn("a", early, 1):
                pass

        thread = threading.Thread(target=ask)
        thread.start()
        while not pace._host("a").line:
            time.sleep(0.01)
        early.set()
        thread.join()
    with pace.turn("a", Stop(), 2):
        assert pace._host("a").line == []
