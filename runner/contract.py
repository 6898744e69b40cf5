"""The contract of a tool record, checked before anything is trained (DESIGN §6)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from runner import toolschema
from runner.record import Message, Record


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Any:
    return toolschema.validator(json.loads(schema))


def _tools(record: Record) -> dict[str, dict[str, Any]] | str:
    from jsonschema.exceptions import SchemaError

    out: dict[str, dict[str, Any]] = {}
    for tool in record.tools:
        function = tool.get("function") if tool.get("type") == "function" else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            return "a tool is not of the form {type: function, function: {name, parameters}}"
        parameters = function.get("parameters", {"type": "object"})
        try:
            _validator(json.dumps(parameters, sort_keys=True))
        except SchemaError as e:
            return f"parameters of tool {function['name']} are not a JSON Schema: {e.message[:200]}"
        out[function["name"]] = parameters
    return out


def _call(name: str, arguments: str, tools: dict[str, dict[str, Any]]) -> str | None:
    if name not in tools:
        return f"calls the tool {name!r}, which the record does not declare"
    from referencing.exceptions import Unresolvable

    try:
        values = json.loads(
            arguments, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=toolschema.once
        )
    except ValueError as e:
        return f"arguments of {name} are not JSON: {e}"
    if not isinstance(values, dict):
        return f"arguments of {name} are not an object"
    if "\\u" in arguments and not _writable(
        "".join(_strings(values))
    ):  # written as \\ud83d it passes for ASCII
        return f"arguments of {name} hold half a character (a lone surrogate)"
    try:
        for error in _validator(json.dumps(tools[name], sort_keys=True)).iter_errors(values):
            at = ".".join(map(str, error.absolute_path))
            return f"arguments of {name} break its schema: {at + ': ' if at else ''}{error.message[:200]}"
    except Unresolvable as e:
        return f"parameters of tool {name} refer to {e.ref!r}, which is not in them"
    except toolschema.Unsafe as e:
        return f"parameters of tool {name}: {e}"
    return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    """A template would say Infinity, which is no JSON."""
    if math.isinf(number := float(text)):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _unwritable(record: Record) -> str | None:
    """Characters that no UTF-8 file, tokenizer or C string can hold."""
    texts = [*record.tags, *record.tags.values(), *record.meta, *record.meta.values()]
    for m in record.messages:
        if m.content:
            texts.append(m.content)
        if m.tool_calls or m.tool_call_id or m.name:
            texts += [x for x in (m.name, m.tool_call_id) if x]
            for c in m.tool_calls:
                texts += (c.id, c.function.name, c.function.arguments)
    if record.tools:
        texts += _strings(record.tools)
    whole = "".join(texts)
    if "\0" in whole:
        return "holds a NUL character"
    return None if _writable(whole) else "holds half a character (a lone surrogate)"


def _writable(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _order(messages: list[Message]) -> str | None:
    """Roles: system first if at all, then user and assistant by turns; every call answered at once."""
    before, open_calls = "start", list[str]()
    for n, m in enumerate(messages, 1):
        if m.role == "tool":
            if m.tool_call_id not in open_calls:
                return f"message {n}: a tool result that answers no open call"
            open_calls.remove(m.tool_call_id)
        elif open_calls:
            return f"message {n}: the call {open_calls[0]!r} is not answered before it"
        if m.role == "system" and before != "start":
            return f"message {n}: a system message that is not the first"
        if m.role == "user" and before == "user":
            return f"message {n}: two user messages in a row"
        if m.role == "assistant":
            if before == "assistant":
                return f"message {n}: two assistant messages in a row"
            if not m.tool_calls and not (m.content or "").strip():
                return f"message {n}: an assistant message that says nothing"
            if m.tool_calls:
                open_calls = [c.id for c in m.tool_calls]
                if len(set(open_calls)) != len(open_calls):
                    return f"message {n}: two calls have the same id"
        elif m.tool_calls:
            return f"message {n}: only the assistant calls tools"
        elif m.role == "user" and not (m.content or "").strip():
            return f"message {n}: a user message that says nothing"
        before = m.role
    if open_calls:
        return f"the call {open_calls[0]!r} is never answered"
    if before != "assistant":
        return "the last message is not the assistant's"
    return None


def broken(record: Record) -> str | None:
    """Why a record must not be trained on, or None. Schema errors name the tool and the argument."""
    try:
        return _broken(record)
    except RecursionError:
        return "its tools or arguments are nested too deep"
    except OverflowError:  # a number of hundreds of digits, where a schema wants its multiples counted
        return "its tools or arguments hold too large a number"


def _broken(record: Record) -> str | None:
    reason = _unwritable(record) or _order(record.messages)
    if reason or not (record.tools or any(m.tool_calls for m in record.messages)):
        return reason
    tools = _tools(record)
    if isinstance(tools, str):
        return tools
    for message in record.messages:
        for call in message.tool_calls:
            reason = _call(call.function.name, call.function.arguments, tools)
            if reason:
                return reason
    return None
