"""schemas/*.json are what the types and plug-ins say, byte for byte, and of use to an editor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner import library
from runner.schema import DRAFT, all_schemas, text

FILES = sorted(all_schemas())


def test_schemas_are_committed_as_they_are_made() -> None:
    shelf = library.shelf("schemas")
    assert sorted(p.name for p in shelf.iterdir()) == FILES
    for name, schema in all_schemas().items():
        assert (shelf / name).read_text(encoding="utf-8") == text(schema), "run `recipe schema --write`"


@pytest.mark.parametrize("name", FILES)
def test_schemas_are_schemas(name: str) -> None:
    schema = all_schemas()[name]
    assert schema["$schema"] == DRAFT
    Draft202012Validator.check_schema(schema)


def nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield path, schema
        for key, value in schema.items():
            if key not in ("default", "examples", "enum", "const"):
                yield from nodes(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for n, value in enumerate(schema):
            yield from nodes(value, f"{path}/{n}")


@pytest.mark.parametrize("name", FILES)
def test_references_lead_somewhere(name: str) -> None:
    schema = all_schemas()[name]
    for _, node in nodes(schema):
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("name", ["recipe.schema.json", "suite.schema.json"])
def test_every_property_has_a_description(name: str) -> None:
    schema = all_schemas()[name]

    def described(node: dict[str, Any]) -> bool:
        if "$ref" in node:
            return described(schema["$defs"][node["$ref"].rpartition("/")[2]])
        return bool(node.get("description")) or any(map(described, node.get("anyOf", [])))

    bare = [
        f"{path}/{key}"
        for path, node in nodes(schema)
        if "properties" in node and not path.endswith("/properties")
        for key, value in node["properties"].items()
        if not described(value)
    ]
    assert not bare


@pytest.mark.parametrize("name", ["recipe.schema.json", "suite.schema.json"])
def test_unknown_keys_are_refused_everywhere(name: str) -> None:
    for path, node in nodes(all_schemas()[name]):
        if "properties" in node and not path.endswith("/properties"):
            assert node.get("additionalProperties") is False, path


@pytest.mark.parametrize("name", FILES)
def test_examples_and_defaults_validate(name: str) -> None:
    schema = json.loads(text(all_schemas()[name]))
    seen = 0
    for path, node in nodes(schema):
        for example in [*node.get("examples", []), *([node["default"]] if "default" in node else [])]:
            whole = {k: v for k, v in node.items() if k != "examples"} | {"$defs": schema["$defs"]}
            errors = list(Draft202012Validator(whole).iter_errors(example))
            assert not errors, (path, example)
            seen += 1
    assert seen or name not in ("recipe.schema.json", "suite.schema.json")
