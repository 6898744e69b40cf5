"""How fast this machine's CPU trains: measured once, by a job, and kept in the user's cache folder."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner import process, warded
from runner.forecast.memory import GIB
from runner.forecast.parameters import Trained
from runner.forecast.shapes import Shape
from runner.forecast.timing import Measured
from runner.steps import version
from runner.store import digest

Tell = Callable[[str], None]
PATIENCE = 120.0
KEPT = 50
"""Measurements in the cache file."""


_shared: ContextVar[dict[str, dict[str, float]] | None] = ContextVar("shared", default=None)


@contextmanager
def shared() -> Iterator[None]:
    """Within, nothing is measured twice, on a busy machine either: two forecasts then differ by their recipes alone."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def cache_file() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "mirepoix" / "cpu.json"


def asked(shape: Shape, what: Trained, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the job is asked to measure."""
    names = ("layers", "hidden", "heads", "kv_heads", "head", "ffn", "vocabulary")
    how = {"rank": max(what.rank, 1), "full": what.full, "bf16": bool(config.get("bf16"))}
    return {n: getattr(shape, n) for n in names} | how


def measured(
    shape: Shape, what: Trained, config: Mapping[str, Any], tell: Tell = lambda _: None
) -> Measured | None:
    """From the cache, else measured now, which takes a few seconds; None where PyTorch is not installed or fails."""
    if version("torch") == "absent":
        return None
    wanted = asked(shape, what, config)
    key = digest([wanted, _machine(), version("torch"), os.environ.get("OMP_NUM_THREADS")])
    within = _shared.get()
    kept = _kept() | (within or {})
    if key not in kept:
        tell("measuring how fast this CPU trains; it is done once and takes some seconds")
        busy = _busy()
        found = _measure(wanted)
        if found is None:
            return None
        kept[key] = found
        if within is not None:
            within[key] = found
        if busy:
            tell("it was busy with other work, so this is not kept: hours may be far off")
        else:
            _keep(dict(list(kept.items())[-KEPT:]))
    return Measured(**kept[key])


def _machine() -> list[object]:
    """What decides how fast it is: the processor's own name, and how many of them may be used."""
    model = ""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "flags")):
                model += line.partition(":")[2]
            elif not line and model:
                break
    except OSError:
        model = platform.processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [platform.machine(), model, cores]


def _kept() -> dict[str, dict[str, float]]:
    names = set(Measured.__dataclass_fields__)
    try:
        said = json.loads(cache_file().read_bytes())
        return {
            k: v
            for k, v in said.items()
            if set(v) == names and all(type(x) in (int, float) for x in v.values())
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _keep(what: dict[str, dict[str, float]]) -> None:
    path = cache_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(what), encoding="utf-8")
        temporary.replace(path)
    except OSError:  # a home that cannot be written to only costs the next plan its seconds
        return


def _busy() -> bool:
    """Whether other work takes more than half a core just now; what is measured beside it is no use later."""
    try:
        return os.getloadavg()[0] > 0.5
    except OSError:
        return False


def _measure(wanted: dict[str, Any]) -> dict[str, float] | None:
    argv = [sys.executable, "-m", "runner.jobs.probe"]
    try:
        pipe = subprocess.PIPE
        child = warded.start(
            argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=process.environment()
        )
        try:
            said, _ = child.communicate(json.dumps(wanted).encode(), timeout=PATIENCE)
        finally:
            warded.end(child, 0)
        return None if child.returncode else asdict(Measured(**json.loads(said.splitlines()[-1])))
    except (OSError, ValueError, TypeError, IndexError, subprocess.SubprocessError):
        return None


def memory() -> float | None:
    """This machine's memory in bytes, or None where it does not say."""
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
    return min(float(pages * size), _limit())


def _limit() -> float:
    """The limit of the control group that this process is in, if it has one."""
    try:
        return float(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):
        return 1e6 * GIB
