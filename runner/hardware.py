"""Which hardware profile this machine has, found without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Profile = Literal["cpu", "gpu"]


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
