"""The tool-calling conversations: their contract, their shapes, that they are the same every time,
and that the held-out probes are held out."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]
from jsonschema import (  # type: ignore[import-untyped,unused-ignore]
    Draft202012Validator,
)

from runner.dedup import find_duplicates
from runner.errors import RecipeError
from runner.library import find, shelf
from runner.recipe import Near
from runner.record import Probe, Record
from runner.registry import InputFile, SourceContext, plugins
from runner.toolset import Range, TopicSet, fill, load_toolset, slots

SET = shelf("datasets") / "tools" / "weather.yaml"
PROBES = shelf("evals") / "probes" / "weather-calls.jsonl"


def context(seed: int = 17, path: Path = SET, name: str = "weather") -> SourceContext:
    file = InputFile("datasets/tools/weather.yaml", path, hashlib.sha256(path.read_bytes()).hexdigest())
    return SourceContext(name, seed, {"set": (file,)}, "CC0-1.0")


def draw(n: int, seed: int = 17, path: Path = SET, **options: Any) -> list[Record]:
    plugin = plugins("source")["tools"]
    return list(plugin.call(context(seed, path), set="weather", conversations=n, **options))


@pytest.fixture(scope="module")
def toolset() -> TopicSet:
    found = load_toolset(SET, "weather.yaml")
    assert isinstance(found, TopicSet)
    return found


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return draw(400)


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    lines = PROBES.read_text(encoding="utf-8").splitlines()
    return [msgspec.json.decode(line, type=Probe) for line in lines]


def cities(records: Iterable[Record]) -> list[str]:
    return [
        json.loads(c.function.arguments)["city"] for r in records for m in r.messages for c in m.tool_calls
    ]


@pytest.mark.parametrize("voice", ["persona", "plain"])
def test_every_record_keeps_the_tool_contract(voice: str) -> None:
    for record in draw(600, voice=voice):
        schemas = {t["function"]["name"]: t["function"]["parameters"] for t in record.tools}
        waiting: list[str] = []
        made = 0
        before = "start"
        for message in record.messages:
            if message.role == "user":
                assert before in ("start", "assistant") and not waiting and message.content
            elif message.role == "tool":
                assert message.tool_call_id == waiting.pop(0)
                assert isinstance(json.loads(message.content or ""), dict)
            else:
                assert message.role == "assistant" and before in ("user", "tool") and not waiting
                assert (message.content is None) == bool(message.tool_calls)
                for call in message.tool_calls:
                    made += 1
                    assert call.id == f"call_{made}"
                    arguments = json.loads(call.function.arguments)
                    schema = schemas[call.function.name]
                    Draft202012Validator(schema).validate(arguments)
                    assert list(arguments) == list(schema["properties"])
                    compact = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
                    assert call.function.arguments == compact
                    waiting.append(call.id)
            before = message.role
        assert before == "assistant" and not waiting
        assert record.messages[-1].content


def test_calls_follow_each_shape(records: list[Record]) -> None:
    roles = {
        "one_call": "u a t a",
        "two_calls": "u a t a t a",
        "follow_ups": "u a t a u a t a u a t a",
        "missing_argument": "u a u a t a",
        "unknown_place": "u a t a",
        "no_call": "u a",
    }
    shapes = Counter(r.tags["shape"] for r in records)
    assert set(shapes) == set(roles)
    assert all(n >= 20 for n in shapes.values())
    for record in records:
        assert set(record.tags) == {"shape"}
        got = " ".join(m.role[0] for m in record.messages)
        assert got == roles[record.tags["shape"]]
        assert all(len(m.tool_calls) <= 1 for m in record.messages)


def exchanges(record: Record) -> list[Record]:
    """Each question of a conversation with follow-ups as a record of its own; others as they are."""
    if record.tags["shape"] != "follow_ups":
        return [record]
    parts = [record.messages[i : i + 4] for i in range(0, len(record.messages), 4)]
    return [msgspec.structs.replace(record, messages=part) for part in parts]


@pytest.mark.parametrize("voice", ["persona", "plain"])
def test_answers_say_only_numbers_of_results(voice: str) -> None:
    for record in itertools.chain.from_iterable(map(exchanges, draw(600, voice=voice))):
        shape, answer = record.tags["shape"], record.messages[-1].content or ""
        results = [json.loads(m.content or "") for m in record.messages if m.role == "tool"]
        known = {str(v) for r in results for v in r.values()}
        assert set(re.findall(r"\d+", answer)) <= known
        if shape == "unknown_place":
            assert results == [{"error": "unknown place"}]
            assert cities([record])[0] in answer
        elif results:
            assert sum(str(v) in answer for r in results for v in r.values()) >= 2
            assert all(c in answer for c in cities([record]))


def test_arguments_stand_in_what_the_user_said(records: list[Record]) -> None:
    for record in itertools.chain.from_iterable(map(exchanges, records)):
        said = " ".join(m.content or "" for m in record.messages if m.role == "user")
        for message in record.messages:
            for call in message.tool_calls:
                arguments = json.loads(call.function.arguments)
                assert arguments["city"] in said
                if "day" in arguments:
                    assert ("tomorrow" in said.lower()) == (arguments["day"] == "tomorrow")


def test_warmer_is_warmer(toolset: TopicSet) -> None:
    seen = 0
    for record in draw(300, shapes={"two_calls": 1}):
        a, b = (json.loads(m.content or "")["temp"] for m in record.messages if m.role == "tool")
        first, second = cities([record])
        answer = record.messages[-1].content or ""
        if won := re.search(r"I reckon (.+) wins it|^(.+) is the warmer of the pair", answer):
            seen += 1
            assert a != b
            assert (won[1] or won[2]) == (first if a > b else second)
    assert seen > 10


def test_same_seed_same_records_and_none_depends_on_how_many() -> None:
    encode = msgspec.json.encode
    long = draw(120)
    assert encode(long) == encode(draw(120))
    assert encode(long[:30]) == encode(draw(30))
    assert encode(long) != encode(draw(120, seed=18))


def test_bytes_are_pinned() -> None:
    """Changing how records are drawn changes every user's data: raise the plug-in's version with
    this."""
    spoken = [[m.content or m.tool_calls[0].function.arguments for m in r.messages] for r in draw(3)]
    assert spoken[0][0] == "How cold will it be in Froppburg tomorrow?"
    assert spoken[0][1] == '{"city":"Froppburg","day":"tomorrow"}'


def test_measured_trainings_get_their_bytes() -> None:
    """The quickstart's weather source, and the usual shapes, to the byte: measured results hang on them.

    The set's own digest is left out, so that comments in its file are free.
    """
    quick = {
        "one_call": 0.62,
        "two_calls": 0.03,
        "missing_argument": 0.1,
        "unknown_place": 0.13,
        "no_call": 0.12,
    }

    def digest(records: list[Record]) -> str:
        whole = hashlib.sha256()
        for record in records:
            meta = record.meta | {"sha256": "x"}
            whole.update(msgspec.json.encode(msgspec.structs.replace(record, meta=meta)) + b"\n")
        return whole.hexdigest()

    assert (
        digest(draw(200, shapes=quick)) == "2437f7b4ddebf8297b6d791d3278be203ad514c80a6e115c96593dc71c825987"
    )
    assert digest(draw(300)) == "cf7aacf3d8c7036631ac0365c24affd15620df21b1b9cf1a6716bcfdfcfa6243"
    assert (
        digest(draw(300, voice="plain")) == "efe2490c11ef5e477dc0dfa4c9ed3611324800fe4f30a544257df2f6f5ac02e5"
    )


def test_few_of_many_are_near_duplicates() -> None:
    """A set with few texts for a shape is drawn from anew: at most 1 % of 10,000 may nearly repeat another."""
    texts = [record.text for record in draw(3000)]
    found = find_duplicates(texts, exact=True, near=Near(jaccard=0.8, ngram=5))
    assert len(found) < 0.002 * 3000
    usual = [record.text for record in draw(3000, shapes={"no_call": 1.0})]
    assert len(find_duplicates(usual, exact=True, near=Near(jaccard=0.8, ngram=5))) < 0.3 * 3000


def test_form_one_knows_no_services_and_no_distractors() -> None:
    with pytest.raises(
        RecipeError, match=r"^source 'weather': tools\.api: .*does not say how open-meteo answers"
    ):
        draw(1, api="open-meteo", responses="recorded")
    with pytest.raises(RecipeError, match="offer no distractors"):
        draw(1, distractors=["x"])
    with pytest.raises(RecipeError, match="has no text for the shape 'refusal'"):
        draw(1, shapes={"refusal": 1})


def test_a_place_has_one_weather_a_day() -> None:
    told: dict[str, str] = {}
    for record in draw(800, shapes={"one_call": 1, "two_calls": 1}):
        calls = [c.function for m in record.messages for c in m.tool_calls]
        results = [m.content or "" for m in record.messages if m.role == "tool"]
        for call, result in zip(calls, results, strict=True):
            assert told.setdefault(call.name + call.arguments, result) == result


def test_meta_and_groups(records: list[Record]) -> None:
    assert [r.id for r in records[:2]] == ["weather/000001", "weather/000002"]
    groups: dict[str, str] = {}
    for record in records:
        assert record.meta["source"] == "weather"
        assert record.meta["license"] == "CC0-1.0"
        assert record.meta["origin"] == "tools/weather"
        assert record.meta["sha256"] == hashlib.sha256(SET.read_bytes()).hexdigest()
        for city in cities([record]):  # no split by group can part a place from itself
            assert groups.setdefault(city, record.meta["group"]) == record.meta["group"]
    assert len(set(groups.values())) > 60


def test_variety(records: list[Record], toolset: TopicSet) -> None:
    assert len({msgspec.json.encode(r.messages) for r in records}) == len(records)
    assert len(set(cities(records))) > 200
    assert len({r.messages[-1].content for r in records}) > 320
    words = [sum(len((m.content or "").split()) for m in r.messages) for r in records]
    assert max(words) <= 180  # three questions


def test_weights_are_obeyed() -> None:
    assert {r.tags["shape"] for r in draw(40, shapes={"no_call": 1, "one_call": 0})} == {"no_call"}
    share = Counter(r.tags["shape"] for r in draw(1000, shapes={"one_call": 3, "no_call": 1}))
    assert 0.7 < share["one_call"] / 1000 < 0.8


def test_options_are_checked_and_the_set_is_a_file() -> None:
    plugin = plugins("source")["tools"]
    assert plugin.file_options == {"set": "tool set", "distractors": "glob"}
    good: dict[str, Any] = {"set": "weather", "conversations": 4, "api": "offline"}
    assert msgspec.convert(good, plugin.options)
    bad: list[dict[str, Any]] = [
        {"conversations": 0},
        {"conversations": 1_000_001},
        {"voice": "Twain"},
        {"api": "https://example.org"},
        {"shapes": {"three_calls": 1}},
        {"shapes": {"one_call": -1}},
        {"set": "../weather"},
    ]
    for wrong in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(good | wrong, plugin.options)


def test_the_set_is_rich_enough(toolset: TopicSet) -> None:
    weather = toolset.tools[0]
    assert len(toolset.topic.values) >= 150
    assert any(" " in p for p in toolset.topic.values) and "St. Louis" in toolset.topic.values
    assert any(not p.isascii() for p in toolset.topic.values)
    assert weather.pairs and len(weather.pairs.questions) >= 25
    assert len(weather.questions) >= 25 and len(weather.open_questions) >= 25
    assert len(toolset.direct) >= 25
    for voice in (weather.answers.persona, weather.answers.plain):
        assert len(voice) >= 40
        assert all(18 <= len(t.split()) <= 40 for t in voice)
    openings = Counter(" ".join(t.split()[:2]) for t in weather.answers.persona)
    assert openings.most_common(1)[0][1] == 1
    texts = [t for o in weather.outcomes for t in (o.remarks.persona if o.remarks else [])]
    assert not any(re.search(r"\d", t) for t in texts + weather.answers.persona)
    assert all(isinstance(o.fields["temp"], Range) for o in weather.outcomes)


def patterns(toolset: TopicSet) -> list[re.Pattern[str]]:
    """Everything that a training user may say first, as patterns: any words where a slot is."""
    asked: list[str] = [ask for d in toolset.direct for ask in d.asks]
    for tool in toolset.tools:
        asked += [*tool.questions, *tool.open_questions]
        asked += tool.pairs.questions if tool.pairs else []
    found = []
    for text in asked:
        loose = re.sub(r"\\\{\w+\\\}", ".+", re.escape(text.rstrip(".?!"))) + r"\W*"
        found.append(re.compile(loose, re.IGNORECASE))
    return found


def test_patterns_catch_training_questions(toolset: TopicSet, records: list[Record]) -> None:
    known = patterns(toolset)
    for record in records:
        said = record.messages[0].content or ""
        assert any(p.search(said) for p in known), said


def test_probes_are_held_out(toolset: TopicSet, probes: list[Probe], records: list[Record]) -> None:
    trained = {v.casefold() for v in toolset.topic.values}
    made_up = {a + b for a, b in itertools.product(*_unknown(toolset))}
    known = patterns(toolset)
    for probe in probes:
        question = probe.messages[0].content or ""
        assert not any(p.fullmatch(question) for p in known), question
        for call in probe.expect["calls"]:
            for city in call["arguments"]["city"]:
                assert city.casefold() not in trained and city not in made_up
    told = {r.messages[0].content for r in records}
    assert not told & {p.messages[0].content for p in probes}


def _unknown(toolset: TopicSet) -> tuple[list[str], list[str]]:
    return toolset.topic.unknown.starts, toolset.topic.unknown.ends


def test_probes_are_well_formed(toolset: TopicSet, probes: list[Probe]) -> None:
    assert len(probes) >= 60
    assert [p.id for p in probes] == [f"weather-{i:02d}" for i in range(1, len(probes) + 1)]
    assert sum(not p.expect["calls"] for p in probes) == 10
    assert len({p.messages[0].content for p in probes}) == len(probes)
    definitions = [msgspec.to_builtins(t.definition) for t in toolset.tools]
    used = Counter(c["name"] for p in probes for c in p.expect["calls"])
    assert used["get_weather"] >= 35 and used["get_river_level"] >= 10
    places = [c["arguments"]["city"][0] for p in probes for c in p.expect["calls"]]
    assert len(set(places)) == len(places)
    for probe in probes:
        assert probe.tools == definitions
        assert [m.role for m in probe.messages] == ["user"]
        for call in probe.expect["calls"]:
            assert call["arguments"]["city"][0] in (probe.messages[0].content or "")


def test_fill_is_not_format() -> None:
    assert fill("{City} {day}!", {"city": "évora", "day": "today"}) == "Évora today!"
    assert fill("{city}", {"city": "{day}", "day": "x"}) == "{day}"
    assert slots("{city.__class__} {City}") == {"city"}
    assert fill("{city.__class__}", {"city": "x"}) == "{city.__class__}"


def broken(tmp_path: Path, change: Any) -> list[str]:
    data = yaml.safe_load(SET.read_text(encoding="utf-8"))
    change(data)
    path = tmp_path / "weather.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_toolset(path, "w.yaml")
    assert caught.value.exit_code == 2
    assert all(p.line > 0 for p in caught.value.problems)
    return [f"{p.where}: {p.what}" for p in caught.value.problems]


def test_mistakes_in_a_set_are_told_with_their_place(tmp_path: Path) -> None:
    def several(d: dict[str, Any]) -> None:
        d["tools"][0]["questions"][2] = "How is it?"
        d["tools"][0]["answers"]["plain"][0] = "{city}: {temp} {moon}"
        d["topic"]["values"].append("Memphis")

    told = broken(tmp_path, several)
    assert "tools[0].questions[2]: needs {city}" in told
    assert "tools[0].answers.plain[0]: nothing fills {moon}" in told
    assert any("tools[0].answers.plain[0]: must carry at least two" in t for t in told)
    assert "topic.values[224]: 'Memphis' stands here twice" in told

    told = broken(tmp_path, lambda d: d["topic"]["values"].__setitem__(3, False))
    assert told == ["topic.values[3]: Expected `str`, got `bool`"]
    told = broken(tmp_path, lambda d: d["options"]["day"].update(someday=["someday"]))
    assert any("does not allow 'someday'" in t for t in told)
    told = broken(tmp_path, lambda d: d["tools"][0]["outcomes"][1]["fields"].pop("sky"))
    assert any("every outcome needs the same fields" in t for t in told)
    parameters = "tools[1].definition.function.parameters"

    def odd_type(d: dict[str, Any]) -> None:
        d["tools"][1]["definition"]["function"]["parameters"]["type"] = "dict"

    assert broken(tmp_path, odd_type)[0].startswith(f"{parameters}: not a JSON Schema")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("toolset: 1\ntoolset: 1\n", "w.yaml:2:1: toolset: written twice; first on line 1"),
        ("toolset: 3\n", "w.yaml:1:10: toolset: the form of the file, one of 1, 2, must stand here"),
        ("[" * 50_000, "nested deeper than"),
        ("a: [1\nb: 2\n", "w.yaml:1:4: not YAML: this `[` is not closed"),
        ("", "a tool set is a map"),
        ("!!python/object/apply:os.system [ls]\n", "is not allowed"),
    ],
)
def test_bad_yaml_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_toolset(path, "w.yaml")
    assert what in str(caught.value)


def test_a_small_set_of_one_tool_without_options(tmp_path: Path) -> None:
    """Another team's set: no options, no pairs, a tool with one field."""
    data = yaml.safe_load(SET.read_text(encoding="utf-8"))
    river = data["tools"][1]
    river["open_questions"] = []
    data["tools"], data["options"] = [river], {}
    path = tmp_path / "river.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    records = draw(80, path=path)
    assert {r.tags["shape"] for r in records} == {"one_call", "follow_ups", "unknown_place", "no_call"}
    with pytest.raises(RecipeError, match="two_calls"):
        draw(1, path=path, shapes={"two_calls": 1})


def test_shipped_files_are_found() -> None:
    assert find("datasets/tools/weather.yaml") and find("evals/probes/weather-calls.jsonl")
