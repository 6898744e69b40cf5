"""The tasks that lm-eval brings along, found by name and read as data: nothing of lm-eval is imported or run.

Its own index takes seconds to build and imports PyTorch. A task is one file that says `task: NAME`; a file may build on
another (`include`) and name functions of Python beside it (`!function`), which count here as there, and no more.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runner.store import write_atomic

TASK = re.compile(rb"""^["']?task["']?:[ \t]*["']?([A-Za-z0-9_.+-]+)["']?[ \t]*(?:\#.*)?\r?$""", re.MULTILINE)
GROUP = re.compile(
    rb"""^["']?group["']?:[ \t]*["']?([A-Za-z0-9_.+-]+)["']?[ \t]*(?:\#.*)?\r?$""", re.MULTILINE
)
FUNCTION = "!function "


def home() -> Path | None:
    """The folder of its tasks; None where lm-eval is not installed."""
    spec = find_spec("lm_eval")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) / "tasks" if places else None


@cache
def index() -> Mapping[str, str]:
    """Task → its file below `home()`, "" for a group of tasks. Kept in the user's cache: there are thousands."""
    root = home()
    if root is None:
        return {}
    kept = _cached()
    try:
        found: dict[str, str] = json.loads(kept.read_bytes())["tasks"]
        return found
    except (OSError, ValueError, LookupError, TypeError):
        pass
    found = {}
    for folder, _, files in os.walk(root):
        for name in files:
            if not name.endswith(".yaml"):
                continue
            path = Path(folder, name)
            raw = path.read_bytes()
            if match := GROUP.search(raw):
                found.setdefault(match[1].decode(), "")
            elif match := TASK.search(raw):
                found[match[1].decode()] = path.relative_to(root).as_posix()
    with suppress(OSError):  # a home that nobody may write to: it is looked through again the next time
        write_atomic(kept, json.dumps({"tasks": found}, sort_keys=True).encode())
    return found


def _cached() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(folder) / "mirepoix" / f"lm-eval-{metadata.version('lm_eval')}-tasks.json"


def find(task: str) -> Path | None:
    """The file of a task that lm-eval brings along; None where it has none of that name, or it is a group."""
    root, name = home(), index().get(task)
    return root / name if root and name else None


def splits(config: Mapping[str, Any]) -> list[str]:
    """The parts of its data set that a task reads."""
    keys = ("training_split", "validation_split", "test_split", "fewshot_split")
    return list(dict.fromkeys(str(config[k]) for k in keys if config.get(k)))


def asked(config: Mapping[str, Any]) -> str | None:
    """The part of its data set of which a task's questions are."""
    split = config.get("test_split") or config.get("validation_split")
    return str(split) if split else None


def unfit(config: Mapping[str, Any]) -> str:
    """Why a task cannot be run from rows that were fetched before; empty where it can."""
    options = set(config.get("dataset_kwargs") or {}) - {"trust_remote_code", "revision"}
    if config.get("unsafe_code"):
        return "it runs the code that the model writes, on this machine"
    if "custom_dataset" in config:
        return "it makes its data set by code of its own"
    if options:
        return f"its data set is read with options of its own ({', '.join(sorted(options))})"
    if not isinstance(config.get("dataset_path"), str) or "/" not in config["dataset_path"]:
        return f"its data set is {config.get('dataset_path')!r}, which is none of a hub (OWNER/NAME)"
    if not splits(config):
        return "it names no split"
    return ""


def read(path: Path) -> dict[str, Any]:
    """What a task's file says, with all that it includes. Functions stand there as "!function MODULE.NAME"."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: FUNCTION + str(node.value))
    data = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # a safe one
    if not isinstance(data, dict):
        return {}
    out: dict[str, Any] = {}
    said = data.pop("include", [])
    for other in reversed([said] if isinstance(said, str) else said):  # as lm-eval reads them
        out |= read(path.parent / other)
    return out | data
