"""`recipe` started in a moment, with Axolotl imported before: for the tests of the whole line and those that kill it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import process


class Started:
    """One `recipe` at work; `killed` ends its whole process group, and so the job that it started."""

    def __init__(self, forks: Forks, pid: int, out: Path) -> None:
        self.forks, self.pid, self.out = forks, pid, out

    @property
    def running(self) -> bool:
        state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"

    def kill(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self.forks.ask({"wait": self.pid})

    def end(self) -> tuple[int, dict[str, Any], str]:
        """Exit code, the JSON that it printed, and all that it printed."""
        code = self.forks.ask({"wait": self.pid})
        text = self.out.read_text()
        data = json.loads(text) if text else {}
        return code, data, text + self.out.with_suffix(".out.err").read_text(errors="replace")


class Forks:
    """The process that starts them (forked.py)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.log = (folder / "forks.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forked.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            # As jobs are started: an interpreter's hash seed cannot be set later.
            env=os.environ | process.QUIET,
        )

    def ask(self, what: dict[str, Any]) -> int:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        while not (line := self.process.stdout.readline().strip()).lstrip("-").isdigit():
            assert self.process.poll() is None, (self.folder / "forks.log").read_text()[-2000:]
        return int(line)

    def start(self, *argv: str | Path) -> Started:
        self.count += 1
        out = self.folder / f"{self.count}.out"
        return Started(self, self.ask({"argv": [str(a) for a in argv], "out": str(out)}), out)

    def axolotl(self, cwd: Path, *argv: str) -> tuple[int, str]:
        """Axolotl by hand, to its end: exit code and all that it said."""
        self.count += 1
        out = self.folder / f"{self.count}.out"
        pid = self.ask({"argv": [*argv], "out": str(out), "cwd": str(cwd)})
        return self.ask({"wait": pid}), out.read_text(errors="replace")


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    pytest.importorskip("axolotl.common", reason="axolotl is not installed")
    out = Forks(tmp_path_factory.mktemp("forks"))
    yield out
    assert out.process.stdin and out.process.stdout
    out.process.stdin.close()
    out.process.wait(20)
    out.process.stdout.close()
    out.log.close()
