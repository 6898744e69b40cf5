"""Every fault of the stand-in: the right bytes or a clear failure, never a part; and nothing fetched twice by a kill."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from runner.fetching import Got, Unfetched
from runner.net.client import Client
from runner.net.watched import Limits
from runner.settings import SETTINGS, Settings

SHARED = Path(__file__).parents[2] / ".." / "shared"
StandIn = Callable[..., AbstractContextManager[str]]
KIT = Path(os.environ.get("MIREPOIX_KIT") or SHARED / "kit")
UPSTREAM = Path(os.environ.get("MIREPOIX_UPSTREAM") or SHARED / "upstream" / "upstream.py")
for needed in (KIT / "gutenberg" / "books.json", UPSTREAM):
    if not needed.is_file():
        pytest.skip(f"{needed} is not here (set MIREPOIX_KIT, MIREPOIX_UPSTREAM)", allow_module_level=True)

AT_ONCE = 2
QUICK = Limits(
    connect=2, read=0.8, think=1, slowest=20_000, window=0.5, total=15, steady=1e9, attempts=2, first_wait=0.05, longest_wait=0.1,
    jitter=0.05, longest_closed=10, linger=0.5,
)  # fmt: skip


def ask(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def settings(base: str, **values: str) -> Settings:
    mine = {"allow": base.removeprefix("http://"), "pace": "100", "at_once": str(AT_ONCE)} | values
    return Settings({name: s.default for name, s in SETTINGS.items()} | mine, {})


@pytest.fixture(scope="module")
def base(stand_in: StandIn) -> Iterator[str]:
    with stand_in("--robots", "pages", "--require-ua") as found:
        yield found


METADATA = json.loads((KIT / "gutenberg" / "metadata.json").read_text(encoding="utf-8"))
TEXTS = [f"/files/{m['id']}/{Path(m['source_path']).name}" for m in METADATA]
TEXTS += [f"/cache/epub/{m['id']}/pg{m['id']}.txt" for m in METADATA if not m["is_variant"]]


@dataclass(frozen=True)
class Fault:
    """A fault and what must come of it: `why` it fails, else the bytes of the faultless answer."""

    name: str
    why: str = ""
    transient: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    path: str = ""


TEXT: dict[str, Any] = {"accept": "text/plain"}
JSON: dict[str, Any] = {"accept": "application/json"}
SMALL: dict[str, Any] = TEXT | {"most": 20 << 20}
WEATHER = "/v1/forecast?latitude=52&longitude=13&current=temperature_2m"
FAULTS = [
    *(Fault(str(s), f"HTTP {s}", s >= 500) for s in (401, 403, 404, 410, 451, 500, 502, 503, 504)),
    Fault("503:1", "HTTP 503", True),
    Fault("429", "HTTP 429", True),
    Fault("429:1", "HTTP 429", True),
    Fault("429:date", "HTTP 429", True),
    Fault("429:none", "HTTP 429", True),
    Fault("429:bogus", "HTTP 429", True),
    Fault("429:neg", "HTTP 429", True),
    Fault("429:huge", "HTTP 429 .* left alone for 86400 s", True),
    Fault("burst:1"),
    Fault("burst:1:503:1"),
    Fault("burst:9", "HTTP 500", True),
    Fault("slow:0.3"),
    Fault("slow:2", "nothing came for", True),
    Fault("drip:1000", "slower than", True),
    Fault("drip:2000000"),
    Fault("stall:100", "nothing came for", True),
    Fault("truncate", "ended the connection before", True),
    Fault("truncate:0.99", "ended the connection before", True),
    Fault("chunk_cut", "ended the connection before", True),
    Fault("short_cl", "more bytes came than"),
    Fault("bad_cl", "broken HTTP"),
    Fault("dup_cl", "broken HTTP"),
    Fault("empty", "the answer is empty", True),
    Fault("close", "ended the connection before", True),
    Fault("reset", "broke off", True),
    Fault("reset:5000", "broke off", True),
    Fault("huge", "more than the 20,971,520 allowed", options=SMALL),
    Fault("huge:10", options=SMALL),
    Fault("endless", "more than the 20,971,520 bytes allowed", options=SMALL),
    Fault("gzip_bomb:24", "unpacks to more than", options=SMALL),
    Fault("gzip_bad", "packing is broken", True),
    Fault("gzip_lie", "packing is broken", True),
    Fault("gzip"),
    Fault("charset:latin-1"),
    Fault("transcode:utf-16"),
    Fault("ctype:application/pdf"),
    Fault("ctype:text/html", "a web page came instead", True),
    Fault("html", "a web page came instead", True),
    Fault("html", "a web page came instead", True, JSON, WEATHER),
    Fault("mutate"),
    Fault("lie304", "HTTP 304"),
    Fault("headers", "broken HTTP|headers are too large"),
    Fault("headers:3"),
    Fault("loop", "more than 10 redirects"),
    Fault("chain:3"),
    Fault("chain:10"),
    Fault("chain:11", "more than 10 redirects"),
    Fault("canary", "not a public one"),
    Fault("to:http://127.0.0.2:1/", "not a public one"),
    Fault("to:http://localhost:1/", "not a public one"),
    *(Fault(s, "only http and https") for s in ("file", "ftp", "data")),
    *(Fault(j, "broken JSON", True, JSON, WEATHER) for j in ("json_cut", "json_nan", "json_deep")),
    *(Fault(j, "", False, JSON, WEATHER) for j in ("json_null", "json_list", "json_dup")),
    *(Fault(g, "", False, JSON, "/books/?languages=en") for g in ("next_loop", "next_canary", "count_lie")),
]


def test_no_fault_is_forgotten() -> None:
    listed = subprocess.run(
        [sys.executable, str(UPSTREAM), "--list-faults"], capture_output=True, text=True, check=True
    ).stdout
    columns = [line[11:].partition("  ")[0] for line in listed.splitlines()]  # group, names, what they mean
    named = {re.split(r"[:\[]", name)[0] for names in columns for name in names.split()}
    # ("drip:BYTES_PER_S slow body" stands with one space)
    assert named - {"body"} == {fault.name.partition(":")[0] for fault in FAULTS}


def test_as_many_at_once_as_are_set_and_no_more(stand_in: StandIn, tmp_path: Path) -> None:
    with stand_in("--latency", "0.3") as base:  # so that requests do meet, on any machine
        with Client(settings(base), tmp_path, limits=QUICK) as client:
            assert all(isinstance(a, Got) for _, a in client.get_all(base + p for p in TEXTS[:8]))
        assert ask(f"{base}/__stats")["max_concurrent"] == AT_ONCE


def test_several_at_once_are_polite(base: str, tmp_path: Path) -> None:
    urls = [f"{base}{path}?many" for path in TEXTS] + [f"{base}/pages/", f"{base}/pages/none.html"]
    with Client(settings(base), tmp_path, limits=QUICK) as client:
        answers = list(client.get_all(urls))
    # Here, not at the end: what a client gave up (slow, stall) goes on for a while at the server.
    assert ask(f"{base}/__stats")["max_concurrent"] <= AT_ONCE
    assert [url for url, _ in answers] == urls
    assert [str(a) for _, a in answers if isinstance(a, Unfetched)] == [
        f"robots.txt of {base.removeprefix('http://')} forbids it"
    ] * 2
    with Client(settings(base), tmp_path, limits=QUICK) as client:
        before = ask(f"{base}/__stats")["requests"]
        assert [a for _, a in client.get_all(urls[:-2])] == [a for _, a in answers[:-2]]
        assert ask(f"{base}/__stats")["requests"] == before


def meant(fault: Fault, whole: bytes, got: bytes) -> bool:
    """Whether the bytes are what the server meant to send under this fault."""
    name, _, argument = fault.name.partition(":")
    if name == "transcode":
        return got == whole.decode("utf-8", "replace").encode(argument, "replace")
    if name == "mutate":
        return got.startswith(whole) and re.fullmatch(rb"\n<!-- \d+ -->\n", got[len(whole) :]) is not None
    if name == "huge":
        return got == b"It was a dark and stormy night. " * 32768 * int(argument)
    if name in ("json_null", "json_list"):
        return got == {"json_null": b"null", "json_list": b"[]"}[name]
    if name == "json_dup":
        return got.startswith(b'{"count":1,"count":2,') and got.endswith(b'"previous":null}')
    if name in ("next_loop", "next_canary", "count_lie"):
        return bool(json.loads(got)["results"] == json.loads(whole)["results"])
    return got == whole


@pytest.mark.parametrize("n", range(len(FAULTS)), ids=[fault.name for fault in FAULTS])
def test_fault(base: str, tmp_path: Path, n: int) -> None:
    fault = FAULTS[n]
    options = fault.options or TEXT
    url = f"{base}{fault.path or TEXTS[n]}"  # each on a path of its own: who comes back early is counted by path
    mark = "&" if "?" in url else "?"
    with Client(settings(base), tmp_path / "whole", limits=QUICK) as client:
        whole = client.get(url, **options).bytes()
    folder = tmp_path / "faulty"
    with Client(settings(base), folder, limits=QUICK) as client:
        try:
            got: Got | Unfetched = client.get(f"{url}{mark}n={n}&_fault={fault.name}", **options)
        except Unfetched as e:
            got = e
    kept = [p for p in (folder / "raw").rglob("*") if p.is_file()]
    assert all(p.name == sha256(p.read_bytes()).hexdigest() for p in kept)
    if fault.why:
        assert isinstance(got, Unfetched)
        assert re.search(fault.why, str(got)) and got.transient is fault.transient
        assert [p for p in kept if not p.read_bytes().startswith(b"User-agent")] == []  # robots.txt alone
    else:
        assert isinstance(got, Got), got
        assert meant(fault, whole, got.bytes())
        assert got.path in kept


def test_in_all_of_that_no_rule_was_broken(base: str) -> None:
    """Stands after the tests whose requests it judges."""
    stats = ask(f"{base}/__stats")
    assert stats["canary_hits"] == [] and stats["disallowed_by_robots"] == []
    assert stats["came_back_before_retry_after"] == [] and stats["sent_credentials"] == []
    [agent] = stats["user_agents"]
    assert agent.startswith("mirepoix/")


HOSTILE = """
import re, sys
from pathlib import Path
from runner.fetching import Unfetched
from runner.net.client import Client
from runner.settings import SETTINGS, Settings

base, root = sys.argv[1:]
mine = {"allow": base.removeprefix("http://"), "pace": "100"}
with Client(Settings({n: s.default for n, s in SETTINGS.items()} | mine, {}), Path(root)) as client:
    for fault in ("gzip_bomb:300", "endless", "huge", "headers"):
        try:
            client.get(f"{base}/files/76/76-0.txt?_fault={fault}", most=int(1e8))
        except Unfetched as e:
            print(e)
# Not ru_maxrss: that counts the process which started this one, too.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def test_hostile_bodies_take_little_memory(base: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, base, str(tmp_path)], capture_output=True, text=True, check=True
    )
    *refused, megabytes = done.stdout.splitlines()
    assert len(refused) == 4 and int(megabytes) < 200
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) < 1 << 20


# A process that has imported everything forks one that fetches, each time it is told to.
FETCHING = """
import os, sys
from pathlib import Path
from runner.net.client import Client
from runner.settings import SETTINGS, Settings

base, root, *paths = sys.argv[1:]
mine = {"allow": base.removeprefix("http://"), "pace": "100", "at_once": "3"}
settings = Settings({n: s.default for n, s in SETTINGS.items()} | mine, {})
for _ in sys.stdin:
    if (child := os.fork()) == 0:
        with Client(settings, Path(root)) as client:
            answers = list(client.get_all(base + p for p in paths))
        os._exit(len(answers) - sum(hasattr(a, "sha256") for _, a in answers))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_at_twenty_moments_nothing_whole_is_fetched_twice(stand_in: StandIn, tmp_path: Path) -> None:
    paths = TEXTS[:15]
    dice = random.Random(17)
    root = tmp_path / "store"
    with stand_in("--fault", "/files/=drip:150000") as base:
        fetching = subprocess.Popen(
            [sys.executable, "-c", FETCHING, base, str(root), *paths],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        assert fetching.stdin is not None and fetching.stdout is not None
        whole: dict[str, float] = {}  # address → since when it was known to be whole
        killed = 0
        code = None
        while code != 0:
            print("go", file=fetching.stdin, flush=True)
            child = int(fetching.stdout.readline())
            if killed < 20:
                time.sleep(dice.uniform(0.05, 0.6))  # in all far from enough to fetch everything
                os.kill(child, signal.SIGKILL)
                killed += 1
            code = int(fetching.stdout.readline())
            for entry in (root / "fetched" / "requests").rglob("[!.]*.json"):
                kept = json.loads(entry.read_bytes())
                if (root / "raw" / kept["sha256"][:2] / kept["sha256"]).is_file():
                    whole.setdefault(kept["url"], time.time())
        fetching.stdin.close()
        fetching.stdout.close()
        assert fetching.wait(10) == 0
        log = ask(f"{base}/__log")
        stats = ask(f"{base}/__stats")
    assert killed == 20
    again = [
        e["target"]
        for e in log
        if e["t"] > whole.get(base + e["target"], time.time()) and not e["if_none_match"]
    ]
    assert again == []
    assert stats["range_requests"] > 0
    with Client(settings(base), root) as client:  # the stand-in has gone: all of it is here
        for path in paths:
            name = path.rpartition("/")[2]
            meta = next(m for m in METADATA if Path(m["source_path"]).name == name and f"/{m['id']}/" in path)
            assert client.get(base + path).sha256 == meta["sha256"]
    assert list((root / "fetched" / "parts").iterdir()) == []
