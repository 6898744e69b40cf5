"""Talks: calls that a recorded world answers, a user who goes on, and how the judges of tools see that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.errors import RecipeError
from runner.evaluating import plan as evaluation
from runner.jobs.talking import Talk, rehearsed
from runner.judges.tool_use import Expect
from runner.library import shelf
from runner.load import load_suite
from runner.record import Answer, FunctionCall, Message, Probe, Recorded, Score, ToolCall
from runner.registry import JudgeContext, plugins
from runner.workspace import Workspace

PATH = shelf("evals") / "probes" / "weather-talks.jsonl"
PROBES = [msgspec.json.decode(line, type=Probe) for line in PATH.read_text("utf-8").splitlines()]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
RIGHT = {"name": "get_weather", "arguments": {"city": ["Oslo"]}}


def probe(**more: Any) -> Probe:
    world = [Recorded("get_weather", {"city": "Oslo"}, {"city": "Oslo", "temperature": 14})]
    fields = {"expect": {"calls": [RIGHT]}, "world": world, "tools": [TOOL]}
    return Probe("oslo", [Message("user", "How warm is it in Oslo?")], **fields | more)


def called(*cities: str, name: str = "get_weather") -> Message:
    calls = [
        ToolCall(f"call_{n}", FunctionCall(name, json.dumps({"city": c}))) for n, c in enumerate(cities, 1)
    ]
    return Message("assistant", None, calls)


def words(text: str) -> Message:
    return Message("assistant", text)


def played(asked: Probe, said: list[Message], rounds: int = 4) -> Answer:
    """What comes of a talk in which the model says this, as far as it is asked."""
    talk = Talk(asked, rounds)
    for message in said:
        answer = talk.heard(Answer(asked.id, "tuned", message.content or "", "stop", message))
        if not talk.goes_on(answer):
            return answer
    raise AssertionError("it is asked again, and has nothing more to say")


def judged(asked: Probe, answer: Answer, judge: str = "tool_use", **options: Any) -> dict[str, Score]:
    context = JudgeContext((asked,), (answer,), {}, 1)
    return {s.metric: s for s in plugins("judge")[judge].call(context, **options).scores}


def test_the_world_answers_and_the_model_goes_on() -> None:
    answer = played(probe(), [called("Oslo"), called("Oslo"), words("It is 14 degrees.")])
    assert [m.role for m in answer.talk] == ["assistant", "tool"] * 2
    assert [m.tool_calls[0].id for m in answer.talk[::2]] == ["call00001", "call00002"], (
        "results belong to one call"
    )
    assert [m.tool_call_id for m in answer.talk[1::2]] == ["call00001", "call00002"]
    assert json.loads(answer.talk[1].content or "") == {"city": "Oslo", "temperature": 14}
    assert answer.text == "It is 14 degrees." and len(answer.calls) == 2
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Answer) == answer


def test_a_tool_that_is_declared_is_known_though_nothing_is_recorded_of_it() -> None:
    other = probe(world=[Recorded("get_tide", {"harbour": "Oslo"}, {"time": "17:42"})])
    for name, says in (("get_weather", "has nothing for these arguments"), ("get_moon", "unknown tool")):
        answer = played(other, [called("Oslo", name=name), words("No idea.")])
        assert says in (answer.talk[1].content or "")


@pytest.mark.parametrize(
    "broken",
    [
        Message("assistant", None, [ToolCall("a", FunctionCall("get_weather", "{not JSON"))]),
        Message("assistant", None, [ToolCall("a", FunctionCall("get_weather", "[1]"))]),
    ],
)
def test_a_call_that_no_server_takes_back_ends_the_talk(broken: Message) -> None:
    answer = played(probe(), [broken])
    assert not answer.talk and judged(probe(), answer)["schema_ok"].value == 0


def test_what_ends_a_talk() -> None:
    assert len(played(probe(), [called("Oslo")] * 3, rounds=2).talk) == 4, (
        "whoever goes on calling is stopped"
    )
    assert not played(probe(world=[]), [called("Oslo")]).talk, "without a world a call is the answer"
    two = probe(then=["And now?"], expect={"turns": [[RIGHT], []]})
    assert [m.role for m in played(two, [words("Fine."), words("Still.")]).talk] == ["assistant", "user"]
    assert not played(two, [words("")]).talk, "no template renders a turn in which nothing is said"
    talk = Talk(two, 4)
    for cut in (
        Answer("oslo", "tuned", "x", "length", words("x")),
        Answer("oslo", "tuned", "x", "stop", None, "no JSON"),
        Answer("oslo", "tuned", "", "stop", failed="away"),
    ):
        assert not talk.goes_on(talk.heard(cut))


def test_rounds_count_for_each_turn_of_the_user() -> None:
    two = probe(then=["And now?"], expect={"turns": [[RIGHT], [RIGHT]]})
    said = [called("Oslo"), words("14."), called("Oslo"), words("Still 14.")]
    answer = played(two, said, rounds=1)
    assert [m.role for m in answer.talk] == ["assistant", "tool", "assistant", "user", "assistant", "tool"]
    assert {m: s.value for m, s in judged(two, answer).items()}["right_call"] == 1


# -- how it is judged -------------------------------------------------------------------------------


def test_all_calls_of_a_turn_are_judged_together() -> None:
    scores = judged(probe(), played(probe(), [called("Oslo"), words("14.")]))
    assert {m: s.value for m, s in scores.items()} == dict.fromkeys(scores, 1.0) | {"truncated": 0.0}
    lost = judged(probe(), played(probe(), [called("Bergen"), called("Oslo"), words("14.")]))
    assert lost["ast_match"].value == 0 and "made 2 calls, expected 1" in lost["ast_match"].reason
    assert (lost["reached"].value, lost["finished"].value) == (1, 1), "it got there in the end"
    wrong = judged(probe(), played(probe(), [called("Bergen"), words("14.")]))
    assert wrong["reached"].reason == "did not call get_weather as expected"
    invented = judged(probe(), played(probe(), [called("Oslo", name="look"), called("Oslo"), words("14.")]))
    assert (invented["parse_ok"].value, invented["tool_known"].value, invented["reached"].value) == (1, 0, 1)
    endless = judged(probe(), played(probe(), [called("Oslo")] * 9))
    assert endless["finished"].reason == "it ended with calls, not in words" and endless["reached"].value == 0
    silent = judged(probe(), played(probe(), [called("Oslo"), words(" ")]))
    assert silent["finished"].reason == "it ended with an empty answer"


def test_calls_belong_to_the_turn_that_asked_for_them() -> None:
    two = probe(then=["How warm is it in Oslo, then?"], expect={"turns": [[], [RIGHT]]})
    early = judged(two, played(two, [called("Oslo"), words("14."), words("As I said, 14.")]))
    assert early["ast_match"].reason == "turn 1: made 1 calls, expected 0"
    assert early["reached"].reason == "turn 2: did not call get_weather as expected"
    short = Answer("oslo", "tuned", "x", "stop", words("Hello."))  # as if nobody had gone on
    assert judged(two, short)["finished"].reason == "it ended in turn 1 of 2"
    assert judged(two, short)["ast_match"].reason == "no call was made"
    none = probe(then=["Thanks."], expect={"turns": [[], []]})
    fishy = judged(none, played(none, [words("Hello."), called("Oslo"), words("14.")]))
    assert fishy["no_call"].reason == "called 'get_weather'"


@pytest.mark.parametrize(
    ("expect", "says"),
    [
        ({}, "give calls, or turns"),
        ({"calls": [], "turns": [[]]}, "give calls, or turns"),
        ({"turns": [[], []]}, "has 1 turns here, and calls are told of 2"),
    ],
)
def test_an_expectation_that_fits_no_talk_is_refused(expect: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        judged(probe(expect=expect), Answer("oslo", "tuned", "x", "stop", words("x")))


def test_each_message_is_grounded_in_what_was_told_by_then() -> None:
    two = probe(then=["And in Bergen?"], expect={"turns": [[RIGHT], [RIGHT]]})
    two.world.append(Recorded("get_weather", {"city": "Bergen"}, {"city": "Bergen", "temperature": 9}))
    true = [
        called("Oslo"),
        words("It is 14 degrees in Oslo."),
        called("Bergen"),
        words("9 degrees in Bergen."),
    ]
    early = [words("It is 14 degrees in Oslo."), called("Oslo", "Bergen"), words("9 degrees in Bergen.")]
    scores = judged(two, played(two, true), "groundedness")
    assert (scores["grounded"].value, scores["used_output"].value) == (1, 1), scores
    assert "14" in judged(two, played(two, early), "groundedness")["grounded"].reason
    uncalled = judged(probe(), played(probe(), [words("It is 14 degrees in Oslo.")]), "groundedness")
    assert uncalled["grounded"].value == 0, "right by luck: no tool had said it"
    wordless = judged(probe(), played(probe(), [called("Oslo"), words("")]), "groundedness")
    assert wordless["grounded"].reason == "empty answer"
    stuck = judged(probe(), played(probe(), [called("Oslo")] * 9), "groundedness")
    assert stuck["used_output"].reason == "called get_weather instead of answering"


def test_after_an_error_there_is_nothing_to_tell() -> None:
    gone = probe(world=[Recorded("get_weather", {"city": "Oslo"}, {"error": "station offline"})])
    honest = played(gone, [called("Oslo"), words("The weather station of Oslo does not answer, I am sorry.")])
    lying = played(gone, [called("Oslo"), words("It is 12 degrees in Oslo and sunny.")])
    assert judged(gone, honest, "groundedness")["after_error"].value == 1
    assert judged(gone, lying, "groundedness")["after_error"].value == 0


# -- the suites that come with mirepoix -------------------------------------------------------------


def best(asked: Probe) -> Iterator[Message]:
    """What a model would say that does all as it should: one call after the other, then what came of them."""
    turns = msgspec.convert(asked.expect, Expect).of(asked)
    results = {json.dumps([r.name, r.arguments], sort_keys=True): r.result for r in asked.world}
    for turn in turns:
        told = []
        for call in turn:
            arguments = {k: v[0] for k, v in call.arguments.items() if v[0] != ""}
            yield Message(
                "assistant", None, [ToolCall("call_1", FunctionCall(call.name, json.dumps(arguments)))]
            )
            told.append(results[json.dumps([call.name, arguments], sort_keys=True)])
        yield words(" ".join(filter(None, map(sentence, told))) or "At your service.")


def sentence(result: dict[str, Any]) -> str:
    if "error" in result:
        return "I could not find that out, I am sorry to say."
    if "days" in result:
        mark = {"celsius": "°C", "fahrenheit": "°F"}[result["unit"]]
        said = [f"{d['day']} has {d['low']} to {d['high']} {mark}" for d in result["days"]]
        return f"{result['city']}: {', '.join(said)}."
    if "time" in result:
        return f"High water at {result['harbour']} is at {result['time']}."
    if "temperature" not in result:
        return ""
    mark = {"celsius": "°C", "fahrenheit": "°F"}[result["unit"]]
    where = f" in {result['city']}" if "city" in result else ""
    damp = f", the humidity {result['humidity_percent']}%" if "humidity_percent" in result else ""
    return f"It is {result['temperature']} {mark}{where}, the wind blows at {result['wind_kmh']} km/h{damp}."


@pytest.mark.parametrize("asked", PROBES, ids=lambda p: p.id)
def test_whoever_does_right_scores_full(asked: Probe) -> None:
    said = list(best(asked))
    answer = played(asked, said)
    assert len([m for m in answer.talk if m.role == "assistant"]) == len(said) - 1, "it has said all"
    for judge in ("tool_use", "groundedness"):
        for metric, score in judged(asked, answer, judge).items():
            assert score.value == (0.0 if metric == "truncated" else 1.0), score


@pytest.mark.parametrize("asked", [p for p in PROBES if "-none-" not in p.id], ids=lambda p: p.id)
def test_whoever_calls_nothing_or_says_nothing_true_does_not(asked: Probe) -> None:
    lazy = played(asked, [words("It is 77.7 degrees there, and calm.")] * (1 + len(asked.then)))
    assert judged(asked, lazy)["reached"].value == 0
    assert judged(asked, lazy, "groundedness")["grounded"].value == 0


def test_two_suites_that_ask_the_same_share_one_answer(tmp_path: Path, tiny: Path) -> None:
    suites = ["weather-talks", "weather-told"]
    made = evaluation(str(tiny), suites, tmp_path)
    one, other = (made.step(f"answers.base.{s}").fingerprint for s in suites)
    assert one == other
    assert load_suite("weather-talks", Workspace(tmp_path)).common.rounds == 4
    (tmp_path / "evals/suites").mkdir(parents=True)
    text = (shelf("evals") / "suites/weather-told.yaml").read_text()
    (tmp_path / "evals/suites/weather-told.yaml").write_text(text.replace("rounds: 4", "rounds: 2"))
    made = evaluation(str(tiny), suites, tmp_path)
    one, other = (made.step(f"answers.base.{s}").fingerprint for s in suites)
    assert one != other, "how long a talk may be is a part of what is asked"


def test_a_rehearsed_probe_ends_with_a_result() -> None:
    assert [m.role for m in rehearsed(probe()).messages] == ["user", "assistant", "tool"]
    assert rehearsed(probe(world=[])) == probe(world=[])


# -- the engines ------------------------------------------------------------------------------------


def test_a_model_goes_on_in_batches(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model says nothing that is a call, so its words are put into its mouth: what it reads is real."""
    from runner.jobs import generate as job

    plain = {"id": "plain", "messages": [{"role": "user", "content": "the fox"}]}
    two = msgspec.to_builtins(probe()) | {"id": "two", "then": ["and now"], "expect": {}}
    one = msgspec.to_builtins(probe()) | {"id": "one"}
    rows = [plain, one, two]
    (tmp_path / "probes.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    read: list[list[str]] = []

    def say(loaded: Any, prompts: list[list[int]], most: int, draws: Any = None) -> list[list[int]]:
        texts = [loaded.tokenizer.decode(p) for p in prompts]
        read.append(texts)
        out = []
        for text in texts:
            asked = "Oslo" in text and "temperature" not in text
            said = (
                '<tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>'
                if asked
                else "14"
            )
            out.append([*loaded.tokenizer(said, add_special_tokens=False)["input_ids"], loaded.stops[0]])
        return out

    monkeypatch.setattr(job, "continue_batch", say)
    sets = [
        {
            "arm": "base",
            "probes": str(tmp_path / "probes.jsonl"),
            "out": str(tmp_path / "out/answers.jsonl"),
            "max_new_tokens": 8,
        }
    ]
    job.generate(msgspec.convert({"model": str(tiny), "sets": sets, "batch": 3}, job.GenerateJob))
    lines = (tmp_path / "out/answers.jsonl").read_bytes().splitlines()
    answers = {a.id: a for a in (msgspec.json.decode(x, type=Answer) for x in lines)}
    assert [len(texts) for texts in read] == [3, 2, 1], "only who is not at an end yet goes on"
    assert [len(answers[x].talk) for x in ("plain", "one", "two")] == [0, 2, 4]
    assert answers["one"].raw == answers["two"].raw == "14"


def test_what_outgrows_the_model_is_cut_off(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.jobs import generate as job
    from runner.jobs.job import Job
    from runner.jobs.loading import load

    loaded = load(msgspec.convert({"model": str(tiny)}, Job))
    long = probe(world=[Recorded("get_weather", {"city": "Oslo"}, {"text": "fox " * 5000})])

    def say(loaded: Any, prompts: list[list[int]], most: int, draws: Any = None) -> list[list[int]]:
        said = '<tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>'
        return [
            [*loaded.tokenizer(said, add_special_tokens=False)["input_ids"], loaded.stops[0]] for _ in prompts
        ]

    monkeypatch.setattr(job, "continue_batch", say)
    wanted = job.ProbeSet(arm="base", probes="", out="", max_new_tokens=8)
    (answer,) = job.converse(loaded, wanted, [(long, 0)], [job.encode(loaded, long)], 1)
    assert answer.finish == "length" and judged(long, answer)["truncated"].value == 1


def test_a_world_that_contradicts_itself_is_found_at_check(tmp_path: Path) -> None:
    bad = msgspec.to_builtins(probe())
    bad["world"].append(bad["world"][0] | {"result": 3})
    (tmp_path / "evals/probes").mkdir(parents=True)
    (tmp_path / "evals/suites").mkdir()
    (tmp_path / "evals/probes/bad.jsonl").write_text(json.dumps(bad) + "\n")
    (tmp_path / "evals/suites/bad.yaml").write_text(
        "suite: 1\nname: bad\nprobes: probes/bad.jsonl\njudge: {tool_use: {}}\n"
    )
    with pytest.raises(RecipeError, match=r"bad\.jsonl:1:1: the world of 'oslo' is none: .* two results"):
        load_suite("bad", Workspace(tmp_path))
