"""Where what is said cannot be written either, and where memory ends: the exit code still tells what happened."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import errors
from runner.cli import common

MAIN = [sys.executable, "-c", "from runner.cli import main; main()"]


@pytest.mark.parametrize(
    ("argv", "out", "err", "code"),
    [
        (["plan", "none.yaml"], "pipe", "full", 2),
        (["plan", "none.yaml", "--json"], "full", "pipe", 2),
        (["check", "r.yaml"], "full", "pipe", 3),
        (["plan", "r.yaml", "--json"], "full", "pipe", 3),
        (["run", "r.yaml", "--to", "prepare"], "full", "full", 3),
    ],
)
def test_the_exit_code_where_nothing_can_be_said(
    place: Any, argv: list[str], out: str, err: str, code: int
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        to = {"full": full, "pipe": subprocess.PIPE}
        done = subprocess.run(
            [*MAIN, *argv], cwd=place.root, stdout=to[out], stderr=to[err], text=True, timeout=60
        )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in (done.stderr or "")


VERB = """
import click, sys
from runner.cli.common import command

@click.command()
@command
def verb(workspace, as_json):
    {work}

verb()
"""


@pytest.mark.parametrize(
    "work",
    [
        "bytearray(1 << 40)",
        "import pyarrow; pyarrow.allocate_buffer(1 << 40)",
        'raise RuntimeError("can\'t start new thread")',
        "raise ImportError('libx.so: failed to map segment from shared object')",
        "raise OSError(12, 'Cannot allocate memory')",
    ],
)
def test_memory_that_ends_is_one_line(tmp_path: Path, work: str) -> None:
    most = 1 << 34
    done = subprocess.run(
        [sys.executable, "-c", VERB.format(work=work)], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: memory ran out") and "run it again" in line


def test_no_thread_to_be_had_is_one_line(tmp_path: Path) -> None:
    none = "import threading\nthreading.Thread.start = lambda self: (_ for _ in ()).throw(RuntimeError('none'))\n"
    argv = [sys.executable, "-c", none + VERB.format(work="return 0")]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "error: no thread can be started\n")


def test_a_limit_that_leaves_numpy_nothing_is_one_line(place: Any) -> None:
    """OpenBLAS looks for memory without end, and Python hears no signal meanwhile."""
    most = 100_000 << 10
    done = subprocess.run(
        [*MAIN, "run", "r.yaml", "--to", "prepare"], cwd=place.root, capture_output=True, text=True, timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: memory ran out") and "ulimit -v" in line


def test_other_errors_of_ours_are_not_taken_for_it(tmp_path: Path) -> None:
    code = VERB.format(work="raise RuntimeError('a defect')")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "Traceback" in done.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_no_memory_to_say_it_in_full(
    as_json: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(common, "said", none)
    monkeypatch.setattr(common, "emit", none)
    common._tell(as_json, errors.MirepoixError("it is long"), 3)
    out, err = capfd.readouterr()
    if as_json:
        assert "memory ran out" in json.loads(out)["errors"][0]["what"] and not err
    else:
        assert err.startswith("error: memory ran out") and err.count("\n") == 1 and not out
