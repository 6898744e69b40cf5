"""The machine: GPUs as their driver tells them, cores, memory, disk. No library of theirs is imported."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from runner import shown
from runner.doctor.findings import Finding
from runner.hardware import profile

_QUERY = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
_PATIENCE = 20  # seconds: a driver that hangs must not hang us
_LITTLE = 5e9  # bytes of disk: an environment and a small model


def machine(workspace: Path) -> Iterator[Finding]:
    """What there is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("machine", "cores", "ok", f"{cores}")
    if memory := _memory():
        yield Finding("machine", "memory", "ok", shown.memory(memory))
    free = shutil.disk_usage(workspace).free
    low = free < _LITTLE
    do = "make room, or put the workspace elsewhere: --workspace" if low else ""
    yield Finding("machine", "disk", "warn" if low else "ok", f"{shown.size(free)} free here", do)
    yield from _gpus()


def _memory() -> int:
    """Bytes; 0 where they cannot be told."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def _ask(program: str, *arguments: str) -> tuple[bool, str]:
    """Whether a program did it, and what it said."""
    try:
        done = subprocess.run(
            [program, *arguments],
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer in {_PATIENCE} seconds"
    except OSError as e:
        return False, e.strerror or str(e)
    said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
    return not done.returncode, said


def _gpus() -> Iterator[Finding]:
    program, there = shutil.which("nvidia-smi"), profile() == "gpu"
    if program is None and not there:
        yield Finding("machine", "gpu", "ok", "none: small models train on the CPU, in minutes")
        return
    if program is None:
        yield Finding(
            "machine", "gpu", "warn", "a device, but no nvidia-smi", "install the NVIDIA driver's tools"
        )
        return
    done, said = _ask(program, *_QUERY)
    rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines()] if done else []
    if not rows or any(len(row) != 3 for row in rows):
        first = next(iter(said.splitlines()), "it says nothing")
        yield Finding("machine", "gpu", "warn", f"nvidia-smi: {first[:200]}", "see to the NVIDIA driver")
        return
    for n, (name, memory, driver) in enumerate(rows):
        said = shown.memory(int(memory) << 20) if memory.isdecimal() else memory
        yield Finding(
            "machine", "gpu" if len(rows) == 1 else f"gpu {n}", "ok", f"{name}, {said}, driver {driver}"
        )
    yield from _cuda(program)


def _cuda(program: str) -> Iterator[Finding]:
    """Whether torch's CUDA is one that this driver runs."""
    torch = torch_cuda()
    if torch is None:
        return
    _, table = _ask(program)
    known = re.search(r"CUDA Version:\s*([0-9]+(?:\.[0-9]+)?)", table)
    if not torch:
        do = "install a torch with CUDA (pytorch.org says which index has it)"
        yield Finding(
            "machine", "cuda", "warn", "the torch here is one for the CPU: the GPU would not be used", do
        )
    elif known and _number(torch) > _number(known[1]) and torch.split(".")[0] != known[1].split(".")[0]:
        what = f"torch is for CUDA {torch}, the driver for {known[1]}"
        yield Finding(
            "machine", "cuda", "warn", what, "update the NVIDIA driver, or install a torch for its CUDA"
        )
    else:
        yield Finding(
            "machine", "cuda", "ok", f"torch's {torch}" + (f", the driver's {known[1]}" if known else "")
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def torch_cuda() -> str | None:
    """The CUDA that the installed torch was built for; "" where it is one for the CPU, None where there is no torch.

    Read from its version.py: importing torch takes seconds.
    """
    try:
        path = Path(str(metadata.distribution("torch").locate_file("torch/version.py")))
        text = path.read_text(encoding="utf-8")
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return None
    found = re.search(r"^cuda\b[^=\n]*=\s*(?:'([^']*)'|\"([^\"]*)\"|None)", text, re.M)
    return (found[1] or found[2] or "") if found else ""
