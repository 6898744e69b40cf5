"""Patterns on RE2, for text of any length and kind, and what stands around a match."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
_GLUED = frozenset("./$€£¥#@&=%+-_\\")


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Any:
    import re2  # type: ignore[import-untyped,unused-ignore]

    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)


def searchable(text: str) -> str:
    """The text, as long as before, without half characters: RE2 reads UTF-8, which cannot hold them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.translate(_SURROGATES)
    return text


def spans(pattern: str, text: str) -> Iterator[tuple[int, int]]:
    # Of ASCII, bytes stand where characters do: RE2's own offsets serve, and much faster.
    for match in compiled(pattern).finditer(text.encode() if text.isascii() else text):
        yield match.span()


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a number is no part of a word, path, price, fraction, or longer number."""
    before, after = text[start - 1 : start], text[end : end + 2]
    if before.isalnum() or before in _GLUED:
        return False
    if after[:1].isalnum() or after[:1] in ("%", "°", "_", "/", "@", "="):
        return False
    return not (after[:1] in ("-", ".", ",", ":", "–") and after[1:].isdigit())
