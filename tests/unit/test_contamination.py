"""Decontamination: against brute force, and at the edges."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contamination import contaminated

text = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)


def grams(text: str, ngram: int) -> set[tuple[str, ...]]:
    w = text.split()
    if len(w) < ngram:
        return {tuple(w)} if w else set()
    return {tuple(w[i : i + ngram]) for i in range(len(w) - ngram + 1)}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(text, max_size=6), st.lists(text, max_size=6), st.integers(1, 5))
def test_is_brute_force(texts: list[str], against: list[str], ngram: int) -> None:
    expected = [
        next((i for i, a in enumerate(against) if grams(t, ngram) & grams(a, ngram)), None) for t in texts
    ]
    assert contaminated(texts, against, ngram=ngram) == expected


def test_eight_words_in_a_row() -> None:
    probe = "Which river does Huck travel down with Jim in the novel?"
    texts = [
        "He asked: WHICH river does\nHuck travel down with  Jim, then slept.",  # "jim," breaks it
        "So, which river does Huck travel down with Jim in it all?",
        "which river does huck travel down with",
    ]
    assert contaminated(texts, ["something else", probe, probe]) == [None, 1, None]


def test_short_texts_match_as_a_whole_only() -> None:
    against = ["the cat sat", "The  CAT"]
    texts = ["the cat", "the cat sat", "cat sat", "well the cat sat on the mat all day long"]
    assert contaminated(texts, against) == [1, 0, None, None]


def test_the_empty_text_matches_nothing() -> None:
    assert contaminated(["", " ", "a"], ["", "a"]) == [None, None, 1]
    assert contaminated(["a"], []) == [None]
    assert contaminated([], ["a"]) == []


def test_unicode() -> None:
    assert contaminated(["ΣΊΣΥΦΟΣ straße ﬁn", "\ud800 x"], ["σίσυφος STRASSE fin", "\ud800 X"]) == [
        0,
        1,
    ]


def test_nonsense() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        contaminated(["a"], ["a"], ngram=0)
