"""The engine `ray`: the same bytes as on one machine's cores, whoever dies meanwhile.

Clusters are on 127.0.0.1, with a token where Ray has them; each ends with its test.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from runner.engines.ray import HERE

try:
    version("ray")
except PackageNotFoundError:
    pytest.skip("ray is not installed: bash .ci/tools", allow_module_level=True)

EXAMPLES = Path(__file__).parents[1] / "examples/valid"
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
WORDS = "the river boat of captain whistle in fog was bell that moon mud it sank water night paper lamp road".split()
NODES = """
import json, sys
from ray.cluster_utils import Cluster
here = {"node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=here | {"num_cpus": 1, "include_dashboard": False})
node = cluster.add_node(num_cpus=1, **here)
cluster.wait_for_nodes()
print(json.dumps([cluster.address, node.all_processes["raylet"][0].process.pid]), flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


def workspace(root: Path, rows: int) -> Path:
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
    (root / "r.yaml").write_text(RECIPE)
    return root


def started(root: Path, *how: str) -> subprocess.Popen[bytes]:
    argv = [str(Path(sys.executable).with_name("recipe")), "run", "r.yaml", "--to", "prepare", *how]
    quiet = os.environ | {"PYTHONSAFEPATH": "1", "MIREPOIX_WORKERS": "2"}
    return subprocess.Popen(argv, cwd=root, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def made(root: Path, *how: str) -> dict[str, str]:
    """What a run makes: names and digests of all its data."""
    process = started(root, *how)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    return digests(root)


def digests(root: Path) -> dict[str, str]:
    found = [*(root / "runs/r/data").iterdir(), root / "runs/r/ledger.parquet"]
    found += (root / ".mirepoix/artifacts").glob("*/*/*")
    files = {p.relative_to(root).as_posix(): p.read_bytes() for p in found if p.is_file()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


@contextmanager
def nodes() -> Iterator[tuple[str, int]]:
    """A cluster of two nodes: its address, and the process whose end is the second one's."""
    process = subprocess.Popen(
        [sys.executable, "-c", NODES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | HERE | {"RAY_USAGE_STATS_ENABLED": "0"},
        start_new_session=True,
    )
    try:
        assert process.stdout
        address, pid = json.loads(process.stdout.readline())
        yield address, pid
        process.communicate(b"\n", timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the cores of this machine make."""
    return made(workspace(tmp_path_factory.mktemp("alone") / "w", 6000))


def ray_workers() -> dict[int, str]:
    """Processes of Ray's that work, and whose they are."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if line.startswith("ray::do"):
            found[int(entry.parent.name)] = line
    return found


def test_a_cluster_that_is_started_for_the_run(alone: dict[str, str], tmp_path: Path) -> None:
    """The same bytes, and nothing of it is left."""
    root = workspace(tmp_path / "w", 6000)
    assert made(root, "--engine", "ray") == alone
    assert "ray_driver" in (root / "runs/r/logs/engine.log").read_text()


def test_nodes_that_die(alone: dict[str, str], tmp_path: Path) -> None:
    """A worker is killed, then a node: the pieces that they had are worked on elsewhere."""
    root = workspace(tmp_path / "w", 6000)
    with nodes() as (address, node):
        process = started(root, "--engine", "ray", "--address", address)
        until = time.monotonic() + 120
        while process.poll() is None and not (workers := ray_workers()) and time.monotonic() < until:
            time.sleep(0.005)
        assert process.poll() is None, process.communicate()
        os.kill(next(iter(workers)), signal.SIGKILL)
        os.kill(node, signal.SIGKILL)
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said.decode()
    assert digests(root) == alone
