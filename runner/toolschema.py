"""Validators for JSON Schemas that come with data: the parameters of a row's own tools.

Such a schema is a stranger's. Its patterns run on RE2, in linear time (with Python's `re`, `(a+)+$` and thirty
letters hang a run); its `$ref`s find only what is in it, so that nothing is fetched.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any


class Unsafe(ValueError):
    """A pattern that cannot be run in linear time, such as one with look-around; `str()` says which."""


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: an object none of whose names is there twice. Raises ValueError.

    Of two, readers take the last, or the first, or both: nobody can say what was meant.
    """
    out = dict(pairs)
    if len(out) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise ValueError(f"{twice[:40]!r} is there twice")
    return out


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """A pattern of a stranger's, for RE2. Raises Unsafe."""
    import re2  # type: ignore[import-untyped,unused-ignore]

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as e:
        said = e.args[0].decode("utf-8", "replace") if isinstance(e.args[0], bytes) else e
        raise Unsafe(f"the pattern {pattern[:80]!r} cannot be used: {said}") from None


def _pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and not compiled(wanted).search(value):
        yield ValidationError(f"{value[:80]!r} does not match {wanted[:80]!r}")


def _pattern_properties(validator: Any, wanted: Mapping[str, Any], value: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    for pattern, inner in wanted.items():
        for key, one in value.items():
            if compiled(pattern).search(key):
                yield from validator.descend(one, inner, path=key, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(value, dict):
        return
    patterns = [compiled(p) for p in schema.get("patternProperties", {})]
    known = schema.get("properties", {})
    for key in value:
        if key in known or any(p.search(key) for p in patterns):
            continue
        if isinstance(wanted, dict):
            yield from validator.descend(value[key], wanted, path=key)
        elif wanted is False:
            yield ValidationError(f"Additional properties are not allowed ({key[:80]!r} was unexpected)")


def _unevaluated(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    """The library's own, but for schemas in which it would run a stranger's pattern with `re`."""
    if "patternProperties" in json.dumps(validator.schema, default=str):
        raise Unsafe("unevaluatedProperties beside patternProperties cannot be used")
    from jsonschema import Draft202012Validator

    yield from Draft202012Validator.VALIDATORS["unevaluatedProperties"](validator, wanted, value, schema)


def _unique_items(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
    """The library compares all pairs where items cannot be sorted, as objects cannot: 2,000 take seconds."""
    from jsonschema import ValidationError

    if not wanted or not isinstance(value, list):
        return
    if len({json.dumps(_canonical(v), sort_keys=True) for v in value}) < len(value):
        yield ValidationError("holds the same item twice")


def _canonical(value: Any) -> Any:
    """A value whose JSON text is the same for all that are equal: 1.0 is 1 (and true is not)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(v) for v in value]
    return {k: _canonical(v) for k, v in value.items()} if isinstance(value, dict) else value


@lru_cache
def _class() -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "unevaluatedProperties": _unevaluated,
        "uniqueItems": _unique_items,
    }
    stricter: Any = extend
    return stricter(Draft202012Validator, own)


def validator(schema: Any) -> Any:
    """A Draft 2020-12 validator. Raises jsonschema.SchemaError for what is no schema; its `iter_errors` raises
    Unsafe for a pattern that RE2 cannot run."""
    from referencing import Registry

    _class().check_schema(schema)
    return _class()(schema, registry=Registry())


_VALUES = frozenset(("enum", "const", "default", "examples"))  # in which no schemas stand


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for key, inner in schema.items():
            if key not in _VALUES:
                yield from _parts(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _parts(inner)


def sound(schema: Any) -> None:
    """Look at all of a schema, which a validator does only as far as a value leads it.

    Raises jsonschema.SchemaError for what is no schema, referencing's Unresolvable for a `$ref` to what is not in it,
    Unsafe for a pattern.
    """
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    _class().check_schema(schema)
    parts = list(_parts(schema))
    named = any("$id" in part for part in parts)  # references are then not all from the root
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for part in parts:
        if isinstance(pattern := part.get("pattern"), str):
            compiled(pattern)
        if isinstance(patterns := part.get("patternProperties"), dict):
            for pattern in patterns:
                compiled(pattern)
        if "unevaluatedProperties" in part and "patternProperties" in json.dumps(part, default=str):
            raise Unsafe("unevaluatedProperties beside patternProperties cannot be used")
        if isinstance(ref := part.get("$ref"), str) and not named:
            resolver.lookup(ref)


def unfit(tool: Mapping[str, Any]) -> str:
    """Why a tool is none, or no call of it could be judged; empty where one can."""
    from jsonschema import SchemaError
    from referencing.exceptions import Unresolvable

    function = tool.get("function") if tool.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not name:
        return "a tool is not of the form {type: function, function: {name, parameters}}"
    schema = function.get("parameters", {})
    if not isinstance(schema, dict):
        return f"the parameters of the tool {name[:60]} are not a JSON Schema, which is an object"
    try:
        sound(schema)
    except SchemaError as e:
        return f"the parameters of the tool {name[:60]} are not a JSON Schema: {e.message[:200]}"
    except Unresolvable as e:
        return f"the parameters of the tool {name[:60]} refer to {e.ref[:80]!r}, which is not in them"
    except Unsafe as e:
        return f"the parameters of the tool {name[:60]}: {e}"
    except RecursionError:
        return f"the parameters of the tool {name[:60]} are nested too deep"
    return ""
