"""One thing of what there is with all that its schema says, as data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from runner import library
from runner.catalogue import PLUGINS, catalogue
from runner.errors import NeedsTrust, RecipeError, UsageError
from runner.load import load_suite
from runner.reference import nodes
from runner.registry import plugins
from runner.schema import Schema, recipe_schema, suite_schema
from runner.wording import nearest
from runner.workspace import Workspace
from runner.yaml12 import decode, dump, parse


def everything(kind: str, workspace: Path) -> list[dict[str, Any]]:
    """The rows of a kind, each with all that there is to say of it."""
    return [_more(kind, row, workspace) for row in catalogue(kind, workspace)]


def described(kind: str, name: str, workspace: Path) -> dict[str, Any]:
    """One row with all that there is to say of it. Raises UsageError, with the nearest name, where there is none."""
    rows = {row["name"]: row for row in catalogue(kind, workspace)}
    wanted = name
    if kind == "models" and name not in rows:
        wanted = f"base/{name.removeprefix('base/').removesuffix('.yaml')}.yaml"
    if wanted not in rows:
        one = "run" if kind == "runs" else kind.removesuffix("s")
        known = [n.removeprefix("base/").removesuffix(".yaml") for n in rows] if kind == "models" else rows
        raise UsageError(f"no {one} {name!r}{nearest(name, known)}")
    return _more(kind, rows[wanted], workspace)


def _more(kind: str, row: dict[str, Any], workspace: Path) -> dict[str, Any]:
    if kind in PLUGINS:
        return row | _plugin(kind, row["name"])
    if kind == "suites":
        return row | _suite(row["name"], workspace)
    if kind == "models":
        return row | _model(row["name"])
    if kind == "runs":
        return row | {"see": f"recipe report {row['name']}"}
    return row


def _plugin(kind: str, name: str) -> dict[str, Any]:
    root = recipe_schema() if kind != "judges" else suite_schema()
    place = root["properties"]
    named = place["judge"] if kind == "judges" else place[kind]["items"]
    node = named["properties"][name]
    doc = "\n\n".join(
        re.sub(r"\s*\n\s*", " ", p).strip() for p in plugins(PLUGINS[kind])[name].doc.split("\n\n")
    )
    required = node.get("required", ())
    keys = [_key(key, value, root, key in required) for key, value in node.get("properties", {}).items()]
    return {"doc": doc, "keys": keys, "example": _example(kind, name, keys)}


def _key(name: str, node: Schema, root: Schema, required: bool) -> dict[str, Any]:
    """One option in words: what it takes with its limits, its default, what it means, an example."""
    whole = nodes.resolved(node, root)
    out = {"name": name, "takes": nodes.kind(node, root).replace("`", ""), "required": required}
    if not required:
        out["default"] = node.get("default", whole.get("default"))
    out |= {"about": whole.get("description", ""), "example": nodes.example(node, root)}
    if inner := nodes.members(node, root):
        needed = whole.get("required", ())
        out["keys"] = [_key(key, value, root, key in needed) for key, value in inner.items()]
    return out


def _example(kind: str, name: str, keys: list[dict[str, Any]]) -> str:
    """How it stands in a recipe or a suite: with what it must have, else with the options that say most."""
    some = [k for k in keys if k["required"]] or [k for k in keys if k["default"] != k["example"]]
    some = some if any(k["required"] for k in keys) else some[: 2 if kind == "filters" else 1]
    options = {k["name"]: k["example"] for k in some if k["example"] is not None}
    if kind == "judges":
        return dump({"judge": {name: options}}).rstrip()
    return dump({kind: [{name: options}]}).rstrip()


def _suite(name: str, workspace: Path) -> dict[str, Any]:
    place = Workspace(workspace.resolve())
    try:
        suite = load_suite(name, place)
    except (RecipeError, NeedsTrust):
        return {}  # the row says why
    common = suite.common
    return {
        "judge": suite.judge.plugin if suite.judge else None,
        "probes": _probes(common.probes, common.limit, place),
        "tasks": list(common.lm_eval.tasks) if common.lm_eval else [],
        "texts": dict(common.perplexity.texts) if common.perplexity else {},
    }


def _probes(name: str | None, limit: int | None, place: Workspace) -> int:
    """How many probes a suite asks; it is checked already, so that each line that is not empty is one."""
    found = place.named("evals", name).values() if name else ()
    many = sum(bool(line.strip()) for path in found for line in path.read_bytes().splitlines())
    return min(many, limit or many)


def _model(name: str) -> dict[str, Any]:
    path = library.find(f"recipes/{name}")
    data: Any = parse(decode(path.read_bytes(), name), name).data if path else {}
    return {"values": {k: v for k, v in data.items() if k != "description"}}
