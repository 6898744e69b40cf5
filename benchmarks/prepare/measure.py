"""What a command costs, with all processes that it starts: CPU seconds, wall, peak memory.

CPU seconds (user and system) are those that the kernel books on the command when it is waited for:
its own and those of every process that it waited for in turn. Processes that it leaves behind are
adopted (PR_SET_CHILD_SUBREAPER), ended and added. Some are waited for by nobody, such as workers of
Ray: so each descendant's own seconds are sampled, too, and the larger of the two sums is shown.
Memory is sampled: the sum over the process tree of the proportional set size (PSS), in which a page
that n processes share counts 1/n in each, or where that is more, the kernel's own high-water mark of
a single process (VmHWM; `ru_maxrss` would not do, it starts with the size of whoever forked). Both
count pages of mapped files.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

EVERY = 0.1  # seconds between two looks at memory
SHARE = 0.03  # most of a processor that looking may take: the larger the processes, the rarer the looks
_SUBREAPER = 36


class Cost(NamedTuple):
    """CPU and wall in seconds, memory in MB: the tree's sampled peak, and the largest one process's."""

    cpu: float
    wall: float
    peak: float
    largest: float


class Failed(RuntimeError):
    """A command that did not succeed, with the end of what it said."""


def cost(command: list[str], *, env: dict[str, str], cwd: Path, log: Path, limit: float) -> Cost:
    """Runs a command to its end. Raises Failed where it fails, or takes longer than `limit` seconds."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    start = time.perf_counter()
    with open(log, "wb") as said:
        process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    watch = _Watch(process.pid)
    watch.start()
    timer = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
        watch.stop()
        left = _left_behind(process.pid)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        end = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise Failed(f"exit status {process.returncode}: {' / '.join(end)[-400:]}")
    cpu = max(usage.ru_utime + usage.ru_stime + left, watch.cpu())
    return Cost(cpu, time.perf_counter() - start, max(watch.peak, watch.largest), watch.largest)


def _left_behind(session: int) -> float:
    """Ends what still runs of a session, and gives the CPU seconds of that."""
    cpu = 0.0
    deadline = time.monotonic() + 5  # helpers of multiprocessing end by themselves
    while True:
        try:
            pid, _, usage = os.wait4(-session, os.WNOHANG)
        except ChildProcessError:
            return cpu
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
        elif time.monotonic() > deadline:
            os.killpg(session, signal.SIGKILL)
            deadline = float("inf")
        else:
            time.sleep(0.05)


class _Watch(threading.Thread):
    """Looks at the memory of a session's processes, and at the time of what descends from it, until it is stopped."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session, self.done = session, threading.Event()
        self.peak = self.largest = 0.0
        self.spent: dict[tuple[int, int], float] = {}  # process id and start → CPU seconds, as last seen

    def run(self) -> None:
        pause = EVERY
        while not self.done.wait(pause):
            start = time.thread_time()
            self.spent |= _spent(self.session)
            members = _members(self.session)
            self.peak = max(self.peak, sum(_megabytes(pid, "smaps_rollup", "Pss:") for pid in members))
            self.largest = max(self.largest, *(_megabytes(pid, "status", "VmHWM:") for pid in members), 0.0)
            pause = max(EVERY, (time.thread_time() - start) / SHARE)

    def cpu(self) -> float:
        """Seconds of all that was seen."""
        return sum(self.spent.values())

    def stop(self) -> None:
        self.done.set()
        self.join()


def _spent(ancestor: int) -> dict[tuple[int, int], float]:
    """CPU seconds of a process and all that descends from it: its own, not those of children."""
    running, tick = _running(), os.sysconf("SC_CLK_TCK")
    ours = {}
    for pid, (_, _, used, start) in running.items():
        above: int | None = pid
        while above and above != ancestor:
            above = running[above][0] if above in running else None
        if above == ancestor:
            ours[pid, start] = used / tick
    return ours


def _members(session: int) -> list[int]:
    return [pid for pid, (_, its, _, _) in _running().items() if its == session]


def _running() -> dict[int, tuple[int, int, int, int]]:
    """Of each process its parent, its session, the ticks that it used, and when it began."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks = int(fields[11]) + int(fields[12])  # utime, stime
            found[int(entry.name)] = int(fields[1]), int(fields[3]), ticks, int(fields[19])
    return found


def _megabytes(pid: int, file: str, field: str) -> float:
    """A field of /proc/PID/FILE; 0 of a process that is gone."""
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
