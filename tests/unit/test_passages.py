"""Passages: nothing lost, nothing twice, limits kept; prompts the same everywhere."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.passages import _phrasings, cut, to_records
from runner.record import Document

WORD = st.sampled_from(["river", "Tom", "said", "“Well”", "Mr.", "no", "J.", "late", "--", "Über", "_so_"])
SENTENCE = st.builds(
    lambda words, stop: " ".join(words) + stop,
    st.lists(WORD, min_size=1, max_size=15),
    st.sampled_from([".", "!", "?”", "...", ".--", "\n", ""]),
)
PARAGRAPH = st.builds(" ".join, st.lists(SENTENCE, min_size=1, max_size=12)).map(str.strip).filter(bool)
TEXT = st.builds("\n\n".join, st.lists(PARAGRAPH, max_size=12))
LIMITS = st.tuples(st.integers(1, 40), st.integers(0, 60)).map(lambda p: (p[0], p[0] + p[1]))


@settings(max_examples=150, deadline=None)
@given(TEXT, LIMITS)
def test_passages_joined_are_the_text(text: str, words: tuple[int, int]) -> None:
    passages = cut(text, words)
    assert " ".join(passages).split() == text.split()
    assert all(p.strip() for p in passages)


@settings(max_examples=100, deadline=None)
@given(TEXT, LIMITS)
def test_paragraphs_within_the_limit_stay_whole(text: str, words: tuple[int, int]) -> None:
    pieces = [p for passage in cut(text, words) for p in passage.split("\n\n")]
    fitting = [p for p in text.split("\n\n") if 0 < len(p.split()) <= words[1]]
    at = iter(pieces)
    assert all(any(p == piece for piece in at) for p in fitting)  # in order, unchanged


@settings(max_examples=100, deadline=None)
@given(TEXT, LIMITS)
def test_limits(text: str, words: tuple[int, int]) -> None:
    _, most = words
    passages = cut(text, words)
    sizes = [len(p.split()) for p in passages]
    for size, passage in zip(sizes, passages, strict=True):
        assert size <= most or "\n\n" not in passage  # only a single sentence may be longer
    for a, b in itertools.pairwise(sizes):
        assert a + b > most  # two neighbours never fit into one


def test_long_paragraph_is_cut_at_sentence_ends() -> None:
    sentence = "Mr. J. Smith went down to the river, and it was late. "
    passages = cut(sentence * 30 + "The end came.", (20, 60))
    assert all(p.endswith(("late.", "came.")) for p in passages)
    assert max(len(p.split()) for p in passages) <= 60
    assert min(len(p.split()) for p in passages) >= 20


def test_short_last_passage_takes_a_paragraph_from_the_one_before() -> None:
    text = "\n\n".join(["a " * 80 + "a."] * 3 + ["b " * 29 + "b."])
    assert [len(p.split()) for p in cut(text, (80, 250))] == [162, 111]


def test_verse_keeps_its_lines() -> None:
    verse = "The boat went down\n  the river wide\nand no one saw\n  the other side."
    assert cut(f"He sang:\n\n{verse}") == [f"He sang:\n\n{verse}"]


@pytest.mark.parametrize("words", [(0, 10), (20, 10)])
def test_limits_that_make_no_sense(words: tuple[int, int]) -> None:
    with pytest.raises(ValueError):
        cut("a", words)


def document(**meta: str) -> Document:
    names = ["ferryman", "lantern", "orchard", "blacksmith", "telegraph", "umbrella"]
    text = "\n\n".join(
        f"The {n} came early that day. Nobody in the village had seen the {n} before, and {n} "
        "talk went "
        "round. It was the sort of talk that people like." for n in names
    )  # fmt: skip
    return Document(text, {"id": "twain/76", "source": "twain", "license": "CC0-1.0", **meta})


def test_records() -> None:
    records = list(to_records(document(title="Mud"), words=(10, 40), system="Be witty.", seed=17))
    assert [r.id for r in records] == [f"twain/76/{n:04d}" for n in range(1, 7)]
    assert [[m.role for m in r.messages] for r in records] == [["system", "user", "assistant"]] * 6
    assert [r.answer for r in records] == cut(document().text, (10, 40))
    assert records[0].meta == {
        "id": "twain/76/0001",
        "source": "twain",
        "license": "CC0-1.0",
        "title": "Mud",
        "group": "twain/76",
    }
    assert records == list(to_records(document(title="Mud"), words=(10, 40), system="Be witty.", seed=17))
    other = list(to_records(document(title="Mud"), words=(10, 40), system="Be witty.", seed=18))
    assert [r.messages[1] for r in records] != [r.messages[1] for r in other]


def test_group_of_the_document_is_kept() -> None:
    (record, *_) = to_records(document(group="books/76.txt"), prompt="none")
    assert record.meta["group"] == "books/76.txt"
    assert [m.role for m in record.messages] == ["assistant"]


def test_continue_asks_with_the_end_of_the_passage_before() -> None:
    first, second, *_ = to_records(document(), words=(10, 40), prompt="continue")
    asked = second.messages[0].content or ""
    assert first.answer.endswith(asked)
    assert 12 <= len(asked.split()) <= 80
    assert first.messages[0].content in [t for t, n in _phrasings()["openings"] if not n]


def test_phrasings() -> None:
    assert len({t for t, _ in _phrasings()["instruct"]}) >= 24
    known = {"title", "author", "first", "topic"}
    assert all(names <= known for texts in _phrasings().values() for _, names in texts)


def test_untitled_documents_are_never_asked_for_by_title() -> None:
    for seed in range(60):
        for record in to_records(document(), words=(10, 40), seed=seed):
            assert "{" not in (record.messages[0].content or "")


def test_braces_in_a_title_are_only_text() -> None:
    for seed in range(30):
        list(to_records(document(title="{0.__class__} {x}"), words=(10, 40), seed=seed))
