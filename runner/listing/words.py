"""One thing of what there is, in lines for people."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from runner.catalogue import PLUGINS
from runner.yaml12 import dump

_WIDTH = 100


def text(kind: str, row: Mapping[str, Any]) -> list[str]:
    """Such a row for people, line by line."""
    if kind in PLUGINS:
        out = [f"{row['name']} (version {row['version']})"]
        for paragraph in row["doc"].split("\n\n"):
            out += [*textwrap.wrap(paragraph, _WIDTH, initial_indent="  ", subsequent_indent="  "), ""]
        out += _options(row["keys"], "") or ["  It takes no options.", ""]
        return [*out, *row["example"].splitlines()]
    out = [row["name"], *textwrap.wrap(row["about"], _WIDTH, initial_indent="  ", subsequent_indent="  ")]
    if kind == "models":
        return [*out, "", *dump(row["values"]).splitlines(), "", f"extends: {row['name']}"]
    if kind == "suites" and "probes" in row:
        out += [f"  judge {row['judge']}, {row['probes']:,} probes"] if row["judge"] else []
        out += [f"  lm-eval tasks: {', '.join(row['tasks'])}"] if row["tasks"] else []
        out += [f"  loss on {group}: {', '.join(globs)}" for group, globs in row["texts"].items()]
        return [*out, "", "evaluate:", f"  suites: [{row['name']}]"]
    return [*out, *([row["see"]] if "see" in row else [])]


def _options(keys: list[dict[str, Any]], before: str) -> list[str]:
    out = []
    for key in keys:
        default = key.get("default")
        left = "required" if key["required"] else "" if default is None else f"default {_value(default)}"
        like = "" if key["example"] in (None, default) else f"such as {_value(key['example'])}"
        out.append(f"  {before}{key['name']}: {'; '.join(filter(None, [key['takes'], left, like]))}")
        out += textwrap.wrap(key["about"], _WIDTH, initial_indent="      ", subsequent_indent="      ")
        out += _options(key.get("keys", []), f"{before}{key['name']}.")[:-1]
    return [*out, ""] if out else []


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    return json.dumps(value, ensure_ascii=False)
