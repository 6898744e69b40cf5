"""`recipe` and its jobs started in a moment, with Axolotl and torch imported before, once for all that run tests."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forked
import pytest

from runner import process, warded


def running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def parents() -> dict[int, int]:
    """Of each process that runs, who started it."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


class Started:
    """One program at work; `kill` ends its whole process group, and so the job that it started."""

    def __init__(self, forks: Forks, pid: int, out: Path) -> None:
        self.forks, self.pid, self.out = forks, pid, out

    @property
    def running(self) -> bool:
        return running(self.pid)

    def kill(self) -> None:
        """At once; and wait until nothing of it runs any more, as its jobs' wardens see to."""
        wardens = [pid for pid, parent in parents().items() if parent == self.pid]
        os.killpg(self.pid, signal.SIGKILL)
        self.forks.wait(self.pid)
        until = time.monotonic() + 30
        while any(pid in parents() for pid in wardens):
            assert time.monotonic() < until, "its jobs outlived it"
            time.sleep(0.005)

    def as_popen(self) -> Job:
        return Job(self.forks, self.pid)

    def done(self) -> subprocess.CompletedProcess[str]:
        """Once it has ended."""
        code = self.forks.wait(self.pid)
        said, errors = (p.read_text(errors="replace") for p in (self.out, self.out.with_suffix(".out.err")))
        return subprocess.CompletedProcess([], code, said, errors)

    def end(self) -> tuple[int, dict[str, Any], str]:
        """Exit code, the JSON that it printed, and all that it printed."""
        done = self.done()
        data = json.loads(done.stdout) if done.stdout else {}
        return done.returncode, data, done.stdout + done.stderr


class Job(forked.Forked):
    """A job of ours, forked elsewhere: as much of subprocess.Popen as `runner.warded` uses."""

    def __init__(self, forks: Forks, pid: int) -> None:
        super().__init__(pid)
        self.forks = forks

    def reaped(self) -> int | None:
        return None if running(self.pid) else self.forks.ask({"wait": self.pid})


class Forks:
    """Asks the process that starts them (forked.py), which `shared` is for all that run tests at once."""

    def __init__(self, folder: Path, shared: Path) -> None:
        self.folder, self.count = folder, 0
        self.log = shared / "forks.log"
        self.server: subprocess.Popen[bytes] | None = None  # where it was we who started it
        with (shared / "forks").open("a+") as known:
            fcntl.flock(known, fcntl.LOCK_EX)
            known.seek(0)
            self.socket = self._joined(known.read()) or self._begun()
            known.truncate(0)
            known.write(str(self.socket.getpeername()))

    @staticmethod
    def _joined(path: str) -> socket.socket | None:
        """The way to the one that another has started, where it is still there."""
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            one.connect(path)
            one.send(b'{"import": "runner"}')
            if one.recv(99):
                return one
        except OSError:
            pass
        one.close()
        return None

    def _begun(self) -> socket.socket:
        path = str(
            Path(tempfile.mkdtemp(prefix="forks-")) / "socket"
        )  # nobody else's, and short enough for a socket
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, self.log.open("ab") as log:
            listener.bind(path)
            listener.listen()
            one.connect(path)
            self.server = subprocess.Popen(
                [sys.executable, forked.__file__, str(listener.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
                # As jobs are started: an interpreter's hash seed cannot be set later.
                env=os.environ | process.QUIET,
            )
        return one

    def ask(self, what: dict[str, Any], *fds: int) -> int:
        said = b""
        try:
            socket.send_fds(self.socket, [json.dumps(what).encode()], fds)
            said = self.socket.recv(99)
        except ConnectionError:
            pass
        assert said, self.log.read_text()[-2000:]
        return int(said)

    def wait(self, pid: int) -> int:
        while running(pid):  # others ask it, too, so it must not wait
            time.sleep(0.005)
        return self.ask({"wait": pid})

    def _out(self, verb: str, argv: list[str], cwd: Path) -> tuple[int, Path]:
        self.count += 1
        out = self.folder / f"{self.count}.out"
        where = {"out": str(out), "cwd": str(cwd), "environ": dict(os.environ)}
        return self.ask({verb: argv} | where), out

    def start(self, *argv: str | Path) -> Started:
        return Started(self, *self._out("recipe", [str(a) for a in argv], Path.cwd()))

    def axolotl(self, cwd: Path, *argv: str) -> tuple[int, str]:
        """Axolotl by hand, to its end: exit code and all that it said."""
        pid, out = self._out("axolotl", [*argv], cwd)
        return self.wait(pid), out.read_text(errors="replace")

    def python(self, argv: list[str], cwd: Path | None = None) -> Started:
        """`python -c CODE …`, `python -m MODULE …` or `python FILE …`."""
        return Started(self, *self._out("python", argv, cwd or Path.cwd()))

    def job(self, argv: list[str], cwd: str, environ: dict[str, str], line: int, log: int) -> Job:
        return Job(self, self.ask({"job": argv, "cwd": cwd, "environ": environ}, line, log))

    def close(self) -> None:
        self.socket.close()
        if self.server is not None:
            self.server.wait(1200)  # the others may ask until they have no tests any more


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    base = tmp_path_factory.getbasetemp()
    out = Forks(
        tmp_path_factory.mktemp("forks"), base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    )
    yield out
    out.close()


@pytest.fixture
def forked_jobs(forks: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that this very process starts (forked.JOBS, Axolotl) are forked, too."""
    begin = forked.popen(forks.job)
    monkeypatch.setattr(warded, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": begin}))
