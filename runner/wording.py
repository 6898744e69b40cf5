"""Schema violations → sentences for the person who wrote the YAML, with the nearest right thing."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runner.errors import Problem
from runner.yaml12 import Path, Yaml

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a map of keys",
    "null": "null",
}


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, or the choices where none is near and they are few, or nothing."""
    choices = sorted(str(k) for k in known)
    near = difflib.get_close_matches(str(word)[:200], choices, n=1, cutoff=0.6)
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (known: {', '.join(choices)})" if 0 < len(choices) <= 30 else ""


def show(value: Any) -> str:
    """A value as a short, one-line, terminal-safe text."""
    text = repr(value[:61]) if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"{value}".lower()
    if isinstance(value, dict):
        return "a map of keys"
    if isinstance(value, list):
        return "a list"
    return ("text " if isinstance(value, str) else "the number ") + show(value)


def _types(schema: Any) -> list[str]:
    types = schema if isinstance(schema, list) else [schema]
    return [_KINDS.get(t, str(t)) for t in types]


def _sentence(error: ValidationError) -> str:
    rule = error.validator
    value: Any = error.instance
    is_: Any = error.validator_value
    hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    match rule:
        case "type":
            return f"must be {' or '.join(_types(is_))}, not {_kind(value)}"
        case "enum":
            return f"must be one of {', '.join(map(str, is_))}, not {show(value)}" + (
                nearest(value, map(str, is_)) if isinstance(value, str) and len(is_) > 1 else ""
            )
        case "const":
            return f"must be {show(is_)}, not {show(value)}"
        case "minimum" | "exclusiveMinimum":
            return f"must be {'at least' if rule == 'minimum' else 'more than'} {is_}, not {show(value)}"
        case "maximum" | "exclusiveMaximum":
            return f"must be {'at most' if rule == 'maximum' else 'less than'} {is_}, not {show(value)}"
        case "minItems" | "minProperties" | "minLength":
            return "must not be empty" if is_ == 1 else f"needs at least {is_} entries"
        case "maxItems" | "maxProperties":
            return "takes one entry only" if is_ == 1 else f"takes at most {is_} entries"
        case "maxLength":
            return f"must be at most {is_} characters, not {len(value)}"
        case "pattern":
            return f"{show(value)} is not allowed here: {hint or f'it must match {is_}'}"
    return error.message if len(error.message) < 200 else error.message[:197] + "…"


def _branches(error: ValidationError) -> Iterator[ValidationError]:
    """The errors inside an anyOf that matter: of the branch that is not null and fits best."""
    groups: dict[Any, list[ValidationError]] = {}
    for inner in error.context or []:
        branch = inner.schema_path[0]
        groups.setdefault(branch, []).append(inner)
    kept = [g for g in groups.values() if not _null_branch(g)]
    if len(kept) == 1 and not (len(kept[0]) == 1 and _wrong_type(kept[0][0], error)):
        yield from kept[0]
        return
    yield error


def _null_branch(group: list[ValidationError]) -> bool:
    return len(group) == 1 and group[0].validator == "type" and group[0].validator_value == "null"


def _wrong_type(inner: ValidationError, outer: ValidationError) -> bool:
    return inner.validator == "type" and inner.absolute_path == outer.absolute_path


def _resolve(schema: Any, root: Any) -> Any:
    while isinstance(schema, dict) and "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def problems(
    error: ValidationError, doc: Yaml, root: Any, unknown: Mapping[Path, Callable[[str], str]] | None = None
) -> Iterator[Problem]:
    """Every problem that one jsonschema error stands for, at its place in the document.

    `unknown` words the keys that some map does not have, by the map's place.
    """
    path: Path = tuple(error.absolute_path)
    rule: Any = error.validator_value
    schema: Any = error.schema
    instance: Any = error.instance
    if "propertyNames" in error.absolute_schema_path:
        yield doc.problem((*path, str(instance)), _sentence(error))
    elif error.validator == "anyOf":
        inner = list(_branches(error))
        if inner != [error]:
            for e in inner:
                yield from problems(e, doc, root, unknown)
            return
        options = [_resolve(s, root) for s in rule]
        named = [str(v) for o in options for v in o.get("enum", ()) if v is not None]
        kinds = [o.get("type", "object") for o in options if "enum" not in o]
        flat = [t for k in kinds for t in (k if isinstance(k, list) else [k])]
        what = f"must be {' or '.join(dict.fromkeys([*named, *_types(flat)]))}, not {_kind(error.instance)}"
        yield doc.problem(path, what, at_value=True)
    elif error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = schema.get("properties", {})
        for key in error.instance:
            if key not in known:
                word = (unknown or {}).get(path)
                yield doc.problem((*path, key), word(key) if word else f"unknown key{nearest(key, known)}")
    elif error.validator == "required":
        for key in rule:
            if key not in instance:
                text = f"`{key}` is missing"
                problem = doc.problem(path, text, at_value=True)
                yield problem if path else Problem(problem.file, problem.line, problem.column, "", text)
    else:
        yield doc.problem(path, _sentence(error), at_value=True)
