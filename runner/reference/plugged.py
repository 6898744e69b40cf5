"""Pages of the plug-ins: each source, filter and judge with its options; the suites that come along."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from runner import library
from runner.reference.nodes import Schema
from runner.reference.tables import MADE, inner, table
from runner.registry import Kind, plugins
from runner.schema import recipe_schema, suite_schema
from runner.yaml12 import parse


def _ours(kind: Kind, named: Schema) -> dict[str, Any]:
    """The plug-ins that come with mirepoix: those that somebody has installed besides are not in its documentation."""
    return {
        name: p
        for name, p in plugins(kind).items()
        if name in named and p.call.__module__.startswith("runner.")
    }


def _each(kind: Kind, named: Schema, root: Schema, level: int) -> Iterator[str]:
    for name, plugin in _ours(kind, named).items():
        node = named[name]
        yield f"{'#' * level} `{name}`\n"
        yield _paragraphs(plugin.doc) + _facts(plugin)
        yield table(node["properties"], root, node.get("required", ()), name)
        yield from inner(name, node, root, level + 1)


def _paragraphs(doc: str) -> str:
    """A docstring as Markdown, a paragraph a line."""
    return "\n\n".join(re.sub(r"\s*\n\s*", " ", p).strip() for p in doc.split("\n\n")) + "\n\n"


def _facts(plugin: Any) -> str:
    facts = []
    if plugin.kind == "source":
        facts.append(
            "It fetches from the network." if plugin.fetch else "It reads files of the workspace alone."
        )
    if plugin.needs:
        facts.append("It needs the recipe's model, whose tokens it counts.")
    return f"Version {plugin.version}. {' '.join(facts)}".strip() + "\n"


def sources() -> str:
    """The page of all sources."""
    root = recipe_schema()
    named = root["properties"]["sources"]["items"]["properties"]
    head = (
        "Each stands in `sources:` as a key with its options as a map; beside it stand [the keys that all\n"
        "share](recipe.md#sources). [Where records come from](../sources.md) tells how they work. `recipe list\n"
        "sources` also names those that are installed besides.\n"
    )
    return "\n".join([MADE, "# Sources\n", head, *_each("source", named, root, 2)])


def filters() -> str:
    """The page of all filters."""
    root = recipe_schema()
    named = root["properties"]["filters"]["items"]["properties"]
    head = (
        "Each stands in `filters:` as a one-key map, and they are applied in order. [Prepare](../prepare.md#filters)\n"
        "tells what keeping, dropping and editing mean. `recipe list filters` also names those that are installed\n"
        "besides.\n"
    )
    return "\n".join([MADE, "# Filters\n", head, *_each("filter", named, root, 2)])


def suites() -> str:
    """The page of suites: their keys, the judges, and the suites that come with mirepoix."""
    root = suite_schema()
    keys = {k: v for k, v in root["properties"].items() if k != "judge"}
    judges = root["properties"]["judge"]["properties"]
    head = (
        "A suite is one YAML file, `evals/suites/NAME.yaml`, that recipes name in `evaluate.suites`.\n"
        "[Evaluation](../evaluation.md) tells who is asked what.\n"
    )
    return "\n".join(
        [
            MADE,
            "# Suites and judges\n",
            head,
            "## Suites that come with mirepoix\n",
            _shipped(),
            "## Keys of a suite\n",
            table(keys, root, root["required"]),
            *inner("", {"properties": keys}, root, 3),
            "## Judges\n",
            "A suite with probes has one, `judge: {NAME: {…}}`.\n",
            *_each("judge", judges, root, 3),
        ]
    )


def _shipped() -> str:
    lines = ["| suite | what it judges |", "|---|---|"]
    for path in sorted((library.shelf("evals") / "suites").glob("*.yaml")):
        data = parse(path.read_text(encoding="utf-8"), path.name).data
        lines.append(f"| `{data['name']}` | {data.get('description', '')} |")
    return "\n".join(lines) + "\n"
