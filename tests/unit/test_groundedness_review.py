"""True answers that were called inventions, and false ones that passed: what a review of the judge found."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.judges.groundedness import Check, told
from runner.record import FunctionCall, Message, Probe, ToolCall


def faults(result: Any, text: str, question: str = "Well?", **arguments: Any) -> list[str]:
    """What is ungrounded in an answer to a question for which a tool gave this."""
    call = ToolCall("c", FunctionCall("look_up", json.dumps(arguments)))
    messages = [Message("user", question), Message("assistant", None, [call])]
    messages.append(Message("tool", json.dumps(result), tool_call_id="c"))
    world = told(Probe("p", messages))
    return Check(world).answer(text, frozenset(), world.words).faults


DAYS = {
    "daily": [
        {"day": "Monday", "high": 15, "low": 2, "rain_chance": 90, "rain_mm": 1.2},
        {"day": "Tuesday", "high": 14, "low": 6, "rain_chance": 80, "rain_mm": 0.4},
    ]
}
BELOW = {
    "days": [{"day": "Monday", "high": 8, "low": -4, "rain_mm": 1.2}, {"day": "Tuesday", "high": 3, "low": 1}]
}
WINDY = {
    "days": [{"day": "Monday", "high": 12, "rain_mm": 3.6, "wind_kmh": 14}, {"day": "Tuesday", "high": 9}]
}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (DAYS, "Monday: high 15, low 2, 90% chance of rain."),
        (DAYS, "Tue: 14/6, 80%."),
        (DAYS, "Monday: 15/2, 90% chance of rain; Tuesday: 14/6, 80% chance of rain."),
        (BELOW, "For Monday: -4 to 8, 1.2 mm."),
        (WINDY, "A high of 12, 3.6 mm and 14 km/h on Monday."),
        ("Monday: 14/6, 80%", "A high of 14 °C and a low of 6 °C on Monday."),
    ],
)
def test_numbers_of_several_kinds_in_one_list(result: Any, text: str) -> None:
    assert faults(result, text) == []


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (DAYS, "Monday: high 15, low 6, 90% chance of rain."),
        (DAYS, "Monday: high 15, low 3, 90% chance of rain."),
        (DAYS, "Tue: 15/6, 80%."),
        (BELOW, "For Monday: -4 to 3, 1.2 mm."),
        (WINDY, "A high of 9, 3.6 mm and 14 km/h on Monday."),
    ],
)
def test_and_a_wrong_one_among_them(result: Any, text: str) -> None:
    assert len(faults(result, text)) == 1
