"""Probes that no judge could judge, or no answer satisfy, are refused at their line before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.errors import RecipeError
from runner.load import load_suite
from runner.probechecks import counted
from runner.record import Answer, FunctionCall, Message, Probe, ToolCall
from runner.registry import JudgeContext, plugins
from runner.workspace import Workspace

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(parameters: Any = CITY) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "w", "parameters": parameters}}]


def call(name: str = "w", **arguments: Any) -> dict[str, Any]:
    return {"calls": [{"name": name, "arguments": arguments}]}


def wrong(folder: Path, judge: str, *probes: dict[str, Any]) -> list[str]:
    for part in ("suites", "probes"):
        (folder / "evals" / part).mkdir(parents=True, exist_ok=True)
    asked = [
        {"id": f"p{n}", "messages": [{"role": "user", "content": "?"}], **p} for n, p in enumerate(probes, 1)
    ]
    (folder / "evals/probes/few.jsonl").write_text("".join(json.dumps(p) + "\n" for p in asked))
    (folder / "evals/suites/few.yaml").write_text(
        f"suite: 1\nname: few\nprobes: probes/few.jsonl\njudge: {{{judge}}}\n"
    )
    try:
        load_suite("few", Workspace(folder))
    except RecipeError as e:
        return str(e).splitlines()
    return []


@pytest.mark.parametrize(
    ("probe", "what"),
    [
        ({"tools": tool(), "expect": {"callz": []}}, "expect: Object contains unknown field `callz`"),
        ({"tools": tool(), "expect": {}}, "give calls, or turns with the calls of each"),
        ({"tools": [{"type": "function"}], "expect": {"calls": []}}, "a tool is not of the form"),
        ({"tools": tool({"type": "strin"}), "expect": {"calls": []}}, "w are not a JSON Schema"),
        ({"tools": tool([]), "expect": {"calls": []}}, "w are not a JSON Schema, which is an object"),
        ({"tools": tool({"properties": {"c": {"pattern": "(?=a)"}}}), "expect": {"calls": []}}, "'(?=a)' cannot be used"),
        ({"tools": tool({"properties": {"c": {"$ref": "#/$defs/x"}}}), "expect": {"calls": []}}, "refer to '/$defs/x'"),
        ({"tools": tool(), "expect": call(city="Oslo")}, "expect: Expected `array`, got `str`"),
        ({"tools": tool(), "expect": call(city=[])}, "w: no value of city is right"),
        ({"tools": tool(), "expect": call("q", city=["Oslo"])}, "a call of q is expected, which is none of the probe's tools (w)"),
        ({"tools": tool(), "expect": call(city=["Oslo"], day=[1])}, "w has no parameter day"),
        ({"tools": tool(), "expect": call()}, "w requires city, of which no value is expected"),
    ],
)  # fmt: skip
def test_what_tool_use_cannot_judge(tmp_path: Path, probe: dict[str, Any], what: str) -> None:
    fine = {"tools": tool(), "expect": call(city=["Oslo"])}
    (said,) = wrong(tmp_path, "tool_use: {}", fine, probe, fine)
    assert said.startswith("evals/probes/few.jsonl:2:1: probe 'p2': ") and what in said
    # The judge itself goes by the same.
    asked = Probe("p", [Message("user", "?")], probe["tools"], {}, probe["expect"])
    with pytest.raises(RecipeError):
        plugins("judge")["tool_use"].call(JudgeContext((asked,), (Answer("p", "tuned", "", "stop"),), {}, 0))


@pytest.mark.parametrize(
    ("parameters", "expect"),
    [
        (CITY, call(city=["Oslo"], day=["", 1])),  # it may be left out
        ({**CITY, "additionalProperties": True}, call(city=["Oslo"], day=[1])),
        ({"type": "object"}, call(day=[1])),
        ({"properties": {"pattern": {"type": "string"}, "$ref": {"enum": [{"pattern": "(?=a)"}]}}}, call()),
        ({"$defs": {"x": {"type": "string"}}, "properties": {"c": {"$ref": "#/$defs/x"}}}, call(c=["a"])),
    ],
)
def test_what_tool_use_can_judge(tmp_path: Path, parameters: Any, expect: dict[str, Any]) -> None:
    assert wrong(tmp_path, "tool_use: {}", {"tools": tool(parameters), "expect": expect}) == []
    # And an answer that does as expected is right.
    made = {
        k: next(v for v in values if v)
        for k, values in expect["calls"][0]["arguments"].items()
        if "" not in values
    }
    message = Message("assistant", None, [ToolCall("c", FunctionCall("w", json.dumps(made)))])
    asked = Probe("p", [Message("user", "?")], tool(parameters), {}, expect)
    answer = Answer("p", "tuned", "", "stop", message)
    verdict = plugins("judge")["tool_use"].call(JudgeContext((asked,), (answer,), {}, 0))
    assert {s.metric: s.value for s in verdict.scores}["right_call"] == 1.0


@pytest.mark.parametrize(
    ("judge", "probe", "what"),
    [
        ("refusal: {}", {"expect": {"refuse": "yes"}}, "give {\"refuse\": true} or false"),
        ("groundedness: {}", {"expect": {"tell": []}}, "unknown field `tell`"),
        ("style: {texts: probes/style-texts.jsonl}", {"expect": {"required": ["..."]}}, "a fact without a word"),
        ("privacy_leaks: {}", {"tools": [{"type": "function"}]}, "a tool is not of the form"),
    ],
)  # fmt: skip
def test_what_other_judges_cannot_judge(tmp_path: Path, judge: str, probe: dict[str, Any], what: str) -> None:
    (said,) = wrong(tmp_path, judge, probe)
    assert said.startswith("evals/probes/few.jsonl:1:1: ") and what in said


@pytest.mark.parametrize(
    "judge", ["style: {texts: probes/mine.jsonl}", "refusal: {labelled: probes/mine.jsonl}"]
)
def test_files_that_judges_are_made_of(tmp_path: Path, judge: str) -> None:
    (tmp_path / "evals/probes").mkdir(parents=True)
    good = {"text": "No.", "label": "refusal"} | ({"group": "g"} if "style" in judge else {})
    (tmp_path / "evals/probes/mine.jsonl").write_text(
        f"{json.dumps(good)}\n{json.dumps({k: v for k, v in good.items() if k != 'text'})}\n"
    )
    (said,) = wrong(tmp_path, judge, {"expect": {"refuse": True} if "refusal" in judge else {}})
    assert said.startswith("evals/probes/mine.jsonl:2:1: ") and "missing required field `text`" in said


def groups(suite: str) -> dict[str, int]:
    found = [one.wanted.group for one in counted(load_suite(suite, Workspace(Path())), Workspace(Path()))]
    return {name: found.count(name) for name in dict.fromkeys(found)}


def test_in_which_metrics_probes_count() -> None:
    assert groups("tool-use") == {"call": 52, "no call": 10}
    assert groups("safety") == {"harmful": 40, "harmless": 44}
    assert groups("weather-answers") == {"after a result": 24, "after an error": 5}
    assert groups("toxicity") == {"": 37}
    talks = counted(load_suite("weather-talks", Workspace(Path())), Workspace(Path()))
    assert [sum(c.wanted.counts(m) for c in talks) for m in ("right_call", "no_call", "reached")] == [
        25,
        3,
        28,
    ]


def test_a_task_file_with_code_is_refused(tmp_path: Path) -> None:
    for part in ("suites", "tasks"):
        (tmp_path / "evals" / part).mkdir(parents=True)
    (tmp_path / "evals/tasks/evil.yaml").write_text("dataset_path: json\ndoc_to_text: !function utils.x\n")
    (tmp_path / "evals/suites/few.yaml").write_text("suite: 1\nname: few\nlm_eval: {tasks: [evil]}\n")
    with pytest.raises(RecipeError, match=r"evil\.yaml:2:14: doc_to_text: tag !function is not allowed"):
        load_suite("few", Workspace(tmp_path))


@pytest.mark.parametrize(
    ("probe", "what"),
    [
        ({"then": ["And now?", " "], "expect": {"turns": [[], [], []]}}, "a turn of `then` says nothing"),
        ({"tools": tool(), "world": [{"name": "v", "arguments": {}, "result": 1}]}, "records the tool 'v', which it has not"),
        ({"world": [{"name": "w", "arguments": {}, "result": 1}]}, "records the tool 'w', which it has not"),
        ({"messages": [{"role": "assistant", "content": "Well?"}]}, "asks nothing: its last message is the assistant's"),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, "asks nothing: its last message is the system's"),
    ],
)  # fmt: skip
def test_talks_that_nobody_could_have(tmp_path: Path, probe: dict[str, Any], what: str) -> None:
    (said,) = wrong(tmp_path, "tool_use: {}", {"expect": {"calls": []}} | probe)
    assert said.startswith("evals/probes/few.jsonl:1:1: probe 'p1'") and what in said
