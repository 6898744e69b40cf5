"""A job's whole process group ends with the run, in good time, however the job takes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# A verb whose only work is a job with a child of its own, as Axolotl's launchers have.
VERB = """
import signal, sys
from pathlib import Path
import click
from runner import process
from runner.cli.common import command

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have had it ignored
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if sys.argv.pop() == "deaf" else ""
CHILD = DEAF + "import time; time.sleep(120)"
JOB = DEAF + f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {CHILD!r}]); print(p.pid, flush=True); p.wait()"

@click.command()
@command
def verb(workspace, as_json):
    process.run([sys.executable, "-c", JOB], log=Path("log"), cwd=Path())

verb()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def group(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """The verb at work; its job, and its job's child."""
    argv = [sys.executable, "-c", VERB, request.param]
    started = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        until, said = time.monotonic() + 60, [""]
        while not said[-1].isdigit() and time.monotonic() < until:
            time.sleep(0.05)
            said = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else [""]
        child = int(said[-1])
        yield started, parent(child), child
    finally:
        started.kill()
        started.wait()
        for pid in (int(x) for x in said if x.isdigit()):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("group", "sign", "code", "most"),
    [
        ("meek", signal.SIGINT, 130, 5),
        ("meek", signal.SIGTERM, 143, 5),
        ("deaf", signal.SIGINT, 130, 10),
    ],
    indirect=["group"],
)
def test_the_whole_group_ends(
    group: tuple[subprocess.Popen[str], int, int], sign: signal.Signals, code: int, most: float
) -> None:
    started, job, child = group
    begun = time.monotonic()
    started.send_signal(sign)
    _, said = started.communicate(timeout=60)
    assert time.monotonic() - begun < most
    assert started.returncode == code
    assert said.strip() == "interrupted; run it again to go on from here"
    assert not alive(job) and not alive(child)


@pytest.mark.parametrize("group", ["deaf"], indirect=True)
def test_a_second_interrupt_does_not_wait(group: tuple[subprocess.Popen[str], int, int]) -> None:
    started, job, _ = group
    begun = time.monotonic()
    started.send_signal(signal.SIGINT)
    time.sleep(0.5)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert time.monotonic() - begun < 4
    assert started.returncode == 130 and "Traceback" not in said
    time.sleep(0.2)
    assert not alive(job)
