"""Tools to offer in a conversation: those that a source of the run offers, or a JSON file's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.errors import UsageError
from runner.serving.found import Served
from runner.wording import nearest

MOST = 32
"""More tools than a prompt should hold: a source of many tool sets is no set to choose."""


def tools(name: str, served: Served) -> list[dict[str, Any]]:
    """The tools that `name` means: a source of the run or its tool set, else a file. Raises UsageError."""
    source = next((s for s, named in served.sources.items() if name in (s, named)), None)
    if source is not None:
        return _of_source(source, served)
    path = Path(name)
    if path.is_file():
        return _of_file(path)
    known = [s for s, named in served.sources.items() if named]
    raise UsageError(f"no tools {name!r}: neither a file nor a source of the run{nearest(name, known)}")


def _of_source(source: str, served: Served) -> list[dict[str, Any]]:
    """What the run's own records offer, so that the model is asked as it was trained."""
    data = served.folder / "data" / "train.jsonl"
    found: dict[str, dict[str, Any]] = {}
    if data.is_file():
        with data.open("rb") as lines:
            for line in lines:
                row = json.loads(line)
                if (row.get("meta") or {}).get("source") == source:
                    for tool in row.get("tools") or []:
                        found.setdefault(tool["function"]["name"], tool)
                if len(found) > MOST:
                    what = f"the source {source!r} has more than {MOST} tools; name a JSON file with those to offer"
                    raise UsageError(what)
    if not found:
        raise UsageError(f"the source {source!r} offers no tools in {data}")
    return list(found.values())


def _of_file(path: Path) -> list[dict[str, Any]]:
    """A JSON list of tools, or one tool, in OpenAI's shape; the wrapping `function` may be left out."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as e:
        raise UsageError(f"{path} cannot be read as JSON: {e}") from None
    out = []
    for n, tool in enumerate(data if isinstance(data, list) else [data]):
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UsageError(f"{path}: item {n + 1} is no tool: it needs a function with a name")
        out.append({"type": "function", "function": function})
    return out
