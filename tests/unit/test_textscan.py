"""Looking through a text: the compiled way says what Python's own methods say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import textscan

SET = ("the", "of", "k", "they're", "eight888")
TEXTS = st.text(
    st.sampled_from("aKkthe of'\t\n\x0b\x1c\x1f\0\x7f\x85\xa0\u2003\u212aßİſ中😀8GUTENBERGgutenberg"),
    max_size=300,
)


@pytest.fixture(params=["compiled", "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain":
        monkeypatch.setattr(textscan, "_native", None)
    elif textscan._native is None:
        pytest.skip("installed where there was no C compiler")
    return str(request.param)


@given(TEXTS, st.integers(-1, 40))
def test_words(text: str, enough: int) -> None:
    there = len(text.split())
    said = textscan.words(text, enough)
    assert said == there or (enough >= 0 and said > enough and there > enough)


@given(TEXTS, TEXTS, st.sampled_from(["", "Gutenberg", "gUTENBERG", "gutenber"]))
def test_holds(before: str, after: str, word: str) -> None:
    text = before + word + after
    assert textscan.holds(text, "gutenberg") == ("gutenberg" in text.lower())


@given(TEXTS, st.integers(0, 320), st.integers(0, 320))
def test_counter(text: str, size: int, begin: int) -> None:
    wanted = []
    for place in (begin, 0):
        words = text[place : place + size].lower().split()
        wanted += [sum(word in SET for word in words), len(words)]
    assert textscan.counter(SET)(text, size, begin, 0) == tuple(wanted)


def test_both_ways(way: str) -> None:
    count = textscan.counter(SET)
    assert count("The end of THE \u212a they're eight888 eight8888 \0the", 100, 0, 4) == (6, 9, 5, 8)
    assert textscan.words("one  two\x1cthree\u2003") == 3
    assert textscan.holds("x" * 500 + "PGLAF", "pglaf") and not textscan.holds("x" * 500 + "PGLA", "pglaf")
    assert textscan.counter(["a word too long for the table"])("none", 10, 0) == (0, 1)
    with pytest.raises(ValueError, match="no words"):
        textscan.counter([])
