"""Tables of keys, and the page of every key of a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.reference.nodes import Schema, below, code, example, kind, members, resolved
from runner.registry import plugins
from runner.schema import recipe_schema

MADE = "<!-- Made by `recipe schema --write`; do not edit. -->\n"
_HEAD = "| key | takes | default | what it says | example |\n|---|---|---|---|---|"


def _cell(text: str) -> str:
    """Text of ours in a table: no line ends, no bars, but those of code already minded."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def _default(node: Schema, root: Schema, required: bool) -> str:
    if required:
        return "required"
    default = node.get("default")
    return "" if default is None or members(node, root) else code(default)


def anchor(path: str) -> str:
    """What a heading of this path is called in links, here and on GitHub."""
    return re.sub(r"[^\w-]", "", path.lower())


def row(name: str, node: Schema, root: Schema, required: bool, path: str) -> str:
    """One line of a table: a key of the object at `path`, with all that its schema says."""
    node = resolved(node, root)
    shown = None if members(node, root) else example(node, root)
    takes = kind(node, root)
    if members(node, root):
        within = f"{path}.{name}".lstrip(".") + below(node, root)
        takes = re.sub(r"\bmap(?=;|$)", f"[map](#{anchor(within)})", takes)
    cells = (code(name), takes, _default(node, root, required), _cell(node.get("description", "")))
    return f"| {' | '.join(cells)} | {'' if shown is None else code(shown)} |"


def table(properties: Schema, root: Schema, required: Iterable[str] = (), path: str = "") -> str:
    """A table of the keys of the object at `path`, or a sentence where there are none."""
    if not properties:
        return "It takes no options.\n"
    need = set(required)
    return "\n".join([_HEAD, *(row(k, v, root, k in need, path) for k, v in properties.items())]) + "\n"


def parts(path: str, node: Schema, root: Schema, level: int) -> Iterator[str]:
    """A heading, what it is for, and a table, for an object and for each one within it."""
    here = resolved(node, root)
    yield f"{'#' * level} `{path}`\n\n{_said(here)}{table(members(here, root), root, _required(here, root), path)}"
    yield from inner(path, here, root, level + 1)


def inner(path: str, node: Schema, root: Schema, level: int) -> Iterator[str]:
    """The same for each object within one."""
    for name, value in members(node, root).items():
        if members(value, root):
            yield from parts(f"{path}.{name}".lstrip(".") + below(value, root), value, root, level)


def _required(node: Schema, root: Schema) -> list[str]:
    node = resolved(node, root)
    for within in ("items", "additionalProperties"):
        if isinstance(inside := node.get(within), Mapping):
            return _required(inside, root)
    found: list[str] = node.get("required", [])
    return found


def _said(node: Schema) -> str:
    text = re.sub(r" *\n *", "\n", str(node.get("description", ""))).strip()
    return f"{text}\n\n" if text else ""


def recipe() -> str:
    """The page of every key of a recipe, but for the options of plug-ins."""
    root = recipe_schema()
    top: dict[str, Any] = dict(root["properties"])
    source = dict(top["sources"]["items"]["properties"])
    common = {k: v for k, v in source.items() if k not in plugins("source")}
    out = [
        MADE,
        "# Every key of a recipe\n",
        "What each key takes, its limits, what it is where it is left out, and an example. [The recipe](../recipe.md)\n"
        "tells what a table cannot. Keys that are maps have a table of their own below; each but the required ones\n"
        "may also be `null`, which takes away what `extends` brought.\n",
        table(top, root, root["required"]),
        "## `sources[]`\n",
        "One plug-in, named by its key, with its options ([all sources](sources.md)), and beside it:\n",
        table(common, root, (), "sources[]"),
        *inner("sources[]", {"properties": common}, root, 3),
        "## `filters[]`\n",
        "One plug-in, named by its key, with its options: [all filters](filters.md).\n",
    ]
    for name, node in top.items():
        if name not in ("sources", "filters") and members(node, root):
            out += parts(name + below(node, root), node, root, 2)
    return "\n".join(out)
