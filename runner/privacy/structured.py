"""Personal data in text that may be JSON, as calls' arguments and most tools' results are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from runner.privacy.find import Hit, Kind, find

_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')  # a string of JSON text, which was read as such before
_VALUE = re.compile(
    rf"{_LITERAL.pattern}|(?<![\d.eE+-])\d{{7,}}(?![\d.eE])"
)  # or a whole number that may be somebody's


def look(
    text: str, kinds: Iterable[Kind], *, known: frozenset[str] = frozenset(), numbers: bool = False
) -> list[Hit]:
    """Hits in a text; of JSON text in its strings alone, and in its `numbers` if asked, each with the key before it.
    Places are the strings' and numbers' own."""
    if not is_json(text):
        return find(text, kinds, known=known)
    said = values(text) if numbers else strings(text)
    return [hit for _, _, inner, lead in said for hit in find(inner, kinds, lead=lead, known=known)]


def is_json(text: str) -> bool:
    """Whether the text is a JSON object, list or string, as arguments and most results are."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def strings(text: str) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, what it says, the key before it) of each string in JSON text."""
    return (value for value in values(text) if text[value[0]] == '"')


def values(text: str) -> Iterator[tuple[int, int, str, str]]:
    """The same of each string and each whole number of seven digits and more."""
    key = ""
    for match in _VALUE.finditer(text):
        inner = json.loads(match[0]) if match[0][0] == '"' else match[0]
        yield match.start(), match.end(), inner, key
        if text[match.end() : match.end() + 8].lstrip()[:1] == ":":
            key = inner[:40]


def without_strings(text: str) -> str:
    """JSON text with all its strings empty: what is left of it are its numbers and its shape."""
    return _LITERAL.sub('""', text)
