"""JSON Schema nodes in words: what a key takes, its limits, its default, an example."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
_LONGEST = 48  # characters of a pattern that still helps a reader
_PLAIN = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}


def resolved(node: Schema, root: Schema) -> Schema:
    """A node with its `$ref`, and an `anyOf` of one type and null, taken apart: what is written beside them wins."""
    if "$ref" in node:
        beside = {k: v for k, v in node.items() if k != "$ref"}
        return resolved({**root["$defs"][node["$ref"].rpartition("/")[2]], **beside}, root)
    others = [n for n in node.get("anyOf", ()) if n.get("type") != "null"]
    if len(others) == 1:
        beside = {k: v for k, v in node.items() if k != "anyOf"}
        return {**resolved(others[0], root), **beside}
    return node


def members(node: Schema, root: Schema) -> Schema:
    """What an object's own keys are; those of its items where it is a list of objects; else nothing."""
    node = resolved(node, root)
    if isinstance(items := node.get("items"), Mapping):
        return members(items, root)
    if isinstance(values := node.get("additionalProperties"), Mapping):
        return members(values, root)
    found: Schema = node.get("properties", {})
    return found


def below(node: Schema, root: Schema) -> str:
    """How a path goes on to the keys that `members` finds: `[]` for each item, `.NAME` for each value."""
    node = resolved(node, root)
    if isinstance(items := node.get("items"), Mapping):
        return "[]" + below(items, root)
    if isinstance(values := node.get("additionalProperties"), Mapping):
        return ".NAME" + below(values, root)
    return ""


def code(value: Any) -> str:
    """A value as it may stand in a recipe, as code within a table; GitHub and the site differ on bars there."""
    said = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    if "|" in said or "`" in said:
        return f"<code>{html.escape(said, quote=False).replace('|', '&#124;')}</code>"
    return f"`{said}`"


def _range(node: Schema, least: str, most: str) -> str:
    low, high = node.get(least), node.get(most)
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    if low is not None:
        return f"{low:,} or more"
    return "" if high is None else f"at most {high:,}"


def _number(node: Schema) -> str:
    parts = [_range(node, "minimum", "maximum")]
    if (above := node.get("exclusiveMinimum")) is not None:
        parts.insert(0, f"more than {above:,}")
    if (under := node.get("exclusiveMaximum")) is not None:
        parts.append(f"less than {under:,}")
    return ", ".join(filter(None, [_PLAIN[node["type"]], *parts]))


def _text(node: Schema) -> str:
    parts = ["text"]
    if (most := node.get("maxLength")) is not None:
        parts.append(f"at most {most:,} characters")
    if (pattern := node.get("pattern")) and len(pattern) <= _LONGEST:
        parts.append(f"like {code(pattern)}")
    return ", ".join(parts)


def _list(node: Schema, root: Schema) -> str:
    if "prefixItems" in node:
        return f"list of {len(node['prefixItems'])}: {kind(node['prefixItems'][0], root)}"
    of = kind(node["items"], root) if isinstance(node.get("items"), Mapping) else "anything"
    least, most = node.get("minItems", 0), node.get("maxItems")
    many = _range(
        {"minItems": least, "maxItems": most} if least else {"maxItems": most}, "minItems", "maxItems"
    )
    return f"list of {of}" + (f"; {many} of them" if many else "")


def kind(node: Schema, root: Schema) -> str:
    """The type and limits of a value, in words."""
    node = resolved(node, root)
    if "anyOf" in node:
        return " or ".join(kind(n, root) for n in node["anyOf"] if n.get("type") != "null")
    if "const" in node:
        return code(node["const"])
    if "enum" in node:
        return ", ".join(code(one) for one in node["enum"])
    types = node.get("type", [])
    named = next((t for t in ([types] if isinstance(types, str) else types) if t != "null"), "")
    node = {**node, "type": named}
    if named in ("integer", "number"):
        return _number(node)
    if named == "string":
        return _text(node)
    if named == "array":
        return _list(node, root)
    if named == "object":
        values = node.get("additionalProperties")
        return f"map of name → {kind(values, root)}" if isinstance(values, Mapping) else "map"
    return _PLAIN.get(named, "anything")


def example(node: Schema, root: Schema) -> Any:
    """A value that the key takes, where the schema says or implies one; else None."""
    node = resolved(node, root)
    if examples := node.get("examples"):
        return examples[0]
    if node.get("default") not in (None, "", [], {}):
        return node["default"]
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return next((one for one in node["enum"] if one is not None), None)
    named = node.get("type")
    if named == "boolean":
        return True
    if named == "array" and isinstance(node.get("items"), Mapping) and not node.get("properties"):
        one = example(node["items"], root)
        return None if one is None or members(node, root) else [one]
    if named in ("integer", "number"):
        low = node.get("minimum", node.get("exclusiveMinimum", 0))
        high = node.get("maximum", node.get("exclusiveMaximum", 100))
        return (low + high) / 2 if high <= 1 else max(low, min(high, 100))
    return None
