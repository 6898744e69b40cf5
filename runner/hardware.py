"""Which hardware profile this machine has, found without importing torch."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

Profile = Literal["cpu", "gpu"]
COMPUTE = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve", "bf16", "i8mm")
"""Flags of a CPU that decide which code a library computes with."""
BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Those of a CPU that multiplies in bf16 itself. On one that has none each number is turned into another first: matrix
products take 7 times as long as in fp32, a training step 40 times."""


def profile(wanted: Literal["auto", "cpu", "gpu"] = "auto") -> Profile:
    """`gpu` where an NVIDIA driver shows a device, else `cpu`; a recipe's own word is final."""
    if wanted != "auto":
        return wanted
    return "gpu" if Path("/dev/nvidia0").exists() else "cpu"


def gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """The NVIDIA GPUs that a process may use, as CUDA_VISIBLE_DEVICES names them.

    CUDA counts those that it sees from 0, whatever numbers the driver gave them.
    """
    if (said := environment.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for part in said.split(",") if (name := part.strip()) and name != "-1"]
    return [str(n) for n, _ in enumerate(p for p in devices.glob("nvidia[0-9]*") if p.name[6:].isdigit())]


def processor(gpu: bool, proc: Path = Path("/proc")) -> str:
    """What kind of processor computes: the GPUs by their names, a CPU by what of its instructions makes numbers
    otherwise; no more than "cuda" or the machine's architecture where the system does not say."""
    if gpu:
        files = sorted(proc.glob("driver/nvidia/gpus/*/information"))
        names = {v for f in files if (v := _value(f, "Model"))}
        return " ".join(["cuda", *sorted(names)])
    flags = _value(proc / "cpuinfo", "flags", "Features").split()
    return " ".join([platform.machine(), *(name for name in COMPUTE if name in flags)])


@cache
def bf16(profile: Profile, proc: Path = Path("/proc")) -> bool:
    """Whether a model computes in bf16 here where nobody says otherwise: on a GPU, and on a CPU that is made for it.
    Else in fp32."""
    return profile == "gpu" or not BF16.isdisjoint(processor(False, proc).split())


def dtype(profile: Profile) -> Literal["bfloat16", "float32"]:
    """The same, as PyTorch calls it."""
    return "bfloat16" if bf16(profile) else "float32"


def _value(file: Path, *names: str) -> str:
    """What is said first under one of these names; "" where nothing is."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in said if name.strip() in names), "")
