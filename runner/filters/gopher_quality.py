"""Filter `gopher_quality`: Gopher's rules for symbols, bullets, ellipses, word lengths and stop words.

Source of the numbers: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher",
section A.1.1. Its rule of 50 to 100,000 words is the filter `words`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta

from runner.prose.gopher import FromWords
from runner.prose.stopwords import FREQUENT
from runner.prose.texts import answers, spaced, without_code
from runner.record import Record
from runner.registry import filter

Share = Annotated[float, Meta(ge=0, le=1)]
Length = Annotated[float, Meta(ge=0, le=1000)]
Few = Annotated[int, Meta(ge=0, le=100)]

_BULLETS = ("•", "‣", "●", "▪", "◦", "○", "■", "·", "⁃")
_FEWEST_LINES = 4  # of fewer lines a share says nothing: one of three would be too much
_WORDS = 100_000  # looked at: Gopher's longest document


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    low, high = options["shortest_mean_word"], options["longest_mean_word"]
    if low is not None and high is not None and low > high:
        what = f"the least, {low:g}, is more than longest_mean_word, {high:g}: nothing could pass"
        yield ("shortest_mean_word",), what


@filter("gopher_quality", version=1, check=_wrong)
def gopher_quality(
    record: Record,
    *,
    from_words: FromWords = 50,
    symbols: Annotated[
        Share | None, Meta(description="Most # to a word, and most ellipses to a word.")
    ] = 0.1,
    bullet_lines: Annotated[
        Share | None, Meta(description="Largest share of lines that begin with a bullet (•, ●, ▪ …).")
    ] = 0.9,
    ellipsis_lines: Annotated[
        Share | None, Meta(description="Largest share of lines that end with an ellipsis.")
    ] = 0.3,
    words_with_letters: Annotated[
        Share | None, Meta(description="Least share of words in which there is a letter, or a digit.")
    ] = 0.8,
    shortest_mean_word: Annotated[
        Length | None, Meta(description="Least mean length of words, in characters.")
    ] = 3,
    longest_mean_word: Annotated[Length | None, Meta(description="Most mean length of words.")] = 10,
    stop_words: Annotated[
        Few | None,
        Meta(
            description="Fewest stop words: Gopher's eight of English, or as frequent ones of twenty other languages "
            "in Latin letters. Other scripts are not judged by it."
        ),
    ] = 2,
) -> bool | str:
    """Drop records in which an answer is made of symbols, bullets or stray words; null switches a rule off.

    Each of the assistant's messages is judged by itself, without fenced code. Markdown's headings (#) and lists (-, *)
    are the form of an answer, not noise: neither counts. Words are not measured where a language has no spaces.
    """
    for answer in answers(record):
        text = without_code(answer)
        words = text.split(None, _WORDS)
        del words[_WORDS:]
        count = len(words)
        if count < from_words:
            continue
        if symbols is not None:
            if text.count("#") > symbols * count and _hashes(text) > symbols * count:
                return "gopher: too many #"
            if text.count("...") + text.count("…") > symbols * count:
                return "gopher: too many ellipses"
        if "\n" in text and (bullet_lines is not None or ellipsis_lines is not None):
            reason = _lines(text.split("\n"), bullet_lines, ellipsis_lines)
            if reason:
                return reason
        if words_with_letters is not None and not _lettered(words, words_with_letters):
            return "gopher: too few words"
        mean = len("".join(words)) / count
        if shortest_mean_word is not None and mean < shortest_mean_word:
            return "gopher: words too short"
        if longest_mean_word is not None and mean > longest_mean_word and spaced(text):
            return "gopher: words too long"
        if stop_words and not _running(words, stop_words):
            return "gopher: too few stop words"
    return True


def _hashes(text: str) -> int:
    """# but for those of Markdown's headings."""
    return sum(line.lstrip().lstrip("#").count("#") for line in text.split("\n"))


def _lines(lines: Sequence[str], bullets: float | None, ellipses: float | None) -> str | None:
    lines = [line for line in map(str.strip, lines) if line]
    if len(lines) < _FEWEST_LINES:
        return None
    if bullets is not None and sum(map(_bulleted, lines)) > bullets * len(lines):
        return "gopher: too many bullets"
    if ellipses is not None and sum(line.endswith(("...", "…")) for line in lines) > ellipses * len(lines):
        return "gopher: too many lines end in an ellipsis"
    return None


def _bulleted(line: str) -> bool:
    return line.startswith(_BULLETS)


def _lettered(words: list[str], at_least: float) -> bool:
    """Whether so many of the words hold a letter or a digit."""
    missing = at_least * len(words) - sum(map(str.isalpha, words))
    for word in words if missing > 0 else ():
        if not word.isalpha() and any(map(str.isalnum, word)):
            missing -= 1
            if missing <= 0:
                break
    if missing <= 0:
        return True
    words = [word for word in words if word.strip("|-:+*/=<>()×÷·")]  # tables and sums
    return sum(any(map(str.isalnum, word)) for word in words) >= at_least * len(words)


def _running(words: list[str], at_least: int) -> bool:
    """Whether there are so many stop words, or no Latin letters to write them in."""
    # Nearly always the first forty words settle it.
    if sum(map(FREQUENT.__contains__, words[:40])) >= at_least:
        return True
    if sum(map(FREQUENT.__contains__, map(str.lower, words))) >= at_least:
        return True
    text = "".join(words)
    latin = sum("a" <= c <= "z" or "A" <= c <= "Z" for c in text)
    return latin * 2 < sum(map(str.isalpha, text))
