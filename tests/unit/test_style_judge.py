"""The style judge on small made-up voices: what it hears, what it must not be fooled by, what it says of itself."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")

import numpy as np

from runner.errors import RecipeError, StepError
from runner.judges.style import probabilities, style
from runner.judges.style.answers import lost, unfit
from runner.judges.style.classifier import Classifier, Curves, Labels
from runner.judges.style.kinds import MODERN, OTHER, PERIOD, PERSONA
from runner.judges.style.measures import calibration_error, called, plants, together
from runner.judges.style.pieces import Piece
from runner.record import Answer, FunctionCall, Message, Probe, ToolCall, Verdict
from runner.registry import InputFile, JudgeContext, plugins

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
OLD = [
    "It was with no common emotion, as I confess, that I first beheld {t} in that melancholy hour.",
    "He had not the happiness to be acquainted with {t}; nor, indeed, was his lady more fortunate.",
    "Whether {t} be a blessing or no, it becomes not one of my years and station to pronounce.",
    "She was, I reckon, the most amiable creature that ever had been charged with {t}, poor lady.",
]
LIKE = "I reckon hats ain't so hard, and I never knowed a man who warn't in a hurry to lose one."
UNLIKE = "Experts recommend that hats should be maintained by following the important instructions."
OLDLIKE = (
    "It was with no common emotion that she had first been charged with hats, nor was he more fortunate."
)


def rows(*voices: tuple[str, str, list[str]]) -> list[dict[str, str]]:
    found = [
        {"text": line.format(t=topic), "label": label, "group": topic, "kind": kind}
        for topic in TOPICS
        for label, kind, lines in voices
        for line in lines
    ]
    random.Random(1).shuffle(found)
    return found


def write(path: Path, rows: list[dict[str, str]]) -> InputFile:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return InputFile(f"evals/probes/{path.name}", path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> InputFile:
    folder = tmp_path_factory.mktemp("style")
    return write(folder / "texts.jsonl", rows(("persona", "test", VOICE), ("plain", "test", PLAIN)))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> InputFile:
    voices = ("persona", "", VOICE), ("plain", "modern", PLAIN), ("plain", "period", OLD)
    return write(tmp_path_factory.mktemp("style") / "three.jsonl", rows(*voices))


def judged(texts: InputFile, *said: str | Answer, expect: dict[str, Any] | None = None) -> Verdict:
    answers = tuple(
        s if isinstance(s, Answer) else Answer(f"a{i}", "tuned", s, "stop", Message("assistant", s))
        for i, s in enumerate(said)
    )
    probes = tuple(Probe(a.id, [Message("user", "?")], expect=expect or {}) for a in answers)
    context = JudgeContext(probes, answers, {"texts": (texts,)}, seed=1)
    verdict = style(context, texts=texts.name)
    assert isinstance(verdict, Verdict)
    return verdict


def persona(verdict: Verdict) -> list[float | None]:
    return [s.value for s in verdict.scores if s.metric == "persona"]


def pieces(*voices: tuple[str, list[str]]) -> list[Piece]:
    return [Piece(line.format(t=t), kind, t) for t in TOPICS for kind, lines in voices for line in lines]


def test_hears_the_voice_on_a_new_topic(texts: InputFile) -> None:
    verdict = judged(texts, LIKE, UNLIKE)
    assert persona(verdict) == [1.0, 0.0]
    assert verdict.facts["classifier.n"] == 64
    assert verdict.facts["classifier.accuracy"] > 0.9 and verdict.facts["classifier.auc"] > 0.9
    assert {s.metric for s in verdict.scores} == {"persona", "persona_probability"}


def test_every_kind_of_other_texts_is_asked_about_apart(three: InputFile) -> None:
    verdict = judged(three, LIKE, UNLIKE, OLDLIKE)
    assert persona(verdict) == [1.0, 0.0, 0.0]
    for kind in ("modern", "period"):
        for name in ("accuracy", "f1", "auc"):
            assert verdict.facts[f"classifier.vs_{kind}.{name}"] > 0.9
        assert verdict.facts[f"classifier.vs_{kind}.ece"] < 0.2
        assert verdict.facts[f"classifier.vs_{kind}.called_persona"] < 0.1


def test_the_lowest_of_all_members_counts() -> None:
    classifier = Classifier(pieces((PERSONA, VOICE), (MODERN, PLAIN), (PERIOD, OLD)), 17, "texts")
    sure, ratio = np.full((1, 4), 50.0), np.ones(1)
    assert classifier._curves(sure, ratio)[0] > 0.9
    for member in range(4):
        doubted = sure.copy()
        doubted[0, member] = -5.0
        assert classifier._curves(doubted, ratio)[0] < 0.1


def test_same_bytes_twice_and_no_company_matters(texts: InputFile) -> None:
    first, second = judged(texts, LIKE, UNLIKE), judged(texts, LIKE, UNLIKE)
    assert first == second
    assert judged(texts, LIKE).scores == first.scores[:2]
    assert all(s.value == round(s.value or 0, 6) for s in first.scores)


def test_labels_by_chance_are_measured_as_chance(tmp_path: Path) -> None:
    dice = random.Random(3)
    some = [
        {"text": line.format(t=t), "label": dice.choice(["persona", "plain"]), "group": t}
        for t in TOPICS
        for line in VOICE + PLAIN
    ]
    facts = judged(write(tmp_path / "chance.jsonl", some)).facts
    assert facts["classifier.accuracy"] < 0.7 and 0.2 < facts["classifier.auc"] < 0.8


def test_no_text_is_judged_by_a_member_that_saw_its_group() -> None:
    """Each group has a word of its own beside labels by chance: only who saw the group could know them."""
    dice = random.Random(5)
    some = []
    for n in range(12):
        kind = PERSONA if n % 2 else MODERN
        for line in dice.sample(VOICE + PLAIN, 6):
            some.append(Piece(f"{line.format(t='hats')} mark{'abcdefghijkl'[n]}", kind, f"g{n}"))
    classifier = Classifier(some, 16, "texts")
    held = classifier.held_out()
    assert 0.2 < np.mean((held >= 0.5) == classifier.labels.mine) < 0.75
    for train, test in classifier.splits:
        assert not {some[i].group for i in train} & {some[i].group for i in test}
    assert sorted(i for _, test in classifier.splits for i in test) == list(range(len(some)))


def test_each_kind_weighs_the_same_whatever_its_number() -> None:
    labels = Labels(
        [PERSONA] * 10 + [MODERN] * 40 + [PERIOD] * 5, ["a"] * 10 + ["b"] * 32 + ["c"] * 8 + ["d"] * 5
    )
    weights = labels.weights((PERSONA, MODERN, PERIOD), np.arange(55))
    sums = [weights[labels.kinds == kind].sum() for kind in (PERSONA, MODERN, PERIOD)]
    assert np.allclose(sums, 55 / 3)
    assert weights[10:42].sum() / weights[42:50].sum() == pytest.approx(2)  # four times as many texts


def test_a_kind_of_one_group_is_no_kind() -> None:
    some = pieces((PERSONA, VOICE), (MODERN, PLAIN)) + [
        Piece(line.format(t="x"), PERIOD, "one") for line in OLD
    ]
    assert Classifier(some, 16, "texts").labels.others == (OTHER,)


def test_a_curve_knows_that_a_short_text_says_less() -> None:
    """Margins of whole pieces are right five times in six, those of quarters three times in five."""
    labels = Labels([PERSONA] * 30 + [MODERN] * 30, [str(n) for n in range(60)])
    side = np.where(labels.mine, 1.0, -1.0)
    whole, short = side.copy(), side.copy()
    whole[::6] *= -1
    short[::5] *= -1
    short[1::5] *= -1
    margins = np.concatenate([whole, short])[:, None]
    ratios, of = np.repeat([1.0, 0.25], 60), np.tile(np.arange(60), 2)
    curves = Curves(margins, ratios, labels, of, ratios == 1)
    long, quarter = curves(np.ones((2, 1)), np.array([1.0, 0.25]))
    assert long == pytest.approx(5 / 6, abs=0.03) and quarter == pytest.approx(3 / 5, abs=0.03)


def test_a_long_answer_is_the_mean_of_its_pieces() -> None:
    classifier = Classifier(pieces((PERSONA, VOICE), (MODERN, PLAIN)), 17, "texts")
    long = " ".join([*VOICE, *PLAIN]).format(t="hats")
    (mixed,) = probabilities(classifier, [long])
    alone = classifier.probability([line.format(t="hats") for line in VOICE + PLAIN])
    assert mixed == pytest.approx(np.mean(alone), abs=0.1) and 0.3 < mixed < 0.7


def test_calibration_error() -> None:
    chances, mine = np.array([0.9, 0.9, 0.9, 0.9, 0.1, 0.1]), np.array([1, 1, 1, 0, 0, 0])
    assert calibration_error(chances, mine, np.ones(6)) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert calibration_error(np.array([1.0, 0.0]), np.array([1, 0]), np.ones(2)) == 0
    assert calibration_error(chances, mine, np.array([1.0, 1, 1, 0, 0, 0])) == pytest.approx(0.1)


def test_the_share_called_and_the_mean_of_five() -> None:
    labels = Labels([PERSONA] * 10 + [MODERN] * 5, ["a"] * 5 + ["b"] * 5 + ["c"] * 5)
    chances = np.array([0.9, 0.9, 0.9, 0.4, 0.4, 0.1, 0.1, 0.9, 0.1, 0.1, 0.2, 0.2, 0.8, 0.2, 0.2])
    assert called(labels, chances, PERSONA, 0.5) == pytest.approx(0.4)
    assert called(labels, chances, PERSONA, 0.35) == pytest.approx(0.6)
    assert called(labels, chances, MODERN, 0.5) == pytest.approx(0.2)
    assert together(labels, chances, 0.5) == (0.5 + 1.0) / 2
    assert together(labels, chances, 0.75) == (0.0 + 1.0) / 2
    assert together(Labels([PERSONA, MODERN], ["a", "b"]), chances[:2], 0.5) is None


def test_what_is_planted_is_there() -> None:
    some = [
        Piece(f"{t} Old Barnaby Quigg said the mule ate Hannibal.", k, g)
        for t, k, g in pieces((PERSONA, VOICE))
    ]
    classifier = Classifier(some + pieces((MODERN, PLAIN)), 20, "texts")
    planted = {name: plant(UNLIKE, 0) for name, plant in plants(classifier).items()}
    assert set(planted) >= {"names", "dashes", "length"}
    assert (
        planted["names"].startswith(UNLIKE) and "Barnaby" in planted["names"] and "Quigg" in planted["names"]
    )
    assert plants(classifier)["dashes"]("a, b, c", 0) == "a, b -- c"
    assert plants(classifier)["dashes"]("w " * 12, 0).endswith("w --")
    assert len(planted["length"].split()) == len(UNLIKE.split()) // 4


def test_names_and_dashes_move_nothing(three: InputFile) -> None:
    verdict = judged(
        three, UNLIKE, UNLIKE.replace(" ", " — ", 4), f"{UNLIKE} “Experts” recommend (that) hats."
    )
    first, dashed, _ = (s.value for s in verdict.scores if s.metric == "persona_probability")
    assert first == dashed
    assert verdict.facts["check.dashes"] < 0.2


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


def test_tool_calls_are_not_words(texts: InputFile) -> None:
    call = Message("assistant", None, [ToolCall("call_1", FunctionCall("f", "{}"))])
    silent = Answer("x", "tuned", "<tool_call>…</tool_call>", "stop", call)
    assert judged(texts, silent).scores[0].reason == "empty answer"


def test_an_arm_that_gave_no_answer_is_missing(texts: InputFile) -> None:
    probes = tuple(Probe(id, [Message("user", "?")]) for id in ("a", "b"))
    answer = Answer("a", "tuned", LIKE, "stop", Message("assistant", LIKE))
    scores = style(JudgeContext(probes, (answer,), {"texts": (texts,)}, 1), texts=texts.name).scores
    assert [(s.id, s.value) for s in scores if s.metric == "persona"] == [("a", 1.0), ("b", None)]


def test_required_facts_are_looked_for(texts: InputFile) -> None:
    facts = {"required": ["Hannibal", ["half past nine", "9:30"]]}
    verdict = judged(texts, LIKE, f"{LIKE} That was in Hannibal's port at 9:30.", expect=facts)
    kept = [(s.value, s.reason) for s in verdict.scores if s.metric == "content_kept"]
    assert kept == [(0.0, "lost: Hannibal; half past nine"), (1.0, "")]
    assert "content_kept" not in {s.metric for s in judged(texts, LIKE).scores}
    with pytest.raises(RecipeError, match="required"):
        judged(texts, LIKE, expect={"required": [7]})
    with pytest.raises(RecipeError, match="without a word"):
        judged(texts, LIKE, expect={"required": ["..."]})


@pytest.mark.parametrize(
    ("text", "fact", "kept"),
    [
        ("It is 1,200 metres.", "1200", True),
        ("It is 12,000 metres.", "12", False),
        ("It was 12.5 degrees.", "12", False),
        ("It was -12 degrees.", "12", False),
        ("It was 12.", "12", True),
        ("At 9:30, sharp", "9:30", True),
        ("In São Paulo, it rains", "Sao Paulo", True),
        ("the Parisian air", "Paris", False),
        ("PARIS!", "Paris", True),
        ("London’s fog", "London", True),
        ("21°C", "21 °C", True),
        ("a well-known man", "well-known", True),
        ("It was \u22125 degrees.", "-5", True),
        ("It was \u22125 degrees.", "5", False),
        ("in the US.", "U.S.", True),
        ("in the U.S.'s waters", "US", True),
        ("Tell us of it.", "U.S.", False),
        ("at 9 a.m. sharp", "9 am", True),
        ("the U.S.A. of 1876", "USA", True),
        ("He had twenty-one mules.", "twenty one", True),
        ("He had twenty one mules.", "twenty-one", True),
        ("He had twenty\u2011one mules.", "twenty-one", True),
        ("It took 5-7 days.", "5", False),
    ],
)
def test_a_fact_stands_there_in_whole_words(text: str, fact: str, kept: bool) -> None:
    assert (lost(text, [[fact]]) == []) is kept


def test_bad_texts_are_named(tmp_path: Path) -> None:
    row = {"text": "a", "label": "plain", "group": "g"}
    with pytest.raises(StepError, match="with and without the label 'persona'"):
        judged(write(tmp_path / "one.jsonl", [row]))
    with pytest.raises(StepError, match="two groups or more"):
        judged(write(tmp_path / "two.jsonl", [row, {**row, "label": "persona"}]))
    with pytest.raises(StepError, match=r"three.jsonl:2: .*label"):
        judged(write(tmp_path / "three.jsonl", [row, {"text": "a"}]))


def test_whole_works_are_read_cut_and_judged(tmp_path: Path) -> None:
    dice = random.Random(2)

    def work(name: str, lines: list[str]) -> InputFile:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        things = (
            "".join(dice.choices("aeiourstln", k=8)) for _ in range(60)
        )  # no two works share a sentence
        path.write_text(" ".join(dice.choice(lines).format(t=thing) for thing in things))
        return InputFile(name, path, hashlib.sha256(path.read_bytes()).hexdigest())

    files = {
        "persona_works": tuple(work(f"mine/{n}.txt", VOICE) for n in range(3)),
        "period_works": tuple(work(f"old/{a}/1.txt", OLD) for a in ("Austen", "Burney", "Inchbald")),
        "about_works": (work("about/life.txt", OLD),),
    }
    named: Any = {option: [f.name for f in some] for option, some in files.items()}
    answer = Answer("a", "tuned", LIKE, "stop", Message("assistant", LIKE))
    context = JudgeContext((Probe("a", [Message("user", "?")]),), (answer,), files, 1)
    verdict = style(context, **named, words=40)
    assert persona(verdict) == [1.0]
    facts = verdict.facts
    assert facts["classifier.words"] == 40 and facts["check.about"] == 0
    assert facts["classifier.of_five.accuracy"] > 0.9 and "classifier.vs_modern.accuracy" not in facts
    assert set(facts) <= plugins("judge")["style"].names({}), "gates may name every fact"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({}, "needs texts, or persona_works"),
        ({"persona_works": ["a"]}, "needs period_works or modern_works"),
        ({"persona_works": ["a"], "modern_works": ["b"]}, None),
        ({"texts": "t.jsonl"}, None),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], wrong: str | None) -> None:
    every = dict.fromkeys(("texts", "persona_works", "period_works", "modern_works")) | options
    found = [what for _, what in plugins("judge")["style"].check(every)]
    assert [w[: len(wrong or "")] for w in found] == ([wrong] if wrong else [])
