"""True answers that were called inventions, and false ones that passed: what a review of the judge found."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from runner.judges.groundedness import Check, following, told
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


PAIR = {"days": [{"day": "Monday", "high": 20, "low": 10}, {"day": "Tuesday", "high": 23, "low": 14}]}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Tuesday is 3 degrees warmer than Monday.", True),
        ("It is 3 degrees warmer on Tuesday than on Monday.", True),
        ("Monday is 3 degrees cooler than Tuesday.", True),
        ("Tuesday is 3 degrees cooler than Monday.", False),
        ("It is 3 degrees cooler on Tuesday than on Monday.", False),
        ("Monday is 3 degrees warmer than Tuesday.", False),
        ("Tuesday is 8 degrees warmer than Monday.", False),
        ("The high rises by 3 degrees on Tuesday.", True),
        ("The low rises by 14 degrees on Tuesday.", False),
        ("The high climbed by 23 degrees on Tuesday.", False),
        ("The high climbed by 23 on Tuesday.", False),
        ("Tuesday ranges from 14 to 23 degrees.", True),
    ],
)
def test_differences(text: str, right: bool) -> None:
    assert (faults(PAIR, text) == []) == right


def test_many_differences_in_a_long_series_take_little_time() -> None:
    hours = [
        {"time": f"2026-03-{2 + i // 24:02}T{i % 24:02}:00"} | {f"field_{k}": i % 17 + k for k in range(8)}
        for i in range(168)
    ]
    start = time.process_time()
    faults({"hourly": hours}, "It is 29 degrees warmer on Tuesday than on Monday. " * 100)
    assert time.process_time() - start < 10


def test_no_more_pairs_than_so_many_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_PAIRS", 0)
    assert faults(PAIR, "Tuesday is 3 degrees warmer than Monday.")
