"""What `recipe doctor` says: which parts are installed, the hardware, and the user's settings with their origin."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from runner.hardware import profile
from runner.settings import SETTINGS, Settings
from runner.steps import version

# Extra → the distribution that tells whether it is installed.
EXTRAS = {
    "train": "axolotl",
    "eval": "lm-eval",
    "web": "trafilatura",
    "browser": "playwright",
    "reddit": "praw",
    "hub": "datasets",
    "serve": "uvicorn",
    "vllm": "vllm",
    "ray": "ray",
    "track": "wandb",
    "gpu": "flash-attn",
}


def doctor(workspace: Path, settings: Settings) -> dict[str, Any]:
    """Facts, never secrets: of a secret setting only whether it is set."""
    disk = shutil.disk_usage(workspace)
    return {
        "mirepoix": version("mirepoix"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "profile": profile("auto"),
        "disk_free_gb": round(disk.free / 1e9, 1),
        "extras": {extra: version(name) for extra, name in EXTRAS.items()},
        "settings": [
            {
                "name": name,
                "value": ("set" if settings[name] else "") if setting.secret else _address(settings[name]),
                "from": settings.origin[name],
                "about": setting.about,
            }
            for name, setting in SETTINGS.items()
        ],
    }


def _address(value: str) -> str:
    """An address without the name and password that it may carry."""
    scheme, found, rest = value.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if found else value


def text(facts: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"mirepoix {facts['mirepoix']}, Python {facts['python']}, {facts['cores']} cores, profile "
        f"{facts['profile']}, {facts['disk_free_gb']} GB free here",
        "",
        "extras (pip install 'mirepoix[NAME]')",
    ]
    lines += [
        f"  {name:<8}  {'not installed' if found == 'absent' else found}"
        for name, found in facts["extras"].items()
    ]
    lines += ["", "settings (variable MIREPOIX_NAME, or settings.toml)"]
    width = max(len(s["name"]) for s in facts["settings"])
    lines += [
        f"  {s['name']:<{width}}  {s['value'] or '-'}  ({s['from']})  {s['about']}" for s in facts["settings"]
    ]
    return "\n".join(lines)
