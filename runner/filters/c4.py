"""Filter `c4`: the rules by which the Colossal Clean Crawled Corpus was made of web pages.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
section 2.2, as published: lines of at least 5 words that end in a terminal punctuation mark, at least 3 sentences a
page (datatrove, and so FineWeb, follow an earlier version: 3 words and 5 sentences); the policy phrases and the
longest word, 1,000 characters, stand in its code only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from runner.prose.texts import answers, prose_lines, reword, spaced, without_code, without_lines
from runner.record import Edited, Record
from runner.registry import filter

# C4's are . ! ? and the end quotation mark; these are the same marks as people of other languages write them.
_STOPS = tuple(".!?。！？।॥؟۔؛։።")
_QUOTES = tuple("\"'”’»“」』")
_CLOSING = "\"'”’»“」』)]）*_"
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_LONGEST_WORD = 1000

Lines = Literal["remove", "drop", "keep"]


@filter("c4", version=1)
def c4(
    record: Record,
    *,
    lines: Annotated[
        Lines,
        Meta(
            description="What becomes of lines that break a rule: they are removed (C4), the record is dropped, or "
            "they are kept and only the rules for whole pages hold."
        ),
    ] = "remove",
    punctuation: Annotated[bool, Meta(description="A line ends in a terminal punctuation mark.")] = True,
    words_a_line: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Fewest words of a line. C4 has 5, datatrove 3: both take short lines of dialogue out.",
        ),
    ] = 1,
    javascript: Annotated[bool, Meta(description="A line does not mention JavaScript.")] = True,
    policy: Annotated[
        bool, Meta(description='A line does not speak of cookies, "terms of use" or "privacy policy".')
    ] = True,
    sentences: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Fewest sentences of all answers. C4 has 3, for web pages; an answer may be one.",
        ),
    ] = 0,
    curly_braces: Annotated[bool, Meta(description="Drop records with a { in an answer: code.")] = True,
    lorem_ipsum: Annotated[bool, Meta(description='Drop records with "lorem ipsum" in an answer.')] = True,
) -> bool | str | Edited:
    """Clean answers as C4 cleaned web pages: lines that are no sentences go, and so do pages of code or filler.

    The assistant's text is looked at, without fenced code. The rules for lines are for pages: an answer that is a
    single line is left alone, but headings, lists and verse of longer ones go. A record in which an answer would be
    left without a line is dropped.
    """
    said = answers(record)
    for answer in said:
        text = without_code(answer)
        if curly_braces and "{" in text:
            return "c4: curly brace"
        if lorem_ipsum and "lorem ipsum" in text.lower():
            return "c4: lorem ipsum"

    def unwanted(line: str) -> bool:
        return (
            (punctuation and not _ends(line))
            or (len(line.split(None, words_a_line)) < words_a_line and spaced(line))
            or _about(line.lower(), javascript, policy)
            or (len(line) > _LONGEST_WORD and max(map(len, line.split())) > _LONGEST_WORD and spaced(line))
        )

    removed, left = 0, dict[int, str]()
    for n, m in enumerate(record.messages if lines != "keep" else ()):
        if m.role == "assistant" and m.content and "\n" in m.content.strip():
            numbers = {at for at, line in prose_lines(m.content) if unwanted(line)}
            if numbers:
                removed, left[n] = removed + len(numbers), without_lines(m.content, numbers)
    if removed and lines == "drop":
        return "c4: a line that is no sentence"
    cleaned = reword(record, left)
    if cleaned is None:
        return "c4: no line is a sentence"
    if sentences and said and sum(map(_sentences, answers(cleaned))) < sentences:
        return "c4: too few sentences"
    return Edited(cleaned, f"{removed} line{'s' * (removed != 1)} removed") if removed else True


def _ends(line: str) -> bool:
    """Ends as a sentence does, emphasis and brackets aside; an ellipsis is no end."""
    bare = line.rstrip(_CLOSING)
    return line.endswith(_QUOTES) or (bare.endswith(_STOPS) and not bare.endswith("..."))


def _about(line: str, javascript: bool, policy: bool) -> bool:
    return (javascript and "javascript" in line) or (policy and any(phrase in line for phrase in _POLICY))


def _sentences(text: str) -> int:
    """Sentences, roughly: words that end in a stop, with what closes after it; text after the last is one more."""
    words = [word.rstrip(_CLOSING) for word in text.split()]
    ends = sum(word.endswith(_STOPS) for word in words)
    unspaced = sum(map(text.count, "。！？"))
    return max(ends, unspaced) + bool(words and not words[-1].endswith(_STOPS))
