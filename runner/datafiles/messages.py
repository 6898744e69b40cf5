"""A conversation as people publish them, in OpenAI's shape or ShareGPT's → our messages, calls and tool definitions."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from runner.record import FunctionCall, Message, ToolCall

ROLES = {
    "human": "user", "user": "user", "prompter": "user",
    "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bing": "assistant",
    "bard": "assistant", "model": "assistant", "system": "system",
    "function_call": "call", "tool_call": "call",
    "observation": "tool", "tool": "tool", "function_response": "tool", "tool_response": "tool",
}  # fmt: skip
# Calls written into the text are some other model's control words: trained as text, they would teach nonsense.
WRITTEN_CALLS = ("<tool_call>", "<functioncall>", "[TOOL_CALLS]", "<|python_tag|>")


class Unfit(ValueError):
    """Why a row is no record."""


def messages_of(value: Any, column: str) -> list[Message]:
    value = _json(value, f"column {column!r}")
    if not isinstance(value, list) or not value or not all(isinstance(m, dict) for m in value):
        raise Unfit(f"column {column!r} is no list of messages")
    out: list[Message] = []
    open_calls: list[str] = []
    for n, given in enumerate(value, 1):
        one = {k: v for k, v in given.items() if v is not None}  # Arrow fills absent keys with nulls
        made = _share_gpt(one, n, open_calls) if "from" in one else _message(one, n)
        open_calls = [*open_calls, *(c.id for c in made.tool_calls)]
        if made.role == "tool" and made.tool_call_id in open_calls:
            open_calls.remove(made.tool_call_id)
        out.append(made)
    return out


def _share_gpt(given: dict[str, Any], n: int, open_calls: list[str]) -> Message:
    role = ROLES.get(str(given.pop("from")).lower())
    value = given.pop("value", None)
    weight = _weight(given, n)
    if role is None or given:
        what = f"the key {next(iter(given))!r}" if given else "its `from`"
        raise Unfit(f"message {n}: {what} is not known")
    if role == "call":
        data = _json(value, f"message {n}")
        calls = data if isinstance(data, list) else [data]
        made = [_call(c, f"call_{n}_{i}", n) for i, c in enumerate(calls, 1)]
        return Message("assistant", tool_calls=made, weight=weight)
    if role == "tool":
        if not open_calls:
            raise Unfit(f"message {n}: a tool result that answers no call")
        return Message("tool", words(value, f"message {n}"), tool_call_id=open_calls[0], weight=weight)
    return Message(role, words(value, f"message {n}"), weight=weight)  # type: ignore[arg-type]


def _message(given: dict[str, Any], n: int) -> Message:
    if not isinstance(given.get("role"), str):
        raise Unfit(f"message {n}: no role")
    weight = _weight(given, n)
    calls = given.pop("tool_calls", None) or []
    if not isinstance(calls, list):
        raise Unfit(f"message {n}: tool_calls are no list")
    if "content" in given:
        given["content"] = _parts(given["content"], n)
    if not calls:
        given["content"] = words(given.get("content"), f"message {n}")
    try:
        message = msgspec.convert(given, Message)
    except msgspec.ValidationError as e:
        raise Unfit(f"message {n}: {e}") from None
    made = [_call(c, f"call_{n}_{i}", n) for i, c in enumerate(calls, 1)]
    return msgspec.structs.replace(message, tool_calls=made, weight=weight)


def _weight(given: dict[str, Any], n: int) -> Literal[0, 1] | None:
    """Whether a message is to be trained, by the names that people give it, if it says so. A share of it is not had."""
    found: set[Literal[0, 1]] = set()
    for key in ("weight", "loss_weight", "train"):
        weight = given.pop(key, None)
        if weight is None:
            continue
        if weight not in (0, 1):
            raise Unfit(f"message {n}: a {key} of {weight!r} cannot be kept")
        found.add(1 if weight else 0)
    if len(found) > 1:
        raise Unfit(f"message {n}: its weights say that it is to be trained, and that it is not")
    return found.pop() if found else None


def _parts(content: Any, n: int) -> Any:
    """Content given as a list of parts: kept where all of it is text."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        one = {k: v for k, v in part.items() if v is not None} if isinstance(part, dict) else {}
        if one.get("type", "text") != "text":
            raise Unfit(f"message {n}: a part of type {str(one['type'])[:40]!r}, which is not text")
        texts.append(words(one.get("text", one.get("value")), f"a part of message {n}"))
    return "".join(texts)


def _call(given: Any, spare: str, n: int) -> ToolCall:
    if not isinstance(given, dict):
        raise Unfit(f"message {n}: a call that is no object")
    inner = given.get("function")
    function = inner if isinstance(inner, dict) else given
    name, arguments = function.get("name"), function.get("arguments")
    if isinstance(arguments, dict):
        arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise Unfit(f"message {n}: a call without {'arguments' if isinstance(name, str) else 'a name'}")
    id = given.get("id")
    return ToolCall(id if isinstance(id, str) and id else spare, FunctionCall(name, arguments))


def definitions(value: Any) -> list[dict[str, Any]]:
    if value is None or value in ("", []):
        return []
    value = _json(value, "column 'tools'")
    if not isinstance(value, list) or not all(isinstance(t, dict) for t in value):
        raise Unfit("its tools are no list of definitions")
    return [t if "function" in t else {"type": "function", "function": t} for t in value]


def _json(value: Any, what: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as e:
        raise Unfit(f"{what} is not JSON: {e}".splitlines()[0]) from None


def words(value: Any, what: str) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise Unfit(f"{what} is empty")
    if not isinstance(value, str):
        raise Unfit(f"{what} is {kind(value)}, not text")
    if ("<" in value or "[" in value) and (found := next((w for w in WRITTEN_CALLS if w in value), None)):
        raise Unfit(f"{what} holds a call written as text ({found})")
    return value


def kind(value: Any) -> str:
    return {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a map"}.get(
        type(value), f"of type {type(value).__name__}"
    )
