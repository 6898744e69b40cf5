"""Recorded weather against the stand-in: asked once through the guarded client, replayed for ever, odd answers named."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.contract import broken
from runner.fetching import Fetcher, Got, InputFile, Item
from runner.library import shelf
from runner.net.client import Client
from runner.record import Record, Rejected
from runner.registry import SourceContext, plugins
from runner.settings import SETTINGS, Settings
from runner.toolset import ToolSet, load_toolset, service

SHARED = Path(__file__).parents[2] / ".." / "shared"
StandIn = Callable[..., AbstractContextManager[str]]
KIT = Path(os.environ.get("MIREPOIX_KIT") or SHARED / "kit")
if not (KIT / "weather").is_dir():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

PATH = shelf("datasets") / "tools" / "weather-api.yaml"
FILES = {"set": (InputFile("datasets/tools/weather-api.yaml", PATH, "0" * 64),)}
OPTIONS: dict[str, Any] = {"set": "weather-api", "conversations": 80, "responses": "recorded"}


class Net(Fetcher):
    """What `fetch` gets, with the real client under it."""

    def __init__(self, base: str, root: Path) -> None:
        self.name, self.seed, self.files = "weather", 17, FILES
        mine = {"allow": base.removeprefix("http://"), "pace": "200", "openweathermap_key": "test-key"}
        mine |= dict.fromkeys(("open_meteo_url", "open_meteo_geocoding_url", "openweathermap_url"), base)
        self.settings = Settings({name: s.default for name, s in SETTINGS.items()} | mine, {})
        self.client = Client(self.settings, root)

    def get(self, url: str, **how: Any) -> Got:
        return self.client.get(url, **how)

    def forget(self, got: Got) -> None:
        self.client.forget(got)

    def store(self, chunks: Iterable[bytes]) -> str:
        return self.client.store(chunks)

    def path(self, sha256: str) -> Path:
        return self.client.path(sha256)

    def setting(self, name: str) -> str:
        return self.settings[name]

    def progress(self, done: int, of: int, what: str) -> None:
        pass


def requests(base: str) -> int:
    with urllib.request.urlopen(f"{base}/__log") as answer:
        log: Any = json.load(answer)
    return len(log)


def fetch(net: Net, **options: Any) -> list[Item]:
    plugin = plugins("source")["tools"]
    assert plugin.fetch is not None
    return list(plugin.fetch(net, **plugin.bind_fetch(OPTIONS | options)))


def read(net: Net, items: list[Item], **options: Any) -> list[Record | Rejected]:
    plugin = plugins("source")["tools"]
    good = [i for i in items if not i.error]
    context = SourceContext("weather", 17, FILES, "", good, lambda item: net.path(item.sha256))
    return list(plugin.call(context, **plugin.bind(OPTIONS | options)))


def results(rows: Iterable[Record | Rejected]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    out = []
    for row in rows:
        if isinstance(row, Record):
            calls = [c.function for m in row.messages for c in m.tool_calls]
            told = [json.loads(m.content or "") for m in row.messages if m.role == "tool"]
            out += [(c.name, json.loads(c.arguments), r) for c, r in zip(calls, told, strict=True)]
    return out


@pytest.mark.parametrize("api", ["open-meteo", "openweathermap"])
def test_asked_once_and_replayed(stand_in: StandIn, tmp_path: Path, api: str) -> None:
    with stand_in(
        "--today", "2026-03-02", "--robots", "deny"
    ) as base:  # a documented API is asked whatever robots.txt says of pages
        net = Net(base, tmp_path)
        with net.client:
            items = fetch(net, api=api)
            assert items and [i.error for i in items if i.error] == []
            first = requests(base)
            assert fetch(net, api=api) == items
        again = Net(base, tmp_path)
        with again.client:  # another run, the same store
            assert fetch(again, api=api) == items
            assert requests(base) == first > 20
    rows = read(net, items, api=api)
    assert rows == read(net, items, api=api)
    assert len(rows) == 80 and all(isinstance(r, Record) and broken(r) is None for r in rows)
    good = [(n, a, r) for n, a, r in results(rows) if "error" not in r and n != "next_appointment"]
    assert len(good) > 20
    for name, arguments, result in good:
        if name == "get_current_weather":
            assert -60 < result["temperature"] < 130 and 0 <= result["humidity_percent"] <= 100
        else:
            assert len(result["days"]) == arguments["days"]
            assert result["days"][0]["day"] in (
                "Sunday",
                "Monday",
                "Tuesday",
            )  # the clock's, in some time zone
    assert not re.search("test-key", msgspec.json.encode([items, rows]).decode())


def test_live_asks_anew(stand_in: StandIn, tmp_path: Path) -> None:
    with stand_in("--today", "2026-03-02") as base:
        counts = []
        for _ in range(2):
            net = Net(base, tmp_path)
            with net.client:
                assert fetch(net, api="open-meteo", responses="live", conversations=10)
            counts.append(requests(base))
    assert counts[1] > counts[0] > 0


@pytest.mark.parametrize("fault", ["json_nan", "json_null", "json_list", "json_cut", "json_deep", "404"])
def test_odd_answers(stand_in: StandIn, tmp_path: Path, fault: str) -> None:
    with stand_in("--today", "2026-03-02", "--fault", f"/v1/forecast={fault}@every:3") as base:
        net = Net(base, tmp_path)
        with net.client:
            items = fetch(net, api="open-meteo")
        rows = read(net, items, api="open-meteo")
    assert len(rows) == 80
    bad = [i for i in items if i.error]
    lost = [r for r in rows if isinstance(r, Rejected)]
    assert bad and lost and all("no answer was fetched for its call" in r.reason for r in lost)
    asked = [r for r in rows if isinstance(r, Record) and r.tags["shape"] != "tool_error"]
    assert not any(told == {"error": "no data available"} for _, _, told in results(asked))
    assert sum(isinstance(r, Record) for r in rows) > 40
    assert all(broken(r) is None for r in rows if isinstance(r, Record))


@pytest.mark.parametrize("fault", ["json_null", "json_list"])
def test_a_broken_answer_is_asked_for_again(stand_in: StandIn, tmp_path: Path, fault: str) -> None:
    with stand_in("--today", "2026-03-02", "--fault", f"/v1/forecast={fault}@first:3") as base:
        net = Net(base, tmp_path)
        with net.client:
            first = fetch(net, api="open-meteo")
            asked = requests(base)
            again = fetch(net, api="open-meteo")
        bad = {i.key for i in first if i.error}
        assert bad and not any(i.error for i in again)
        assert [i for i in first if i.key not in bad] == [
            i for i in again if i.key in {g.key for g in first} - bad
        ]
        assert asked < requests(base)
        rows = read(net, again, api="open-meteo")
    assert len(rows) == 80 and all(isinstance(r, Record) for r in rows)


def test_two_runs_from_nothing_give_the_same_bytes(stand_in: StandIn, tmp_path: Path) -> None:
    made = []
    for n in (1, 2):
        with stand_in("--today", "2026-03-02") as base:
            net = Net(base, tmp_path / str(n))
            with net.client:
                items = fetch(net, api="open-meteo")
            made.append((items, msgspec.json.encode(read(net, items, api="open-meteo"))))
    assert made[0] == made[1]


def test_sample_answers() -> None:
    toolset = load_toolset(PATH, "weather-api.yaml")
    assert isinstance(toolset, ToolSet)
    asked = toolset.services["open-meteo"]["get_current_weather"]

    def told(*files: str) -> Any:
        texts = iter((KIT / "weather" / f).read_text(encoding="utf-8") for f in files)
        return service.result(toolset, asked, {"city": "Enschede"}, lambda at, target: next(texts))

    assert told("geocoding_empty.json") == "unknown"
    with pytest.raises(service.Unusable, match=r"no current\.temperature_2m"):
        told("geocoding.json", "forecast_minimal.json")
    place = service.parse((KIT / "weather" / "geocoding.json").read_text(encoding="utf-8"))
    step = asked.steps[1]
    known = {"latitude": place["results"][0]["latitude"], "longitude": 6.89583, "unit": "celsius"}
    assert "latitude=52.21833&longitude=6.89583" in service.target(step, known)
