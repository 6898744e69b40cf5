"""Read a model's raw answer: plain text, or tool calls in the form of its chat template, with text around them.

    hermes   <tool_call>{"name": "get_forecast", "arguments": {"city": "Hannibal"}}</tool_call>
    mistral  [TOOL_CALLS] [{"name": "get_forecast", "arguments": {"city": "Hannibal"}, "id": "call00001"}]
    granite  <|tool_call|>[{"name": "get_forecast", "arguments": {"city": "Hannibal"}}]
    llama    {"name": "get_forecast", "parameters": {"city": "Hannibal"}}; {"name": …}

Strict on purpose: what a server's parser might mend in silence is here a failure with a reason, as
it is the model that is judged. Whether the tool exists and the arguments fit its schema is the
judge's question, not asked here. Bare JSON without tags is text.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NoReturn

from runner.record import FunctionCall, Message, ToolCall
from runner.toolschema import once

OPEN, CLOSE = "<tool_call>", "</tool_call>"
Form = Literal["hermes", "mistral", "granite", "llama"]
# Control tokens that are a part of a form, so that whoever decodes an answer must keep them.
MARKS: dict[Form, str] = {"mistral": "[TOOL_CALLS]", "granite": "<|tool_call|>", "llama": "<|python_tag|>"}
_LLAMA = re.compile(r"\s*(?:<\|python_tag\|>\s*)?(?=\{\s*\"name\"\s*:)")


def form_of(template: str) -> Form:
    """The form in which a chat template (its text) writes calls; hermes where it is none of the others."""
    for form in ("mistral", "granite"):
        if MARKS[form] in template:
            return form
    return "llama" if "<|start_header_id|>ipython" in template and '"parameters": ' in template else "hermes"


def parse_answer(raw: str, form: Form = "hermes") -> tuple[Message | None, str | None]:
    """The assistant's message in `raw` and None, or None and the reason why there is none.

    Calls get ids call_1, call_2 …; `arguments` is compact JSON text with keys in their given order.
    Text around the calls becomes `content` (None where there is none). Never raises.
    """
    if form != "hermes":
        return _unclosed(raw, form)
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


def _unclosed(raw: str, form: Form) -> tuple[Message | None, str | None]:
    """The forms in which calls are the end of an answer."""
    if form == "llama":
        begin = _LLAMA.match(raw)
        text, opened, rest = ("", True, raw[begin.end() :]) if begin else (raw, False, "")
    else:
        text, mark, rest = raw.partition(MARKS[form])
        opened = bool(mark)
    if not opened:
        return Message("assistant", raw.strip()), None
    if text.strip() and form == "granite":
        return None, "text before the calls, which then are text to whoever reads them"
    try:
        found = _objects(rest) if form == "llama" else _list(rest)
    except (ValueError, RecursionError) as e:
        return None, f"calls: {_words(e)}"
    calls: list[ToolCall] = []
    for value in found:
        number = len(calls) + 1
        try:
            calls.append(
                ToolCall(f"call_{number}", _function(value, "parameters" if form == "llama" else "arguments"))
            )
        except ValueError as e:
            return None, f"call {number}: {_words(e)}"
    return Message("assistant", text.strip() or None, calls), None


def _list(text: str) -> list[Any]:
    value, rest = _json(text)
    if not isinstance(value, list) or not value:
        raise ValueError("no list of calls")
    if rest:
        raise ValueError("text after the calls")
    return value


def _objects(text: str) -> list[Any]:
    out: list[Any] = []
    while True:
        value, rest = _json(text)
        out.append(value)
        if not rest:
            return out
        if not rest.startswith(";"):
            raise ValueError("text after the calls")
        text = rest[1:]


def _json(text: str) -> tuple[Any, str]:
    """The JSON value that `text` starts with, and what follows it, without the blanks around."""
    body = text.lstrip()
    try:
        value, end = _decoder().raw_decode(body)
    except json.JSONDecodeError as e:
        raise ValueError(f"not JSON: {e.msg} at character {e.pos + 1}") from e
    return value, body[end:].strip()


def _call(text: str) -> tuple[FunctionCall, str]:
    """The call that `text` starts with, and what follows its closing tag. Raises ValueError.

    The JSON is read first and the closing tag sought after it, so that an argument may hold the
    tag's own text.
    """
    body = text.lstrip()
    try:
        value, end = _decoder().raw_decode(body)
    except json.JSONDecodeError as e:
        if CLOSE not in body:
            raise ValueError(f"no {CLOSE}") from e
        raise ValueError(f"not JSON: {e.msg} at character {e.pos + 1}") from e
    after = body[end:].lstrip()
    if not after.startswith(CLOSE):
        raise ValueError(f"text between the JSON and {CLOSE}" if CLOSE in after else f"no {CLOSE}")
    return _function(value), after[len(CLOSE) :]


def _function(value: Any, key: str = "arguments") -> FunctionCall:
    if not isinstance(value, dict):
        raise ValueError("the call is not a JSON object")
    name, arguments = value.get("name"), value.get(key)
    if not isinstance(name, str) or not name:
        raise ValueError("no name" if "name" not in value else "the name is not a word")
    if not isinstance(arguments, dict):
        raise ValueError(f"no {key}" if key not in value else f"the {key} are not a JSON object")
    text = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    (name + text).encode()  # a lone surrogate ("\ud800") could never be written to a file
    return FunctionCall(name, text)


def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=once)


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
