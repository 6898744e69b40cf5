"""A recorded world: the same call, the same result; and no guess for another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.record import FunctionCall, Message, Recorded, ToolCall
from runner.recorded import World

OSLO = Recorded("get_forecast", {"city": "Oslo", "days": 3, "unit": None}, {"days": [14, 15, 16]})
LOST = Recorded("get_forecast", {"city": "Blorptown", "days": 1}, {"error": "unknown place"})
WORLD = World([OSLO, LOST])


def ask(arguments: Any, name: str = "get_forecast") -> Any:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return json.loads(WORLD.result(FunctionCall(name, text)))


@pytest.mark.parametrize(
    "arguments",
    [{"city": "Oslo", "days": 3}, {"days": 3.0, "city": " oslo"}, {"city": "OSLO", "days": 3, "unit": None}],
)
def test_the_same_call_however_it_is_written(arguments: dict[str, Any]) -> None:
    assert ask(arguments) == OSLO.result


@pytest.mark.parametrize(
    ("arguments", "name", "error"),
    [
        ({"city": "Oslo", "days": 4}, "get_forecast", "get_forecast has nothing for these arguments"),
        ({"city": "Oslo", "days": "3"}, "get_forecast", "get_forecast has nothing for these arguments"),
        ({"city": "Oslo", "days": True}, "get_forecast", "get_forecast has nothing for these arguments"),
        ({"city": "Blorptown", "days": 1}, "get_forecast", "unknown place"),
        ({"city": "Oslo", "days": 3}, "get_whether", "unknown tool 'get_whether'"),
        ("{city", "get_forecast", "the arguments are not JSON"),
        ("[" * 100_000, "get_forecast", "the arguments are not JSON"),
        ('{"a":' * 600 + "1" + "}" * 600, "get_forecast", "the arguments are not JSON"),
        ("[1]", "get_forecast", "the arguments are not an object"),
    ],
)
def test_what_was_not_recorded_is_an_error(arguments: Any, name: str, error: str) -> None:
    assert ask(arguments, name) == {"error": error}


def test_each_call_of_a_message_is_answered() -> None:
    calls = [
        ToolCall("a", FunctionCall("get_forecast", '{"city": "Oslo", "days": 3}')),
        ToolCall("b", FunctionCall("get_forecast", '{"city": "Bergen"}')),
    ]
    first, second = WORLD.answered(Message("assistant", None, calls))
    assert (first.role, first.tool_call_id, json.loads(first.content or "")) == ("tool", "a", OSLO.result)
    assert second.tool_call_id == "b" and "error" in (second.content or "")
    assert WORLD.answered(Message("assistant", "It is fine.")) == []


def test_one_call_has_one_result() -> None:
    World([OSLO, OSLO])
    with pytest.raises(ValueError, match="two results"):
        World([OSLO, Recorded("get_forecast", {"days": 3.0, "city": "oslo"}, {})])
