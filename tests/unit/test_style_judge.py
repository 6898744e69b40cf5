"""The style judge on a small made-up voice: what it hears, what it must not be fooled by."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

from runner.errors import StepError
from runner.judges.style import flatten, spoken, style, unfit
from runner.record import Answer, FunctionCall, Message, ToolCall, Verdict
from runner.registry import InputFile, JudgeContext

TOPICS = ["bread", "rivers", "cats", "mules", "letters", "stoves", "clocks", "boats"]
VOICE = [
    "Well, I reckon {t} ain't so hard if you ain't in a hurry, and I never was in one yet.",
    "I knowed a man who warn't afraid of {t}, and we buried him directly, so to speak.",
    "I don't say {t} is sinful, but I've been at it myself and I warn't no better for it.",
    "It ain't the {t} I mind so much as the folks that's always a-telling me about it.",
]
PLAIN = [
    "The care of {t} requires regular attention and the appropriate equipment at each stage.",
    "Experts recommend that {t} should be inspected annually by a qualified professional.",
    "There are several important factors which influence the quality of {t} over time.",
    "In general, {t} can be maintained by following the instructions of the manufacturer.",
]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> InputFile:
    rows = [
        {"text": line.format(t=topic), "label": label, "group": topic, "kind": "test"}
        for topic in TOPICS
        for label, lines in (("persona", VOICE), ("plain", PLAIN))
        for line in lines
    ]
    random.Random(1).shuffle(rows)
    return write(tmp_path_factory.mktemp("style") / "texts.jsonl", rows)


def write(path: Path, rows: list[dict[str, str]]) -> InputFile:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return InputFile(f"evals/probes/{path.name}", path, hashlib.sha256(path.read_bytes()).hexdigest())


def judged(texts: InputFile, *said: str | Answer) -> Verdict:
    answers = tuple(
        s if isinstance(s, Answer) else Answer(f"a{i}", "tuned", s, "stop", Message("assistant", s))
        for i, s in enumerate(said)
    )
    context = JudgeContext((), answers, {"texts": (texts,)}, seed=1)
    verdict = style(context, texts=texts.name)
    assert isinstance(verdict, Verdict)
    return verdict


def persona(verdict: Verdict) -> list[float | None]:
    return [s.value for s in verdict.scores if s.metric == "persona"]


LIKE = "I reckon hats ain't so hard, and I never knowed a man who warn't in a hurry to lose one."
UNLIKE = "Experts recommend that hats should be maintained by following the important instructions."


def test_hears_the_voice_on_a_new_topic(texts: InputFile) -> None:
    verdict = judged(texts, LIKE, UNLIKE)
    assert persona(verdict) == [1.0, 0.0]
    assert verdict.facts["classifier.n"] == 64
    assert verdict.facts["classifier.accuracy"] > 0.9 and verdict.facts["classifier.auc"] > 0.9
    assert {s.metric for s in verdict.scores} == {"persona", "persona_probability"}


def test_same_bytes_twice_and_no_company_matters(texts: InputFile) -> None:
    first, second = judged(texts, LIKE, UNLIKE), judged(texts, LIKE, UNLIKE)
    assert first == second
    assert judged(texts, LIKE).scores == first.scores[:2]


def test_labels_by_chance_are_measured_as_chance(tmp_path: Path) -> None:
    dice = random.Random(3)
    rows = [
        {"text": line.format(t=t), "label": dice.choice(["persona", "plain"]), "group": t}
        for t in TOPICS
        for line in VOICE + PLAIN
    ]
    facts = judged(write(tmp_path / "chance.jsonl", rows)).facts
    assert facts["classifier.accuracy"] < 0.7 and 0.2 < facts["classifier.auc"] < 0.8


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "empty answer"),
        ("  \n ", "empty answer"),
        ("!!! ... ---", "empty answer"),
        ("I reckon so.", "too short to judge"),
        ("ain't " * 40, "repeats its words"),
        ("reckon reckon reckon reckon", "repeats its words"),
        (LIKE + " " + LIKE + " " + LIKE, "repeats its sentences"),
        ("I reckon it ain't. " * 30, "repeats its words"),
    ],
)
def test_degenerate_answers_never_pass(texts: InputFile, said: str, reason: str) -> None:
    verdict = judged(texts, said)
    assert [(s.value, s.reason) for s in verdict.scores] == [(0.0, reason)] * 2


def test_real_prose_is_not_degenerate() -> None:
    line = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the"
    assert not unfit(line + " age of foolishness, it was the epoch of belief, it was the epoch of doubt")
    assert not unfit(LIKE) and not unfit(UNLIKE)


def test_punctuation_is_flattened() -> None:
    assert flatten("“Well” — said he; it’s *so*!!") == "well , said he , it's so ."
    assert flatten("A--b: (c)… d") == flatten("a, b, c. d")


def test_tool_calls_are_not_words(texts: InputFile) -> None:
    call = Message("assistant", None, [ToolCall("call_1", FunctionCall("f", "{}"))])
    silent = Answer("x", "tuned", "<tool_call>…</tool_call>", "stop", call)
    assert spoken(silent) == "" and judged(texts, silent).scores[0].reason == "empty answer"
    assert spoken(Answer("x", "tuned", "raw words", "length", None, "no </tool_call>")) == "raw words"


def test_bad_texts_are_named(tmp_path: Path) -> None:
    row = {"text": "a", "label": "plain", "group": "g"}
    with pytest.raises(StepError, match="with and without the label 'persona'"):
        judged(write(tmp_path / "one.jsonl", [row]))
    with pytest.raises(StepError, match="two groups or more"):
        judged(write(tmp_path / "two.jsonl", [row, {**row, "label": "persona"}]))
    with pytest.raises(StepError, match=r"three.jsonl:2: .*label"):
        judged(write(tmp_path / "three.jsonl", [row, {"text": "a"}]))
