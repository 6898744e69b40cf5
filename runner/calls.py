"""Read a model's raw answer: plain text, or Hermes-style tool calls with text around them.

    <tool_call>{"name": "get_forecast", "arguments": {"city": "Hannibal"}}</tool_call>

Strict on purpose: what a server's parser might mend in silence is here a failure with a reason, as
it is the model that is judged. Whether the tool exists and the arguments fit its schema is the
judge's question, not asked here. Bare JSON without tags is text.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from runner.record import FunctionCall, Message, ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def parse_answer(raw: str) -> tuple[Message | None, str | None]:
    """The assistant's message in `raw` and None, or None and the reason why there is none.

    Calls get ids call_1, call_2 …; `arguments` is compact JSON text with keys in their given order.
    Text around the calls becomes `content` (None where there is none). Never raises.
    """
    texts: list[str] = []
    calls: list[ToolCall] = []
    rest = raw
    while True:
        text, opened, rest = rest.partition(OPEN)
        if CLOSE in text:
            return None, f"a {CLOSE} without its {OPEN}"
        if text.strip():
            texts.append(text.strip())
        if not opened:
            break
        number = len(calls) + 1
        try:
            function, rest = _call(rest)
        except (ValueError, RecursionError) as e:
            return None, f"call {number}: {_words(e)}"
        calls.append(ToolCall(f"call_{number}", function))
    content = "\n".join(texts)
    if calls:
        return Message("assistant", content or None, calls), None
    return Message("assistant", content), None


def _call(text: str) -> tuple[FunctionCall, str]:
    """The call that `text` starts with, and what follows its closing tag. Raises ValueError.

    The JSON is read first and the closing tag sought after it, so that an argument may hold the
    tag's own text.
    """
    body = text.lstrip()
    try:
        value, end = json.JSONDecoder(parse_constant=_no_constant).raw_decode(body)
    except json.JSONDecodeError as e:
        if CLOSE not in body:
            raise ValueError(f"no {CLOSE}") from e
        raise ValueError(f"not JSON: {e.msg} at character {e.pos + 1}") from e
    after = body[end:].lstrip()
    if not after.startswith(CLOSE):
        raise ValueError(f"text between the JSON and {CLOSE}" if CLOSE in after else f"no {CLOSE}")
    return _function(value), after[len(CLOSE) :]


def _function(value: Any) -> FunctionCall:
    if not isinstance(value, dict):
        raise ValueError("the call is not a JSON object")
    name, arguments = value.get("name"), value.get("arguments")
    if not isinstance(name, str) or not name:
        raise ValueError("no name" if "name" not in value else "the name is not a word")
    if not isinstance(arguments, dict):
        raise ValueError(
            "no arguments" if "arguments" not in value else "the arguments are not a JSON object"
        )
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    (name + text).encode()  # a lone surrogate ("\ud800") could never be written to a file
    return FunctionCall(name, text)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "JSON nested too deep"
    if isinstance(error, UnicodeEncodeError):
        return "half a surrogate pair, which is no character"
    if "Exceeds the limit" in str(error):
        return "a number with thousands of digits"
    if "Out of range float" in str(error):
        return "a number too large to hold"
    return str(error)
