"""Filter `repetition`: Gopher's rules against text that repeats itself.

Source of the thresholds: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training
Gopher", table A1. Of lines and n-grams that come twice the later ones count, as in datatrove's filter, with which
FineWeb was made.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from runner.prose.gopher import FromWords
from runner.prose.texts import answers, without_code
from runner.record import Record
from runner.registry import filter

Share = Annotated[float, Meta(ge=0, le=1)]

# Gopher's longest document is 100,000 words: what repeats itself does so before that.
_CHARACTERS, _WORDS = 1_000_000, 100_000


@filter("repetition", version=1)
def repetition(
    record: Record,
    *,
    from_words: FromWords = 50,
    duplicate_lines: Annotated[
        Share | None, Meta(description="Largest share of lines that stood before.")
    ] = 0.3,
    duplicate_line_characters: Annotated[
        Share | None, Meta(description="Largest share of characters in lines that stood before.")
    ] = 0.2,
    duplicate_paragraphs: Annotated[
        Share | None, Meta(description="Largest share of paragraphs that stood before.")
    ] = 0.3,
    duplicate_paragraph_characters: Annotated[
        Share | None, Meta(description="Largest share of characters in paragraphs that stood before.")
    ] = 0.2,
    top_2_gram: Annotated[
        Share | None, Meta(description="Largest share of characters in the commonest two words.")
    ] = 0.2,
    top_3_gram: Annotated[
        Share | None, Meta(description="Largest share of characters in the commonest three words.")
    ] = 0.18,
    top_4_gram: Annotated[
        Share | None, Meta(description="Largest share of characters in the commonest four words.")
    ] = 0.16,
    duplicate_5_grams: Annotated[
        Share | None, Meta(description="Largest share of characters in runs of five words that came before.")
    ] = 0.15,
    duplicate_6_grams: Annotated[
        Share | None, Meta(description="Largest share of characters in runs of six words that came before.")
    ] = 0.14,
    duplicate_7_grams: Annotated[
        Share | None, Meta(description="Largest share of characters in runs of seven words that came before.")
    ] = 0.13,
    duplicate_8_grams: Annotated[
        Share | None, Meta(description="Largest share of characters in runs of eight words that came before.")
    ] = 0.12,
    duplicate_9_grams: Annotated[
        Share | None, Meta(description="Largest share of characters in runs of nine words that came before.")
    ] = 0.11,
    duplicate_10_grams: Annotated[
        Share | None, Meta(description="Largest share of characters in runs of ten words that came before.")
    ] = 0.1,
) -> bool | str:
    """Drop records in which an answer repeats lines, paragraphs or runs of words; null switches a rule off.

    Each of the assistant's messages is judged by itself, without fenced code: two turns may end alike, and an
    answer may take up its question. Languages without spaces are judged by their lines alone.
    """
    lines = (duplicate_lines, duplicate_line_characters)
    paragraphs = (duplicate_paragraphs, duplicate_paragraph_characters)
    top = (top_2_gram, top_3_gram, top_4_gram)
    runs = (
        *(duplicate_5_grams, duplicate_6_grams, duplicate_7_grams),
        *(duplicate_8_grams, duplicate_9_grams, duplicate_10_grams),
    )
    for answer in answers(record):
        text = without_code(answer[:_CHARACTERS]).strip()
        if "\n" in text:
            found = _duplicates("paragraph", text.split("\n\n"), *paragraphs, from_words)
            found = found or _duplicates("line", text.split("\n"), *lines, from_words)
            if found:
                return found
        words = text.split(None, _WORDS)
        del words[_WORDS:]
        if len(words) >= from_words:
            reason = _top(words, len(text), top) or _runs(words, len(text), runs)
            if reason:
                return reason
    return True


def _duplicates(
    what: str, parts: list[str], at_most: float | None, characters_at_most: float | None, from_words: int
) -> str | None:
    """Why too many of these lines or paragraphs stood before, or None. Blank ones do not count."""
    parts = [p for p in map(str.strip, parts) if p]
    if len(set(parts)) == len(parts):
        return None
    # Counted only now, where it matters: a line of Chinese is no word, but says as much as several.
    if sum(len(p.split()) if p.isascii() else max(len(p.split()), len(p) // 6) for p in parts) < from_words:
        return None
    seen: set[str] = set()
    count = characters = 0
    for part in parts:
        if part in seen:
            count, characters = count + 1, characters + len(part)
        seen.add(part)
    if at_most is not None and count > at_most * len(parts):
        return f"repetition: duplicate {what}s"
    if characters_at_most is not None and characters > characters_at_most * sum(map(len, parts)):
        return f"repetition: characters in duplicate {what}s"
    return None


def _top(words: list[str], length: int, limits: tuple[float | None, ...]) -> str | None:
    """The rules of the commonest n-gram (of equally common ones the longest): its times by its length."""
    pairs = Counter(pairwise(words))
    most = max(pairs.values(), default=0)
    if most < 2:
        return None
    longest = max(map(len, words))
    for n, limit in enumerate(limits, 2):
        # No longer n-gram is commoner than the commonest pair, so mostly none needs to be counted.
        if limit is None or most * (n * longest + n - 1) <= limit * length:
            continue
        grams = pairs if n == 2 else Counter(zip(*(words[i:] for i in range(n)), strict=False))
        times = max(grams.values(), default=0)
        if times > 1:
            size = max(sum(map(len, gram)) for gram, count in grams.items() if count == times) + n - 1
            if times * size > limit * length:
                return f"repetition: top {n}-gram"
    return None


def _runs(words: list[str], length: int, limits: tuple[float | None, ...]) -> str | None:
    """The rules of duplicate n-grams, five words and up; characters of overlapping ones count once."""
    fives = list(zip(*(words[i:] for i in range(5)), strict=False))
    if len(set(fives)) == len(fives):
        return None  # and then no longer run comes twice either
    for n, limit in enumerate(limits, 5):
        if limit is None:
            continue
        seen: set[tuple[str, ...]] = set()
        at = characters = 0
        grams = list(zip(*(words[i:] for i in range(n)), strict=False))
        while at < len(grams):
            gram = grams[at]
            if gram in seen:
                characters += sum(map(len, gram)) + n - 1
                at += n
            else:
                seen.add(gram)
                at += 1
        if characters > limit * length:
            return f"repetition: duplicate {n}-grams"
    return None
