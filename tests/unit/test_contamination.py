"""Decontamination: against brute force, and at the edges."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import drops
from runner.contamination import BOOK, SHORT, contaminated, plain
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.prepare import MAKERS
from runner.shingles import BATCH
from runner.store import Artifact, Manifest
from runner.workspace import Workspace

word = st.sampled_from(["a", "B", "c's", "漢", "é"])
text = st.lists(word, max_size=20).map(" ".join)


def within(run: list[bytes], words: list[bytes]) -> bool:
    return any(words[i : i + len(run)] == run for i in range(len(words) - len(run) + 1))


def found(text: str, against: str, ngram: int) -> bool:
    """Whether `against` is found in `text`, slowly."""
    t, a = plain(text).split(), plain(against).split()
    if len(a) >= ngram:
        return any(within(a[i : i + ngram], t) for i in range(len(a) - ngram + 1))
    return a != [] and (within(a, t) if len(a) >= SHORT else a == t)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(text, max_size=6), st.lists(text, max_size=6), st.lists(text, max_size=3), st.integers(1, 15))
def test_is_brute_force(texts: list[str], against: list[str], books: list[str], ngram: int) -> None:
    wanted = [(a, ngram) for a in against] + [(b, max(ngram, BOOK)) for b in books]
    expected = [next((i for i, (a, n) in enumerate(wanted) if found(t, a, n)), None) for t in texts]
    assert contaminated(texts, against, ngram=ngram, books=books) == expected


def test_eight_words_in_a_row_however_they_are_typeset() -> None:
    probe = "Which river does Huck travel down with Jim in the novel?"
    texts = [
        "He asked: WHICH river—does\nHuck travel down with  Jim, then slept.",
        "So, which river does Huck travel on with Jim in it all?",
        "which river does huck travel down with",
    ]
    assert contaminated(texts, ["something else", probe, probe]) == [1, None, None]


@pytest.mark.parametrize(
    ("probe", "turn"),
    [
        ("Which potatoes are good for mashing?", "Hello! Which potatoes are good for mashing?"),
        ("Which potatoes are good for mashing?", "which potatoes are good for mashing"),
        ("What color is a ripe banana?", "Tell me: what color is a ripe banana? I forget."),
        ("Don’t goats eat tins?", "don't goats “eat” tins"),
        ("日本の首都はどこですか。", "教えてください、日本の首都はどこですか?"),
        ("法国的首都是哪里?", "请问法国的首都是哪里"),
        ("แมวกินอะไร", "บอกฉันหน่อย แมวกินอะไร ครับ"),
        ("Où est la bibliothèque ?", "Dis : «où est la bibliothe\u0300que» — vite"),
        ("हिन्दी में कैसे कहें?", "बताओ, हिन्दी में कैसे कहें"),
        ("Is the co\u00adopera\u00adtive open?", "Well: is the cooperative open?"),
    ],
)
def test_a_short_probe_is_found_inside_a_turn(probe: str, turn: str) -> None:
    assert contaminated([turn], [probe]) == [0]


def test_a_very_short_text_matches_as_a_whole_only() -> None:
    against = ["the cat sat", "The  CAT!", "谢谢你"]
    texts = ["the cat", "The cat sat.", "cat sat", "well the cat sat on the mat", "谢谢你。", "我们谢谢你"]
    assert contaminated(texts, against) == [1, 0, None, None, 2, None]


def test_of_a_short_text_all_words_must_be_there() -> None:
    probes = [f"What is the weather in {city}?" for city in ("Rome", "Ulm", "Oslo today")]
    texts = [
        "What is the weather in Paris?",
        "So what is the weather in Ulm?",
        "What is the weather in Oslo?",
    ]
    assert contaminated(texts, probes) == [None, 1, None]


def test_a_book_is_known_by_thirteen_words() -> None:
    book = " ".join(f"w{i}" for i in range(40_000))  # more than a kernel takes at once
    assert len(book) > BATCH
    texts = [" ".join(f"w{i}" for i in range(a, b)) for a, b in ((5, 17), (5, 18), (39_987, 40_000))]
    assert contaminated(texts, ["nothing of it"], books=["another", book]) == [None, 2, 2]
    assert contaminated(texts[1:2], [], books=[book], ngram=14) == [None]


def test_runs_do_not_cross_from_one_text_to_the_next() -> None:
    assert contaminated(["a b c d e f", "c d e f"], ["a b c", "d e f"], ngram=3) == [0, 1]
    assert contaminated(["b c d e", "e f g h"], ["a b c d", "e f g i"], ngram=4) == [None, None]


def test_the_empty_text_matches_nothing() -> None:
    assert contaminated(["", " ", "a", "?!"], ["", "...", "a"]) == [None, None, 2, None]
    assert contaminated(["a"], []) == [None]
    assert contaminated([], ["a"]) == []


def test_unicode() -> None:
    assert contaminated(["ΣΊΣΥΦΟΣ straße ﬁn", "\ud800 x"], ["σίσυφος STRASSE fin", "\ud800 X"]) == [0, 1]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_plain_text_stays_as_it_is(text: str) -> None:
    once = plain(text)
    assert plain(once.decode()).split() == once.split()
    assert plain(" ".join([text.upper(), "x"] * 20)).split()[-1:] == [b"x"]


def test_nonsense() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        contaminated(["a"], ["a"], ngram=0)


BOOK_TEXT = """The Project Gutenberg eBook of Mud

*** START OF THE PROJECT GUTENBERG EBOOK MUD ***

The ferry lay on the bank all that winter, and the captain sold her planks one by one to the widow for her
henhouse; in spring nobody could say which of the two would float the better, and two men lost money on it.

*** END OF THE PROJECT GUTENBERG EBOOK MUD ***

This eBook is for the use of anyone anywhere in the United States and most other parts of the world at no cost.
"""
TURNS = {
    "clean": "The captain sold her planks one by one to the widow, they say.",
    "book": "The captain sold her planks, one by one, to the WIDOW—for her\nhenhouse. In spring we left.",
    "furniture": "This eBook is for the use of anyone anywhere in the United States and most other parts.",
    "probe": "Tell me: who sold the old ferry? I forget.",
    "choice": "It was none of the above men.",
    "table": "Pray, which ford is passable in May, sir?",
}


def test_the_step_drops_what_shares_text_with_any_suite(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    rows = [
        [{"role": "system", "content": "Who sold the old ferry?"}, {"role": "user", "content": f"Say {key}."},
         {"role": "assistant", "content": turn}]
        for key, turn in TURNS.items()
    ]  # fmt: skip
    write("rows.jsonl", "".join(json.dumps({"messages": row}) + "\n" for row in rows))
    write("held-out/mud.txt", BOOK_TEXT)
    write(
        "evals/suites/books.yaml", "suite: 1\nname: books\nperplexity: {texts: {mud: ['held-out/*.txt']}}\n"
    )
    write("evals/suites/facts.yaml", "suite: 1\nname: facts\nlm_eval: {tasks: [ferry, ford]}\n")
    write("evals/tasks/ferry.yaml", "task: ferry\ndataset_kwargs: {data_files: {test: ferry.jsonl}}\n")
    write("evals/tasks/ford.yaml", "task: ford\ndataset_kwargs: {data_files: {test: ford.csv}}\n")
    write("evals/tasks/ford.csv", "question,answer\nWhich ford is passable in May?,none\n")
    asked = {"question": "Who sold the old ferry?", "choices": ["none of the above men", "the captain"]}
    write("evals/tasks/ferry.jsonl", json.dumps(asked) + "\n")
    write(
        "r.yaml",
        "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [rows.jsonl]}\n    name: rows\n    license: CC0-1.0\n"
        "dedup: {exact: false, near: null}\nsplit: {validation: 0}\nevaluate: {suites: [books, facts]}\n"
        "model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}\n",
    )
    place = Workspace(tmp_path)
    p = plan(load_recipe(tmp_path / "r.yaml", place), place)
    made: dict[str, Artifact] = {}
    for step in p.steps:
        if step.kind in ("source", "filter", "decontaminate"):
            out, work = tmp_path / "made" / step.name, tmp_path / "work" / step.name
            out.mkdir(parents=True)
            work.mkdir(parents=True)
            inputs = {n: made[n] for n in step.needs}
            MAKERS[step.kind](Making(step, p, inputs, out, work, tmp_path / "log", lambda *_: None))
            made[step.name] = Artifact(out, Manifest(1, step.name, step.fingerprint, {}, {}))
    found = drops.read(made["decontaminate"].path)
    assert {list(TURNS)[row]: found.whys[why].of for row, why in zip(found.rows, found.why, strict=True)} == {
        "book": "held-out/mud.txt",
        "probe": "evals/tasks/ferry.jsonl:1",
        "table": "evals/tasks/ford.csv:2",
    }
