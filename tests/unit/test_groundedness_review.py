"""True answers that were called inventions, and false ones that passed: what a review of the judge found."""

from __future__ import annotations

import json
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
        ("It is colder on Monday than on Tuesday by 3 degrees.", True),
        ("It is colder on Monday than on Tuesday by 8 degrees.", False),
        ("The high rises by 3 degrees on Tuesday.", True),
        ("The low rises by 14 degrees on Tuesday.", False),
        ("The high climbed by 23 degrees on Tuesday.", False),
        ("The high climbed by 23 on Tuesday.", False),
        ("The low goes up by 14 degrees on Tuesday.", False),
        ("The low goes up by 4 degrees on Tuesday.", True),
        ("Tuesday has a rise of 14 degrees.", False),
        ("Tuesday has a swing of 9 degrees.", True),
        ("Tuesday ranges from 14 to 23 degrees.", True),
    ],
)
def test_differences(text: str, right: bool) -> None:
    assert (faults(PAIR, text) == []) == right


CITIES = {
    "cities": [{"city": "Visby", "temp": 11}, {"city": "Lund", "temp": 4}, {"city": "Ystad", "temp": 8}]
}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Visby is 7 degrees warmer than Lund.", True),
        ("It is 7 degrees colder in Lund than in Visby.", True),
        ("Lund is 7 degrees warmer than Visby.", False),
        ("It is 7 degrees warmer in Lund than in Visby.", False),
        ("Visby is 4 degrees warmer than Lund.", False),
    ],
)
def test_differences_of_places(text: str, right: bool) -> None:
    assert (faults(CITIES, text) == []) == right


@pytest.mark.usefixtures("ends")
def test_many_differences_in_a_long_series_come_to_an_end() -> None:
    hours = [
        {"time": f"2026-03-{2 + i // 24:02}T{i % 24:02}:00"} | {f"field_{k}": i % 17 + k for k in range(8)}
        for i in range(168)
    ]
    faults({"hourly": hours}, "It is 29 degrees warmer on Tuesday than on Monday. " * 100)


def test_no_more_pairs_than_so_many_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_PAIRS", 0)
    assert faults(PAIR, "Tuesday is 3 degrees warmer than Monday.")


FLIGHTS = {"flights": [{"flight": "BA 117", "price_eur": 120}, {"flight": "BA 119", "price_eur": 95}]}
BOOKS = {"books": [{"author": "Ann Poe", "pages": 120}, {"author": "Bo Lee", "pages": 300}]}
GATES = {"flight": "BA 117", "departs": "09:40", "gate": "B 22", "seats_left": 4}
TRAIN = {"train": "TP 204", "departs": "14:05", "platform": "3"}
FARE = {"fare_gbp": 12.0}
SCALE = {"fare_gbp": 12.0, "weight_kg": 20.0}
GLASS = {"pressure_inhg": 29.92, "rain_in": 0.2}
GAUGE = {"gauge_mm": 12.0, "stage_m": 3.0}
RIVER = {"gauge_ft": 12.0, "rain_mm": 3.0}
COPIES = {"title": "Emma", "copies_available": 2, "shelf": "B 3"}
HOURS = {
    "hourly": [
        {"time": f"2026-03-02T{h:02}:00", "temperature": t}
        for h, t in ((9, 15), (12, 22), (15, 26), (18, 23), (21, 17))
    ]
}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (FLIGHTS, "BA 119 costs 95 euros, and BA 117 costs 120 euros."),
        (BOOKS, "The book by Bo Lee has 300 pages."),
        (GATES, "BA 117 goes at 9:40 from gate B 22."),
        (GATES, "BA117 leaves from gate B22."),
        (GATES, "Gate B 22, 4 seats left."),
        (GATES, "Flight 117 leaves at 9:40."),
        (TRAIN, "TP 204 leaves at 14:05 from platform 3."),
        (FARE, "The fare is 12 pounds."),
        (SCALE, "It weighs 44 pounds."),
        (GLASS, "Pressure stands at 29.92 inches."),
        (GLASS, "There were 0.2 inches of rain."),
        (GAUGE, "The gauge shows 12 mm of rain."),
        (RIVER, "The river stands at 12 feet."),
        (COPIES, "There are two copies on the shelf."),
        (COPIES, "One of the copies is on shelf B 3."),
        (HOURS, "Between noon and 6 pm it ranges from 22 to 26 °C."),
        (HOURS, "From 12 to 6 pm it reaches 26 °C."),
        (HOURS, "At noon and 6 pm it is 22 and 23 °C."),
    ],
)
def test_true(result: Any, text: str) -> None:
    assert faults(result, text) == []


@pytest.mark.parametrize(
    ("result", "text", "reason"),
    [
        (FLIGHTS, "BA 119 costs 120 euros.", "120 euros: that is another place's"),
        (BOOKS, "The book by Bo Lee has 120 pages.", "120: that is another place's"),
        (GATES, "Gate B 22, 5 seats left.", "5: not in"),
        (GATES, "BA 118 goes from gate B 22.", "118: not in"),
        (TRAIN, "TP 204 leaves at 14:05 from platform 4.", "4: not in"),
        (FARE, "The fare is 13 pounds.", "13 pounds: not in"),
        (SCALE, "It weighs 12 pounds.", "12 pounds: not in"),
        (GLASS, "Pressure stands at 30.12 inches.", "30.12 inches: not in"),
        (GAUGE, "The river stands at 12 mm.", "that is the number of something else"),
        (COPIES, "There are three copies on the shelf.", "three: not in"),
        (HOURS, "Between noon and 6 pm it falls to 17 °C.", "17 °C: that is another hour's"),
        (HOURS, "At noon and 6 pm it is 26 °C.", "26 °C: that is another hour's"),
    ],
)
def test_false(result: Any, text: str, reason: str) -> None:
    found = faults(result, text)
    assert found and reason in found[0]


def test_a_question_for_a_range_of_hours() -> None:
    asked = "How warm between noon and 6 pm?"
    assert faults(HOURS, "It gets up to 26 °C.", asked) == []
    assert faults(HOURS, "It falls to 17 °C.", asked) == ["17 °C: that is another hour's"]
