"""What is wrong with a tool set is told whole, with its places; the example of the documentation is right."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped,unused-ignore]

from runner.contract import broken
from runner.errors import RecipeError
from runner.fetching import InputFile
from runner.record import Record
from runner.registry import SourceContext, plugins
from runner.toolset import ToolSet, load_toolset
from runner.toolset.cast import WEIGHTS
from runner.yaml12 import dump, parse

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tool-sets.md"
EXAMPLE = next(
    text
    for text in re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    if "toolset: 2" in text
)


def load(tmp_path: Path, text: str) -> ToolSet:
    path = tmp_path / "bakery.yaml"
    path.write_text(text, encoding="utf-8")
    found = load_toolset(path, "bakery.yaml")
    assert isinstance(found, ToolSet)
    return found


def told(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text)
    assert all(p.line and p.column for p in caught.value.problems)
    return [f"{p.where}: {p.what}" for p in caught.value.problems]


def changed(change: Callable[[Any], object]) -> str:
    data = copy.deepcopy(parse(EXAMPLE, "x").data)
    change(data)
    return dump(data)


def test_the_documented_example_draws_conversations(tmp_path: Path) -> None:
    path = tmp_path / "bakery.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    file = InputFile("datasets/tools/bakery.yaml", path, "0" * 64)
    context = SourceContext("bakery", 1, {"set": (file,)}, "")
    records = list(plugins("source")["tools"].call(context, set="bakery", conversations=400))
    assert {r.tags["shape"] for r in records} == set(WEIGHTS) - {"chained_calls", "ambiguous_argument"}
    assert all(isinstance(r, Record) and broken(r) is None for r in records)


def test_every_mistake_of_types_is_told_at_once(tmp_path: Path) -> None:
    def many(d: Any) -> None:
        d["values"]["bread"] = "rye"
        d["tools"][0]["questions"][1] = 7
        d["tools"][0]["quesions"] = []
        del d["tools"][1]["outcomes"]
        d["tools"][1]["weight"] = 0
        d["failures"]["oven_out"]["result"] = {}
        d["ask"]["bread"]["replies"] = []
        d["name"] = "Bakery!"
        d["tools"][0]["definition"]["type"] = "tool"

    found = told(tmp_path, changed(many))
    wheres = [t.split(":")[0] for t in found]
    wanted = "name values.bread tools[0].questions[1] tools[0].quesions tools[1] tools[1].weight "
    wanted += "tools[0].definition.type failures.oven_out.result ask.bread.replies"
    assert sorted(wheres) == sorted(wanted.split())
    assert "tools[1]: needs 'outcomes'" in found
    assert "ask.bread.replies: needs at least 1, has 0" in found
    assert any(
        t.startswith("tools[0].quesions: unknown key; there are definition, outcomes, questions")
        for t in found
    )


def test_places_are_those_of_the_file(tmp_path: Path) -> None:
    text = EXAMPLE.replace('"And a {bread}?"', '"And then?"').replace("differ: bread", "differ: loaf")
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text)
    lines = text.splitlines()
    for problem in caught.value.problems:
        assert re.match(r"\"And then|loaf", lines[problem.line - 1][problem.column - 1 :])
    assert len(caught.value.problems) == 2


def put(*path: Any) -> Callable[[Any], None]:
    """A change that sets what all but the last of `path` lead to, to the last."""

    def change(data: Any) -> None:
        *way, key, value = path
        for step in way:
            data = data[step]
        data[key] = value

    return change


def chosen_by_retold(data: Any) -> None:
    data["tools"][1]["retell"] = ["sliced"]
    data["tools"][1]["outcomes"].append({**data["tools"][1]["outcomes"][0], "when": {"sliced": [True]}})


CASES: list[tuple[Callable[[Any], object], str]] = [
    (put("values", "count", {"ways": [[1]]}), "values.count.ways[0]: must be a value and at least one text"),
    (put("values", "count", {"one_of": [1], "like": "day"}), "values.count: needs exactly one of"),
    (put("values", "count", {}), "has none"),
    (put("values", "bread", ["rye", "rye"]), "values.bread: 'rye' stands here twice"),
    (put("values", "day", {"dates": {"first": "2026-13-01", "last": "2026-12-31"}}), "no date"),
    (put("values", "day", {"dates": {"first": "2026-12-01", "last": "2026-11-30"}}), "comes after"),
    (put("values", "oddity", {"joined": ["{oddity}"]}), "values.oddity: holds itself"),
    (put("values", "oddity", {"joined": ["{stat}"]}), "values.oddity.joined[0]: no values 'stat'"),
    (put("values", "oddity", {"like": "stat"}), "values.oddity.like: no values 'stat'"),
    (put("values", "count", {"between": {"min": 3, "max": 1}}), "min 3 is above max 1"),
    (put("values", "count", {"between": {"min": 0, "max": 1, "step": 0}}), "step must be above 0"),
    (put("values", "count", ["many"]), "tools[1].arguments.item.count: the schema does not allow 'many'"),
    (put("phrases", "why", ["{why}"]), "phrases.why: holds itself"),
    (put("phrases", "bread", ["x"]), "phrases.bread: 'bread' is also a value"),
    (put("phrases", "bye", "plain", ["Bye 4 now."]), "phrases.bye.plain[0]: the assistant's numbers come from slots"),
    (put("group_by", "day"), "group_by: must name values that are a list of at least 4"),
    (put("tools", 0, "questions", 0, "How much?"), "tools[0].questions[0]: needs {bread}"),
    (put("tools", 0, "questions", 0, "{bread} {moon}"), "tools[0].questions[0]: nothing fills {moon}"),
    (put("tools", 0, "open_questions", ["A {bread}?"]), "open_questions[0]: leaves nothing to be asked for"),
    (put("tools", 0, "answers", "plain", ["{moon}"]), "plain[0]: can never be said: nothing fills {moon}"),
    (put("tools", 0, "answers", "plain", ["A {brea} is {price}."]), "can never be said: nothing fills {brea}; did you mean {bread}?"),
    (put("tools", 1, "answers", "plain", ["{sliced}: {order}."]), "has no text where only this is known: bread, count, day, order"),
    (put("tools", 0, "asks", ["prise"]), "tools[0].asks[0]: no result has 'prise'; did you mean 'price'?"),
    (put("tools", 0, "questions", 0, {"say": "A {bread}?", "asks": ["oven"]}), "tools[0].questions[0].asks[0]: no result has 'oven'"),
    (put("tools", 0, "questions", 0, {"say": "A {loaf}?", "asks": []}), "tools[0].questions[0].say: nothing fills {loaf}"),
    (put("tools", 0, "questions", 0, {"say": "Is a {bread} fresh?", "asks": ["fresh"]}), "tools[0].answers.plain: no answer tells fresh, which a question asks for"),
    (put("tools", 0, "pairs", "asks", ["fresh"]), "tools[0].pairs.answers.plain: no answer tells fresh, fresh_2"),
    (put("tools", 0, "outcomes", 0, "tells", ["fresh"]), "tools[0].outcomes[0].tells: is for an outcome with `answers` of its own"),
    (put("tools", 0, "outcomes", 0, "tells", ["oven"]), "tools[0].outcomes[0].tells[0]: the result has no 'oven'"),
    (put("tools", 0, "outcomes", 0, "short", {"persona": ["{moon}"], "plain": ["{price}"]}), "tools[0].outcomes[0].short.persona[0]: can never be said"),
    (put("tools", 0, "retell", ["loaf"]), "tools[0].retell[0]: is no argument of the tool"),
    (chosen_by_retold, "tools[1].retell[0]: chooses an outcome (`when`)"),
    (put("tools", 0, "outcomes", 0, "draw", "price", {"between": {"min": 1, "max": 2, "told": {"coin": {"euro": {"times": 2}}}}}), "told.coin: is no argument of the tool"),
    (put("tools", 1, "outcomes", 0, "draw", "order", {"between": {"min": 1, "max": 2, "told": {"sliced": {"thick": {"times": 2}}}}}), "told.sliced.thick: values.sliced are never 'thick', but True, False"),
    (put("tools", 1, "outcomes", 0, "draw", "order", {"between": {"min": 1, "max": 2, "told": {"sliced": {"True": {"times": 0}}}}}), "Expected `float` > 0.0"),
    (put("values", "count", {"between": {"min": 1, "max": 2, "told": {"sliced": {"True": {"times": 2}}}}}), "only results are told in another measure"),
    (put("values", "day", {"dates": {"first": "2026-01-01", "last": "2026-12-31", "say": ["{iso}", "{month} {day}"]}}), "values.day.dates.say[1]: leaves out {year}: nobody could tell which date is meant"),
    (put("values", "day", {"dates": {"first": "2026-01-01", "last": "2026-12-31", "say": ["{month} {year}"]}}), "leaves out {day}"),
    (put("which", {"ask": {"persona": ["{options}?"], "plain": ["{options}?"]}, "replies": ["{chosen}."], "cases": [{"argument": "bread", "said": "the dark one", "means": ["rye loaf", "zed"]}]}), "which.cases[0].means[1]: 'zed' is none of values.bread"),
    (put("tools", 0, "answers", "plain", ["A {bread}."]), "must carry at least one of fresh, price"),
    (put("tools", 0, "answers", "plain", ["{price}, or 3."]), "numbers come from slots"),
    (put("tools", 1, "outcomes", 0, "result", {"order": "ordr"}), "'ordr' is neither drawn nor an argument"),
    (put("tools", 1, "outcomes", 0, "when", {"sliced": [True]}), "tools[1].outcomes: none is for {'sliced': False}"),
    (put("tools", 1, "arguments", {"item": {"bread": "bread"}, "day": "day"}), "tools[1].questions[0]: makes a call that the schema refuses: 'count'"),
    (put("tools", 1, "arguments", "item", "loaf", "bread"), "'bread' stands here twice"),
    (put("tools", 1, "arguments", {"item": {"bread": "bread", "count": "count"}}), "nothing gives the required 'day'"),
    (put("tools", 0, "pairs", "compare", "fresh"), "'fresh' is not a number in every outcome"),
    (put("tools", 0, "pairs", "questions", ["A {bread}?"]), "tools[0].pairs.questions[0]: needs {bread_2}"),
    (put("tools", 0, "pairs", "answers", "plain", ["{More}: {price}."]), "needs a text for a tie in 'price', where {more} and {less} say nothing, with only: bread, bread_2"),
    (put("tools", 0, "definition", "function", "parameters", {"type": "dict"}), "not a JSON Schema"),
    (put("tools", 0, "definition", "function", "name", "play_music"), "distractors[0]: 'play_music' is there twice"),
    (put("failures", {"oven_out": {"result": {"e": 1}, "answers": {"persona": ["No."], "plain": ["No."]}}}), "needs the failure `unknown`"),
    (put("failures", "oven_out", "answers", "plain", ["No {bread}."]), "failures.oven_out.answers.plain: has no text"),
    (put("ask", {}), "tools[0].open_questions[0]: ask.bread must say how to ask"),
    (put("openers", ["My {bread}."]), "openers[0]: {bread} is a tool's argument"),
    (put("direct", 0, "plain", ["My {day}."]), "direct[0].plain[0]: can never be said: nothing fills {day}"),
    (
        put("chains", [{"first": "get_price", "then": "place_order", "give": {"bread": "fresher"}, "questions": ["{bread}"],
             "answers": {"persona": ["{order}"], "plain": ["{order}"]}}]),
        "chains[0].give.bread: get_price never returns 'fresher'",
    ),
    (put("services", {"teacher": {}}), "services.teacher: no such service; there are open-meteo, openweathermap"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), CASES, ids=[what for _, what in CASES])
def test_mistakes(tmp_path: Path, change: Callable[[Any], object], what: str) -> None:
    found = told(tmp_path, changed(change))
    assert any(what in t for t in found), found


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        (
            put("tools", 1, "questions", 0, "Bake {count} times {bread}, {sliced}, for {dya}."),
            ["tools[1].questions[0]: nothing fills {dya}; did you mean {day}?"],
        ),
        (
            put("tools", 0, "outcomes", 0, "draw", {"prize": {"between": {"min": 1, "max": 9}}}),
            [
                "tools[0].answers.persona[0]: can never be said: nothing fills {price}; did you mean {prize}?",
                "tools[0].answers.plain[0]: can never be said: nothing fills {price}; did you mean {prize}?",
                "tools[0].asks[0]: no result has 'price'; did you mean 'prize'?",
                "tools[0].pairs.compare: 'price' is not a number in every outcome; did you mean 'prize'?",
            ],
        ),
        (
            put("chains", [{"first": "get_price", "then": "place_order", "give": {"bread": "fresher"},
                            "questions": ["What does a {guest} pay? Then {count} for {day}."],
                            "answers": {"persona": ["{order}"], "plain": ["{order}"]}}]),
            ["chains[0].give.bread: get_price never returns 'fresher'; did you mean 'fresh'?"],
        ),
    ],
)  # fmt: skip
def test_one_mistake_is_told_once_and_what_was_meant(
    tmp_path: Path, change: Callable[[Any], object], whole: list[str]
) -> None:
    found = told(tmp_path, changed(change))
    assert sorted(found) == sorted(whole)


def test_mistakes_of_all_kinds_are_told_at_once(tmp_path: Path) -> None:
    """A value, a tool whose calls cannot be made, another tool's texts, a failure: none hides the others."""

    def many(d: Any) -> None:
        d["values"]["guest"] = {}
        d["tools"][1]["arguments"]["item"]["bread"] = "loaf"
        d["tools"][0]["questions"][0] = "How much?"
        d["failures"]["oven_out"]["answers"]["plain"] = ["{moon}"]

    wheres = [t.split(":")[0] for t in told(tmp_path, changed(many))]
    wanted = "values.guest tools[0].questions[0] tools[1].arguments failures.oven_out.answers.plain[0]"
    assert sorted(set(wheres)) == sorted(wanted.split())


def asked(**step: Any) -> str:
    whole = {"at": "open_meteo_url", "path": "/v1/x", "query": {"q": "{bread}"}, "otherwise": "unknown"}
    whole |= {"take": {"price": {"path": "a.b[0]"}}} | step
    return changed(put("services", {"open-meteo": {"get_price": {"steps": [whole]}}}))


def test_services_reach_only_their_own_addresses(tmp_path: Path) -> None:
    load(tmp_path, asked())
    known = "must be one of open_meteo_url, open_meteo_geocoding_url"
    place = "services.open-meteo.get_price.steps[0]"
    assert told(tmp_path, asked(at="teacher_url")) == [f"{place}.at: {known}"]
    assert told(tmp_path, asked(at="http://10.0.0.1")) == [f"{place}.at: {known}"]
    for path in ("//10.0.0.1/x", "/../x", "/x?y", "/{bread}", "x", "/a/%2e%2e/b", "@10.0.0.1/"):
        assert f"{place}.path" in told(tmp_path, asked(path=path))[0]
    assert "nothing surely fills {count}" in told(tmp_path, asked(query={"q": "{count}"}))[0]
    assert told(tmp_path, asked(take={})) == [
        "services.open-meteo.get_price: takes no 'price', which the tool's results have"
    ]
    assert "no table 'wmo'" in told(tmp_path, asked(take={"price": {"path": "a", "table": "wmo"}}))[0]
    assert told(tmp_path, asked(otherwise="oven")) == [f"{place}.otherwise: no failure 'oven'"]


def test_a_file_of_hostile_size_is_refused(tmp_path: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(10))}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "aliases expand to too much" in told(tmp_path, bomb)[0]
    text = changed(put("tools", 0, "questions", ["{bread}" + " x" * 2000]))
    assert "length" in told(tmp_path, text)[0]
    assert yaml.safe_load(EXAMPLE)["name"] == "bakery"  # plain YAML to other readers, too
