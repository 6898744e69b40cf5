"""The judge of groundedness: on 500 answers made by a seed, and on those that taught it something."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RecipeError, StepError
from runner.judges.groundedness import LONGEST
from runner.library import shelf
from runner.record import Answer, FunctionCall, Message, Probe, Record, Score, ToolCall, Verdict
from runner.registry import InputFile, JudgeContext, SourceContext, plugins


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


made = load("groundedness_answers")


def judge(probes: tuple[Probe, ...], *answers: Answer, system: str | None = None, **options: Any) -> Verdict:
    plugin = plugins("judge")["groundedness"]
    verdict = plugin.call(JudgeContext(probes, answers, {}, 0, system), **plugin.bind(options))
    assert isinstance(verdict, Verdict)
    return verdict


def told(
    question: str,
    calls: dict[str, Any] | list[dict[str, Any]],
    *results: Any,
    system: str = "",
    tells: list[str] | None = None,
) -> Probe:
    """A probe that ends after the tools' results."""
    calls = calls if isinstance(calls, list) else [calls]
    made = [ToolCall(f"c{i}", FunctionCall("get_weather", json.dumps(c))) for i, c in enumerate(calls)]
    messages = [Message("system", system)] if system else []
    messages += [Message("user", question), Message("assistant", None, made)]
    for i, result in enumerate(results):
        text = result if isinstance(result, str) else json.dumps(result)
        messages.append(Message("tool", text, tool_call_id=f"c{i}"))
    return Probe("p", messages, [], {}, {"tells": tells} if tells else {})


def said(text: str | None, **more: Any) -> Answer:
    return Answer("p", "tuned", text or "", more.pop("finish", "stop"), Message("assistant", text), **more)


def scores(probe: Probe, answer: Answer, **options: Any) -> dict[str, Score]:
    return {s.metric: s for s in judge((probe,), answer, **options).scores}


@pytest.mark.parametrize("seed", [1, 2])
def test_500_answers(seed: int) -> None:
    """Precision and recall of finding what is not grounded."""
    whole = made.answers(500, seed)
    probes = tuple(
        Probe(f"p{i}", msgspec.convert(made.messages(m), list[Message])) for i, m in enumerate(whole)
    )
    answers = [
        Answer(f"p{i}", "tuned", m.answer, "stop", Message("assistant", m.answer))
        for i, m in enumerate(whole)
    ]
    verdict = judge(probes, *answers)
    grounded = {s.id: s for s in verdict.scores if s.metric == "grounded"}
    found = [(m, grounded[f"p{i}"]) for i, m in enumerate(whole)]
    flagged = [m for m, s in found if not s.value]
    wrong = [m for m in whole if m.kind not in made.TRUE]
    hit = [m for m in flagged if m.kind not in made.TRUE]
    odd = [(m.kind, m.answer, s.reason) for m, s in found if (m.kind in made.TRUE) == (not s.value)]
    assert len(hit) / len(flagged) >= 0.98, odd
    assert len(hit) / len(wrong) >= 0.98, odd
    # Where a true answer is told, so is something that only the tool said.
    used = {s.id: s.value for s in verdict.scores if s.metric == "used_output"}
    true = [used[f"p{i}"] for i, m in enumerate(whole) if m.kind in made.TRUE]
    assert sum(true) / len(true) > 0.98  # type: ignore[arg-type]


def conversations(name: str, voice: str) -> list[Record]:
    path = shelf("datasets") / "tools" / f"{name}.yaml"
    file = InputFile(str(path), path, hashlib.sha256(path.read_bytes()).hexdigest())
    context = SourceContext(name, 11, {"set": (file,)}, "CC0-1.0")
    return list(plugins("source")["tools"].call(context, set=name, conversations=60, voice=voice))


@pytest.mark.parametrize("name", ["weather", "weather-api", "town-library"])
@pytest.mark.parametrize("voice", ["persona", "plain"])
def test_the_answers_of_shipped_tool_sets_are_grounded(name: str, voice: str) -> None:
    """Their texts cannot invent; and one with a number put in the place of another does."""
    draw = random.Random(f"{name} {voice}")
    probes, answers = [], []
    for k, record in enumerate(conversations(name, voice)):
        for i, m in enumerate(record.messages):
            if m.role == "assistant" and m.content and record.messages[i - 1].role == "tool":
                probes.append(Probe(f"p{k}-{i}", record.messages[:i], record.tools))
                answers.append(Answer(probes[-1].id, "tuned", m.content, "stop", m))
                numbers = list(re.finditer(r"(?<![\w.:-])\d+(?![\w.:-])", m.content))
                if numbers:
                    at = draw.choice(numbers)
                    wrong = f"{m.content[: at.start()]}{int(at.group()) + 211}{m.content[at.end() :]}"
                    answers.append(Answer(probes[-1].id, "wrong", wrong, "stop", Message("assistant", wrong)))
    known = ["Deacon Hobbs", "Captain Tuttle", "Noah"]
    found = [s for s in judge(tuple(probes), *answers, names=known).scores if s.metric == "grounded"]
    false = [(s.id, s.reason) for s in found if s.arm == "tuned" and not s.value]
    missed = [s.id for s in found if s.arm == "wrong" and s.value]
    assert len(false) <= 0.02 * len(probes), false
    assert len(missed) <= 0.02 * len(probes), missed


NOW = told(
    "How is the weather in Keokuk?",
    {"q": "Keokuk"},
    {
        "location": {"name": "Keokuk", "region": "Iowa", "lat": 40.4, "lon": -91.39},
        "current": {
            "last_updated": "2026-06-12 15:15", "temp_c": 27.8, "temp_f": 82.0, "condition": {"text": "Partly cloudy"},
            "wind_kph": 19.1, "wind_degree": 230, "pressure_mb": 1013.0, "precip_mm": 0.2, "humidity": 54, "cloud": 50,
            "feelslike_c": 29.3, "vis_km": 16.0, "uv": 7.0, "gust_kph": 31.3,
        },
    },
)  # fmt: skip
WEEKEND = told(
    "What will the weekend be like in Enschede?",
    {"latitude": 52.2, "longitude": 6.9},
    {
        "latitude": 52.2, "longitude": 6.9, "utc_offset_seconds": 7200,
        "daily_units": {"time": "iso8601", "temperature_2m_max": "°C", "temperature_2m_min": "°C",
                        "precipitation_sum": "mm", "wind_gusts_10m_max": "km/h"},
        "daily": {
            "time": ["2026-07-10", "2026-07-11", "2026-07-12", "2026-07-13"],
            "temperature_2m_max": [24.1, 27.2, 18.6, 21.0], "temperature_2m_min": [13.0, 15.8, 11.2, 9.7],
            "precipitation_sum": [0.0, 0.0, 12.4, 3.1], "wind_gusts_10m_max": [25.0, 18.0, 55.1, 40.0],
            "sunrise": ["2026-07-10T05:29", "2026-07-11T05:30", "2026-07-12T05:32", "2026-07-13T05:33"],
            "sunset": ["2026-07-10T21:58", "2026-07-11T21:57", "2026-07-12T21:56", "2026-07-13T21:55"],
        },
    },
    system="You are a river pilot. Today is Friday, 10 July 2026.",
)  # fmt: skip
TWO = told(
    "Is it warmer in Hannibal or Keokuk?",
    [{"city": "Hannibal"}, {"city": "Keokuk"}],
    {"city": "Hannibal", "temp": 24, "wind_kmh": 12},
    {"city": "Keokuk", "temp": 21, "wind_kmh": 30},
)
PERIODS = told(
    "What's the outlook for Bergen tonight?",
    {"location": "Bergen"},
    {
        "location": "Bergen",
        "periods": [
            {
                "name": "This Afternoon",
                "temperature": 12,
                "temperatureUnit": "C",
                "detailedForecast": "Rain, high near 12.",
            },
            {
                "name": "Tonight",
                "temperature": 7,
                "temperatureUnit": "C",
                "detailedForecast": "Cloudy, low around 7.",
            },
            {
                "name": "Saturday",
                "temperature": 15,
                "temperatureUnit": "C",
                "detailedForecast": "Sunny, high near 15.",
            },
        ],
    },
    system="Today is Friday 6 March 2026.",
)
STEPS = told(
    "How warm does Graz get today at three in the afternoon?",
    {"city": "Graz", "units": "metric"},
    {
        "list": [
            {"dt": 1767268800, "main": {"temp": 3.2, "humidity": 80}, "wind": {"speed": 4.1}, "pop": 0.2},
            {"dt": 1767279600, "main": {"temp": 4.8, "humidity": 71}, "wind": {"speed": 5.5}, "pop": 0.65},
            {"dt": 1767290400, "main": {"temp": 1.1, "humidity": 85}, "wind": {"speed": 3.0}, "pop": 0.0},
        ],
        "city": {"name": "Graz", "country": "AT"},
    },
)
TEXT = told(
    "Weather in Duluth?",
    {"city": "Duluth"},
    "Weather for Duluth on Monday: high 41F, low 28F, wind NW 10 mph, 30% chance of snow.\n"
    "Tuesday: high 35F, low 20F, wind N 15 mph, 70% chance of snow.",
)
BOOK = told(
    "Is Life on the Mississippi in?",
    {"title": "Life on the Mississippi"},
    {"title": "Life on the Mississippi", "available": False, "due": "2026-03-09", "holds": 3, "branch": "Main Street",
     "fine_euros": 2.5},
    system="Today is 2026-03-02.",
)  # fmt: skip
DAILY = told(
    "What's the forecast for Oslo for the next 3 days?",
    {"city": "Oslo", "days": 3},
    {
        "city": "Oslo", "unit": "celsius",
        "daily": [
            {"date": "2026-03-02", "high": 21.4, "low": 12.6, "rain_chance": 10, "wind_kmh": 12.0, "sky": "clear"},
            {"date": "2026-03-03", "high": 17.2, "low": 9.1, "rain_chance": 80, "wind_kmh": 30.5, "sky": "rain"},
            {"date": "2026-03-04", "high": 19.9, "low": 11.0, "rain_chance": 35, "wind_kmh": 18.2, "sky": "partly cloudy"},
        ],
    },
    system="Answer in at most 60 words.",
)  # fmt: skip
TOMORROW = msgspec.structs.replace(
    DAILY, messages=[Message("user", "Will it be above 20 degrees in Oslo tomorrow?"), *DAILY.messages[2:]]
)
NORTH = told(
    "Is it cold in Tromsø tomorrow?",
    {"q": "Tromsø", "days": 2},
    {
        "location": {"name": "Tromsø", "country": "Norway"},
        "forecast": {
            "forecastday": [
                {
                    "date": "2026-02-03",
                    "day": {
                        "maxtemp_c": -2.1,
                        "mintemp_c": -8.4,
                        "totalprecip_mm": 3.2,
                        "daily_chance_of_snow": 78,
                    },
                    "astro": {"sunrise": "09:41 AM", "sunset": "02:03 PM"},
                    "hour": [{"time": "2026-02-03 18:00", "temp_c": -6.1, "wind_kph": 12.2}],
                },
                {
                    "date": "2026-02-04",
                    "day": {
                        "maxtemp_c": 1.4,
                        "mintemp_c": -3.0,
                        "totalprecip_mm": 0.0,
                        "daily_chance_of_snow": 5,
                    },
                    "astro": {"sunrise": "09:35 AM", "sunset": "02:10 PM"},
                    "hour": [{"time": "2026-02-04 12:00", "temp_c": 0.9, "wind_kph": 7.0}],
                },
            ]
        },
    },
)
THREE = told(
    "Compare Lyon, Nice and Lille.",
    {"cities": ["Lyon", "Nice", "Lille"]},
    {"results": [{"city": "Lyon", "temperature_c": 19.4}, {"city": "Nice", "temperature_c": 24.8},
                 {"city": "Lille", "temperature_c": 15.1}]},
)  # fmt: skip
KEYED = told(
    "Rain in Cork tomorrow?",
    {"city": "Cork"},
    {
        "today": {"high": "24°C", "sky": "sunny"},
        "tomorrow": {"high": "19°C", "sky": "rain"},
        "day_after": {"high": "22°C"},
    },
)
HOURS = told(
    "How is the afternoon in Reykjavik?",
    {"place": "Reykjavik"},
    {"place": "Reykjavik", "hours": [{"hour": 9, "temp": "3°C", "rain": "0.2 mm"}, {"hour": 12, "temp": "5°C", "rain": "0 mm"},
                                     {"hour": 15, "temp": "6°C", "rain": "1.1 mm"}, {"hour": 18, "temp": "4°C", "rain": "2.3 mm"}]},
)  # fmt: skip
GROUNDED = [
    (
        DAILY,
        "Hello! Here's the 3-day forecast for Oslo:\n\n| Day | High | Low | Rain |\n|---|---|---|---|\n"
        "| Mon, Mar 2 | 21.4 °C | 12.6 °C | 10% |\n| Tue, Mar 3 | 17.2 °C | 9.1 °C | 80% |\n\nLet me know!",
    ),
    (DAILY, "1. Monday: clear, 21/13 °C\n2. Tuesday: rain, 17/9 °C\n3. Wednesday: partly cloudy, 20/11 °C"),
    (
        DAILY,
        "Tuesday is the day to stay indoors: 80% chance of rain and only 17 °C. Monday and Wednesday are at 21 and 20 °C.",
    ),
    (DAILY, "By Wednesday the wind, which blew 30.5 km/h on Tuesday, will have eased to 18 km/h."),
    (DAILY, "The temperature tomorrow will be four degrees lower than today: 17 instead of 21."),
    (DAILY, "The first day sees 21 degrees, the second day 17. Day 3: 19.9/11.0."),
    (DAILY, "It won't rain on Monday (10% chance), but it very likely will on Tuesday (80%)."),
    (DAILY, "I'd take an umbrella on the 3rd: 80% says rain. Tuesday's high: 63 °F."),
    (DAILY, "Have A Great Week In Oslo! Tea is served below."),
    (TOMORROW, "No: tomorrow stays below 20 degrees, at 17.2 °C."),
    (TOMORROW, "It will not. The mercury quits at seventeen."),
    (NORTH, "Today stays below minus two degrees; tomorrow climbs to one degree above zero."),
    (NORTH, "Tomorrow it's thirty-five degrees Fahrenheit at best, and 27 °F at the coldest."),
    (NORTH, "The sun rises at 9:35 tomorrow. Today at 6 pm it will be -6 °C in Tromsø."),
    (NORTH, "On the 4th of February expect 1.4 °C and a 5% chance of snow, against 78% today."),
    (
        THREE,
        "Nice is almost ten degrees warmer than Lille. Lyon, Nice and Lille are at 19, 25 and 15 degrees.",
    ),
    (THREE, "It's 77 °F in Nice, 67 °F in Lyon and 59 in Lille."),
    (KEYED, "Aye, rain tomorrow, and nineteen degrees besides; today 24 °C."),
    (HOURS, "At 3 pm it's 6 °C with 1.1 mm of rain. By 18:00 it cools to 4 °C."),
    (NOW, "It's 28 °C in Keokuk (82 °F), partly cloudy, with a southwesterly wind at 19 km/h gusting to 31."),
    (NOW, "The glass stands at 1013 millibars, about 29.9 inches of mercury."),
    (NOW, "Visibility is ten miles, and half the sky is covered."),
    (NOW, "Wind from 230 degrees at 12 mph."),
    (NOW, "As of 3:15 pm it was 28 degrees in Keokuk."),
    (NOW, "Right now it's a balmy 82 degrees, but it feels like 85."),
    (NOW, "Temperature: 27.8 °C\nFeels like: 29.3 °C\nWind: 19.1 km/h\nHumidity: fifty-four percent"),
    (NOW, "It is 301 K in Keokuk."),
    (WEEKEND, "Saturday looks grand at 27 degrees, but Sunday drops to 19 with 12 mm of rain."),
    (WEEKEND, "Saturday: 27.2/15.8 °C, dry. Sunday: 18.6/11.2 °C, 12.4 mm of rain."),
    (WEEKEND, "On Saturday the sun rises at 5:30 am and sets at 9:57 pm."),
    (WEEKEND, "Sunday will be about 9 degrees cooler than Saturday."),
    (WEEKEND, "Expect roughly half an inch of rain on Sunday."),
    (WEEKEND, "A high of 27 on Saturday and 19 on Sunday, with lows of 16 and 11 respectively."),
    (WEEKEND, "From Friday to Monday highs run from 19 to 27 °C, 22.7 °C on average."),
    (WEEKEND, "In all 15.5 mm of rain will fall."),
    (WEEKEND, "Monday the 13th recovers to 21 °C; July 12 brings gusts of 55 km/h."),
    (
        WEEKEND,
        "No, Saturday will not be above twenty-seven, and not a drop of rain; Sunday gets twelve millimetres.",
    ),
    (TWO, "Hannibal and Keokuk stand at 24 and 21 degrees, respectively."),
    (TWO, "Keokuk is 3 degrees cooler, at 21."),
    (PERIODS, "Tonight it falls to 7 °C. Saturday is sunny with a high near 15."),
    (STEPS, "About 5 degrees at 3 p.m., with a 65% chance of rain. By 6 pm it drops to 1 °C."),
    (TEXT, "Monday: 41 °F (5 °C) with a 30% chance of snow. Tuesday's high is 35, low 20."),
    (BOOK, "It is due back on 9 March at the Main Street branch, with 3 holds; the fine is 2.50 euros."),
]
UNGROUNDED = [
    (DAILY, "1. Monday: clear, 21/13 °C\n2. Tuesday: rain, 20/11 °C", "20: that is another day's"),
    (DAILY, "The temperature tomorrow will be nine degrees lower than today.", "nine degrees: no such difference"),
    (DAILY, "The first day sees 17 degrees, the second day 21.", "17 degrees: that is another day's"),
    (DAILY, "Rain chances: 80% Monday, 10% Tuesday.", "80%: that is another day's"),
    (DAILY, "I'd take an umbrella on the 4th: 80% says rain.", "80%: that is another day's"),
    (DAILY, "Trondheim: 17 °C on Tuesday.", "Trondheim: no such name"),
    (DAILY, "Tuesday will go from 17 up to 21 degrees.", "21 degrees: that is another day's"),
    (DAILY, "On Tuesday it will be between 17 and 17 degrees.", "17: that is the other end of the range"),
    (DAILY, "The next 12 hours look dry.", "12 hours: not in the tool's result"),
    (TOMORROW, "Yes, it will reach 21.4 °C.", "21.4 °C: that is another day's"),
    (TOMORROW, "It will not. The mercury quits at fourteen.", "fourteen: not in the tool's result"),
    (NORTH, "Tomorrow's chance of snow is seventy-eight percent.", "seventy-eight percent: that is another day's"),
    (NORTH, "At noon tomorrow it will be -3 °C.", "-3 °C: that is another hour's"),
    (NORTH, "The sun rises at 9:41 tomorrow.", "9:41: that is another day's"),
    (THREE, "Lyon, Nice and Lille are at 25, 19 and 15 degrees.", "25: that is another place's"),
    (THREE, "Nice is three degrees warmer than Lille.", "three degrees: no such difference"),
    (KEYED, "Tomorrow 22 °C.", "22 °C: that is another day's"),
    (HOURS, "By 18:00 it cools to 6 °C.", "6 °C: that is another hour's"),
    (NOW, "It's 25 °C in Keokuk.", "25 °C: not in the tool's result"),
    (NOW, "The wind is 31 km/h.", "31 km/h: that is the number of something else"),
    (NOW, "It feels like 28 °C.", "28 °C: that is the number of something else"),
    (NOW, "It is 28 °C in Keokuk, Missouri.", "Missouri: no such name"),
    (NOW, "It's 28 °F.", "28 °F: not in the tool's result"),
    (NOW, "As of 4:45 pm it was 28 degrees.", "4:45 pm: no such time"),
    (NOW, "Springfield will see 28 °C.", "Springfield: no such name"),
    (WEEKEND, "Saturday will be 19 degrees.", "19 degrees: that is another day's"),
    (WEEKEND, "Saturday and Sunday will see highs of 19 °C and 27 °C.", "19 °C: that is another day's"),
    (WEEKEND, "On Saturday the sun rises at 5:33 am.", "5:33 am: that is another day's"),
    (WEEKEND, "Sunday will be about 2 degrees cooler than Saturday.", "2 degrees: "),
    (WEEKEND, "Tuesday brings 21 °C.", "21 °C: that is another day's"),
    (WEEKEND, "The low on Saturday will be 27 °C.", "27 °C: that is the other end of the range"),
    (WEEKEND, "A fair weekend in Enschede, July 18 being the best.", "July 18: no such day"),
    (TWO, "Hannibal has 21 degrees and Keokuk 24.", "21 degrees: that is another place's"),
    (TWO, "Keokuk has wind of 12 km/h.", "12 km/h: that is another place's"),
    (PERIODS, "Tonight it will be 12 °C.", "12 °C: that is another"),
    (STEPS, "By 6 pm it drops to 3 °C.", "3 °C: that is another hour's"),
    (STEPS, "It will be 3.2 °C then.", "3.2 °C: that is another hour's"),
    (TEXT, "On Monday it drops to 20 degrees.", "20 degrees: that is another day's"),
    (BOOK, "It is out until March 12.", "March 12: no such day"),
    (BOOK, "There are 5 holds.", "5: not in the tool's result"),
    (BOOK, "It is at the Elm Street branch.", "Elm: no such name"),
    (BOOK, "The fine is 4 euros.", "4 euros: not in the tool's result"),
]  # fmt: skip


@pytest.mark.parametrize(("probe", "text"), GROUNDED)
def test_grounded(probe: Probe, text: str) -> None:
    score = scores(probe, said(text))["grounded"]
    assert score.value == 1.0, score.reason


@pytest.mark.parametrize(("probe", "text", "reason"), UNGROUNDED)
def test_ungrounded(probe: Probe, text: str, reason: str) -> None:
    score = scores(probe, said(text))["grounded"]
    assert score.value == 0.0 and reason in score.reason


ERROR = told("Weather in Blorptown?", {"city": "Blorptown"}, {"error": "unknown place", "code": 404})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("No map of mine has a Blorptown. Is it spelt so? The tool says 404.", ""),
        ("I cannot tell whether it will be sunny.", ""),
        ("Blorptown will be 21 °C.", "21 °C: not in"),
        ("It will be twenty degrees there.", "twenty degrees: not in"),
        ("I cannot say, but it will be sunny in Blorptown. It will be sunny.", "sunny: the tool only failed"),
    ],
)
def test_after_an_error_there_is_nothing_to_tell(text: str, reason: str) -> None:
    got = scores(ERROR, said(text))
    assert "used_output" not in got
    assert got["after_error"].value == float(not reason) and reason in got["after_error"].reason


def test_what_was_asked_for_is_told() -> None:
    result = {"city": "Alton", "sky": "light rain", "temp": 12, "wind_kmh": 7}
    probe = told("How warm is it in Alton, is it above 3?", {"city": "Alton"}, result)
    assert scores(probe, said("It is 12 °C in Alton."))["used_output"].value == 1.0
    assert scores(probe, said("There is light rain in Alton."))["used_output"].value == 1.0
    got = scores(probe, said("Alton is a fine place; above 3, surely."))["used_output"]
    assert got.value == 0.0 and got.reason == "tells nothing that only a tool said"
    probe = msgspec.structs.replace(probe, expect={"tells": ["temp", "sky"]})
    assert scores(probe, said("Light rain and 12 °C in Alton."))["used_output"].value == 1.0
    assert scores(probe, said("It is 12 °C in Alton."))["used_output"].reason == "does not tell sky"


def test_answers_that_are_none() -> None:
    for answer, reason in [
        (said("It is 28", finish="length"), "truncated"),
        (said(""), "empty answer"),
        (said(None), "empty answer"),
        (said("It is fine. " * 1000), f"longer than {LONGEST} characters"),
        (Answer("p", "tuned", "<tool_call>", "stop", None, "no end"), "does not parse: no end"),
    ]:
        got = scores(NOW, answer)
        assert got["grounded"].value == got["used_output"].value == 0.0
        assert got["grounded"].reason == reason
        assert got["truncated"].value == float(reason == "truncated")
    call = Message("assistant", None, [ToolCall("c", FunctionCall("get_tide", "{}"))])
    got = scores(NOW, Answer("p", "tuned", "raw", "stop", call))
    assert got["grounded"].reason == "called get_tide instead of answering"


def test_missing_is_missing() -> None:
    for answer in (said(None, failed="no connection"), Answer("q", "tuned", "Hello.", "stop")):
        other = Probe("q", [Message("user", "Hello.")])
        found = [s for s in judge((NOW, other), answer).scores if s.id == "p"]
        assert [s.value for s in found] == [None] * 3 and all(s.reason for s in found)
    with pytest.raises(StepError, match="which is no probe"):
        judge((NOW,), Answer("x", "tuned", "Hello.", "stop"))


def test_wrong_probes_are_refused() -> None:
    with pytest.raises(RecipeError, match="two probes have this id"):
        judge((NOW, NOW), said("x"))
    with pytest.raises(RecipeError, match="told"):
        judge((msgspec.structs.replace(NOW, expect={"told": []}),), said("x"))


def test_names_that_are_always_known() -> None:
    text = "Captain Elias Tuttle says it is 28 °C in Keokuk."
    assert scores(NOW, said(text))["grounded"].value == 0.0
    assert scores(NOW, said(text), names=["Captain Elias Tuttle"])["grounded"].value == 1.0
    assert scores(NOW, said(text), system="You are Captain Elias Tuttle.")["grounded"].value == 1.0


def test_a_capital_makes_no_name_of_a_word_that_is_written_small_elsewhere() -> None:
    text = "Puddles, Sir, will be few: 28 °C. Puddles is the word."
    assert "Puddles" in scores(NOW, said(text))["grounded"].reason
    assert scores(NOW, said(text + " Mind the puddles."))["grounded"].value == 1.0


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_gets_writable_scores(text: str) -> None:
    for score in judge((WEEKEND,), said(text)).scores:
        msgspec.json.encode(score)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["date", "city", "high"]), inner)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON)
def test_any_result_can_be_read(result: Any) -> None:
    scores(told("Well?", {"city": "Rome"}, result), said("It is 3 °C in Rome on Monday at 3 pm."))


@pytest.mark.parametrize(
    "piece",
    [
        "1, ",
        "twenty and ",
        "hundred ",
        " ",
        "\n",
        "Abc Def ",
        "On Monday 3 °C, ",
        "warmer than Monday 3 degrees ",
        "1:",
        "1",
    ],
)
@pytest.mark.usefixtures("ends")
def test_long_nonsense_is_judged_to_its_end(piece: str) -> None:
    scores(WEEKEND, said((piece * LONGEST)[:LONGEST]))


def test_a_deep_result_is_read_as_far_as_it_goes() -> None:
    text = "[" * 100_000
    assert scores(told("Well?", {}, text), said("It is 3 °C."))["grounded"].value == 0.0
    deep = '{"a":' * 500 + '{"temp": 3}' + "}" * 500
    assert scores(told("Well?", {}, deep), said("It is 3 °C."))["grounded"].value == 0.0
