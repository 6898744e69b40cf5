"""The engine `ray` fetches from all nodes; a host is asked as gently as by one."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ray_nodes import DEAR, Nodes, digests, ended, nodes, said, started
from test_net_client import Request, Upstream, reply, upstream

from runner.jobs.warden import descendants

PACE, AT_ONCE = 5, 2
EACH = 6
"""Addresses of each host; one of the first is forbidden by its robots.txt."""
STEP = 1 / PACE


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """Two nodes of one core each."""
    with nodes() as found:
        found.add()
        yield found


def senders(cluster: Nodes) -> list[int]:
    """Processes that send requests."""
    return [pid for pid in descendants(cluster._process.pid) if said(pid).startswith("ray::Sender")]


def row(request: Request) -> bytes:
    text = f"What stands at {request.target} is a sentence of its own, and nobody else says it."
    words = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]
    return reply(json.dumps({"messages": words}).encode() + b"\n", kind="application/x-ndjson")


class Hosts:
    """Four hosts. The third leads to the first; the fourth asks once to be left alone; of the second, one answer takes
    some seconds, at whose beginning `meanwhile` is called."""

    def __init__(self, *servers: Upstream) -> None:
        self.servers = servers
        self.came: dict[str, list[float]] = {s.host: [] for s in servers}
        self.alone: list[float] = []
        self.meanwhile = lambda: None
        self._slow = threading.Lock()
        self.urls = [f"{s.base}/{s.host}-{n}.jsonl" for n in range(EACH) for s in servers]
        for s in servers:
            s.routes = {f"/{t.host}-{n}.jsonl": self._answers(s) for t in servers for n in range(EACH)}
        servers[0].routes["/robots.txt"] = lambda _: reply(b"User-agent: *\nDisallow: /127.0.0.2-5")
        self.urls.append(f"{servers[1].base}/nothing.jsonl")

    def _answers(self, server: Upstream):  # type: ignore[no-untyped-def]
        first, slow, leads, closes = self.servers

        def answer(request: Request) -> bytes | Iterator[bytes]:
            self.came[server.host].append(time.monotonic())
            if server is leads:
                return reply(b"", "302 Found", Location=first.base + request.target)
            if server is closes and len(self.came[server.host]) == 3:
                self.alone.append(time.monotonic())
                return reply(b"", "429 Too Many Requests", Retry_After="3")
            if server is slow and request.target.endswith("-1.jsonl") and self._slow.acquire(blocking=False):
                return self._slowly(row(request))
            return row(request)

        return answer

    def _slowly(self, answer: bytes) -> Iterator[bytes]:
        yield answer[:-60]
        time.sleep(0.3)
        self.meanwhile()
        time.sleep(0.5)
        yield answer[-60:]


def fetched(root: Path, hosts: Hosts, *how: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """What a run makes of all addresses: its data, and its lock files."""
    root.mkdir()
    source = {"files": {"urls": hosts.urls}, "name": "pages"}
    (root / "r.yaml").write_text(json.dumps({"recipe": 1, "name": "r", "sources": [source]}))
    code, words = ended(
        root,
        *how,
        MIREPOIX_ALLOW=",".join(s.place for s in hosts.servers),
        MIREPOIX_PACE=str(PACE),
        MIREPOIX_AT_ONCE=str(AT_ONCE),
    )
    assert code == 0, words
    locks = {p.name: p.read_bytes() for p in (root / ".mirepoix/fetched/locks").iterdir()}
    assert list((root / ".mirepoix/fetched/parts").iterdir()) == []
    return digests(root), locks


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(*(stack.enter_context(upstream(f"127.0.0.{n}")) for n in range(2, 6)))


def promises_kept(hosts: Hosts, began: float) -> None:
    """What each host was promised. An arrival may be noted late, so gaps are added up from the beginning."""
    for server in hosts.servers:
        starts = sorted(hosts.came[server.host])
        assert server.busiest <= AT_ONCE
        assert starts[-1] - began >= len(starts) * STEP  # robots.txt came first
    assert len(hosts.came["127.0.0.2"]) >= 2 * (EACH - 1)
    [alone] = hosts.alone
    later = [t for t in hosts.came["127.0.0.5"] if t > alone]
    assert len(later) >= EACH - 2
    # What was under way by then, or began before the answer was heard, still comes.
    assert not [t for t in later if alone + 1.5 < t < alone + 3]


def test_all_nodes_fetch_what_one_machine_would(cluster: Nodes, hosts: Hosts, tmp_path: Path) -> None:
    """The same lock file and data, though all processes that fetch are killed meanwhile."""
    killed: list[int] = []

    def kill() -> None:
        killed.extend(senders(cluster))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    hosts.meanwhile = kill
    began = time.monotonic()
    there = fetched(tmp_path / "there", hosts, "--engine", "ray", "--address", cluster.address)
    promises_kept(hosts, began)
    assert len(killed) == 2  # one a node
    assert hosts.servers[1].asked().count("/127.0.0.3-1.jsonl") == 2  # what was under way is asked for again
    assert senders(cluster) == []
    lock = json.loads(next(iter(there[1].values())))
    assert len(lock["items"]) == len(hosts.urls) and sum("error" in i for i in lock["items"]) == 2
    assert there == fetched(tmp_path / "here", hosts)


@DEAR
def test_a_node_that_dies(cluster: Nodes, hosts: Hosts, tmp_path: Path) -> None:
    node = cluster.add()
    hosts.meanwhile = lambda: os.kill(node["raylet"], signal.SIGKILL)
    began = time.monotonic()
    there = fetched(tmp_path / "there", hosts, "--engine", "ray", "--address", cluster.address)
    promises_kept(hosts, began)
    assert there == fetched(tmp_path / "here", hosts)


@DEAR
def test_what_is_told_to_stop_leaves_nothing(cluster: Nodes, hosts: Hosts, tmp_path: Path) -> None:
    """Ctrl-C while much is under way: the processes that fetch are gone, and the next run goes on."""
    root = tmp_path / "there"
    root.mkdir()
    there = {"files": {"urls": hosts.urls}, "name": "pages"}
    (root / "r.yaml").write_text(json.dumps({"recipe": 1, "name": "r", "sources": [there]}))
    allowed = ",".join(s.place for s in hosts.servers)
    mine = {"MIREPOIX_ALLOW": allowed, "MIREPOIX_PACE": "2", "MIREPOIX_AT_ONCE": "1"}
    how = ("--engine", "ray", "--address", cluster.address)
    slow = threading.Event()
    hosts.meanwhile = slow.set
    process = started(root, *how, **mine)
    assert slow.wait(120)
    assert senders(cluster)
    process.send_signal(signal.SIGINT)
    words = process.communicate(timeout=30)[0].decode()
    assert process.returncode and "again to go on" in words and "Traceback" not in words
    until = time.monotonic() + 20
    while senders(cluster) and time.monotonic() < until:
        time.sleep(0.1)
    assert senders(cluster) == []
    before = {s.host: len(s.asked()) for s in hosts.servers}
    code, words = ended(root, *how, **mine | {"MIREPOIX_PACE": "50"})
    assert code == 0, words
    assert sum(len(s.asked()) - before[s.host] for s in hosts.servers) < sum(before.values()) + len(
        hosts.urls
    )
    assert list((root / ".mirepoix/fetched/parts").iterdir()) == []
