"""Answers of services: which requests a call becomes, what is made of odd JSON, and that a fetch is replayed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import broken
from runner.errors import StepError
from runner.fetching import Fetcher, Got, InputFile, Item, Keep, Unfetched
from runner.library import shelf
from runner.record import Record, Rejected
from runner.registry import SourceContext, plugins
from runner.toolset import ToolSet, load_toolset, service
from runner.toolset.dice import Dice
from runner.toolset.requests import Step
from runner.toolset.values import Drawer, plain
from runner.toolset.world import Call, Served

PATH = shelf("datasets") / "tools" / "weather-api.yaml"
FILES = {"set": (InputFile("datasets/tools/weather-api.yaml", PATH, "0" * 64),), "distractors": ()}
OPTIONS: dict[str, Any] = {"set": "weather-api", "conversations": 120, "responses": "recorded"}
KNOWN = {"Paris": (48.85, 2.35), "London": (51.51, -0.13), "New York": (40.71, -74.01)}


def toolset() -> ToolSet:
    found = load_toolset(PATH, "weather-api.yaml")
    assert isinstance(found, ToolSet)
    return found


class Net(Fetcher):
    """A fetcher whose world is a function of the request; it keeps what was asked of it."""

    def __init__(self, folder: Path, answer: Any, **settings: str) -> None:
        self.name, self.seed, self.files = "weather", 17, FILES
        self.folder, self.answer = folder, answer
        self.settings = {
            "open_meteo_url": "http://meteo",
            "open_meteo_geocoding_url": "http://places",
            "openweathermap_url": "http://owm",
            "openweathermap_key": "s3cret",
        } | settings
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.forgotten: list[str] = []

    def get(self, url: str, **how: Any) -> Got:
        self.asked.append((url, how))
        parts = urlsplit(url)
        said = self.answer(parts.netloc, parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
        if isinstance(said, Unfetched):
            raise said
        raw = said if isinstance(said, bytes) else json.dumps(said).encode()
        sha256 = self.store([raw])
        return Got(url, self.path(sha256), sha256)

    def forget(self, got: Got) -> None:
        self.forgotten.append(got.url)

    def store(self, chunks: Iterable[bytes]) -> str:
        raw = b"".join(chunks)
        sha256 = hashlib.sha256(raw).hexdigest()
        (self.folder / sha256).write_bytes(raw)
        return sha256

    def path(self, sha256: str) -> Path:
        return self.folder / sha256

    def setting(self, name: str) -> str:
        return self.settings[name]

    def progress(self, done: int, of: int, what: str) -> None:
        assert done <= of and what == "conversations"


def meteo(host: str, path: str, query: Mapping[str, str]) -> Any:
    """An Open-Meteo of our own: every city but those that sound made up is known."""
    if host == "places":
        assert path == "/v1/search"
        if re.match("Zorb|Quimble|Flimm|Braxle|Gobbin", query["name"]):
            return {"generationtime_ms": 0.1}
        latitude, longitude = KNOWN.get(query["name"], (len(query["name"]) * 3.5, 7.25))
        return {"results": [{"name": query["name"], "latitude": latitude, "longitude": longitude}]}
    assert (host, path) == ("meteo", "/v1/forecast")
    days = int(query.get("forecast_days", 1))
    warm = 60.4 if query["temperature_unit"] == "fahrenheit" else 15.6
    if "current" in query:
        codes = [0, 3, 63, 75]
        now = {"temperature_2m": warm, "relative_humidity_2m": 71, "wind_speed_10m": 12.5}
        return {"current": now | {"weather_code": codes[int(float(query["latitude"])) % 4]}}
    return {
        "daily": {
            "time": [f"2026-03-{n + 1:02d}" for n in range(days)],
            "temperature_2m_min": [warm - n for n in range(days)],
            "temperature_2m_max": [warm + n for n in range(days)],
            "weather_code": [61.0] * days,
        }
    }


def fetch(net: Net, **options: Any) -> list[Item]:
    plugin = plugins("source")["tools"]
    assert plugin.fetch is not None
    return list(plugin.fetch(net, **plugin.bind_fetch(OPTIONS | options)))


def read(net: Net, items: Iterable[Item], **options: Any) -> list[Record | Rejected]:
    plugin = plugins("source")["tools"]
    good = [i for i in items if not i.error]
    context = SourceContext("weather", 17, FILES, "", good, lambda item: net.path(item.sha256))
    return list(plugin.call(context, **plugin.bind(OPTIONS | options)))


def results(rows: Iterable[Record | Rejected]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for row in rows:
        if isinstance(row, Record):
            calls = [c.function for m in row.messages for c in m.tool_calls]
            told = [json.loads(m.content or "") for m in row.messages if m.role == "tool"]
            for call, result in zip(calls, told, strict=True):
                yield call.name, json.loads(call.arguments), result


def test_offline_fetches_nothing(tmp_path: Path) -> None:
    net = Net(tmp_path, meteo)
    assert fetch(net, responses="offline", api="open-meteo") == [] and net.asked == []


@pytest.mark.parametrize(("responses", "keep"), [("recorded", "recorded"), ("live", "live")])
def test_a_fetch_brings_every_call_and_is_replayed(tmp_path: Path, responses: str, keep: Keep) -> None:
    net = Net(tmp_path, meteo)
    options = {"api": "open-meteo", "responses": responses}
    items = fetch(net, **options)
    assert items and not any(i.error for i in items)
    assert len({i.key for i in items}) == len(items)
    assert all(i.meta["license"] == "CC-BY-4.0" and "Open-Meteo" in i.meta["attribution"] for i in items)
    assert all(
        how == {"accept": "application/json", "most": 4 << 20, "keep": keep, "private": {}, "robots": False}
        for _, how in net.asked
    )
    urls = [url for url, _ in net.asked]
    assert len(set(urls)) == len(urls)  # a place is asked for once, however many calls it has
    before = len(urls)
    records = read(net, items, **options)
    assert len(net.asked) == before
    assert all(isinstance(r, Record) and broken(r) is None for r in records) and len(records) == 120
    assert msgspec.json.encode(records) == msgspec.json.encode(read(net, items, **options))
    kinds = {name for name, *_ in results(records)}
    assert kinds == {"get_current_weather", "get_forecast", "next_appointment"}
    for name, arguments, result in results(records):
        if "error" in result:
            continue
        warm = 60 if arguments.get("unit") == "fahrenheit" else 16
        if name == "get_current_weather":
            assert list(result) == [
                "city",
                "temperature",
                "unit",
                "conditions",
                "wind_kmh",
                "humidity_percent",
            ]
            assert (
                result["temperature"] == warm
                and result["wind_kmh"] == 12
                and result["humidity_percent"] == 71
            )
        if name == "get_forecast":
            assert len(result["days"]) == arguments["days"]
            assert result["days"][0] == {"day": "Sunday", "sky": "light rain", "low": warm, "high": warm}
    used = [r for r in records if isinstance(r, Record) and "answers" in r.meta]
    assert used and all(
        r.meta["license"] == "CC0-1.0 AND CC-BY-4.0" and "attribution" in r.meta for r in used
    )
    assert {sha for r in used for sha in r.meta["answers"].split()} == {i.sha256 for i in items}


def test_a_place_without_results_is_an_unknown_place(tmp_path: Path) -> None:
    net = Net(tmp_path, meteo)
    options = {"api": "open-meteo", "shapes": {"unknown_value": 1.0}}
    rows = read(net, fetch(net, **options), **options)
    told = {
        (re.match("Zorb|Quimble|Flimm|Braxle|Gobbin", a["city"]) is not None, "error" in r)
        for _, a, r in results(rows)
    }
    assert told == {(True, True), (False, False)}  # a service that knows the place is believed
    for row in rows:
        assert isinstance(row, Record)
        if "error" in json.loads(row.messages[2].content or ""):
            assert not re.search(r"\d", row.messages[-1].content or "")


def told_now(**got: Any) -> set[str]:
    """Remarks that may be made on a service's answer."""
    tool = toolset_once().tool("get_current_weather")
    unit = got.pop("unit", None)
    values = {"city": plain("Oslo")} | ({"unit": plain(unit)} if unit else {})
    world = Served(toolset_once(), lambda call: {"temp": 20, "humidity": 50, "wind": 10, "sky": "rain"} | got)
    told = world.tell(Call(tool, values), Drawer(toolset_once(), [], Dice("x")), Dice("x"))
    assert told.outcome is not None
    return set(told.outcome.remarks.plain) if told.outcome.remarks else set()


def test_remarks_hold_on_what_the_service_told() -> None:
    """A fair day is no pleasant one at 2 degrees, nor a dry one at 97 % of humidity, nor snow cold at 10."""
    assert "Conditions are pleasant." in told_now(sky="clear skies")
    assert told_now(sky="clear skies", temp=2) == set()
    assert told_now(sky="clear skies", humidity=97) == set()
    assert "Conditions are pleasant." in told_now(sky="clear skies", temp=68, unit="fahrenheit")
    assert told_now(sky="clear skies", temp=35, unit="fahrenheit") == set()
    assert told_now(sky="clear skies", temp=68, unit="celsius") == set()
    assert "Dress warmly." in told_now(sky="snow", temp=-3, humidity=80, wind=12)
    assert told_now(sky="snow", temp=10, humidity=80, wind=12) == set()
    assert told_now(sky="broken clouds") == set()  # words that the set does not know decide nothing
    assert told_now(sky="clear skies", wind=None) == set()


NOW = {"temperature_2m": 1, "relative_humidity_2m": 1, "wind_speed_10m": 2, "weather_code": 0}


def forecasting(answer: Any) -> Any:
    return lambda host, path, query: meteo(host, path, query) if host == "places" else answer


@pytest.mark.parametrize(
    "answer",
    [
        b'{"current":{"temperature_2m":NaN,"relative_humidity_2m":1,"wind_speed_10m":2,"weather_code":0}}',
        {"current": NOW | {"temperature_2m": None}},
        {"current": NOW | {"weather_code": None}},
        {"current": dict.fromkeys(NOW)},
    ],
)
def test_a_value_that_the_service_does_not_have_is_no_data(tmp_path: Path, answer: Any) -> None:
    net = Net(tmp_path, forecasting(answer))
    options = {"api": "open-meteo", "conversations": 20, "shapes": {"one_call": 1.0}}
    items = [i for i in fetch(net, **options) if i.key.startswith("get_current")]
    assert items and not any(i.error for i in items)
    assert not any("current=" in url for url in net.forgotten)
    rows = read(net, items, **options)
    told = [result for name, _, result in results(rows) if name == "get_current_weather"]
    assert told and all(result == {"error": "no data available"} for result in told)
    assert all(broken(r) is None for r in rows if isinstance(r, Record))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"null", "no object on the way to current.temperature_2m"),
        (b"[]", "no object on the way to"),
        (b'"sunny"', "no object on the way to"),
        ({}, "no current.temperature_2m"),
        (b'{"latitude":nan,"longitude":nan,"generationtime_ms":0.015}', "no current.temperature_2m"),
        ({"current": None}, "no object on the way to"),
        ({"current": [1, 2]}, "no object on the way to"),
        ({"current": {k: v for k, v in NOW.items() if k != "weather_code"}}, "no current.weather_code"),
        ({"current": NOW | {"temperature_2m": "warm"}}, '"warm" at current.temperature_2m'),
        ({"current": NOW | {"temperature_2m": True}}, "true at current.temperature_2m"),
        ({"current": NOW | {"temperature_2m": [3]}}, "[3] at current.temperature_2m"),
        ({"current": NOW | {"weather_code": 1234}}, "at current.weather_code"),
        ({"current": {"temperature_2m": None, "weather_code": 0}}, "no current.relative_humidity_2m"),
    ],
)
def test_a_broken_answer_is_a_failure_and_not_kept(tmp_path: Path, answer: Any, why: str) -> None:
    net = Net(tmp_path, forecasting(answer))
    options = {"api": "open-meteo", "conversations": 20, "shapes": {"one_call": 1.0}}
    items = fetch(net, **options)
    now = [i for i in items if i.key.startswith("get_current")]
    assert now and all(why in i.error and not i.sha256 for i in now)
    assert {url for url, _ in net.asked if "current=" in url} == {u for u in net.forgotten if "current=" in u}
    assert not any(url.startswith("http://places") for url in net.forgotten)
    rows = read(net, items, **options)
    assert len(rows) == 20 and any(isinstance(r, Rejected) for r in rows)
    assert not any(name == "get_current_weather" for name, *_ in results(rows))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"time": ["2026-03-01"]}, "lists of different lengths"),
        ({"time": "2026-03-01"}, "no list on the way to daily.time"),
        ({"weather_code": [0, "x", 0, 0, 0, 0, 0]}, '"x" at daily.weather_code'),
        ({"time": ["soon"] * 7}, '"soon" at daily.time'),
        (
            {k: [] for k in ("time", "temperature_2m_min", "temperature_2m_max", "weather_code")},
            "has 0 rows",
        ),
    ],
)
def test_broken_rows_are_a_failure(change: Any, why: str) -> None:
    answer = meteo("meteo", "/v1/forecast", {"temperature_unit": "celsius", "forecast_days": "7"})
    answers = iter(
        json.dumps(a)
        for a in ({"results": [{"latitude": 1, "longitude": 2}]}, {"daily": answer["daily"] | change})
    )
    asked = toolset_once().services["open-meteo"]["get_forecast"]
    with pytest.raises(service.Unusable, match=re.escape(why)):
        service.result(toolset_once(), asked, {"city": "X", "days": 7}, lambda at, target: next(answers))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"generationtime_ms": 0.1}, "unknown"),
        ({"results": []}, "unknown"),
        ({"results": None}, "unknown"),
        (None, Unfetched),
        ([], Unfetched),
        ({"results": {}}, Unfetched),
        ({"results": "x"}, Unfetched),
        ({"results": [None]}, Unfetched),
        ({"results": [{"name": "X", "latitude": 1}]}, Unfetched),
    ],
)
def test_only_no_results_make_a_place_unknown(answer: Any, said: Any) -> None:
    asked = toolset_once().services["open-meteo"]["get_current_weather"]

    def told() -> Any:
        return service.result(toolset_once(), asked, {"city": "X"}, lambda at, target: json.dumps(answer))

    if said == "unknown":
        assert told() == said
    else:
        with pytest.raises(service.Unusable):
            told()


def test_a_text_where_the_set_has_numbers_is_a_failure(tmp_path: Path) -> None:
    def owm(description: Any) -> Any:
        def answer(host: str, path: str, query: Mapping[str, str]) -> Any:
            if path == "/geo/1.0/direct":
                return [{"lat": 1.5, "lon": 2.5}]
            main, wind = {"temp": 1, "humidity": 50}, {"speed": 10}
            return {"main": main, "wind": wind, "weather": [{"description": description}]}

        return answer

    options = {"api": "openweathermap", "conversations": 10, "shapes": {"one_call": 1.0}}
    for odd, why in ((5, "5 for sky, which is of another type"), ("\ud800", "half a character")):
        net = Net(tmp_path, owm(odd))
        items = fetch(net, **options)
        assert items and all(why in i.error for i in items) and net.forgotten


def test_equal_weather_gives_equal_bytes(tmp_path: Path) -> None:
    """Services say how long they took, and where exactly a place lies: no conversation tells either."""
    options = {"api": "open-meteo", "conversations": 60}
    made = []
    for n in (1, 2):

        def timed(host: str, path: str, query: Mapping[str, str], n: int = n) -> Any:
            return {"generationtime_ms": n / 7} | meteo(host, path, query) | {"utc_offset_seconds": n}

        folder = tmp_path / str(n)
        folder.mkdir()
        net = Net(folder, timed)
        items = fetch(net, **options)
        made.append((items, msgspec.json.encode(read(net, items, **options))))
    assert made[0] == made[1]
    assert any("answers" in r.meta for r in read(net, items, **options) if isinstance(r, Record))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b'{"results": [{"latitude": 4', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"<html>", "not JSON"),
        (Unfetched("HTTP 500", transient=True), "HTTP 500"),
    ],
)
def test_what_cannot_be_had_is_named_and_the_rest_kept(tmp_path: Path, answer: Any, why: str) -> None:
    net = Net(
        tmp_path,
        lambda host, path, query: answer if query.get("name") == "Paris" else meteo(host, path, query),
    )
    options = {"api": "open-meteo", "conversations": 400}
    items = fetch(net, **options)
    bad = [i for i in items if i.error]
    assert bad and all('"city":"Paris"' in i.key and why in i.error and not i.sha256 for i in bad)
    rows = read(net, items, **options)
    lost = [r for r in rows if isinstance(r, Rejected)]
    assert lost and len(rows) == 400 and all("Paris" in r.reason for r in lost)
    assert len(lost) < 20


def test_openweathermap_gets_its_key_in_private(tmp_path: Path) -> None:
    def owm(host: str, path: str, query: Mapping[str, str]) -> Any:
        assert host == "owm" and "appid" not in query
        if path == "/geo/1.0/direct":
            return [{"name": query["q"], "lat": 1.5, "lon": 2.5}]
        assert path == "/data/2.5/weather" and query["lat"] == "1.5"
        warm = {"metric": 15.4, "imperial": 59.7}[query["units"]]
        return {
            "main": {"temp": warm, "humidity": 50},
            "wind": {"speed": 10},
            "weather": [{"description": "broken clouds"}],
        }

    net = Net(tmp_path, owm)
    options = {"api": "openweathermap", "conversations": 60}
    rows = read(net, fetch(net, **options), **options)
    assert net.asked and all(how["private"] == {"appid": "s3cret"} for _, how in net.asked)
    told = [(a, r) for name, a, r in results(rows) if name == "get_current_weather" and "error" not in r]
    assert {r["wind_kmh"] for _, r in told} == {36}
    assert {(a.get("unit", "celsius"), r["temperature"]) for a, r in told} == {
        ("celsius", 15),
        ("fahrenheit", 60),
    }
    assert not any(name == "get_forecast" for name, *_ in results(rows))  # nobody answers it there

    with pytest.raises(StepError, match="openweathermap needs the setting 'openweathermap_key'"):
        fetch(Net(tmp_path, owm, openweathermap_key=""), **options)


@given(st.text(min_size=1).filter(lambda t: t.isprintable()))
def test_values_in_addresses_stay_values(city: str) -> None:
    step = Step(at="open_meteo_geocoding_url", path="/v1/search", query={"name": "{city}", "count": "1"})
    parts = urlsplit("http://places" + service.target(step, {"city": city}))
    assert (parts.netloc, parts.path, parts.fragment) == ("places", "/v1/search", "")
    assert parse_qs(parts.query, keep_blank_values=True) == {"name": [city], "count": ["1"]}


def test_bare_nan_is_null_but_not_in_texts() -> None:
    assert service.parse('{"a": nan, "b": [-nan, NaN, -inf], "c": "nan, \\"nan\\""}') == {
        "a": None,
        "b": [None, None, None],
        "c": 'nan, "nan"',
    }
    with pytest.raises(service.Unusable):
        service.parse("{nan")


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["results", "current", "daily", "time", "latitude", "weather_code"]), x
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_brings_it_down(answer: Any) -> None:
    s = toolset_once()
    for tool, arguments in (
        ("get_current_weather", {"city": "X"}),
        ("get_forecast", {"city": "X", "days": 2}),
    ):
        place = {"results": [{"latitude": 1, "longitude": 2}]}
        for answers in ([answer, answer], [place, answer]):
            given = iter(map(json.dumps, answers))
            try:
                got = service.result(
                    s, s.services["open-meteo"][tool], arguments, lambda at, target, g=given: next(g)
                )
            except service.Unusable as e:
                assert str(e).startswith("its answer ")
                continue
            assert got in ("unknown", "no_data") or isinstance(got, dict)


_loaded: list[ToolSet] = []


def toolset_once() -> ToolSet:
    if not _loaded:
        _loaded.append(toolset())
    return _loaded[0]
