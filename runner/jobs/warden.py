"""Stands between us and a job: when we are gone, or say so, it ends the job and all that the job has started.

A script, not a module, so that it is there in a moment: `python -I -S warden.py FD PROGRAM ARGUMENT…`. FD is the read
end of a pipe whose other end only we hold. SIGTERM means: ask all of them to end. The pipe's end means: kill all of
them, now. On Linux "all" is whatever descends from the job, in a session of its own or orphaned; elsewhere it is the
job's process group. It ends as the job ended, once nothing of it is left. The variable WARDEN_LOG, which the job does
not see, names what the job writes to: where we are gone, nobody else is left to cover the secrets in it.

prctl(2): PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG. https://man7.org/linux/man-pages/man2/prctl.2.html
"""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

GRACE = 5.0
"""Seconds that what a job left behind has to end by itself."""
LOOK = 0.02  # seconds between looks for those who came to us meanwhile, once all are to be killed
LINUX = sys.platform == "linux" and os.path.exists("/proc/self/stat")  # noqa: PTH110  (no pathlib: it takes a while)
HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(
        option, value, 0, 0, 0
    )  # where that is forbidden, less is seen, and the job runs all the same


def children() -> dict[int, list[int]]:
    """Every process of the machine's that has children, and these."""
    out: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError), open(f"/proc/{entry.name}/stat", "rb") as stat:  # it may be gone by now
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                out.setdefault(parent, []).append(int(entry.name))
    return out


def descendants(pid: int) -> Iterator[int]:
    """All that descend from a process, parents first."""
    known = children()
    row = known.get(pid, [])
    while row:
        yield from row
        row = [child for parent in row for child in known.get(parent, [])]


class Warden:
    """Over one job: `job` replaces a fork of this process, and does not return."""

    def __init__(self, line: int, job: Callable[[], object], log: str = "") -> None:
        self.line, self.log, self.parent = line, log, os.getppid()
        self.status: int | None = None  # of the job, once it has ended
        self.killing = False
        self.until: float | None = None
        self.woken, self.wake = os.pipe()
        for end in (self.woken, self.wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        for number in HEARD:
            signal.signal(number, _heard)
        if LINUX:
            _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: whom his parents leave comes to us
        us = os.getpid()
        self.job = os.fork()
        if self.job == 0:
            self._become(us, job)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):  # whoever reads what the job says waits for its last writer
            os.dup2(nothing, stream)

    def _become(self, us: int, job: Callable[[], object]) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            for number in HEARD:
                signal.signal(number, signal.SIG_DFL)
            for end in (self.line, self.woken, self.wake):
                os.close(end)
            if LINUX:
                _prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not without us either
                if os.getppid() != us:
                    os._exit(1)
            else:
                os.setpgid(0, 0)
            job()
        except OSError as e:
            sys.stderr.write(f"error: {e}\n")
            sys.stderr.flush()
        finally:
            os._exit(127)

    def keep(self) -> NoReturn:
        """Until nothing of the job is left; ends this process."""
        poll = select.poll()
        poll.register(self.line, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        while self._reap():
            if self.killing:
                self._kill()
            late = LOOK if self.killing else None if self.until is None else self.until - time.monotonic()
            for end, _ in poll.poll(None if late is None else max(0, int(late * 1000))):
                if end == self.line:  # nobody writes to it: this is its end
                    poll.unregister(self.line)
                    self.killing = True
                elif any(number != signal.SIGCHLD for number in os.read(self.woken, 1024)):
                    self._ask()
            if self.until is not None and time.monotonic() >= self.until:
                self.killing = True
        self._end()

    def _reap(self) -> bool:
        """Whether any are left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self.job:
                self.status = status
                self._ask()
                self.until = time.monotonic() + GRACE

    def _ask(self) -> None:
        self._send(signal.SIGTERM, list(descendants(os.getpid())) if LINUX else [])

    def _kill(self) -> None:
        """Those that are ours to wait for: so no pid can mean another meanwhile. Theirs come to us, and are next."""
        self._send(signal.SIGKILL, children().get(os.getpid(), []) if LINUX else [])

    def _send(self, number: int, whom: list[int]) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if not LINUX:
                os.killpg(self.job, number)
        for pid in whom:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _end(self) -> NoReturn:
        assert self.status is not None
        if self.log and os.getppid() != self.parent:
            with suppress(OSError):
                os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-m", "runner.scrub", self.log])
        code = os.waitstatus_to_exitcode(self.status)
        if code < 0:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the job has left its own
            with suppress(OSError):  # SIGKILL can be nothing else
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code if code >= 0 else 128 - code)


def _heard(number: int, frame: object) -> None:
    """The pipe tells it."""


def _program(argv: list[str]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these; programs do not expect that
        signal.signal(number, signal.SIG_DFL)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    line = int(sys.argv[1])
    os.set_inheritable(line, False)
    log = os.environ.pop("WARDEN_LOG", "")
    Warden(line, lambda: _program(sys.argv[2:]), log).keep()
