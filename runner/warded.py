"""Child processes that end with us, however we end, and all that they start with them.

Each has a warden (runner/jobs/warden.py) between us and itself. It ends what is in its care when the pipe closes that
only we hold open: when we say so, or are no more.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner import ending

WARDEN = [sys.executable, "-I", "-S", str(Path(__file__).with_name("jobs") / "warden.py")]
_AFTER = 2.0  # seconds that a warden has to kill all that is in its care
_lines: dict[int, int] = {}  # by the warden's pid
_ends: set[int] = set()  # our ends of the pipes


def start(argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
    """As subprocess.Popen, in a session of its own. The process that it gives is the warden, which ends as the child
    ends. Whoever starts it calls `end`. Raises OSError where there is no such program."""
    path = (how.get("env") or os.environ).get("PATH")
    if shutil.which(argv[0], path=path) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    theirs, ours = os.pipe()
    _ends.add(ours)
    try:
        child = subprocess.Popen(
            [*WARDEN, str(theirs), *argv], pass_fds=(theirs,), start_new_session=True, **how
        )
    except BaseException:
        _close(ours)
        raise
    finally:
        os.close(theirs)
    _lines[child.pid] = ours
    return child


def end(child: subprocess.Popen[bytes], patience: float) -> None:
    """End a child and all that it started: asked first, killed after `patience` seconds."""
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=ending.left(patience))
    finally:
        if (line := _lines.pop(child.pid, None)) is not None:
            _close(line)
    try:
        child.wait(timeout=_AFTER)
    except subprocess.TimeoutExpired:  # stopped, or what it waits for cannot be killed
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_AFTER)


def _close(line: int) -> None:
    if line in _ends:
        _ends.discard(line)
        os.close(line)


def _end_all() -> None:
    """Kill them all, now, and wait until they are gone, but not for long."""
    wardens = list(_lines)
    for line in list(_ends):
        _close(line)
    until = time.monotonic() + _AFTER
    while wardens and time.monotonic() < until:
        wardens = [pid for pid in wardens if _runs(pid)]
        time.sleep(0.005)


def _runs(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _forked() -> None:
    """What we started is ours alone to hold."""
    for line in list(_ends):
        _close(line)
    _lines.clear()
    ending.also(_end_all)


ending.also(_end_all)
os.register_at_fork(after_in_child=_forked)
