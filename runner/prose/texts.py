"""Texts of a record, and parts of a text."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from msgspec.structs import replace

from runner.record import Record

# Chinese, kana, Thai, Lao, Tibetan, Burmese, Khmer, and their wide punctuation.
_UNSPACED = (
    (0x0E00, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x312F),
    (0x31A0, 0xA4CF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_LOOKED_AT = 2000


def answers(record: Record) -> list[str]:
    """What the assistant says, message by message; none for a message that only calls tools."""
    return [m.content for m in record.messages if m.role == "assistant" and m.content]


def without_code(text: str) -> str:
    """The text without its fenced code (``` to ```, or to the end)."""
    return text if "```" not in text else "\n".join(text.split("```")[::2])


def spaced(text: str) -> bool:
    """Whether words are parted by spaces in it: not so in Chinese, Japanese, Thai, Lao, Burmese, Khmer."""
    if text.isascii():
        return True
    letters = [ord(c) for c in text[:_LOOKED_AT] if not c.isspace()]
    return sum(any(low <= c <= high for low, high in _UNSPACED) for c in letters) * 5 < len(letters)


def reword(record: Record, texts: Mapping[int, str]) -> Record | None:
    """The record with new texts for some messages (by number); None where a message would say nothing any more.

    One that calls tools may fall silent: the calls are what it says.
    """
    messages = list(record.messages)
    for n, text in texts.items():
        silent = not text.strip()
        if silent and not messages[n].tool_calls:
            return None
        messages[n] = replace(messages[n], content=None if silent else text)
    return replace(record, messages=messages)


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 0, line without spaces around it) for each line that is neither blank nor fenced code."""
    fenced = False
    for n, line in enumerate(text.split("\n")):
        line = line.strip()
        if line.startswith("```"):
            fenced = not fenced
        elif line and not fenced:
            yield n, line


def without_lines(text: str, numbers: Container[int]) -> str:
    """The text without the lines of these numbers; blank lines that come together that way become one."""
    kept: list[str] = []
    gap = False
    for n, line in enumerate(text.split("\n")):
        if n in numbers:
            gap = True
        elif line.strip() or not gap:
            kept.append(line)
            gap = False
        elif kept and kept[-1].strip():
            kept.append(line)
    while gap and kept and not kept[-1].strip():
        kept.pop()
    return "\n".join(kept)
