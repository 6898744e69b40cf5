"""Sentences that somebody else wrote, and others of their kinds: true ones called inventions, false ones that passed."""

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


HIGHS = {"2024-06-10": ("Monday", 27), "2024-06-11": ("Tuesday", 31), "2024-06-12": ("Wednesday", 22)}
TWOFOLD = [
    {"place": "Lisbon", "days": [{"date": d, key: name, "high": high} for d, (name, high) in HIGHS.items()]}
    for key in ("weekday", "day", "name", "day_of_week")
]
TWOFOLD += [{"place": "Lisbon", "days": [dict(reversed(d.items())) for d in w["days"]]} for w in TWOFOLD]
TWOFOLD += [
    {
        "daily": {
            "weekday": [n for n, _ in HIGHS.values()],
            "date": [*HIGHS],
            "high": [h for _, h in HIGHS.values()],
        }
    }
]


@pytest.mark.parametrize("result", TWOFOLD)
@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("On June 11 the high is 31 °C.", True),
        ("On the 11th it will be 31 °C.", True),
        ("On Tuesday the high is 31 °C.", True),
        ("Tuesday, June 11: 31 °C.", True),
        ("On June 12 the high is 31 °C.", False),
        ("On June 10 the high is 22 °C.", False),
        ("On the 12th it will be 31 °C.", False),
        ("2024-06-12: 31 °C.", False),
        ("On Wednesday the high is 31 °C.", False),
    ],
)
def test_rows_that_name_their_day_twice(result: Any, text: str, right: bool) -> None:
    assert (faults(result, text) == []) == right


def test_of_a_date_and_a_wrong_weekday_either_may_be_told() -> None:
    result = {
        "days": [{"date": "2024-06-10", "weekday": "Sunday", "high": 27}, {"date": "2024-06-11", "high": 31}]
    }
    assert faults(result, "On June 10 the high is 27.") == []
    assert faults(result, "On Sunday the high is 27.") == []
    assert faults(result, "On June 11 the high is 27.") == ["27: that is another day's"]
