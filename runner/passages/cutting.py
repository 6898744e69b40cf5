"""Plain text → passages, cut at paragraph ends. Nothing is lost and nothing comes twice."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# A sentence ends with its stop, closing quotes, and a space before a capital, quote or digit; a verse
# line's end will do. "Mr. Smith" and "J. P. Morgan" are no ends.
_SENTENCE = re.compile(
    r"(?:[.!?…]+[\"'”’»)\]_*]*(?:\s+|(?=--))(?=[\"'“‘«(\[_]*[^\W_a-zà-öø-ÿ])|[。！？]+[」』”]*\s*|\n+)"
)
_ABBREVIATED = re.compile(
    r"(?:\b(?:mr|mrs|ms|messrs|dr|prof|st|rev|hon|gen|col|capt|lieut|maj|sergt|sgt|jr|sr|esq|vol|"
    r"no|nos|vs|etc|cf|viz|i\.e|e\.g)|\b[A-Z])\.\s+$",
    re.I,
)

_LONGEST_ABBREVIATION = 30  # characters that are looked at, with the space behind it


class _Unit(NamedTuple):
    """A piece that is never cut: what parts it from the piece before, its text, its words."""

    parted: str
    text: str
    words: int


def sentences(paragraph: str) -> Iterator[tuple[str, str]]:
    """(space before, sentence), in order; together they are the paragraph."""
    at, parted = 0, ""
    for found in _SENTENCE.finditer(paragraph):
        if found.end() == len(paragraph) or _ABBREVIATED.search(
            paragraph[max(at, found.end() - _LONGEST_ABBREVIATION) : found.end()]
        ):
            continue
        sentence = paragraph[at : found.end()]
        body = sentence.rstrip()
        if not body:
            continue
        yield parted, body
        parted, at = sentence[len(body) :], found.end()
    yield parted, paragraph[at:]


def _count(text: str) -> int:
    """Words; a text of many megabytes is not copied word by word."""
    return len(text.split()) if len(text) < 1_000_000 else sum(1 for _ in re.finditer(r"\S+", text))


def _units(text: str, most: int) -> Iterator[_Unit]:
    """Paragraphs; those longer than `most` words as runs of sentences."""
    for paragraph in re.split(r"\n[ \t]*(?:\n[ \t]*)+", text):
        words = _count(paragraph)
        if not words:
            continue
        if words <= most:
            yield _Unit("\n\n", paragraph, words)
            continue
        yield from _pieces(paragraph, words, most)


def _pieces(paragraph: str, words: int, most: int) -> Iterator[_Unit]:
    """A long paragraph in runs of sentences of like size, the last no mere tail."""
    share = math.ceil(words / math.ceil(words / most))
    runs: list[list[_Unit]] = []
    size = 0
    for parted, sentence in sentences(paragraph):
        unit = _Unit(parted if runs else "\n\n", sentence, _count(sentence))
        if not runs or size >= share or size + unit.words > most:
            runs.append([])
            size = 0
        runs[-1].append(unit)
        size += unit.words
    if len(runs) > 1:
        _balance(runs[-2], runs[-1], share // 2, most)
    for run in runs:
        yield _Unit(run[0].parted, _text(run), sum(u.words for u in run))


def cut(text: str, words: tuple[int, int] = (80, 250)) -> list[str]:
    """Passages of `words` (fewest, most) words, cut at paragraph ends.

    A paragraph longer than the most is cut at sentence ends; a single sentence longer than that
    stays whole. A passage may be shorter than the fewest where its neighbours leave no room.
    Nothing is lost and nothing comes twice: the passages, in order, are the text.
    """
    fewest, most = words
    if not 1 <= fewest <= most:
        raise ValueError("words: the fewest must be at least 1 and at most the most")
    passages: list[list[_Unit]] = []
    size = 0
    for unit in _units(text, most):
        if passages and size + unit.words <= most:
            passages[-1].append(unit)
            size += unit.words
            continue
        passages.append([unit])
        size = unit.words
    # Filling from the front leaves short passages before a long paragraph and at the end: too much to join
    # to the passage before, but its last paragraphs may come over to them.
    for i in range(1, len(passages)):
        _balance(passages[i - 1], passages[i], fewest, most)
    return [_text(p) for p in passages]


def _balance(before: list[_Unit], after: list[_Unit], fewest: int, most: int) -> None:
    """Hand units at the seam over to a passage that is too short, where neither leaves its limits."""
    short, left = sum(u.words for u in after), sum(u.words for u in before)
    while (
        short < fewest
        and len(before) > 1
        and left - before[-1].words >= fewest
        and short + before[-1].words <= most
    ):
        unit = before.pop()
        after.insert(0, unit)
        short, left = short + unit.words, left - unit.words


def _text(units: Sequence[_Unit]) -> str:
    return units[0].text + "".join(u.parted + u.text for u in units[1:])
