"""What a schema says is wrong → sentences, each at its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runner.errors import Problem
from runner.saying import meanings
from runner.saying.meanings import allowed
from runner.saying.misplaced import keys_at, place_of, resolved
from runner.shown import cut
from runner.wording import searching
from runner.wording.searching import nearest
from runner.wording.values import show
from runner.yaml12 import Path, Yaml, dotted, scalar

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


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return f"{value}".lower()
    if isinstance(value, dict):
        return "a map of keys"
    if isinstance(value, list):
        return "a list"
    return ("text " if isinstance(value, str) else "the number ") + show(value)


def _types(schema: Any) -> list[str]:
    types = schema if isinstance(schema, list) else [schema]
    return [_KINDS.get(t, str(t)) for t in types if t != "null"]


def meant(value: Any, types: list[str], schema: Any) -> str:
    """` (did you mean …?)` for a value of the wrong type, or another hint, or nothing."""
    return meanings.meant(value, types, schema, scalar) if searching.may_look() else ""


def listed(words: list[str]) -> str:
    """`a, b or c`."""
    return ", ".join(words[:-1]) + (" or " if words[:-1] else "") + "".join(words[-1:])


def _must_be(words: list[str], value: Any, hint: str) -> str:
    wanted = listed(list(dict.fromkeys(words)))
    if value is None:
        return f"must be {wanted}, but nothing is given"
    return f"must be {wanted}, not {_kind(value)}{hint}"


def _form(description: str) -> str:
    """A description as the end of a sentence."""
    first = (
        description[:1].lower() if description[1:2].islower() or description[1:2] == " " else description[:1]
    )
    return (first + description[1:]).rstrip(".")


def _sentence(error: ValidationError) -> str:
    rule = error.validator
    value: Any = error.instance
    is_: Any = error.validator_value
    hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    match rule:
        case "type":
            types = is_ if isinstance(is_, list) else [is_]
            form = f": {_form(hint)}" if types == ["string"] and isinstance(value, dict) and hint else ""
            return _must_be(_types(is_), value, form or meant(value, types, error.schema))
        case "enum":
            one = value[0] if isinstance(value, list) and len(value) == 1 else value
            near = nearest(one, map(str, is_)) if isinstance(one, str) and len(is_) > 1 else ""
            near = near if "did you mean" in near else ""  # what there is has been said
            return f"must be one of {', '.join(map(str, is_))}, not {show(value)}{near}"
        case "const":
            quotes = f"; leave out the quotes (did you mean {is_}?)" if value == str(is_) else ""
            return f"must be {show(is_)}, not {show(value)}{quotes or f': {_form(hint)}'}"
        case "minimum" | "exclusiveMinimum":
            return f"must be {'at least' if rule == 'minimum' else 'more than'} {is_}, not {show(value)}"
        case "maximum" | "exclusiveMaximum":
            share = f" (did you mean {value / 100:g}?)" if is_ == 1 and 10 <= value <= 100 else ""
            return (
                f"must be {'at most' if rule == 'maximum' else 'less than'} {is_}, not {show(value)}{share}"
            )
        case "minItems" | "minProperties" | "minLength":
            return "must not be empty" if is_ == 1 else f"needs at least {is_} entries"
        case "maxItems" | "maxProperties":
            return "takes one entry only" if is_ == 1 else f"takes at most {is_} entries"
        case "maxLength":
            return f"must be at most {is_} characters, not {len(value)}"
        case "pattern":
            form = _form(hint) or f"it must match {is_}"
            return f"{show(value)} is not allowed here: {form}{allowed(value, is_)}"
    return cut(error.message, 200)


def unknown_key(key: str, path: Path, known: Mapping[str, Any], doc: Yaml, root: Any) -> str:
    """What to say of a key that the map at `path` does not have: a slip in it, or another place that has it."""
    if key == "<<":
        return "YAML 1.2 merges no keys: write them out"
    head, colon, tail = key.partition(":")
    if colon and head in known:
        return f"a space is missing after the `:` (did you mean {head}: {tail}?)"
    if key.startswith("-") and key[1:] in known:
        return f"a space is missing after the `-` (did you mean - {key[1:]}?)"
    if not searching.may_look():
        return "unknown key"
    choices = sorted(known)
    if near := searching.closest(key, choices, 0.8):
        return f"unknown key (did you mean {near}?)"
    if (place := place_of(key, path, doc.data, root)) is not None:
        if place[:-1] == path:
            return f"unknown key (did you mean {place[-1]}?)"
        deeper = place[:-2] == path and place[-2] in _at(doc.data, path)
        under = f"; it belongs under `{place[-2]}`" if deeper else ""
        return f"unknown key here{under} (did you mean {dotted(place)}?)"
    return f"unknown key{nearest(key, choices)}"


def _at(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data


def _misspelt(instance: Mapping[str, Any], known: Mapping[str, Any]) -> set[str | None]:
    """Keys that are there, but misspelt: that is said where they stand, not that they are missing."""
    others = [key for key in instance if key not in known][:20]
    absent = [key for key in known if key not in instance]
    return {searching.closest(key, absent) for key in others}


def _any_of(value: Any, named: list[str], types: list[str], options: list[Any]) -> str:
    near = nearest(value, named) if isinstance(value, str) and named else ""
    hints = [near] if "did you mean" in near else []
    for schema in options if not hints else ():
        kinds = schema.get("type", "object")
        hints.append(meant(value, kinds if isinstance(kinds, list) else [kinds], schema))
    words = [w for t in types for w in (("true", "false") if t == "boolean" else _types(t))]
    return _must_be([*named, *words], value, next(filter(None, hints), ""))


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
        options = [resolved(s, root) for s in rule]
        named = [str(v) for o in options for v in o.get("enum", ()) if v is not None]
        kinds = [o.get("type", "object") for o in options if "enum" not in o]
        flat = [t for k in kinds for t in (k if isinstance(k, list) else [k])]
        yield doc.problem(path, _any_of(instance, named, flat, options), at_value=True)
    elif error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = schema.get("properties", {})
        for key in error.instance:
            if key not in known:
                word = (unknown or {}).get(path)
                what = word(key) if word else unknown_key(key, path, known, doc, root)
                yield doc.problem((*path, key), what)
    elif error.validator == "maxProperties" and rule == 1 and (known := keys_at(path, root)):
        first, *others = [key for key in instance if key in known] or [""]
        for key in others:
            yield doc.problem((*path, key), f"stands in one item with `{first}`; begin it with `- `")
    elif error.validator == "required":
        misspelt = _misspelt(instance, schema.get("properties", {}))
        for key in rule:
            if key not in instance and key not in misspelt:
                yield doc.problem(path, f"`{key}` is missing", at_value=True)
    else:
        yield doc.problem(path, _sentence(error), at_value=True)


def causes(found: list[Problem]) -> list[Problem]:
    """Problems without those that follow from another: what is missing because it stands one level too high."""
    meant = {p.suggestion for p in found if p.what.startswith("unknown key here")}
    parents = {m.rpartition(".")[0] for m in meant if m}

    def follows(p: Problem) -> bool:
        missing = re.match(r"`(.+)` is missing", p.what)
        nothing = p.where in parents and p.what.endswith("but nothing is given")
        return nothing or bool(missing and f"{p.where}.{missing[1]}".lstrip(".") in meant)

    return [p for p in found if not follows(p)]
