"""What the style classifier sees of a text, and what it must not."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")

from runner.judges.style.features import Reader, Weighing
from runner.judges.style.reading import Lexicon, grams, tokens

TEXTS = [
    "The boat went down the river, and the pilot said nothing at all.",
    "A boat is a thing that goes down; the river said nothing, and the pilot went!",
    "He said the river and the boat went down at all. Is nothing a thing that goes?",
]
GROUPS = ["one", "two", "three"]


@pytest.fixture
def lexicon() -> Lexicon:
    return Lexicon([tokens(t) for t in TEXTS], GROUPS)


def seen(lexicon: Lexicon, text: str) -> list[str]:
    return lexicon.words(tokens(text))


def test_names_numbers_and_unknown_words_are_masked(lexicon: Lexicon) -> None:
    assert seen(lexicon, "The boat went down Orinoco Street 1835.") == "the boat went down _ _ _ .".split()
    assert seen(lexicon, "THE BOAT went") == ["the", "boat", "went"]  # shouted, not named
    assert seen(lexicon, "the zeugma went") == ["the", "_", "went"]
    assert lexicon.names(tokens("The boat went down Orinoco Street.")) == ["Orinoco", "Street"]


def test_a_word_that_one_group_alone_writes_is_unknown() -> None:
    texts = [tokens(t) for t in ("a capybara ran", "a capybara sat", "a dog ran")]
    assert "capybara" not in Lexicon(texts, ["one", "one", "two"]).known
    assert "capybara" in Lexicon(texts, ["one", "two", "two"]).known


def test_whom_it_tells_of_is_not_seen_and_who_tells_is(lexicon: Lexicon) -> None:
    assert seen(lexicon, "She said they went down") == seen(lexicon, "They said he went down")
    assert seen(lexicon, "her boat, their boat") == seen(lexicon, "his boat, his boat")
    assert seen(lexicon, "They've") == seen(lexicon, "she's") != seen(lexicon, "he'd")
    first = Lexicon([["I", "went"], ["I", "said"]], ["one", "two"])
    assert first.words(["I", "She"]) == ["i", "he"]


def test_quotation_marks_brackets_and_dashes_are_not_seen(lexicon: Lexicon) -> None:
    plain = seen(lexicon, "The boat went down the river")
    assert seen(lexicon, "“The boat” -- (went) — down – the 'river'") == plain
    assert seen(lexicon, "The boat's") == seen(lexicon, "The boat’s")


def test_the_second_reading_knows_two_marks(lexicon: Lexicon) -> None:
    words = seen(lexicon, "The boat; the river: down! Went?!... all, .")
    assert words == ["the", "boat", ";", "the", "river", ":", "down", "!", "went", "?", "all", ",", "."]
    assert lexicon.flat(words) == [
        "the",
        "boat",
        ",",
        "the",
        "river",
        ",",
        "down",
        ".",
        "went",
        ".",
        "all",
        ".",
    ]


def test_a_masked_topic_leaves_common_words_and_marks() -> None:
    few = Lexicon([tokens(t) for t in TEXTS], GROUPS, common=1)
    assert few.common == {"the"}
    assert few.masked(few.words(tokens("The boat; the river."))) == ["the", "_", ";", "the", "_", "."]


def test_common_words_are_those_of_all_groups_alike() -> None:
    texts = [tokens("boat " * 50 + "the a"), tokens("the river the boat"), tokens("the river a thing")]
    assert Lexicon(texts, GROUPS, common=2).common == {"boat", "the"}
    # The same word, 50 times more often, by one author of many: he alone makes no word common.
    many = [tokens("boat " * 50), *([tokens("the a")] * 9)]
    assert Lexicon(many, [str(n) for n in range(10)], common=2).common == {"the", "a"}


def test_grams() -> None:
    assert grams(["a", "b", "c"], 2) == ["a", "b", "c", "a b", "b c"]
    assert grams(["a"], 3) == ["a"]
    assert grams(["_", "_", "a"], 2) == ["a", "_ a"]


def test_weights_come_from_the_training_half_alone() -> None:
    texts = ["the boat went down", "the boat went", "the boat", "the pilot said", "the pilot", "the pilot"]
    groups = ["a", "b", "c", "d", "e", "f"]
    reader = Reader(texts, groups)
    import numpy as np

    words = reader.counts(texts)[1]
    first = Weighing(words, np.array([0, 1, 2]), groups)
    every = Weighing(words, np.arange(6), groups)
    assert first(words[:3]).shape[1] < every(words[:3]).shape[1]  # "pilot" was not there to be learnt
    weighed = every(words)
    assert np.allclose(np.sqrt(weighed.multiply(weighed).sum(axis=1)), 1)
    rare, common = every.idf.max(), every.idf.min()
    assert rare > common == 1.0  # "the" is everywhere
