"""The contract of a record: roles by turns, calls answered, arguments valid against the row's own tools."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import msgspec
import pytest

from runner.contract import broken
from runner.record import FunctionCall, Message, Record, ToolCall

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}


def tool(parameters: Any = WEATHER, name: str = "get_forecast") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def call(arguments: str = '{"city": "Rome"}', id: str = "c1", name: str = "get_forecast") -> Message:
    return Message("assistant", tool_calls=[ToolCall(id, FunctionCall(name, arguments))])


def result(id: str = "c1") -> Message:
    return Message("tool", '{"sky": "clear"}', tool_call_id=id)


SYSTEM, USER, SAYS = Message("system", "s"), Message("user", "u"), Message("assistant", "a")
TOOLS = [tool()]


@pytest.mark.parametrize(
    "messages",
    [
        [USER, SAYS],
        [SYSTEM, USER, SAYS],
        [SAYS],
        [USER, SAYS, USER, SAYS],
        [USER, call(), result(), SAYS],
        [SYSTEM, USER, call(), result(), call(id="c2"), result("c2"), SAYS, USER, SAYS],
    ],
)
def test_good_records(messages: list[Message]) -> None:
    assert broken(Record(messages, tools=TOOLS)) is None


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([USER], "the last message is not the assistant's"),
        ([SYSTEM], "the last message is not the assistant's"),
        ([USER, SYSTEM, SAYS], "message 2: a system message that is not the first"),
        ([SYSTEM, SYSTEM, SAYS], "message 2: a system message that is not the first"),
        ([USER, USER, SAYS], "message 2: two user messages in a row"),
        ([USER, SAYS, SAYS], "message 3: two assistant messages in a row"),
        ([USER, Message("assistant", " ")], "message 2: an assistant message that says nothing"),
        ([Message("user", None), SAYS], "message 1: a user message that says nothing"),
        ([USER, result(), SAYS], "message 2: a tool result that answers no open call"),
        ([USER, call(), SAYS], "message 3: the call 'c1' is not answered before it"),
        ([USER, call()], "the call 'c1' is never answered"),
        ([USER, call(), result("c9"), SAYS], "message 3: a tool result that answers no open call"),
        ([USER, call(), result(), result(), SAYS], "message 4: a tool result that answers no open call"),
        ([USER, call(), result()], "the last message is not the assistant's"),
        (
            [Message("user", "u", tool_calls=call().tool_calls), SAYS],
            "message 1: only the assistant calls tools",
        ),
        (
            [USER, Message("assistant", tool_calls=call().tool_calls * 2), result(), SAYS],
            "message 2: two calls have the same id",
        ),
        ([USER, Message("assistant", "a\0b")], "holds a NUL character"),
        ([USER, Message("assistant", "a\ud800")], "holds half a character (a lone surrogate)"),
    ],
)
def test_order(messages: list[Message], reason: str) -> None:
    assert broken(Record(messages, tools=TOOLS)) == reason


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("{city: Rome}", "arguments of get_forecast are not JSON: "),
        ("", "arguments of get_forecast are not JSON: "),
        ("9" * 5000, "arguments of get_forecast are not JSON: "),
        ('{"city": NaN}', "arguments of get_forecast are not JSON: NaN is not a number"),
        (
            '{"city": "Rome", "days": 1e400}',
            "arguments of get_forecast are not JSON: 1e400 is too large a number",
        ),
        ('{"city": "Rome", "city": "Oslo"}', "arguments of get_forecast are not JSON: 'city' is there twice"),
        ('{"city": "\\ud83d"}', "arguments of get_forecast hold half a character"),
        ('["Rome"]', "arguments of get_forecast are not an object"),
        ("null", "arguments of get_forecast are not an object"),
        ("{}", "arguments of get_forecast break its schema: 'city' is a required property"),
        ('{"city": 1}', "arguments of get_forecast break its schema: city: 1 is not of type 'string'"),
        ('{"city": "x", "unit": "k"}', "arguments of get_forecast break its schema: unit: 'k' is not one of"),
        ('{"city": "x", "more": 1}', "arguments of get_forecast break its schema: Additional properties"),
        ("[" * 100_000, "its tools or arguments are nested too deep"),
        ('{"city": ' * 900 + "1" + "}" * 900, ""),
    ],
)
def test_arguments(arguments: str, reason: str) -> None:
    said = broken(Record([USER, call(arguments), result(), SAYS], tools=TOOLS))
    assert said is not None
    assert said.startswith(reason)
    assert len(said) < 400


def deep(levels: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for _ in range(levels):
        out = {"properties": {"a": out}}
    return out


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ([], "calls the tool 'get_forecast', which the record does not declare"),
        ([tool(name="other")], "calls the tool 'get_forecast', which the record does not declare"),
        ([{"name": "get_forecast"}], "a tool is not of the form {type: function, "),
        ([{"type": "function", "function": {"name": 5}}], "a tool is not of the form {type: function, "),
        ([tool({"type": "strin"})], "parameters of tool get_forecast are not a JSON Schema: 'strin' is not"),
        ([tool(5)], "parameters of tool get_forecast are not a JSON Schema: 5 is not"),
        ([tool({"$ref": "#/$defs/none"})], "parameters of tool get_forecast refer to "),
        ([tool({"$ref": "#"})], "its tools or arguments are nested too deep"),
        ([tool(deep(2000))], "its tools or arguments are nested too deep"),
    ],
)
def test_tools(tools: list[dict[str, Any]], reason: str) -> None:
    said = broken(Record([USER, call(), result(), SAYS], tools=tools))
    assert said is not None
    assert said.startswith(reason)


@pytest.mark.parametrize("address", ["http://127.0.0.2:9/x.json", "file:///etc/hostname", "x.json"])
def test_references_of_data_fetch_nothing(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    def fetched(*args: object, **kwargs: object) -> None:
        raise AssertionError("an address was fetched")

    monkeypatch.setattr(urllib.request, "urlopen", fetched)
    said = broken(Record([USER, call(), result(), SAYS], tools=[tool({"$ref": address})]))
    assert said == f"parameters of tool get_forecast refer to {address!r}, which is not in them"


def test_a_number_of_hundreds_of_digits_is_no_crash() -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "number", "multipleOf": 0.5}}}
    record = Record([USER, call('{"n": 1' + "0" * 400 + "}"), result(), SAYS], tools=[tool(parameters)])
    assert "too large a number" in (broken(record) or "")


def test_the_reason_never_raises_on_what_json_can_hold() -> None:
    odd = [None, True, -1, 1e300, "", [], {}, [[{}]], "x" * 10_000]
    for parameters in odd:
        for arguments in odd:
            record = Record([USER, call(json.dumps(arguments)), result(), SAYS], tools=[tool(parameters)])
            broken(record)
            msgspec.json.encode(record)
