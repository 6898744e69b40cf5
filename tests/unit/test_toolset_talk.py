"""Conversations of form-2 sets: their contract, their shapes, that answers are grounded, and how varied they are."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from runner.contract import broken
from runner.dedup import find_duplicates
from runner.errors import RecipeError
from runner.fetching import InputFile
from runner.library import shelf
from runner.recipe import Near
from runner.record import Message, Record
from runner.registry import SourceContext, plugins
from runner.toolset import ToolSet, load_toolset
from runner.toolset.cast import WEIGHTS
from runner.toolset.gen import Gen, as_gen
from runner.toolset.words import Voice

SETS = ("weather-api", "town-library")
SHAPES = {
    "one_call": "u a t a",
    "two_calls": "u a t a t a",
    "chained_calls": "u a t a t a",
    "parallel_calls": "u a t t a",
    "follow_ups": "u a t a u a t a( u a t a)?",
    "missing_argument": "u( a u)+ a t a",
    "ambiguous_argument": "u a u a t a",
    "unknown_value": "u a t a",
    "tool_error": "u a t( a t)? a",
    "refusal": "u a",
    "irrelevant_tools": "u a",
    "no_call": "u a",
}


def file(name: str) -> InputFile:
    return InputFile(f"datasets/tools/{name}.yaml", shelf("datasets") / "tools" / f"{name}.yaml", "0" * 64)


def draw(name: str, n: int, *, seed: int = 17, others: tuple[str, ...] = (), **options: Any) -> list[Record]:
    context = SourceContext(
        name, seed, {"set": (file(name),), "distractors": tuple(map(file, others))}, "CC0-1.0"
    )
    if others:
        options["distractors"] = [f"datasets/tools/{n}.yaml" for n in others]
    return list(plugins("source")["tools"].call(context, set=name, conversations=n, **options))


@lru_cache
def many(name: str, voice: Voice) -> list[Record]:
    return draw(name, 2000, voice=voice)


@lru_cache
def loaded(name: str) -> ToolSet:
    found = load_toolset(file(name).path, name)
    assert isinstance(found, ToolSet)
    return found


each = pytest.mark.parametrize(
    ("name", "voice"), [(name, voice) for name in SETS for voice in ("persona", "plain")]
)


@each
def test_every_record_keeps_the_contract(name: str, voice: Voice) -> None:
    records = many(name, voice)
    assert {broken(r) for r in records} == {None}
    for record in records:
        ids = [c.id for m in record.messages for c in m.tool_calls]
        assert ids == [
            f"call_{n}" for n in range(1, len(ids) + 1)
        ]  # unique in the record: any template can say them
        assert [m.tool_call_id for m in record.messages if m.role == "tool"] == ids
    assert len({r.id for r in records}) == len(records)


@each
def test_shapes(name: str, voice: Voice) -> None:
    found: Counter[str] = Counter()
    for record in many(name, voice):
        shape = record.tags["shape"]
        found[shape] += 1
        assert re.fullmatch(SHAPES[shape], " ".join(m.role[0] for m in record.messages)), (shape, record.id)
        if shape == "parallel_calls":
            assert len(record.messages[1].tool_calls) == 2
    assert found.keys() == WEIGHTS.keys()
    assert all(abs(found[shape] / 2000 - share) < 0.03 for shape, share in WEIGHTS.items())


# -- grounded -----------------------------------------------------------------------------------------


def atoms(text: str) -> set[str]:
    """Numbers, times and dates in a text."""
    return set(re.findall(r"-?\d+(?:[.:,-]\d+)*", text))


def lists(gen: Gen) -> Iterator[str]:
    """Words that a value may be, where a set lists them."""
    yield from (v for v in (*(gen.one_of or ()), *(gen.following or ())) if isinstance(v, str))
    for way in gen.ways or ():
        yield from (str(w) for w in way[1:])
    if gen.rows is not None:
        yield from (v for g in gen.rows.draw.values() for v in lists(as_gen(g)))


@lru_cache
def words(name: str) -> re.Pattern[str]:
    """Everything that the set's values may say, longest first."""
    s = loaded(name)
    slots = {slot for t in s.tools for slot in t.tree if slot in s.values}
    pools = [s.gen(slot) for slot in slots] + [
        as_gen(g) for t in s.tools for o in t.outcomes for g in o.draw.values()
    ]
    found = {word for gen in pools for word in lists(gen) if len(word) > 3}
    found |= {word[:1].upper() + word[1:] for word in found}
    longest = sorted(found, key=len, reverse=True)
    return re.compile(r"(?<!\w)(" + "|".join(map(re.escape, longest)) + r")(?!\w)")


def ungrounded(record: Record, pattern: re.Pattern[str]) -> set[str]:
    """Atoms that the assistant says after a call and that neither a result nor the user nor the system said."""
    heard, bad = "", set()
    called = False
    for m in record.messages:
        called = called or bool(m.tool_calls)
        if m.role != "assistant":
            heard += " " + (m.content or "")
        elif called and m.content:
            bad |= atoms(m.content) - atoms(heard)
            bad |= {w.lower() for w in pattern.findall(m.content)} - {
                w.lower() for w in pattern.findall(heard)
            }
    return bad


@each
def test_answers_say_only_what_was_told(name: str, voice: Voice) -> None:
    pattern = words(name)
    # What tools are told before is not what they told: calls are no source of an answer, so results must echo.
    assert [(r.id, bad) for r in many(name, voice) if (bad := ungrounded(r, pattern))] == []


def test_the_checker_sees_inventions() -> None:
    record = next(r for r in many("weather-api", "plain") if r.tags["shape"] == "one_call")
    last = record.messages[-1].content or ""

    def with_last(text: str) -> Record:
        return msgspec.structs.replace(record, messages=[*record.messages[:-1], Message("assistant", text)])

    pattern = words("weather-api")
    assert ungrounded(with_last(last + " And 477 more."), pattern) == {"477"}
    assert ungrounded(with_last(last + " Unlike Casablanca."), pattern) == {"casablanca"}
    assert ungrounded(with_last("At 23:59."), pattern) == {"23:59"}


@pytest.mark.parametrize("name", SETS)
def test_arguments_come_from_the_user_or_a_result(name: str) -> None:
    """Every number and free text of a call was said before; choices (enum, true or false) were said in words."""
    for record in many(name, "persona"):
        heard = ""
        for m in record.messages:
            heard += " " + (m.content or "")
            for call in m.tool_calls:
                for value in values(json.loads(call.function.arguments)):
                    if (
                        isinstance(value, str)
                        and re.search(r"[A-Z0-9]", value)
                        and not re.match(r"\d{4}-", value)
                    ):
                        assert value in heard, (record.id, value)
                    if isinstance(value, int) and value > 9:
                        assert str(value) in heard, (record.id, value)


def values(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from values(inner)
    else:
        yield tree


# -- the same every time, and varied --------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_one_seed_one_set_of_bytes(name: str) -> None:
    encode = msgspec.json.encode
    long = draw(name, 150)
    assert encode(long) == encode(draw(name, 150))
    assert encode(long[:40]) == encode(draw(name, 40))
    other = draw(name, 150, seed=18)
    assert not {encode(r.messages) for r in long} & {encode(r.messages) for r in other}


@each
def test_few_are_near_duplicates(name: str, voice: Voice) -> None:
    found = find_duplicates([r.text for r in many(name, voice)], exact=True, near=Near(jaccard=0.8, ngram=5))
    assert len(found) < 0.005 * 2000  # of 10,000 it must be fewer than 1 %


def test_groups_part_cities() -> None:
    """No split by group can leave a city on both sides."""
    groups: dict[str, str] = {}
    for record in many("weather-api", "persona"):
        if record.tags["shape"] in ("ambiguous_argument", "unknown_value", "no_call", "refusal"):
            continue
        for message in record.messages:
            for call in message.tool_calls:
                if city := json.loads(call.function.arguments).get("city"):
                    assert groups.setdefault(city, record.meta["group"]) == record.meta["group"]
    assert len(set(groups.values())) > 30


# -- what shapes mean -----------------------------------------------------------------------------------


def of(name: str, shape: str) -> list[Record]:
    return [r for r in many(name, "persona") if r.tags["shape"] == shape]


def test_chains_hand_on_what_was_found() -> None:
    for record in of("town-library", "chained_calls"):
        found = json.loads(record.messages[2].content or "")
        assert json.loads(record.messages[3].tool_calls[0].function.arguments)["book_id"] == found["id"]
        assert str(found["id"]) not in (record.messages[0].content or "")


def test_errors_are_told_or_tried_again() -> None:
    again = Counter[int]()
    for record in of("town-library", "tool_error"):
        results = [json.loads(m.content or "") for m in record.messages if m.role == "tool"]
        calls = [m.tool_calls[0].function for m in record.messages if m.tool_calls]
        assert "error" in results[0] and all(c == calls[0] for c in calls)
        again[len(results) + ("error" in results[-1])] += 1
    assert set(again) == {2, 3}  # told at once, or told after a second failure: 2 + 1; mended: 2
    assert min(again.values()) > 10


def test_optional_arguments_are_given_only_when_said() -> None:
    given = Counter[bool]()
    for record in of("weather-api", "one_call"):
        said = (record.messages[0].content or "").lower()
        arguments = json.loads(record.messages[1].tool_calls[0].function.arguments)
        if "city" in arguments:
            assert ("unit" in arguments) == bool(re.search("celsius|centigrade|fahrenheit", said))
            given["unit" in arguments] += 1
    assert min(given.values()) > 50


def test_follow_ups_keep_what_is_not_said_anew() -> None:
    kept = 0
    for record in of("weather-api", "follow_ups"):
        calls = [m.tool_calls[0].function for m in record.messages if m.tool_calls]
        if calls[0].name == "get_forecast":
            first, second = (json.loads(c.arguments) for c in calls[:2])
            said = record.messages[4].content or ""
            assert first != second
            if "unit" in first and not re.search("(?i)celsius|centigrade|fahrenheit", said):
                assert second["unit"] == first["unit"]
                kept += 1
    assert kept > 5


# -- one world ------------------------------------------------------------------------------------------


def turns(record: Record) -> list[tuple[str, list[tuple[str, Any, Any]], str]]:
    """(what the user said, [(tool, arguments, result)], the answer) of each exchange with a call."""
    found: list[tuple[str, list[tuple[str, Any, Any]], str]] = []
    question, calls, results = "", [], []
    for m in record.messages:
        if m.role == "user":
            question, calls, results = m.content or "", [], []
        elif m.role == "tool":
            results.append(json.loads(m.content or ""))
        elif m.tool_calls:
            calls += [(c.function.name, json.loads(c.function.arguments)) for c in m.tool_calls]
        elif calls:
            done = [(*call, result) for call, result in zip(calls, results, strict=True)]
            found.append((question, done, m.content or ""))
    return found


def celsius(degrees: int, unit: str) -> float:
    return degrees if unit == "celsius" else (degrees - 32) / 1.8


@lru_cache
def follow_ups(name: str) -> list[Record]:
    return draw(name, 600, shapes={"follow_ups": 1.0})


def test_other_units_tell_the_same_weather() -> None:
    compared = Counter[str]()
    for record in follow_ups("weather-api"):
        for (_, [(tool, a, one), *_], _), (_, [(_, b, two), *_], _) in itertools.pairwise(turns(record)):
            if tool == "next_appointment" or a["city"] != b["city"]:
                continue
            if tool == "get_current_weather":
                assert {**one, "temperature": 0, "unit": 0} == {**two, "temperature": 0, "unit": 0}
                warm = [celsius(r["temperature"], r["unit"]) for r in (one, two)]
                assert abs(warm[0] - warm[1]) <= 0.5 / 1.8
                compared[f"{one['unit']} {two['unit']}"] += 1
                continue
            for x, y in zip(one["days"], two["days"], strict=False):  # more days begin with the same ones
                assert (x["day"], x["sky"]) == (y["day"], y["sky"])
                for key in ("low", "high"):
                    assert abs(celsius(x[key], one["unit"]) - celsius(y[key], two["unit"])) <= 0.5 / 1.8
            compared["days"] += len(one["days"]) != len(two["days"])
    assert compared["celsius fahrenheit"] > 10 and compared["days"] > 30


# -- answers that answer --------------------------------------------------------------------------------

ASKED = [
    ("get_current_weather", r"humid", ["humidity_percent"]),
    ("get_current_weather", r"\bwindy?\b", ["wind_kmh"]),
    ("get_current_weather", r"(?<!going by the )weather(?! against)|raining|umbrella", ["conditions"]),
    ("next_appointment", r"When|What time", ["day", "time"]),
    ("next_appointment", r"Where", ["city"]),
    ("opening_hours", r"When does|late", ["from", "to"]),
]


@pytest.mark.parametrize("voice", ["persona", "plain"])
def test_answers_tell_what_was_asked_for(voice: Voice) -> None:
    seen = Counter[str]()
    for name in SETS:
        for record in many(name, voice):
            if record.tags["shape"] in ("missing_argument", "ambiguous_argument", "follow_ups"):
                continue
            for question, calls, answer in turns(record):
                for tool, pattern, keys in ASKED:
                    asks = re.search(pattern, question) and all(c[0] == tool for c in calls)
                    if not asks or (re.search("humid|windy", question) and keys == ["conditions"]):
                        continue
                    if "warmer" in question or "hotter" in question:
                        continue
                    for _, _, result in calls:
                        told = [str(result[key]) for key in keys if key in result]
                        seen[pattern] += 1
                        assert all(t.lower() in answer.lower() for t in told), (question, answer)
    assert seen.keys() == {pattern for _, pattern, _ in ASKED}


def test_who_asks_which_is_told_which() -> None:
    seen = 0
    for record in many("weather-api", "plain"):
        for question, calls, answer in turns(record):
            temps = [r.get("temperature") for _, _, r in calls]
            if len(calls) == 2 and re.search("warmer|hotter", question) and None not in temps:
                cities = [a["city"] for _, a, _ in calls]
                seen += 1
                assert all(str(t) in answer for t in temps)
                if temps[0] != temps[1]:
                    more = cities[temps[1] > temps[0]]
                    less = cities[temps[1] < temps[0]]
                    warm = f"{more} is warmer" in answer or f"warmer city is {more}" in answer
                    assert warm or f"{less} is the cooler" in answer
    assert seen > 20


@pytest.mark.parametrize("voice", ["persona", "plain"])
def test_pairs_say_of_each_title_whether_it_is_in(voice: Voice) -> None:
    lent = 0
    for record in many("town-library", voice):
        for _, calls, answer in turns(record):
            if [tool for tool, *_ in calls] != ["find_book", "find_book"]:
                continue
            for _, arguments, result in calls:
                if "error" in result:
                    continue
                assert arguments["title"] in answer
                where = result["location"]["branch"] if result["available"] else result["due_back"]
                assert (
                    where in answer
                    or f"number {result['readers_waiting']}" in answer
                    or (f"with {result['readers_waiting']} in" in answer)
                )
                lent += not result["available"]
    assert lent > 10


def test_chained_forecasts_tell_the_day() -> None:
    seen = 0
    for record in many("weather-api", "persona") + many("weather-api", "plain"):
        for _, calls, answer in turns(record):
            if [tool for tool, *_ in calls] == ["next_appointment", "get_forecast"] and "days" in calls[1][2]:
                day = calls[0][2]["day"]
                assert answer.count(day) == 1 + sum(d["day"] == day for d in calls[1][2]["days"])
                seen += 1
    assert seen > 20


@each
def test_articles_and_numbers_agree(name: str, voice: Voice) -> None:
    skies = "fog|drizzle|rain|snow|showers|thunderstorms"
    wrong = re.compile(
        rf"there are (light |heavy )?(fog|drizzle|rain|snow)\b|over it hang|[Ii]t is \w+( \w+)? skies at|\b[Aa] [aeio]\w+"
        rf"|There is no (The|One|Under|How|My)\b|\bA [AEIO]\w+|(?i:promised (on|{skies}))"
    )
    said = [m.content or "" for r in many(name, voice) for m in r.messages if m.role == "assistant"]
    assert [text for text in said if wrong.search(text)] == []


def test_offered_tools() -> None:
    own = {t.name for t in loaded("weather-api").tools}
    orders, extra = set(), Counter[int]()
    for record in many("weather-api", "persona"):
        names = [t["function"]["name"] for t in record.tools]
        assert len(set(names)) == len(names)
        if record.tags["shape"] == "irrelevant_tools":
            assert names and not own & set(names)
            assert len(record.messages) == 2
        else:
            assert own <= set(names)
            orders.add(tuple(n for n in names if n in own))
            extra[len(names) - len(own)] += 1
    assert len(orders) == 6 and set(extra) == {0, 1, 2, 3}


def test_other_sets_may_distract() -> None:
    with_library = draw("weather-api", 200, others=("town-library",))
    names = {t["function"]["name"] for r in with_library for t in r.tools}
    assert {"find_book", "opening_hours"} <= names
    without = draw("weather-api", 200)
    assert [r.messages for r in with_library] == [r.messages for r in without]
    for (
        record
    ) in with_library:  # another set's tools may come near: only the set's own distractors surely do not fit
        if record.tags["shape"] == "irrelevant_tools":
            assert "find_book" not in {t["function"]["name"] for t in record.tools}


def test_arguments_of_every_kind() -> None:
    calls = [
        json.loads(c.function.arguments)
        for r in many("town-library", "plain")
        for m in r.messages
        for c in m.tool_calls
    ]
    kinds = {type(v) for call in calls for v in values(call)}
    assert kinds == {str, int, bool}
    assert any(len(c.get("topics", [])) == 2 for c in calls) and any(
        "until" in c.get("pickup", {}) for c in calls
    )


def test_shapes_and_apis_that_a_set_lacks_are_refused() -> None:
    with pytest.raises(
        RecipeError, match="no text for the shape 'unknown_place'; it has one_call, two_calls"
    ):
        draw("town-library", 1, shapes={"unknown_place": 1})
    with pytest.raises(
        RecipeError, match=r"tools\.api: .*town-library\.yaml does not say how open-meteo answers its calls"
    ):
        draw("town-library", 1, api="open-meteo", responses="recorded")
