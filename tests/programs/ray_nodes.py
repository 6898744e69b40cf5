"""Ray clusters of several nodes on 127.0.0.1, and recipes with something to do on them."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from runner import warded
from runner.engines.ray import HERE
from runner.jobs.warden import descendants

try:
    version("ray")
except PackageNotFoundError:
    pytest.skip("ray is not installed: bash .ci/tools", allow_module_level=True)

DEAR = pytest.mark.skipif(
    os.environ.get("MIREPOIX_RAY", "") in ("", "0"), reason="takes minutes: MIREPOIX_RAY=1 runs it"
)
QUIET = HERE | {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_health_check_period_ms": "1000",  # how soon a dead node is one
    "RAY_health_check_failure_threshold": "3",
    "RAY_health_check_initial_delay_ms": "1000",
}
RECIPE = """
recipe: 1
name: r
sources:
  - jsonl: {files: [a.jsonl]}
    name: a
  - jsonl: {files: [b.jsonl]}
    name: b
filters:
  - language: {keep: [en], at_least: 0.01}
  - words: {min: 5}
  - pii: {action: redact}
dedup: {exact: true, near: {jaccard: 0.8}}
mix: {weights: {a: 0.6, b: 0.4}}
split: {validation: 0.1}
"""
WHOLE = """
decontaminate: {against: evals}
model: {base: embedded/smollm2-135m-instruct, license: Apache-2.0, template: chatml-tools, end_of_turn: <|im_end|>}
evaluate: {suites: [capability]}
"""
"""With all that data preparation can do."""
WORDS = "the river boat of captain whistle in fog was bell that moon mud it sank water night paper lamp road".split()
_CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster
here = {"node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000}
cluster = Cluster(
    initialize_head=True, head_node_args=here | {"num_cpus": int(sys.argv[1]), "include_dashboard": False}
)
def said(node):
    pids = {name: of[0].process.pid for name, of in node.all_processes.items()}
    print(json.dumps([cluster.address, pids]), flush=True)
said(cluster.head_node)
for line in sys.stdin:
    said(cluster.add_node(num_cpus=1, **here))
cluster.shutdown()
"""

_NODE = """
import sys, time
from ray._private.node import Node
from ray._private.parameter import RayParams
here = {"node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000, "num_cpus": 1, "include_log_monitor": False}
params = RayParams(gcs_address=sys.argv[1], node_manager_port=0, min_worker_port=0, max_worker_port=0, **here)
params.dashboard_agent_listen_port = None
node = Node(params, head=False, shutdown_at_exit=False, spawn_reaper=False)
print("it has joined", flush=True)
time.sleep(1e6)
"""


class Nodes:
    """A cluster, in a process of its own: `head` and what `add` gives are pids by what they are (raylet, …)."""

    def __init__(self, cpus: int = 1, more: dict[str, str] | None = None) -> None:
        self._process = warded.start(
            [sys.executable, "-c", _CLUSTER, str(cpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | QUIET | (more or {}),
        )
        self.address, self.head = self._heard()

    def _heard(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def add(self) -> dict[str, int]:
        """Another node with one core."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self._heard()[1]  # type: ignore[no-any-return]

    def workers(self, raylet: int | None = None) -> dict[int, str]:
        """Processes that work, or wait for work, and what they call themselves: of all nodes, or of one."""
        return {
            pid: name
            for pid in descendants(raylet or self._process.pid)
            if (name := said(pid)).startswith(("ray::do", "ray::IDLE"))
        }

    def end(self) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.close()
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            pass  # somebody killed its head
        finally:
            warded.end(self._process, 0.5)


def said(pid: int) -> str:
    """What a process calls itself; "" where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


@contextmanager
def nodes(cpus: int = 1, more: dict[str, str] | None = None) -> Iterator[Nodes]:
    """A cluster of one node, to which others may be added; it ends with this, whatever is left of it."""
    cluster = Nodes(cpus, more)
    try:
        yield cluster
    finally:
        cluster.end()


@contextmanager
def joined(
    address: str, log: Path, *, before: Sequence[str] = (), python: str = sys.executable, **more: str
) -> Iterator[None]:
    """A node of another kind joins a cluster: started by other words, another Python, in another environment."""
    argv = [*before, python, "-c", _NODE, address]
    with log.open("wb") as out:
        process = warded.start(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | QUIET | more
        )
    try:
        until = time.monotonic() + 60
        while "it has joined" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        warded.end(process, 5)


def workspace(root: Path, rows: int, recipe: str = RECIPE) -> Path:
    """A recipe and its rows: some wrong, some twice, some nearly twice, some with an address in them."""
    dice = random.Random(7)
    said: list[str] = []
    for _ in range(rows):
        words = [dice.choice(WORDS) for _ in range(dice.choice((3, 8, 30, 60)))]
        if said and dice.random() < 0.2:
            words = dice.choice(said).split()
            words[dice.randrange(len(words))] = dice.choice((*WORDS, "fox@example.org"))
        said.append(" ".join(words))
    lines = [
        json.dumps(
            {"messages": [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": text}]}
        )
        for text in said
    ]
    lines[3] = "{broken"
    root.mkdir()
    half = len(lines) // 2
    (root / "a.jsonl").write_text("\n".join(lines[:half]) + "\n")
    (root / "b.jsonl").write_text("\n".join(lines[half:]) + "\n")
    (root / "r.yaml").write_text(recipe)
    return root


def started(root: Path, *how: str, before: Sequence[str] = (), **more: str) -> subprocess.Popen[bytes]:
    """`recipe run`, under way."""
    argv = [*before, str(Path(sys.executable).with_name("recipe")), "run", "r.yaml", "--to", "prepare", *how]
    quiet = os.environ | {"PYTHONSAFEPATH": "1", "MIREPOIX_WORKERS": "2"} | more
    return subprocess.Popen(argv, cwd=root, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def ended(root: Path, *how: str, **more: Any) -> tuple[int, str]:
    """What `recipe run` comes to and says."""
    process = started(root, *how, **more)
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, said.decode()


def made(root: Path, *how: str) -> dict[str, str]:
    """What a run makes: names and digests of all its data."""
    code, said = ended(root, *how)
    assert code == 0, said
    return digests(root)


def digests(root: Path, name: str = "r") -> dict[str, str]:
    """Names and digests of a run's data, and of all artifacts."""
    found = [*(root / f"runs/{name}/data").iterdir(), root / f"runs/{name}/ledger.parquet"]
    found += (root / ".mirepoix/artifacts").glob("*/*/*")
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in found if p.is_file()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
