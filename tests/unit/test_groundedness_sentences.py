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


LISBON = {
    "city": "Lisbon",
    "unit": "celsius",
    "daily": [
        {"date": "2024-06-10", "weekday": "Monday", "high": 27, "low": 16, "rain_chance": 5},
        {"date": "2024-06-11", "weekday": "Tuesday", "high": 31, "low": 18, "rain_chance": 0},
        {"date": "2024-06-12", "weekday": "Wednesday", "high": 22, "low": 15, "rain_chance": 60},
    ],
}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("It'll be hot: 31 °C, four degrees warmer than Monday.", True),
        ("It'll be 31 °C, up from 27 on Monday.", True),
        ("31, compared with 27 on Monday.", True),
        ("It will be 31, against 27 on Monday and 22 on Wednesday.", True),
        ("It climbs from 27 on Monday to 31.", True),
        ("It'll be 31 °C, nine degrees warmer than on Wednesday.", True),
        ("Four degrees warmer than Monday, it will reach 31 °C. The low is 18.", True),
        ("It'll be hot: 27 °C, four degrees warmer than Monday.", False),
        ("It'll be 31 °C, nine degrees warmer than Monday.", False),
        ("It'll be 31 °C, four degrees cooler than Monday.", False),
        ("It'll be 31 °C, up from 22 on Monday.", False),
        ("27, compared with 31 on Monday.", False),
        ("It climbs from 31 on Monday to 27.", False),
        ("It will be 31 °C, warmer than Monday. The low is 16.", False),
    ],
)
def test_a_day_that_is_only_compared_with(text: str, right: bool) -> None:
    assert (faults(LISBON, text, "What will Tuesday in Lisbon be like?") == []) == right


SHARE = {"symbol": "ACME", "price": 184.32, "change_percent": -2.35, "volume": 15230450, "currency": "USD"}
GAINER = {"symbol": "ACME", "price": 184.32, "change_percent": 2.35}


@pytest.mark.parametrize(
    ("result", "text", "right"),
    [
        (SHARE, "ACME trades at $184.32, down 2.35% today.", True),
        (SHARE, "ACME fell by 2.35% to $184.32.", True),
        (SHARE, "ACME is 2.35% lower.", True),
        (SHARE, "ACME changed by 2.35%.", True),
        (SHARE, "The change is -2.35%.", True),
        (GAINER, "ACME is up 2.35%.", True),
        (GAINER, "ACME gained 2.35%.", True),
        (SHARE, "ACME is up 2.35% today.", False),
        (SHARE, "ACME gained 2.35%.", False),
        (SHARE, "ACME fell by 3.35%.", False),
        (GAINER, "ACME is down 2.35%.", False),
        (GAINER, "ACME fell by 2.35%.", False),
    ],
)
def test_the_sign_of_a_change_may_be_a_word(result: Any, text: str, right: bool) -> None:
    assert (faults(result, text) == []) == right


TOWN = {"town": "Ghent", "population": 139875, "visitors": 1523, "debt_eur": 2_480_000_000}


@pytest.mark.parametrize(
    ("result", "text", "right"),
    [
        (SHARE, "Some 15.2 million shares changed hands.", True),
        (SHARE, "15.23 million shares changed hands.", True),
        (SHARE, "Fifteen million shares changed hands.", True),
        (SHARE, "Fifteen point two million shares changed hands.", True),
        (SHARE, "A volume of 15.2M.", True),
        (TOWN, "Ghent has 140,000 people.", True),
        (TOWN, "Ghent has 139,900 people.", True),
        (TOWN, "Ghent has one hundred and forty thousand people.", True),
        (TOWN, "The debt is €2.5 billion.", True),
        (TOWN, "The debt is 2.48bn euros.", True),
        (TOWN, "About 1,500 visitors came.", True),
        (SHARE, "Some 152 million shares changed hands.", False),
        (SHARE, "15.3 million shares changed hands.", False),
        (SHARE, "Sixteen million shares changed hands.", False),
        (SHARE, "15.2 thousand shares changed hands.", False),
        (TOWN, "Ghent has 150,000 people.", False),
        (TOWN, "Ghent has 139,800 people.", False),
        (TOWN, "Ghent has 100,000 people.", False),
        (TOWN, "Exactly 1,500 visitors came.", False),
        (TOWN, "The debt is €2.4 billion.", False),
    ],
)
def test_large_numbers_are_as_exact_as_they_are_said(result: Any, text: str, right: bool) -> None:
    assert (faults(result, text) == []) == right


SIENA = {
    "hourly": {
        "time": [f"2024-07-01T{h:02}:00" for h in (9, 12, 15, 18)],
        "temperature_2m": [18.2, 23.9, 26.1, 21.4],
    }
}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("It climbs from 18 at nine to 26 at three, then cools to 21 by six in the evening.", True),
        ("18 degrees at nine, 24 at noon and 26 at three.", True),
        ("It climbs from 18 at nine to 21 at three.", False),
        ("It climbs from 26 at nine to 18 at three.", False),
        ("It climbs from 18 at nine to 26 at five.", False),
    ],
)
def test_hours_in_a_word_after_a_number(text: str, right: bool) -> None:
    assert (faults(SIENA, text) == []) == right


HANNIBAL = {"city": "Hannibal", "day": "today", "temperature": 71, "unit": "fahrenheit", "rain_chance": 20}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("There is an 80% chance it stays dry in Hannibal.", True),
        ("There's an 80 percent chance of no rain.", True),
        ("An 80% chance that it won't rain.", True),
        ("The chance of it staying dry is 80%.", True),
        ("Four chances in five it stays dry.", True),
        ("A 20% chance of rain, so it will be mostly dry.", True),
        ("There is a 20% chance it stays dry in Hannibal.", False),
        ("There's a 20 percent chance of no rain.", False),
        ("The chance of it staying dry is 20%.", False),
        ("There is a 90% chance it stays dry.", False),
        ("An 80% chance of rain, and dry after.", False),
    ],
)
def test_the_chance_that_it_does_not_rain(text: str, right: bool) -> None:
    assert (faults(HANNIBAL, text) == []) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("I have seen 1,000 worse mornings than this one: 71 degrees.", True),
        ("Hannibal has a 20% chance of rain, and I have a 100% chance of staying on the porch.", True),
        ("I'm 100% sure of it: 71 degrees.", True),
        ("As Mississippi pilots say, 71 degrees never drowned a man.", True),
        ("It's 71, which suits Persian cats.", True),
        ("It's 71, which is 22 in the French fashion.", True),
        ("There have been 1,000 worse mornings: 71 degrees.", False),
        ("I have found 100 flights for you.", False),
        ("I have a 100% chance of rain for Hannibal.", False),
        ("I have a 100% chance of staying dry.", False),
        ("I have recorded 1,000 mm of rain.", False),
        ("It is 71, and Mississippi pilots are cold.", False),
        ("It is 71, and Springfield winds say more.", False),
        ("It is 71 in Hannibal and in Mississippi.", False),
    ],
)
def test_figures_of_speech(text: str, right: bool) -> None:
    assert (faults(HANNIBAL, text) == []) == right


FLIGHTS = {
    "flights": [
        {
            "flight": "BA 117",
            "airline": "British Airways",
            "departs": "08:25",
            "arrives": "11:05",
            "seats_left": 4,
        },
        {
            "flight": "VS 3",
            "airline": "Virgin Atlantic",
            "departs": "11:30",
            "arrives": "14:20",
            "seats_left": 9,
        },
    ]
}
DIARY = {
    "events": [
        {"title": "Dentist appointment", "start": "2024-06-12T09:30", "end": "2024-06-12T10:00"},
        {"title": "Lunch with Maria", "start": "2024-06-12T12:30", "end": "2024-06-12T13:30"},
    ]
}


@pytest.mark.parametrize(
    ("result", "text", "right"),
    [
        (FLIGHTS, "BA 117 leaves at 8:25 and lands at 11:05; VS 3 leaves at 11:30.", True),
        (FLIGHTS, "Virgin Atlantic's flight gets in at 2:20 pm.", True),
        (DIARY, "The dentist is at 9:30, and lunch at 12:30.", True),
        (FLIGHTS, "BA 117 leaves at 11:30.", False),
        (FLIGHTS, "VS 3 leaves at 8:25.", False),
        (FLIGHTS, "Virgin Atlantic's flight gets in at 11:05.", False),
        (DIARY, "The dentist is at 12:30.", False),
        (DIARY, "Lunch with Maria begins at 9:30.", False),
    ],
)
def test_times_are_those_of_their_row(result: Any, text: str, right: bool) -> None:
    assert (faults(result, text) == []) == right


@pytest.mark.parametrize(
    ("result", "text", "right"),
    [
        (FLIGHTS, "There are two flights.", True),
        (FLIGHTS, "There are two flights: one at 8:25 and one at 11:30.", True),
        (FLIGHTS, "There is one flight before ten.", True),
        (FLIGHTS, "I found 2 flights, the first at 8:25.", True),
        (FLIGHTS, "There are three flights, the first at 8:25.", False),
        (FLIGHTS, "I found 4 flights.", False),
        (FLIGHTS, "There is one flight in all.", False),
        (FLIGHTS, "Three direct flights leave before noon.", False),
        (FLIGHTS | {"total": 12}, "There are 12 flights.", True),
        (FLIGHTS | {"total": 12}, "There are 13 flights.", False),
        (
            [{"restaurant": "Enzo", "stars": 4}, {"restaurant": "Lilli", "stars": 5}],
            "There are 3 restaurants.",
            False,
        ),
    ],
)
def test_rows_are_counted(result: Any, text: str, right: bool) -> None:
    assert (faults(result, text) == []) == right


ORDER = {
    "order": "A-4471",
    "items": [{"name": "Kettle", "qty": 2, "price": 39.95}, {"name": "Toaster", "qty": 1, "price": 54.50}],
    "total": 134.40,
}
SHOES = {
    "products": [
        {"product": "Red running shoes", "price": 80.0},
        {"product": "Blue hiking boots", "price": 120.0},
    ]
}


@pytest.mark.parametrize(
    ("result", "text", "right"),
    [
        (ORDER, "The kettles were 39.95 each, and the toaster was 54.50.", True),
        (ORDER, "Your two kettles and the toaster came to 134.40 in all.", True),
        (ORDER, "Your order has 3 items.", True),
        (SHOES, "The boots cost 120, the shoes 80.", True),
        (ORDER, "The kettles were 54.50 each.", False),
        (ORDER, "The toaster was 39.95.", False),
        (SHOES, "The boots cost 80.", False),
        (SHOES, "The hiking boots cost 80.", False),
    ],
)
def test_prices_are_those_of_the_thing_named(result: Any, text: str, right: bool) -> None:
    assert (faults(result, text) == []) == right


def test_a_country_of_two_letters_is_no_small_word() -> None:
    result = [{"country": "AT", "temp": 3.0}, {"country": "DE", "temp": 9.0}]
    assert faults(result, "AT has 3 °C; the mercury stands at 9 °C in DE.") == []
    assert faults(result, "AT has 9 °C.") == ["9 °C: that is another place's"]


def test_letters_that_json_wrote_by_their_numbers_are_read() -> None:
    result = {"places": [{"name": "Café Zoë", "rating": 4.5}]}  # json.dumps writes \u00e9
    assert faults(result, "I would go to the Café Zoë, which has 4.5.") == []
    assert faults(result, "I would go to the Café Noël, which has 4.5.") != []
