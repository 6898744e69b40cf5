"""What named GPUs can do and cost. docs/forecast.md says where the figures come from."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Machine:
    """`memory` in GiB as its driver shows it; `tflops` dense bf16 with fp32 sums; `bandwidth` in GB/s; `price` in US
    dollars an hour."""

    name: str
    about: str
    memory: float
    tflops: float
    bandwidth: float
    price: float
    reached: float
    """Share of `tflops` that matrix products of a training reach."""


GPUS = (
    Machine("h100", "NVIDIA H100 SXM 80 GB", 79.6, 989, 3350, 2.95, 0.45),
    Machine("h200", "NVIDIA H200 141 GB", 139.8, 989, 4800, 3.80, 0.45),
    Machine("a100-80", "NVIDIA A100 SXM 80 GB", 79.2, 312, 2039, 1.50, 0.60),
    Machine("a100-40", "NVIDIA A100 40 GB", 39.4, 312, 1555, 1.30, 0.60),
    Machine("4090", "NVIDIA GeForce RTX 4090 24 GB", 23.5, 165, 1008, 0.69, 0.60),
    Machine("3090", "NVIDIA GeForce RTX 3090 24 GB", 23.6, 71, 936, 0.30, 0.60),
)
NAMES = tuple(m.name for m in GPUS)
PRICED = "2026-05"
"""When the prices were looked up."""


def gpu(name: str) -> Machine:
    return next(m for m in GPUS if m.name == name)


def seen() -> Machine | None:
    """The GPU of the table that nvidia-smi shows first, if there is one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    argv = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return recognised(done.stdout)


def recognised(said: str) -> Machine | None:
    """The machine that a line `NAME, MIB` of nvidia-smi means."""
    name, _, memory = said.partition("\n")[0].rpartition(",")
    for machine in GPUS:
        word = machine.name.partition("-")[0].upper()
        if word in name.upper().replace("-", " ").split():
            if not memory.strip().isdigit():
                return machine
            gib = int(memory) / 1024
            if machine.name.startswith("a100"):
                machine = gpu("a100-80" if gib > 50 else "a100-40")
            return replace(machine, memory=gib)
    return None
