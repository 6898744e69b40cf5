"""Judge `tool_use`: does the model call the right tool with the right arguments, and only when
asked to?

Each metric asks more than the one before: the answer parses, names a known tool, is valid against
*that probe's* schema, and is right. The last two differ on purpose: schemas let wrong values
through, and some published truths fail their own schema. An answer that fails early scores 0 on all
that follows.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from runner import toolschema
from runner.errors import Problem, RecipeError, StepError
from runner.record import Answer, FunctionCall, Probe, Score, Verdict
from runner.registry import JudgeContext, judge

CALL_METRICS = ("parse_ok", "tool_known", "valid_call", "right_call")
Tools = Mapping[str, Mapping[str, Any]]  # name → schema of its parameters


class ExpectedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """One call that is right: for every argument the values that are, `""` where it may be left
    out."""

    name: str
    arguments: dict[str, list[Any]]


class Expect(Struct, frozen=True, forbid_unknown_fields=True):
    """What `expect` of a probe holds for this judge. No calls: the model should answer in words."""

    calls: list[ExpectedCall]


@judge("tool_use", version=1)
def tool_use(context: JudgeContext) -> Verdict:
    """Score tool calls: parse_ok, tool_known, valid_call and right_call where the probe wants a
    call, no_call where it wants none. Failures and truncated answers count as 0, missing answers as
    missing."""
    expected = _expectations(context.probes)
    answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in context.answers:
        if answer.id not in expected:
            raise StepError("tool_use", f"{answer.arm} answered {answer.id!r}, which is no probe")
        answers[answer.arm, answer.id].append(answer)
    scores: list[Score] = []
    for arm in dict.fromkeys(a.arm for a in context.answers):
        for probe in context.probes:
            calls = expected[probe.id].calls
            metrics = CALL_METRICS if calls else ("no_call",)
            given = answers[arm, probe.id]
            if not given:
                scores += [Score(probe.id, arm, m, None, "no answer") for m in metrics]
            for answer in given:
                reasons = call_faults(probe, answer, calls) if calls else (_talk_fault(answer),)
                for metric, reason in zip(metrics, reasons, strict=True):
                    value = 0.0 if reason else 1.0
                    scores.append(Score(probe.id, arm, metric, value, _writable(reason)))
    wanted = sum(bool(e.calls) for e in expected.values())
    return Verdict(
        scores,
        {"call_probes": float(wanted), "no_call_probes": float(len(expected) - wanted)},
    )


def _expectations(probes: Sequence[Probe]) -> dict[str, Expect]:
    found: dict[str, Expect] = {}
    problems: list[Problem] = []
    for probe in probes:
        try:
            if probe.id in found:
                raise ValueError("two probes have this id")
            found[probe.id] = msgspec.convert(probe.expect, Expect)
        except ValueError as e:  # msgspec.ValidationError is one
            problems.append(Problem("probes", 0, 0, probe.id, str(e)))
    if problems:
        raise RecipeError(problems)
    return found


def _parse_fault(answer: Answer) -> str:
    if answer.finish == "length":
        return "truncated"
    if answer.parse_error or answer.message is None:
        return f"does not parse: {answer.parse_error or 'no message'}"
    return ""


def _talk_fault(answer: Answer) -> str:
    """Why this is not a plain answer in words. A call too broken to parse was still an attempt at
    one."""
    fault = _parse_fault(answer)
    if fault or answer.message is None or not answer.message.tool_calls:
        return fault
    return f"called {', '.join(_short(c.function.name) for c in answer.message.tool_calls)}"


def call_faults(probe: Probe, answer: Answer, expected: list[ExpectedCall]) -> tuple[str, str, str, str]:
    """What is wrong by each of CALL_METRICS, empty where nothing is."""
    fault = _parse_fault(answer)
    if fault or answer.message is None:
        return fault, fault, fault, fault
    calls = [c.function for c in answer.message.tool_calls]
    if not calls:
        return "", "no call was made", "no call was made", "no call was made"
    tools = {t["function"]["name"]: t["function"].get("parameters", {}) for t in probe.tools}
    for call in calls:
        if call.name not in tools:
            fault = f"{_short(call.name)} is not one of {', '.join(tools) or 'no tools'}"
            return "", fault, fault, fault
    for call in calls:
        fault = schema_fault(call, tools[call.name])
        if fault:
            return "", "", fault, fault
    return "", "", "", match_fault(calls, expected, tools)


def _arguments(call: FunctionCall) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(call.arguments, parse_constant=refuse)


def schema_fault(call: FunctionCall, schema: Mapping[str, Any]) -> str:
    """Why the arguments are not valid against the tool's own schema (Draft 2020-12), or empty."""
    from jsonschema import SchemaError  # type: ignore[import-untyped,unused-ignore]
    from referencing.exceptions import Unresolvable

    try:
        arguments = _arguments(call)
    except (ValueError, RecursionError) as e:
        return f"arguments: not JSON ({e})"
    if not isinstance(arguments, dict):
        return f"arguments: {_short(arguments)} is not an object"
    try:
        errors = sorted(
            toolschema.validator(schema).iter_errors(arguments), key=lambda e: (e.json_path, e.message)
        )
    except RecursionError:
        return "arguments: nested too deep"
    except (SchemaError, Unresolvable, toolschema.Unsafe) as e:
        raise RecipeError([Problem("probes", 0, 0, call.name, f"bad schema: {e}")]) from e
    return _worded(errors[0]) if errors else ""


def _worded(error: Any) -> str:
    where = "arguments" + str(error.json_path)[1:]
    if error.validator == "enum":
        allowed = ", ".join(map(str, error.validator_value))
        return f"{where}: {_short(error.instance)} is not one of {_clip(allowed)}"
    if error.validator == "type":
        kinds = error.validator_value
        kind = kinds if isinstance(kinds, str) else " or ".join(kinds)
        return f"{where}: {_short(error.instance)} is not of type {kind}"
    if error.validator == "required":
        missing = [k for k in error.validator_value if k not in error.instance]
        return f"{where}.{missing[0]}: is missing"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        extra = sorted(set(error.instance) - set(error.schema.get("properties", {})))
        return f"{where}.{extra[0]}: is not a parameter" if extra else f"{where}: {error.message}"
    return f"{where}: {_clip(str(error.message))}"


def match_fault(calls: Sequence[FunctionCall], expected: Sequence[ExpectedCall], tools: Tools) -> str:
    """Why the calls are not the expected ones by BFCL's rules, or empty. Order does not count."""
    if len(calls) != len(expected):
        return f"made {len(calls)} calls, expected {len(expected)}"
    faults = [[_one_fault(c, e, tools.get(c.name, {})) for e in expected] for c in calls]
    holder: dict[int, int] = {}  # expected call → the call that it is matched with

    def place(call: int, tried: set[int]) -> bool:
        for e in range(len(expected)):
            if faults[call][e] or e in tried:
                continue
            tried.add(e)
            if e not in holder or place(holder[e], tried):
                holder[e] = call
                return True
        return False

    for i, call in enumerate(calls):
        if not place(i, set()):
            if len(calls) == 1:
                return faults[0][0]
            return f"call {i + 1} ({_short(call.name)}) matches none of the expected that is left"
    return ""


def _one_fault(call: FunctionCall, expected: ExpectedCall, schema: Mapping[str, Any]) -> str:
    if call.name != expected.name:
        return f"called {_short(call.name)}, expected {expected.name}"
    try:
        arguments = _arguments(call)
    except (ValueError, RecursionError) as e:
        return f"arguments: not JSON ({e})"
    if not isinstance(arguments, dict):
        return f"arguments: {_short(arguments)} is not an object"
    for name in schema.get("required", []):
        if name not in arguments:
            return f"arguments.{name}: is missing"
    for name, value in arguments.items():
        if name not in expected.arguments:
            return f"arguments.{_clip(name)}: was not expected"
        accepted = expected.arguments[name]
        if not any(matches(value, a) for a in accepted):
            words = ", ".join(str(a) for a in accepted if a != "")
            return f"arguments.{name}: {_short(value)} is not {_clip(words)}"
    for name, accepted in expected.arguments.items():
        if name not in arguments and "" not in accepted:
            return f"arguments.{name}: is missing"
    return ""


def matches(value: Any, accepted: Any) -> bool:
    """Is `value` this accepted value? Strings normalised, 3 is 3.0 (JSON knows one number type),
    True is not 1; an accepted object holds alternatives for each of its keys, as BFCL writes
    them."""
    if isinstance(value, str) and isinstance(accepted, str):
        return normal(value) == normal(accepted)
    if isinstance(value, bool) or isinstance(accepted, bool):
        return value is accepted
    if isinstance(value, (int, float)) and isinstance(accepted, (int, float)):
        return value == accepted
    if isinstance(value, list) and isinstance(accepted, list):
        return len(value) == len(accepted) and all(map(matches, value, accepted))
    if isinstance(value, dict) and isinstance(accepted, dict):
        return all(k in accepted for k in value) and all(
            any(matches(value[k], a) for a in _several(v)) if k in value else "" in _several(v)
            for k, v in accepted.items()
        )
    return value is None and accepted is None


def _several(accepted: Any) -> list[Any]:
    return accepted if isinstance(accepted, list) else [accepted]


def normal(text: str) -> str:
    """BFCL's reading of a string: case, spaces and the marks , . / - _ * ^ do not count, nor do the
    kinds of quotes. Signs that change a meaning (+, accents, %) do count."""
    return re.sub(r"[\s,./\-_*^]", "", text.casefold()).translate(str.maketrans("'’‘“”", '"""""'))


def _short(value: Any) -> str:
    try:
        return _clip(repr(value))
    except RecursionError:
        return "something nested too deep"


def _writable(reason: str) -> str:
    """JSON may smuggle half a character (\\ud800) into a reason, which no file could then hold."""
    return reason.encode("utf-8", "backslashreplace").decode()


def _clip(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
