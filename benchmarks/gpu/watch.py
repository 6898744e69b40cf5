"""A command run to its end while its memory is watched: of the GPU as its driver shows it, or of the process tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

EVERY = 0.2


class Failed(RuntimeError):
    """A command that did not succeed, with the end of what it said."""


class Cost(NamedTuple):
    """Wall seconds, and the most memory in GiB beyond what was in use before."""

    seconds: float
    gib: float


def run(argv: list[str], *, cwd: Path, log: Path, gpu: bool, env: dict[str, str], limit: float) -> Cost:
    before, most, done = (_gpu() if gpu else 0.0), 0.0, threading.Event()
    began = time.perf_counter()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | env,
        )

        def look() -> None:
            nonlocal most
            while not done.wait(EVERY):
                most = max(most, (_gpu() - before) if gpu else _tree(child.pid))

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            code = child.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise Failed(f"{' '.join(argv)} took longer than {limit:.0f} s; see {log}") from None
        finally:
            done.set()
            watcher.join()
    if code:
        end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise Failed(f"{' '.join(argv)} ended with {code}:\n{end}")
    return Cost(time.perf_counter() - began, most)


def _gpu() -> float:
    """GiB in use on the first visible GPU, by whomever."""
    first = (os.environ.get("CUDA_VISIBLE_DEVICES") or "0").split(",")[0]
    argv = [shutil.which("nvidia-smi") or "nvidia-smi", "-i", first]
    argv += ["--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    return float(done.stdout.split()[0]) / 1024


def _tree(root: int) -> float:
    """GiB of a process and its descendants: resident pages that are no files."""
    parents: dict[int, int] = {}
    sizes: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            total, shared = ((entry / "statm").read_text().split())[1:3]
        except (OSError, ValueError):
            continue
        parents[int(entry.name)] = int(stat[1])
        sizes[int(entry.name)] = (int(total) - int(shared)) * os.sysconf("SC_PAGE_SIZE") / 2**30
    out, among = 0.0, {root}
    for pid in sorted(sizes):
        if pid in among or parents[pid] in among:
            among.add(pid)
            out += sizes[pid]
    return out
