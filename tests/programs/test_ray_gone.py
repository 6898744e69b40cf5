"""The engine `ray` where what it cannot do without goes, or whoever asked: one sentence, nothing is left, and the next
run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_nodes import DEAR, digests, ended, made, nodes, said, started, workspace

from runner.jobs.warden import descendants

ROWS = 12_000  # six pieces, which take some seconds
STEPS = ["source", "filter", "dedup", "mix"]


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the cores of this machine make."""
    return made(workspace(tmp_path_factory.mktemp("alone") / "w", ROWS))


@pytest.fixture
def room() -> Iterator[Path]:
    """For temporary files: sockets in there have long names."""
    with tempfile.TemporaryDirectory(prefix="t-") as short:
        yield Path(short)


def reached(process: subprocess.Popen[bytes], step: str) -> list[str]:
    """Wait until a run begins a step; what it says until then."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line.decode())
        if line.split()[:1] == [b"run"] and line.split()[1].partition(b".")[0].decode() == step:
            return lines
    raise AssertionError("".join(lines))


def up(process: subprocess.Popen[bytes]) -> None:
    """Wait until a run says which cluster it has: one that is killed while it starts is another story."""
    assert process.stdout
    assert any(line.split()[:1] == [b"ray"] for line in process.stdout)


def outcome(process: subprocess.Popen[bytes], within: float) -> tuple[int, str]:
    """How a run ends, and what it says until then."""
    try:
        rest, _ = process.communicate(timeout=within)
    finally:
        process.kill()
    return process.returncode, rest.decode()


def ours(of: int, name: str) -> int:
    """The process of that name which descends from a process, once it is there."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for pid in descendants(of):
            if name in said(pid):
                return pid
        time.sleep(0.02)
    raise AssertionError(f"no {name}")


def gone(pids: list[int]) -> bool:
    """Whether processes end within some seconds."""
    until = time.monotonic() + 10
    while any(said(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(said(pid) for pid in pids)


def one_sentence(told: str, begin: str) -> None:
    last = told.strip().splitlines()[-1]
    assert last.startswith(f"error: ray: {begin}"), told
    assert "Traceback" not in told
    assert last.endswith("(log: runs/r/logs/engine.log)"), told


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ray_driver", marks=DEAR),
        pytest.param("gcs_server", marks=DEAR),
        pytest.param("raylet/raylet", marks=DEAR),
    ],
)
def test_a_cluster_of_our_own_that_is_killed(
    name: str, same: dict[str, str], room: Path, tmp_path: Path
) -> None:
    """The process that talks to it, its head, its node."""
    root = workspace(tmp_path / "w", ROWS)
    process = started(root, "--engine", "ray", TMPDIR=str(room))
    up(process)
    os.kill(ours(process.pid, name), signal.SIGKILL)
    all_of_them = list(descendants(process.pid))
    code, told = outcome(process, 120)
    assert code == 3, told
    one_sentence(told, "the cluster that was started for the run has ended")
    assert gone(all_of_them)
    assert not list(room.glob("recipe-*"))
    assert made(root) == same  # with what was made before


@pytest.mark.parametrize("name", [pytest.param("raylet", marks=DEAR), pytest.param("gcs_server", marks=DEAR)])
def test_a_head_that_dies(name: str, same: dict[str, str], tmp_path: Path) -> None:
    """The run ends, in a minute; with another cluster it goes on."""
    root = workspace(tmp_path / "w", ROWS)
    with nodes() as first:
        first.add()
        process = started(root, "--engine", "ray", "--address", first.address)
        reached(process, "dedup")
        os.kill(first.head[name], signal.SIGKILL)
        code, told = outcome(process, 120)
    assert code == 3, told
    one_sentence(told, f"the cluster at {first.address} is gone")
    with nodes() as second:
        code, told = ended(root, "--engine", "ray", "--address", second.address)
        assert code == 0, told
    assert "  kept  3 steps made before" in told
    assert digests(root) == same


@pytest.mark.parametrize("step", [pytest.param(s, marks=() if s == "filter" else DEAR) for s in STEPS])
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=DEAR)])
def test_nothing_is_left_of_a_run_that_is_ended(
    step: str, number: signal.Signals, same: dict[str, str], room: Path, tmp_path: Path
) -> None:
    """By Ctrl-C, or killed: no process is left, nor what it had in the folder for temporary files."""
    root = workspace(tmp_path / "w", ROWS)
    process = started(root, "--engine", "ray", TMPDIR=str(room))
    reached(process, step)
    ours(process.pid, "raylet/raylet")
    all_of_them = list(descendants(process.pid))
    process.send_signal(number)
    code, told = outcome(process, 30)
    assert code == (130 if number == signal.SIGINT else -number), told
    assert "Traceback" not in told
    assert gone(all_of_them)
    if number == signal.SIGINT:
        assert told.endswith("interrupted; run it again to go on from here\n")
        assert not list(room.glob("recipe-*"))
        assert not [*(root / ".mirepoix/tmp").iterdir(), *(root / ".mirepoix/runs").glob("*.seen")]
    code, told = ended(root, "--engine", "ray", TMPDIR=str(room))
    assert code == 0, told
    assert digests(root) == same
    assert step == "mix" or "  ray   1 node, 2 cores, started for this run\n" in told
    assert not list(room.glob("recipe-*"))  # what a killed run left goes with the next


@pytest.mark.parametrize("step", [pytest.param("filter", marks=DEAR)])
def test_a_cluster_that_is_there_is_free_again(step: str, same: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C: its workers stop what they were at, and it takes the next run."""
    root = workspace(tmp_path / "w", ROWS)
    with nodes() as cluster:
        process = started(root, "--engine", "ray", "--address", cluster.address)
        reached(process, step)
        process.send_signal(signal.SIGINT)
        code, told = outcome(process, 30)
        assert code == 130, told
        until = time.monotonic() + 20
        while any(name.startswith("ray::do") for name in cluster.workers().values()):
            assert time.monotonic() < until
            time.sleep(0.1)
        code, told = ended(root, "--engine", "ray", "--address", cluster.address)
        assert code == 0, told
        assert digests(root) == same
