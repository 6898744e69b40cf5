"""What may be asked of our server: read, or refused with the field that is at fault; never dropped in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.jobs.chatapi import Ask, Refused, read

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object"}, "strict": True},
}
USER = {"role": "user", "content": "Weather in Zutphen?"}
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Zutphen"}'},
}


def ask(**fields: Any) -> Ask:
    return read(json.dumps({"model": "tuned", "messages": [USER], **fields}).encode())


def test_the_plain_request() -> None:
    found = ask()
    assert (found.model, found.choice, found.tools, found.stream) == ("tuned", "none", [], False)
    assert (found.temperature, found.top_p, found.seed, found.most) == (
        1.0,
        1.0,
        None,
        None,
    )  # OpenAI's defaults
    assert [(m.role, m.content) for m in found.messages] == [("user", "Weather in Zutphen?")]


def test_everything_that_is_honoured() -> None:
    found = ask(
        max_completion_tokens=7, max_tokens=9, temperature=0, top_p=0.5, seed=-3, stop="END", stream=True,
        stream_options={"include_usage": True}, tools=[TOOL], parallel_tool_calls=False, n=1,
        response_format={"type": "text"}, frequency_penalty=0, user="me", metadata={"a": "b"},
    )  # fmt: skip
    assert (found.most, found.temperature, found.top_p, found.seed) == (7, 0, 0.5, -3)
    assert (found.stop, found.stream, found.usage, found.one_call) == (("END",), True, True, True)
    assert found.tools == [TOOL]  # whole: "strict" and all


@pytest.mark.parametrize(
    ("choice", "tools", "forced"),
    [("auto", 1, []), ("none", 0, []), ("required", 1, ["get_weather"]), (None, 1, []),
     ({"type": "function", "function": {"name": "get_weather"}}, 1, ["get_weather"])],
)  # fmt: skip
def test_tool_choice(choice: Any, tools: int, forced: list[str]) -> None:
    found = ask(tools=[TOOL], tool_choice=choice)
    assert len(found.tools) == tools and found.forced == forced


def test_a_tool_may_be_called_like_a_mode() -> None:
    tool = {"type": "function", "function": {"name": "none"}}
    found = ask(tools=[tool, TOOL], tool_choice={"type": "function", "function": {"name": "none"}})
    assert found.forced == ["none"] and len(found.tools) == 2


def test_an_assistants_turn_comes_back_as_clients_send_it() -> None:
    turn = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "index": 0}], "refusal": None,
            "annotations": [], "audio": None, "function_call": None}  # fmt: skip
    result = {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]}
    found = ask(messages=[{"role": "developer", "content": "Be short."}, USER, turn, result])
    assert [m.role for m in found.messages] == ["system", "user", "assistant", "tool"]
    assert found.messages[2].tool_calls[0].function.arguments == '{"city":"Zutphen"}'
    assert (found.messages[3].content, found.messages[3].tool_call_id) == ("rain", "c1")


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format", "not supported"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format", "not supported"),
        ({"n": 2}, "n", "n must be 1"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "not supported"),
        ({"logit_bias": {"7": 1}}, "logit_bias", "not supported"),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice", "'g'"),
        ({"tools": [TOOL, TOOL]}, "tools", "twice"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "up to 4"),
        ({"stop": [""]}, "stop", "empty"),
        ({"messages": [{"role": "user"}]}, "messages[0]", "no content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]", "tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]}, "messages[0]", "only an assistant"),
        ({"messages": [USER, {"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages[1]",
         "text only, not 'image_url'"),
        ({"messages": [{"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "[1]"}}]}]},
         "messages[0]", "JSON object"),
        ({"messages": [{"role": "assistant", "content": "x", "function_call": {}}]}, "messages[0]", "tool_calls"),
        ({"top_k": 3}, None, "top_k"),
        ({"functions": []}, None, "functions"),
        ({"max_tokens": 0}, None, "max_tokens"),
        ({"temperature": 3}, None, "temperature"),
        ({"tools": [{"type": "function"}]}, None, "function"),
        ({"tool_choice": "always"}, None, "tool_choice"),
        ({"messages": []}, None, "messages"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(fields: dict[str, Any], param: str | None, words: str) -> None:
    with pytest.raises(Refused, match=None) as caught:
        ask(**fields)
    assert words in str(caught.value) and caught.value.param == param
    error = caught.value.body()["error"]
    assert error["type"] == "invalid_request_error" and caught.value.status == 400


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"model": 3}', b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        read(raw)
