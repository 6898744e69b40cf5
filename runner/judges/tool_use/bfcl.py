"""Are these the calls that were expected? The rules of the Berkeley Function-Calling Leaderboard's AST checker.

Source: `ast_checker` of the package bfcl-eval (Apache-2.0), its rules for Python, read and written anew; tests/kit
compares both over its published cases. In short: as many calls as expected, in any order; every required argument is
there and none that was not expected; each has the declared type (an integer passes for a number, not the other way)
and is one of the accepted values, where `""` stands for "may be left out"; strings are compared without case, blanks
and the marks , . / - _ * ^. Two things go further than BFCL, which would refuse there what is right:
objects within objects are read by the rules of the outer one, and calls are matched so that all find a partner where
that can be done at all. docs/judges-tools.md has the figures.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from runner import toolschema
from runner.record import FunctionCall

Tools = Mapping[str, Mapping[str, Any]]  # name → schema of its parameters
PYTHON: dict[str, type] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict,
    "float": float, "tuple": list, "dict": dict, "any": str,
}  # fmt: skip
"""Types of JSON Schema, and in the second line those that BFCL names otherwise."""
_MARKS = re.compile(r"[ ,./\-_*^]")


class ExpectedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """One call that is right: for every argument the values that are, `""` where it may be left
    out."""

    name: str
    arguments: dict[str, list[Any]]


def match_fault(calls: Sequence[FunctionCall], expected: Sequence[ExpectedCall], tools: Tools) -> str:
    """Why the calls are not the expected ones, or empty. Order does not count."""
    if len(calls) != len(expected):
        return f"made {len(calls)} calls, expected {len(expected)}"
    if len(calls) == 1:
        return call_fault(calls[0], expected[0], tools.get(calls[0].name, {}))
    at = _unmatched(len(calls), len(expected), _fits(calls, expected, tools))
    return (
        ""
        if at is None
        else f"call {at + 1} ({short(calls[at].name)}) matches none of the expected that is left"
    )


def missing_fault(calls: Sequence[FunctionCall], expected: Sequence[ExpectedCall], tools: Tools) -> str:
    """Which of the expected calls was not made, or empty. Other calls may be there as well."""
    fits = _fits(calls, expected, tools)
    at = _unmatched(len(expected), len(calls), lambda e, c: fits(c, e))
    return "" if at is None else f"did not call {expected[at].name} as expected"


def _fits(
    calls: Sequence[FunctionCall], expected: Sequence[ExpectedCall], tools: Tools
) -> Callable[[int, int], bool]:
    good = [[not call_fault(c, e, tools.get(c.name, {})) for e in expected] for c in calls]
    return lambda c, e: good[c][e]


def _unmatched(many: int, others: int, fits: Callable[[int, int], bool]) -> int | None:
    """The first of `many` for which no partner is left, however they are matched; None where each finds one."""
    holder: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for other in range(others):
            if other in tried or not fits(one, other):
                continue
            tried.add(other)
            if other not in holder or place(holder[other], tried):
                holder[other] = one
                return True
        return False

    return next((one for one in range(many) if not place(one, set())), None)


def call_fault(call: FunctionCall, expected: ExpectedCall, schema: Mapping[str, Any]) -> str:
    """Why one call is not the expected one, or empty. `schema` is that of its tool's parameters."""
    if call.name != expected.name:
        return f"called {short(call.name)}, expected {expected.name}"
    try:
        given = read_arguments(call)
    except (ValueError, RecursionError) as e:
        return f"arguments: not JSON ({e})"
    if not isinstance(given, dict):
        return f"arguments: {short(given)} is not an object"
    for name in schema.get("required", []):
        if name not in given:
            return f"arguments.{name}: is missing"
    declared: Mapping[str, Any] | None = schema.get("properties")
    for name, value in given.items():
        if name not in expected.arguments or not takes(schema, name):
            return f"arguments.{clip(name)}: was not expected"
        fault = value_fault(value, expected.arguments[name], (declared or {}).get(name))
        if fault:
            return f"arguments.{name}: {short(value)} {fault}"
    for name, accepted in expected.arguments.items():
        if name not in given and "" not in accepted:
            return f"arguments.{name}: is missing"
    return ""


def takes(schema: Mapping[str, Any], name: str) -> bool:
    """Whether a tool takes an argument: one that it declares, or any where it declares none or says that others may be
    there. (To JSON Schema silence means that they may; to BFCL, and to whoever writes a tool, that they may not.)"""
    declared = schema.get("properties")
    return declared is None or name in declared or bool(schema.get("additionalProperties"))


def read_arguments(call: FunctionCall) -> Any:
    """A call's arguments. Raises ValueError where they are no JSON or name one twice (what is trained may not do so
    either, see runner/contract.py; BFCL's checker sees only what Python's reader left), RecursionError where nested too
    deep."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    def finite(text: str) -> float:
        if math.isinf(number := float(text)):  # 1e999, which no JSON could say again
            raise ValueError(f"{clip(text)} is too large a number")
        return number

    return json.loads(
        call.arguments, parse_constant=refuse, parse_float=finite, object_pairs_hook=toolschema.once
    )


def value_fault(value: Any, accepted: Sequence[Any], schema: Any) -> str:
    """What is wrong with one argument's value, in words that follow it, or empty.

    Where the accepted values are of another type than the declared one, theirs counts too: so BFCL writes variables
    and nulls. Such values must be equal to the letter.
    """
    sort = next((type(a) for a in accepted if a != ""), None)
    kind, inner = _kinds(schema)
    kind = kind or sort or type(value)
    if kind is float and type(value) is int:
        value = _as_float(value)
    if type(value) is kind:
        if inner and isinstance(value, list) and not any(_of_type(value, a, inner) for a in accepted):
            return f"does not hold values of type {_word(inner)}"
        exact = sort is not None and sort is not kind
    elif type(value) is sort:
        exact = True
    else:
        return f"is not of type {_word(kind)}"
    if exact or kind not in (dict, str, list):
        right = value in accepted
    elif kind is str:
        right = normal(value) in [normal(a) for a in accepted if isinstance(a, str)]
    elif kind is dict:
        right = any(_same_object(value, a) for a in accepted)
    elif inner is dict or (inner is None and any(isinstance(v, dict) for v in value)):
        right = any(_same_objects(value, a) for a in accepted)
    else:
        right = any(_flat(value) == _flat(a) for a in accepted if isinstance(a, (list, str)))
    return "" if right else f"is not {clip(', '.join(str(a) for a in accepted if a != ''))}"


def normal(text: str) -> str:
    """BFCL's reading of a string: case, blanks and the marks , . / - _ * ^ do not count, nor do the
    kinds of quotes. Signs that change a meaning (+, accents, %) do count."""
    return _MARKS.sub("", text).lower().replace("'", '"')


def _kinds(schema: Any) -> tuple[type | None, type | None]:
    """Declared type and type of its items; None where there is none, or several may be."""
    if not isinstance(schema, Mapping):
        return None, None
    names = schema.get("type")
    if isinstance(names, list):  # ["string", "null"]: null is no type to speak of
        names = [n for n in names if n != "null"]
        names = names[0] if len(names) == 1 else None
    kind = PYTHON.get(names) if isinstance(names, str) else None
    return kind, (_kinds(schema.get("items"))[0] if kind is list else None)


def _as_float(value: int) -> float | int:
    try:
        return float(value)
    except OverflowError:  # hundreds of digits: equal to no float, then
        return value


def _word(kind: type) -> str:
    return next((name for name, python in PYTHON.items() if python is kind), "null")


def _of_type(value: Sequence[Any], accepted: Any, inner: type) -> bool:
    """Whether all items are of the declared type, or of that of the accepted items."""
    if not isinstance(accepted, list):
        return True
    sort = next((type(a) for a in accepted if a != ""), None)
    return all(type(v) is inner or type(v) is sort for v in value)


def _flat(value: Any) -> list[Any]:
    return [normal(v) if isinstance(v, str) else v for v in value]


def _same_object(value: Mapping[str, Any], accepted: Any) -> bool:
    """Each key's value is one of the alternatives that the accepted object holds for it."""
    if not isinstance(accepted, dict):
        return False
    return all(key in accepted for key in value) and all(
        _one_of(value[key], _several(a)) if key in value else "" in _several(a) for key, a in accepted.items()
    )


def _one_of(value: Any, accepted: list[Any]) -> bool:
    if isinstance(value, str):
        return normal(value) in [normal(a) for a in accepted if isinstance(a, str)]
    if value in accepted:
        return True
    if isinstance(value, dict):
        return any(_same_object(value, a) for a in accepted)
    return (
        isinstance(value, list)
        and any(isinstance(v, dict) for v in value)
        and any(_same_objects(value, a) for a in accepted)
    )


def _same_objects(value: Sequence[Any], accepted: Any) -> bool:
    """Item by item; `""`, "may be left out", is as good as an empty list."""
    if accepted == "":
        return not value
    return (
        isinstance(accepted, list)
        and len(value) == len(accepted)
        and all(
            _same_object(v, a) if isinstance(v, dict) else v == a
            for v, a in zip(value, accepted, strict=True)
        )
    )


def _several(accepted: Any) -> list[Any]:
    return accepted if isinstance(accepted, list) else [accepted]


def short(value: Any) -> str:
    try:
        return clip(repr(value))
    except RecursionError:
        return "something nested too deep"


def clip(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
