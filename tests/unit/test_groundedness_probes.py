"""The probes of the suite weather-answers: each accepts a true answer and refuses one that looks like it."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from runner.library import shelf
from runner.load import load_suite
from runner.record import Answer, Message, Probe
from runner.registry import JudgeContext, plugins
from runner.workspace import Workspace

PATH = shelf("evals") / "probes" / "weather-answers.jsonl"
PROBES = {
    p.id: p for p in (msgspec.json.decode(line, type=Probe) for line in PATH.read_text("utf-8").splitlines())
}
ANSWERS = {
    "now-01": (
        "It is 13 °C in Tewkesbury, with light rain.",
        "It is 17 °C in Tewkesbury, with light rain.",
    ),
    "now-02": (
        "Rather: the wind blows at 46 kilometres an hour in Ystad.",
        "Rather: the wind blows at 31 kilometres an hour in Ystad.",
    ),
    "now-03": (
        "Galena stands at fifty-eight degrees Fahrenheit.",
        "Galena stands at sixty-eight degrees Fahrenheit.",
    ),
    "now-04": (
        "The air in Paducah is 93 percent humid.",
        "The air in Paducah is 63 percent humid.",
    ),
    "now-05": (
        "You do: sleet, 4 °C, and it feels like -1.",
        "You do: sleet, 4 °C, and it feels like -6.",
    ),
    "now-06": (
        "Scattered clouds over Piran, at 22.6 °C.",
        "Scattered clouds over Izola, at 22.6 °C.",
    ),
    "now-07": (
        "Thisted has snow showers at -3.8 °C, wind of 27 km/h and 79% humidity.",
        "Thisted has snow showers at -3.8 °C, wind of 79 km/h and 27% humidity.",
    ),
    "now-08": (
        "About 10 mph in Albi.",
        "About 16 mph in Albi.",
    ),
    "days-01": (
        "Tomorrow Sarlat is overcast, from 7 up to 14 degrees.",
        "Tomorrow Sarlat is overcast, from 6 up to 12 degrees.",
    ),
    "days-02": (
        "You do: the chance of rain in Bamberg on Friday is 90 percent.",
        "You do not: the chance of rain in Bamberg on Friday is 5 percent.",
    ),
    "days-03": (
        "Lerwick gets to 12.6 °C on Thursday.",
        "Lerwick gets to 9.3 °C on Thursday.",
    ),
    "days-04": (
        "Taos: 62 today, 66 tomorrow, 58 on Thursday, 41 with snow on Friday and 49 on Saturday.",
        "Taos: 62 today, 58 tomorrow, 66 on Thursday, 41 with snow on Friday and 49 on Saturday.",
    ),
    "days-05": (
        "Thursday: a clear sky, 17.6 °C, and only five chances in a hundred of rain.",
        "Thursday: a clear sky, 20.7 °C, and only five chances in a hundred of rain.",
    ),
    "days-06": (
        "Tonight yes, down to -6.5 °C; tomorrow no, it stays at 1 degree.",
        "Tonight no; tomorrow yes, down to -6.5 °C.",
    ),
    "days-07": (
        "On the 16th it drops to 3.9 °C in Cuenca.",
        "On the 16th it drops to 7.4 °C in Cuenca.",
    ),
    "days-08": (
        "No: 15 degrees on Saturday against 21 on Friday.",
        "Yes: 21 degrees on Saturday against 15 on Friday.",
    ),
    "hours-01": (
        "At 3 pm it will be 11 °C in Ludwigslust.",
        "At 3 pm it will be 9.8 °C in Ludwigslust.",
    ),
    "hours-02": (
        "A little at noon, 0.3 mm, and 1.7 mm at 3 pm.",
        "A little at noon, 1.7 mm, and 0.3 mm at 3 pm.",
    ),
    "hours-03": (
        "Five degrees at 9 am in Henley.",
        "Eleven degrees at 9 am in Henley.",
    ),
    "hours-04": (
        "Dry, with 8.6 °C at 6 pm and 4.9 °C at 9 pm.",
        "Dry, with 11.2 °C at 6 pm and 8.6 °C at 9 pm.",
    ),
    "hours-05": (
        "Seventy-four degrees at noon.",
        "Sixty-nine degrees at noon.",
    ),
    "two-01": (
        "In Ghent, with 15.2 °C against 12.7 °C in Breda.",
        "In Breda, with 15.2 °C against 12.7 °C in Ghent.",
    ),
    "two-02": (
        "In Wick: 52 km/h, and in Oban 33.",
        "In Oban: 52 km/h, and in Wick 33.",
    ),
    "two-03": (
        "Visby, with a clear sky and 11 degrees; Umeå makes 2 under clouds.",
        "Umeå, with a clear sky and 11 degrees; Visby makes 2 under clouds.",
    ),
    "error-01": (
        "Grobbelwick is an unknown place to the service. Is it spelt so?",
        "It is 14 °C in Grobbelwick.",
    ),
    "error-02": (
        "The service does not answer, so I cannot say whether it will rain in Cobh.",
        "It will be rainy in Cobh tomorrow.",
    ),
    "error-03": (
        "I have asked too often; in 30 seconds I may ask again.",
        "Yuma is at forty-one degrees.",
    ),
    "error-04": (
        "There are no data for Nkhata Bay.",
        "Nkhata Bay gets 27, 28 and 26 degrees.",
    ),
    "error-05": (
        "The tool failed, and I will not guess what Ely is like.",
        "It is 12 °C at noon in Ely.",
    ),
}


def test_each_probe_is_looked_at() -> None:
    assert {f"weather-answers-{k}" for k in ANSWERS} == set(PROBES)
    assert len(PROBES) >= 24
    assert {p.tags["kind"] for p in PROBES.values()} == {"now", "days", "hours", "places", "error"}


@pytest.mark.parametrize("key", ANSWERS)
def test_a_true_answer_and_a_false_one(key: str) -> None:
    probe = PROBES[f"weather-answers-{key}"]
    loaded = load_suite("weather-answers", Workspace(PATH.parent))
    suite = loaded[0] if isinstance(loaded, tuple) else loaded
    assert suite is not None and suite.judge is not None
    plugin = plugins("judge")[suite.judge.plugin]
    answers = [
        Answer(probe.id, arm, text, "stop", Message("assistant", text))
        for arm, text in zip(("true", "false"), ANSWERS[key], strict=True)
    ]
    verdict = plugin.call(JudgeContext((probe,), tuple(answers), {}, 0), **plugin.bind(suite.judge.options))
    scores = {(s.arm, s.metric): s for s in verdict.scores}
    for metric in ("used_output", "after_error"):
        if ("true", metric) in scores:
            assert scores["true", metric].value == 1.0, scores["true", metric].reason
    assert scores["true", "grounded"].value == 1.0, scores["true", "grounded"].reason
    metric = "after_error" if probe.tags["kind"] == "error" else "grounded"
    assert scores["false", metric].value == 0.0


def test_places_are_held_out() -> None:
    """No tool set trains on these places."""
    trained = " ".join(p.read_text("utf-8") for p in (shelf("datasets") / "tools").glob("*.yaml"))
    for probe in PROBES.values():
        for message in probe.messages:
            for call in message.tool_calls:
                city = json.loads(call.function.arguments)["city"]
                assert not re.search(rf'["-] *{re.escape(city)}"?\n', trained), city
