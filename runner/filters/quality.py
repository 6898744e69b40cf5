"""Filter `quality`: one number for how much an answer looks like something a person wrote with care.

No model: the score is a product of six factors, each from 0 to 1 and straight between the two ends given here, of
the assistant's text without its fenced code.

| factor   | measured                                                       | 1 at   | the least at  |
|----------|----------------------------------------------------------------|--------|---------------|
| signs    | share of letters and digits among the characters, spaces aside | 0.75   | 0.3: 0        |
| length   | characters a word (Gopher's limits are 3 and 10)               | 3 to 8 | 1.5 and 14: 0 |
| variety  | share of different words among the first 100                   | 0.35   | 0.05: 0       |
| calm     | share of capitals among the letters                            | 0.3    | 0.9: 0.5      |
| finished | the last line ends as a sentence, a list or a verse may        | yes    | no: 0.7       |
| own      | the answer is not what the user said, word for word            | yes    | no: 0.2       |

Texts of fewer than 20 words are too short to measure: only the last factor holds, and only from 5 words on. A
character outside ASCII counts as a letter, so all scripts are treated alike; `length` is left out where a language
has no spaces between words.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.prose.texts import spaced, without_code
from runner.record import Record
from runner.registry import filter

_MEASURED_FROM, _OWN_FROM = 20, 5  # words
_VARIETY = 100  # words; in longer texts words come back, however good they are
_CHARACTERS = 200_000  # looked at of one answer
_CAPITAL, _LETTER, _DIGIT, _SPACE, _SIGN = b"CLDS."


def _class(byte: int) -> int:
    """What a byte of UTF-8 is; the rules of Markdown's tables part words as spaces do."""
    character = chr(byte)
    if byte >= 128 or character.islower():
        return _LETTER
    if character.isupper():
        return _CAPITAL
    if character.isdigit():
        return _DIGIT
    return _SPACE if character.isspace() or character in "|:-" else _SIGN


_CLASSES = bytes(map(_class, range(256)))
_ENDS = (*".!?:;\"'”’»“」』)]}*_`|。！？；：）।॥؟۔…—", "--")


@filter("quality", version=1)
def quality(
    record: Record,
    *,
    at_least: Annotated[
        float, Meta(ge=0, le=1, description="Least score of a record's answers together, 0 to 1.")
    ] = 0.5,
) -> bool | str:
    """Drop records whose answers score too low: symbols, shouting, few words over and over, cut off, or an echo.

    The assistant's text is looked at; a record in which the assistant only calls tools is kept.
    """
    return True if score(record) >= at_least else "low quality"


def score(record: Record) -> float:
    """The product of the factors above, 0 to 1; 1 for a record without an answer to judge."""
    answer = record.answer
    if not answer:
        return 1.0
    text = without_code(answer[:_CHARACTERS])
    words = text.split()
    value = 0.2 if len(words) >= _OWN_FROM and _echo(record, answer) else 1.0
    if len(words) < _MEASURED_FROM:
        return value
    classes = text.encode("utf-8", "surrogatepass").translate(_CLASSES)
    capitals = classes.count(_CAPITAL)
    letters = classes.count(_LETTER) + capitals
    signs = classes.count(_SIGN)
    known = letters + classes.count(_DIGIT)
    value *= _between(known / (known + signs or 1), 0.3, 0.75)
    value *= _between(len(set(words[:_VARIETY])) / min(len(words), _VARIETY), 0.05, 0.35)
    value *= 1 - 0.5 * _between(capitals / (letters or 1), 0.3, 0.9)
    mean = len(text) / len(words) - 1
    if not 3 <= mean <= 8:
        mean = sum(map(len, words)) / len(words)
        if mean < 3 or spaced(text):
            value *= _between(mean, 1.5, 3) * (1 - _between(mean, 8, 14))
    if not text.rstrip().endswith(_ENDS) and not _listed(text):
        value *= 0.7
    return value


def _between(value: float, nothing: float, all_of_it: float) -> float:
    return min(1.0, max(0.0, (value - nothing) / (all_of_it - nothing)))


def _listed(text: str) -> bool:
    """Whether the last line is one of several short ones: a list's, a poem's or an address's."""
    return len(text.rstrip().rpartition("\n")[2]) < 80 and "\n" in text.strip()


def _echo(record: Record, answer: str) -> bool:
    """Whether the user said it before, line breaks and all: to set a text in new lines is an answer."""
    answer = answer.strip()
    return any(m.role == "user" and m.content and answer in m.content for m in record.messages)
