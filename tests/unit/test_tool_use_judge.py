"""The judge of tool calls, on answers made by hand: what is right, what is wrong, and in which
words."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RecipeError, StepError
from runner.judges.tool_use import CALL_METRICS, TALK_METRICS, ExpectedCall, match_fault
from runner.judges.tool_use.bfcl import normal, value_fault
from runner.judges.tool_use.schema import schema_fault
from runner.library import shelf
from runner.record import Answer, FunctionCall, Message, Probe, Score, ToolCall, Verdict
from runner.registry import JudgeContext, plugins

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "day": {"type": "string", "enum": ["today", "tomorrow"]},
    },
    "required": ["city", "day"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
ASKED = [Message("user", "Weather in Hannibal today?")]
RIGHT = {"name": "get_weather", "arguments": {"city": ["Hannibal"], "day": ["today"]}}
CALL = Probe("p1", ASKED, TOOLS, {}, {"calls": [RIGHT]})
TALK = Probe("p2", [Message("user", "Hello.")], TOOLS, {}, {"calls": []})


def judge(*answers: Answer, probes: tuple[Probe, ...] = (CALL,)) -> Verdict:
    verdict = plugins("judge")["tool_use"].call(JudgeContext(probes, answers, {}, 0))
    assert isinstance(verdict, Verdict)
    return verdict


def called(*calls: tuple[str, Any], id: str = "p1", finish: Literal["stop", "length"] = "stop") -> Answer:
    made = [
        ToolCall(f"call_{i}", FunctionCall(n, a if isinstance(a, str) else json.dumps(a)))
        for i, (n, a) in enumerate(calls, 1)
    ]
    return Answer(id, "tuned", "raw", finish, Message("assistant", tool_calls=made))


def said(text: str, id: str = "p1") -> Answer:
    return Answer(id, "tuned", text, "stop", Message("assistant", text))


def values(verdict: Verdict) -> dict[str, float | None]:
    return {s.metric: s.value for s in verdict.scores}


# What each of CALL_METRICS is for an answer that stands the first so many questions.
PASSED = {0: (0, 0, 0, 0, 0, 0), 1: (1, 0, 0, 0, 0, 0), 2: (1, 1, 0, 0, 0, 0), 3: (1, 1, 1, 1, 0, 0)}
ASKS = {0: "parse_ok", 1: "tool_known", 2: "schema_ok", 3: "ast_match"}


def reason(verdict: Verdict, metric: str) -> str:
    return next(s.reason for s in verdict.scores if s.metric == metric)


def test_a_right_call() -> None:
    verdict = judge(called(("get_weather", {"city": " hannibal.", "day": "today"})))
    assert [s.metric for s in verdict.scores] == [*CALL_METRICS, "truncated"]
    assert all(s.value == 1.0 and not s.reason for s in verdict.scores[:-1])
    assert values(verdict)["truncated"] == 0.0 and verdict.metrics["truncated"].better == "lower"


W = "get_weather"
GOOD = {"city": "Hannibal", "day": "today"}


@pytest.mark.parametrize(
    ("answer", "passed", "what"),
    [
        (called((W, {"city": "Cairo", "day": "today"})), 3, "arguments.city: 'Cairo' is not Hannibal"),
        (called((W, {"city": "Hannibal", "day": "tomorrow"})), 3, "arguments.day: 'tomorrow' is not today"),
        (
            called((W, {"city": "Hannibal", "day": "Tuesday"})),
            2,
            "arguments.day: 'Tuesday' is not one of today, tomorrow",
        ),
        (called((W, {"city": "Hannibal"})), 2, "arguments.day: is missing"),
        (called((W, {"city": 3, "day": "today"})), 2, "arguments.city: 3 is not of type string"),
        (
            called((W, {"city": "Hannibal", "day": "today", "mood": 1})),
            2,
            "arguments.mood: is not a parameter",
        ),
        (called((W, "{city: Hannibal}")), 2, "arguments: not JSON"),
        (called((W, '{"city": NaN}')), 2, "arguments: not JSON (NaN is not JSON)"),
        (called((W, '["Hannibal", "today"]')), 2, "is not an object"),
        (called((W, "[" * 100_000)), 2, "arguments: not JSON"),
        (called((W, '{"city":' + "[" * 800 + "]" * 800 + ',"day":"today"}')), 2, "arguments"),
        (called(("get_whether", GOOD)), 1, "'get_whether' is not one of get_weather"),
        (said("It is warm."), 1, "no call was made"),
        (called((W, GOOD), (W, GOOD)), 3, "made 2 calls, expected 1"),
        (Answer("p1", "tuned", "<tool_call>{", "stop", None, "no end tag"), 0, "does not parse: no end tag"),
        (called((W, GOOD), finish="length"), 0, "truncated"),
    ],
)
def test_wrong_calls_fail_from_the_first_thing_wrong(answer: Answer, passed: int, what: str) -> None:
    verdict = judge(answer)
    got = values(verdict)
    assert got.pop("truncated") == float(answer.finish == "length")
    assert tuple(got) == CALL_METRICS and tuple(got.values()) == PASSED[passed]
    assert all(bool(s.reason) == (s.value == 0) for s in verdict.scores if s.metric != "truncated")
    assert what in reason(verdict, ASKS[passed])
    assert what in reason(verdict, "right_call")


def test_a_right_call_that_its_schema_refuses() -> None:
    """Some published truths fail their own schema: the two questions are two metrics."""
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": {"enum": ["a"]}}}}}
    ]
    probe = Probe("p1", ASKED, tools, {}, {"calls": [{"name": "f", "arguments": {"x": ["b"]}}]})
    got = values(judge(called(("f", {"x": "b"})), probes=(probe,)))
    assert (got["schema_ok"], got["valid_call"], got["ast_match"], got["right_call"]) == (0, 0, 1, 0)


def test_an_answer_that_never_came_is_missing() -> None:
    dead = Answer("p1", "tuned", "", "stop", failed="the endpoint did not answer")
    for score in judge(dead).scores:
        assert score.value is None and score.reason == "the endpoint did not answer"


def test_no_call_probes_have_their_own_metric() -> None:
    verdict = judge(said("Good day.", "p2"), probes=(TALK,))
    assert verdict.scores[:2] == [Score("p2", "tuned", m, 1.0) for m in TALK_METRICS]
    verdict = judge(called(("get_weather", {}), id="p2"), probes=(TALK,))
    assert values(verdict) == {"irrelevance_ok": 0.0, "no_call": 0.0, "truncated": 0.0}
    assert reason(verdict, "no_call") == "called 'get_weather'"
    for answer, what in [
        (Answer("p2", "tuned", "Well", "length", Message("assistant", "Well")), "truncated"),
        (Answer("p2", "tuned", "<tool_call>", "stop", None, "no end"), "does not parse: no end"),
    ]:
        verdict = judge(answer, probes=(TALK,))
        assert values(verdict)["no_call"] == 0.0 and reason(verdict, "no_call") == what


def test_every_arm_and_probe_is_scored_and_a_missing_answer_is_missing() -> None:
    good = called(("get_weather", {"city": "Hannibal", "day": "today"}))
    base = Answer("p2", "base", "Hello", "stop", Message("assistant", "Hello"))
    verdict = judge(good, base, probes=(CALL, TALK))
    assert verdict.facts == {"call_probes": 1.0, "no_call_probes": 1.0}
    by = {(s.arm, s.metric): s for s in verdict.scores}
    assert len(by) == 2 * (len(CALL_METRICS) + len(TALK_METRICS) + 1)
    assert by["base", "right_call"].value is None and by["base", "right_call"].reason == "no answer"
    assert by["base", "no_call"].value == 1.0
    assert by["tuned", "no_call"].value is None


def test_wrong_probes_and_strange_answers_are_refused() -> None:
    with pytest.raises(StepError, match="'p9', which is no probe"):
        judge(said("x", "p9"))
    bad = Probe("p1", ASKED, TOOLS, {}, {"calls": [{"name": "x"}]})
    worse = Probe("p3", ASKED, TOOLS, {}, {"call": []})
    with pytest.raises(RecipeError) as caught:
        judge(said("x"), probes=(bad, worse))
    assert len(caught.value.problems) == 2
    with pytest.raises(RecipeError, match="two probes have this id"):
        judge(said("x"), probes=(CALL, CALL))


@pytest.mark.parametrize("schema", [{"type": "dict"}, {"$ref": "http://127.0.0.1:9/x.json"}])
def test_a_bad_schema_is_the_probes_fault(schema: dict[str, Any]) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    probe = Probe("p1", ASKED, tools, {}, {"calls": [{"name": "f", "arguments": {}}]})
    with pytest.raises(RecipeError, match=r"not a JSON Schema|refer to"):
        judge(called(("f", {})), probes=(probe,))


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("9" * 400, "arguments: a number too large"),
        ("1e999", "arguments: not JSON (1e999 is too large a number)"),
        ("-1e999", "arguments: not JSON (-1e999 is too large a number)"),
        ("1.25", "arguments.n: 1.25 is not a multiple of 0.5"),
        ("1e300", ""),
    ],
)
def test_a_number_too_large_is_a_fault_of_the_call(number: str, why: str) -> None:
    schema = {"properties": {"n": {"type": "number", "multipleOf": 0.5}}}
    assert schema_fault(FunctionCall("f", f'{{"n": {number}}}'), schema) == why


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ('{"city": "Oslo", "city": "Hannibal", "day": "today"}', "city"),
        ('{"city": "Hannibal", "city": "Hannibal", "day": "today"}', "city"),
        ('{"city": "Hannibal", "day": "today", "at": {"h": 1, "h": 2}}', "h"),
    ],
)
def test_an_argument_that_is_there_twice_is_no_json(arguments: str, name: str) -> None:
    verdict = judge(called(("get_weather", arguments)))
    for metric in ("schema_ok", "valid_call", "ast_match", "right_call"):
        assert values(verdict)[metric] == 0
        assert reason(verdict, metric) == f"arguments: not JSON ('{name}' is there twice)"


def test_half_a_character_can_be_written() -> None:
    text = '{"city": "\\ud800", "day": "today", "\\ud800": 1}'
    for score in judge(called(("get_weather", text))).scores:
        msgspec.json.encode(score)


def test_parallel_calls_match_in_any_order_and_by_matching() -> None:
    # The first call fits both expected ones; taking the first that fits would leave the second call
    # none.
    expected = [ExpectedCall("f", {"x": [1, 2]}), ExpectedCall("f", {"x": [1]})]
    calls = [FunctionCall("f", '{"x": 1}'), FunctionCall("f", '{"x": 2}')]
    assert not match_fault(calls, expected, {})
    assert not match_fault(calls[::-1], expected, {})
    assert "call 2 ('f') matches none" in match_fault([calls[1], calls[1]], expected, {})


def test_bfcl_rules() -> None:
    assert normal("St. Louis") == normal("st louis") == normal(" ST-LOUIS ")
    assert normal("São Paulo") != normal("Sao Paulo") and normal("a\nb") != normal("ab")
    optional = [ExpectedCall("f", {"x": [1], "y": ["", 5]})]
    assert not match_fault([FunctionCall("f", '{"x":1}')], optional, {})
    assert not match_fault([FunctionCall("f", '{"x":1,"y":5}')], optional, {})
    assert "y" in match_fault([FunctionCall("f", '{"x":1,"y":6}')], optional, {})
    needs_y = {"f": {"required": ["y"]}}
    assert match_fault([FunctionCall("f", '{"x":1}')], optional, needs_y) == "arguments.y: is missing"
    only_x = {"f": {"properties": {"x": {"type": "integer"}}}}
    assert "y: was not expected" in match_fault([FunctionCall("f", '{"x":1,"y":5}')], optional, only_x)


INTEGER, NUMBER, STRING = {"type": "integer"}, {"type": "number"}, {"type": "string"}
LIST = {"type": "array", "items": NUMBER}
OBJECT = {"type": "object"}


@pytest.mark.parametrize(
    ("value", "accepted", "schema", "fault"),
    [
        (3, [3], INTEGER, ""),
        (3.0, [3], INTEGER, "not of type integer"),
        (3, [3.0], NUMBER, ""),
        (3, [3], {"type": "float"}, ""),
        (10**400, [3.0], NUMBER, "is not"),
        ("3", [3], INTEGER, "not of type integer"),
        (True, [1], INTEGER, "not of type integer"),
        (1, [True], {"type": "boolean"}, "not of type boolean"),
        (None, [None], STRING, ""),
        (None, ["x"], STRING, "not of type string"),
        (None, ["x"], {"type": ["string", "null"]}, "not of type string"),
        ("a b", ["A-B", "c"], STRING, ""),
        ("", ["", "c"], STRING, ""),
        ([1.5], [[1.5]], LIST, ""),
        ([2], [[2.0]], LIST, "hold values of type number"),
        (["A b"], [["a.b"]], {"type": "array", "items": STRING}, ""),
        (["b", "a"], [["a", "b"]], {"type": "array", "items": STRING}, "is not"),
        ([], ["", ["a"]], {"type": "array", "items": STRING}, ""),
        ({"k": "V"}, [{"k": ["v", "w"], "more": ["", 1]}], OBJECT, ""),
        ({"k": "v", "z": 1}, [{"k": ["v"]}], OBJECT, "is not"),
        ({}, [{"k": ["v"]}], OBJECT, "is not"),
        ({"k": {"l": "V"}}, [{"k": [{"l": ["v"]}]}], OBJECT, ""),
        ({"k": {"l": "V"}}, [{"k": [{"l": ["w"]}]}], OBJECT, "is not"),
        ({"k": [{"l": 1}]}, [{"k": [[{"l": [1, 2]}]]}], OBJECT, ""),
        ([{"k": 1}, {"k": 2}], [[{"k": [1]}, {"k": [2]}]], {"type": "array", "items": OBJECT}, ""),
        ([{"k": 2}, {"k": 1}], [[{"k": [1]}, {"k": [2]}]], {"type": "array", "items": OBJECT}, "is not"),
        ([{"k": 1}], [[{"k": [1]}]], {"type": "array"}, ""),
        ("x", ["x"], {"enum": ["x", "y"]}, ""),
        (2, [1.5, 2.0], {"anyOf": [NUMBER, STRING]}, ""),
    ],
)
def test_values_by_bfcls_rules(value: Any, accepted: list[Any], schema: dict[str, Any], fault: str) -> None:
    said = value_fault(value, accepted, schema)
    assert fault in said if fault else not said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(name=st.sampled_from(["get_weather", "x"]) | st.text(), arguments=st.text() | JSON)
def test_any_call_gets_writable_scores(name: str, arguments: Any) -> None:
    verdict = judge(called((name, arguments)))
    got = values(verdict)
    assert len(got) == 7
    assert got["parse_ok"] >= got["tool_known"] >= got["schema_ok"] >= got["right_call"]  # type: ignore[operator]
    assert got["tool_known"] >= got["ast_match"] >= got["right_call"]  # type: ignore[operator]
    msgspec.json.encode(verdict)


@given(city=st.text(), day=st.sampled_from(["today", "tomorrow"]))
def test_right_exactly_when_the_same(city: str, day: str) -> None:
    got = values(judge(called(("get_weather", {"city": city, "day": day}))))
    assert got["valid_call"] == 1.0
    assert got["right_call"] == float(normal(city) == "hannibal" and day == "today")


@given(value=JSON.filter(lambda v: "{" not in repr(v)))
def test_no_value_is_anothers_by_accident(value: Any) -> None:
    """Objects apart: an accepted one holds alternatives for its keys, so it does not accept itself."""
    assert not value_fault(value, [value], {})
    assert value_fault([value], [value], {}) and value_fault(value, [[value]], {})


def test_shipped_probes_accept_their_own_truth() -> None:
    path = shelf("evals") / "probes" / "weather-calls.jsonl"
    probes = tuple(msgspec.json.decode(line, type=Probe) for line in path.read_text("utf-8").splitlines())
    answers = []
    for probe in probes:
        truth = [(c["name"], {k: v[0] for k, v in c["arguments"].items()}) for c in probe.expect["calls"]]
        answers.append(called(*truth, id=probe.id) if truth else said("Well.", probe.id))
    verdict = judge(*answers, probes=probes)
    assert len(verdict.scores) == 52 * 7 + 10 * 3
    assert all(s.value == 1.0 for s in verdict.scores if s.metric != "truncated")
