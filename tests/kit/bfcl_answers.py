"""Model-like answers to BFCL's cases, made from their truths: right ones, and each way of going wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CATEGORIES = ("simple_python", "multiple", "parallel", "live_simple")
Call = tuple[str, dict[str, Any]]
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": None}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def as_json_schema(schema: Any) -> Any:
    """BFCL names types as Python does; `optional` and defaults mean nothing to a validator."""
    if isinstance(schema, list):
        return [as_json_schema(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            kind = TYPES.get(value, value)
            if kind is not None:
                out[key] = kind
        elif isinstance(value, dict) or key not in ("optional", "default", "format", "description"):
            out[key] = as_json_schema(value)
    return out


def sample(value: Any) -> Any:
    """One concrete value of an accepted one: objects hold alternatives for each of their keys."""
    if isinstance(value, dict):
        return {k: sample(first(v)) for k, v in value.items() if first(v) != ""}
    return [sample(v) for v in value] if isinstance(value, list) else value


def first(alternatives: Any) -> Any:
    if not isinstance(alternatives, list):
        return alternatives
    return next((a for a in alternatives if a != ""), "")


def right(truth: list[dict[str, Any]], least: bool = False) -> list[Call]:
    """The calls of a truth with the first alternatives; `least`: without what may be left out."""
    return [
        (
            name,
            {
                k: sample(first(v))
                for k, v in arguments.items()
                if not (least and "" in v) and (first(v) != "" or "" not in v)
            },
        )
        for call in truth
        for name, arguments in call.items()
    ]


def retyped(value: Any) -> list[Any]:
    """The same value as models write it in a wrong type."""
    if isinstance(value, bool):
        return [str(value).lower(), int(value)]
    if isinstance(value, int):
        return [str(value), float(value), [value]]
    if isinstance(value, float):
        return [str(value), *([int(value)] if value.is_integer() else [])]
    if isinstance(value, str):
        return [[value], 7, None]
    if isinstance(value, list):
        return [json.dumps(value), value[0] if value else None, [str(v) for v in value]]
    return [json.dumps(value), [value]]  # an object, or null


def other(value: Any) -> list[Any]:
    """Values of the same type that are different."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, -value]
    if isinstance(value, str):
        return [value + " or so", "no such value", ""]
    if isinstance(value, list):
        return [value[::-1], value + value[:1], value[:-1]]
    if value is None:
        return ["something"]
    return [{}, value | {"stranger": 1}, {k: other(v)[0] for k, v in value.items()}]


def spelt(value: Any) -> list[Any]:
    """Strings as models spell them otherwise."""
    if not isinstance(value, str):
        return []
    return [
        value.upper(),
        value.replace(" ", "-"),
        value + ".",
        value.replace(" ", "\n"),
        value.replace("'", "’"),
    ]


def answers(truth: list[dict[str, Any]]) -> Iterator[tuple[str, list[Call]]]:
    """(kind, calls) of every answer made from one truth."""
    whole = right(truth)
    yield "right", whole
    yield "right, least", right(truth, least=True)
    yield "other order", [(n, dict(reversed(a.items()))) for n, a in reversed(whole)]
    yield "wrong count", [*whole, whole[-1]]
    yield "wrong count", whole[:-1]
    yield "wrong count", [whole[0], *whole]
    for i, (name, arguments) in enumerate(whole):
        accepted = truth[i][name]

        def spoilt(new: dict[str, Any], called: str = name, at: int = i) -> list[Call]:
            return [*whole[:at], (called, new), *whole[at + 1 :]]

        yield "wrong name", spoilt(arguments, name + "_now")
        yield "wrong name", spoilt(arguments, name.replace(".", "_").upper())
        yield "extra argument", spoilt(arguments | {"stranger": 1})
        for key, value in arguments.items():
            yield "missing argument", spoilt({k: v for k, v in arguments.items() if k != key})
            for kind, made in (("wrong type", retyped), ("wrong value", other), ("spelling", spelt)):
                for new in made(value):
                    yield kind, spoilt(arguments | {key: new})
        for key, alternatives in accepted.items():
            for alternative in alternatives:
                yield "alternative value", spoilt(arguments | {key: sample(alternative)})
