"""Types and plug-in signatures → JSON Schemas. The same objects check YAML, guide editors and stand in schemas/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from runner import recipe as r
from runner.judging.pairs import KnownPair
from runner.judging.rubrics import Rubric
from runner.record import Probe, Record
from runner.registry import Plugin, plugins
from runner.saying.misplaced import resolved
from runner.store import Manifest
from runner.suite import SuiteCommon

DRAFT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def _of(types: Mapping[str, Any]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """JSON Schemas of some types, and the shared definitions that they refer to."""
    out, definitions = msgspec.json.schema_components(list(types.values()), ref_template="#/$defs/{name}")
    return dict(zip(types, out, strict=True)), dict(definitions)


def _first_line(text: str) -> str:
    return text.strip().split("\n\n")[0].replace("\n", " ")


def _inline(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The definition that a bare `$ref` names, taken out of the shared ones."""
    return definitions.pop(schema["$ref"].rpartition("/")[2])


def _uses(kind: Any, description: str, common: Schema | None, definitions: dict[str, Schema]) -> Schema:
    """The one-key map `{PLUGIN: options}`, with the common keys beside it. No oneOf: errors name the branch."""
    found: dict[str, Plugin] = plugins(kind)
    refs, more = _of({name: p.options for name, p in found.items()})
    definitions.update(more)
    properties: Schema = {}
    for name, plugin in found.items():
        options = _inline(refs[name], definitions)
        options.pop("title", None)
        # A plug-in whose options all have defaults may be written `- name: {}` or `- name:`.
        if not options.get("required"):
            options["type"] = ["object", "null"]
        properties[name] = {"description": _first_line(plugin.doc), **options}
    out: Schema = {"type": "object", "description": description}
    if common is not None:
        properties |= common["properties"]
    else:
        # As a rule of its own: editors offer nothing in an empty map that may hold one key only.
        out |= {"if": {"minProperties": 2}, "then": {"maxProperties": 1}}
    return out | {"properties": properties, "minProperties": 1, "additionalProperties": False}


def _finish(title: str, body: Schema, definitions: dict[str, Schema]) -> Schema:
    used: dict[str, Schema] = {}

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name in definitions and name not in used:
                used[name] = definitions[name]
                visit(used[name])
            for value in node.values():
                visit(value)
        elif isinstance(node, list):
            for value in node:
                visit(value)

    visit(body)
    for definition in used.values():
        definition.pop("title", None)
    whole = {"$schema": DRAFT, "title": title, **body, "$defs": dict(sorted(used.items()))}
    _describe(whole, whole)
    return whole


def _describe(node: Any, root: Schema) -> None:
    """Give each key the description that it has in a branch or a definition: editors show a key's own only."""
    if isinstance(node, list):
        for value in node:
            _describe(value, root)
    if not isinstance(node, dict):
        return
    if isinstance(keys := node.get("properties"), dict):
        for schema in keys.values():
            if "description" not in schema and (about := resolved(schema, root).get("description")):
                schema["description"] = about
    for value in node.values():
        _describe(value, root)


@lru_cache
def recipe_schema() -> Schema:
    """The schema of a whole recipe, after its `extends:` is merged in."""
    parts = {
        "common": r.SourceCommon,
        "dedup": r.Dedup | None,
        "decontaminate": r.Decontaminate | None,
        "mix": r.Mix | None,
        "split": r.Split | None,
        "fail_if": r.FailIf | None,
        "model": r.Model | None,
        "adapter": r.Adapter | None,
        "train": r.Train | None,
        "evaluate": r.Evaluate | None,
        "compute": r.Compute | None,
        "track": r.Track | None,
        "axolotl": r.Overrides | None,
        "name": r.Name,
        "description": str,
    }
    schemas, definitions = _of(parts)
    common = _inline(schemas.pop("common"), definitions)
    about = {
        "recipe": {"const": 1, "description": "Version of the recipe language."},
        "name": schemas.pop("name")
        | {
            "description": "Names the run's folder, `runs/NAME`: lower-case "
            "letters, digits, dots, dashes and underscores.",
            "examples": ["twain-llama"],
        },
        "description": {
            "type": "string",
            "maxLength": 5000,
            "description": "What it is for, in words.",
            "examples": ["Talks like Mark Twain and still calls tools."],
        },
        "extends": {
            "type": "string",
            "minLength": 1,
            "maxLength": 500,
            "description": "A recipe to build on: maps are merged, lists and values replaced. Relative to "
            "this file, or one that comes with mirepoix; or a pack by its digest, oci://HOST/NAME@sha256:….",
            "examples": ["base/smollm2-135m.yaml"],
        },
        "seed": {
            "type": "integer",
            "minimum": 0,
            "maximum": 2**32 - 1,
            "default": 17,
            "description": "Decides every choice that is left to chance.",
        },
    }
    sources = _uses("source", "A source: one plug-in, and keys all share.", common, definitions)
    filters = _uses("filter", "One filter and its options.", None, definitions)
    schemas.pop("description")
    body: Schema = {
        "type": "object",
        "description": "One recipe: from text sources to a judged adapter.",
        "required": ["recipe", "name", "sources"],
        "additionalProperties": False,
        "properties": about
        | {
            "sources": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": sources,
                "description": "Where records come from.",
            },
            "filters": {
                "type": "array",
                "maxItems": 1000,
                "items": filters,
                "description": "Applied to each record, in this order.",
            },
        }
        | schemas,
    }
    return _finish("mirepoix recipe", body, definitions)


@lru_cache
def suite_schema() -> Schema:
    """The schema of an evaluation suite."""
    schemas, definitions = _of({"common": SuiteCommon})
    body = _inline(schemas["common"], definitions)
    body.pop("title", None)
    judge = _uses("judge", "One judge and its options.", None, definitions)
    body["properties"]["judge"] = judge
    return _finish("mirepoix suite", body, definitions)


def _plain(title: str, of: Any) -> Schema:
    schemas, definitions = _of({"x": of})
    body = _inline(schemas["x"], definitions)
    body.pop("title", None)
    return _finish(title, body, definitions)


def all_schemas() -> dict[str, Schema]:
    """File name → schema, for everything that stands in schemas/."""
    return {
        "recipe.schema.json": recipe_schema(),
        "suite.schema.json": suite_schema(),
        "record.schema.json": _plain("mirepoix record", Record),
        "probe.schema.json": _plain("mirepoix probe", Probe),
        "rubric.schema.json": _plain("mirepoix rubric", Rubric),
        "known-pair.schema.json": _plain("mirepoix answers of known order", KnownPair),
        "manifest.schema.json": _plain("mirepoix manifest", Manifest),
    }


def text(schema: Schema) -> str:
    """The bytes that stand in schemas/: stable, readable, one final newline."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
