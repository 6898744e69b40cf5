"""Validators for JSON Schemas that come with data: the parameters of a row's own tools.

Such a schema is a stranger's. Its patterns run on RE2, in linear time (with Python's `re`, `(a+)+$` and thirty
letters hang a run); its `$ref`s find only what is in it, so that nothing is fetched, and are followed so often and no
more.
"""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

REFS = 2_000
"""How often a validation may follow a `$ref`, and REFS_EACH times more often for each element of the value."""
REFS_EACH = 50
FOLDED = 10_000
"""Schemas that a schema with `unevaluated…` may come to once its references are written out."""


class Unsafe(ValueError):
    """A schema that could take without end: `str()` says why. A pattern that cannot be run in linear time, such as one
    with look-around, or references that lead to one another again and again."""


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


class _Purse(threading.local):
    """References that the validation under way may still follow; schemas themselves are looked at without end."""

    left = math.inf


_purse = _Purse()
_WIDE = "the schema's references lead to one another again and again, so that it takes without end"


def _followed(keyword: str) -> Any:
    """The library's own, each time paid for: twenty schemas that each name the one before twice are a million."""
    from jsonschema import Draft202012Validator

    follow: Any = Draft202012Validator.VALIDATORS[keyword]

    def paid(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
        _purse.left -= 1
        if _purse.left < 0:
            raise Unsafe(_WIDE)
        yield from follow(validator, wanted, value, schema) or ()

    return paid


def _elements(value: Any) -> int:
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        total += 1
        if isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
    return total


class Validator:
    """A Draft 2020-12 validator that has an end."""

    def __init__(self, schema: Any, theirs: Any) -> None:
        self._theirs = theirs
        # The library looks for what is not evaluated by a way of its own, on which nothing is paid for.
        self._wide = _unevaluating(schema) and _folded(schema) > FOLDED

    def iter_errors(self, value: Any) -> Iterator[Any]:
        """jsonschema's errors. Raises Unsafe, referencing's Unresolvable, RecursionError, OverflowError."""
        if self._wide:
            raise Unsafe(_WIDE)
        before, _purse.left = _purse.left, REFS + REFS_EACH * _elements(value)
        try:
            yield from self._theirs.iter_errors(value)
        except Unsafe as e:
            self._wide = self._wide or str(e) == _WIDE  # another value would only take as long again
            raise
        finally:
            _purse.left = before


def _unevaluating(schema: Any) -> bool:
    return any(key.startswith("unevaluated") for part in _parts(schema) for key in part)


def _folded(root: Any) -> int:
    """How many schemas a schema is once each reference to a place in it is what stands there; a circle counts once."""
    known: dict[int, int] = {}

    def of(node: Any) -> int:
        if not isinstance(node, dict | list):
            return 0
        if id(node) in known:
            return known[id(node)]
        known[id(node)] = 1  # while it is under way
        inner = node.values() if isinstance(node, dict) else node
        total = 1 + sum(of(x) for x in inner)
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            total += of(_at(root, node["$ref"]))
        known[id(node)] = min(total, 10 * FOLDED)
        return known[id(node)]

    return of(root)


def _at(root: Any, ref: str) -> Any:
    """What a reference from the root means; the root for what is none such."""
    where = root
    for key in ref[2:].split("/") if ref.startswith("#/") else ():
        key = unquote(key).replace("~1", "/").replace("~0", "~")
        if isinstance(where, list) and key.isdecimal() and int(key) < len(where):
            where = where[int(key)]
        elif isinstance(where, dict) and key in where:
            where = where[key]
        else:
            return root
    return where


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
        "$ref": _followed("$ref"),
        "$dynamicRef": _followed("$dynamicRef"),
    }
    stricter: Any = extend
    return stricter(Draft202012Validator, own)


def validator(schema: Any) -> Validator:
    """A Draft 2020-12 validator. Raises jsonschema.SchemaError for what is no schema; its `iter_errors` raises
    Unsafe for a pattern that RE2 cannot run, and for references without end."""
    from referencing import Registry

    _class().check_schema(schema)
    return Validator(schema, _class()(schema, registry=Registry()))


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
    """Why a tool is none, or no call of it could be judged; empty where one can.

    Looked at once: hundreds of probes bring the same few tools.
    """
    try:
        text = json.dumps(tool)
    except (ValueError, TypeError, RecursionError):
        return _unfit(tool)
    return _known(text) if len(text) < 1 << 16 else _unfit(tool)


@lru_cache(maxsize=256)
def _known(text: str) -> str:
    return _unfit(json.loads(text))


def _unfit(tool: Mapping[str, Any]) -> str:
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
