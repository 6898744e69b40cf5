"""Which hardware profile this machine has, found without importing torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Profile = Literal["cpu", "gpu"]


def profile(wanted: Literal["auto", "cpu", "gpu"] = "auto") -> Profile:
    """`gpu` where an NVIDIA driver shows a device, else `cpu`; a recipe's own word is final."""
    if wanted != "auto":
        return wanted
    return "gpu" if Path("/dev/nvidia0").exists() else "cpu"
