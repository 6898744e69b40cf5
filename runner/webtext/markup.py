"""Markup as it came → markup that a parser reads in linear time and bounded memory, or the reason why it cannot.

libxml2 compares each attribute with those before it on the same element, an attribute takes some 250 bytes and
trafilatura copies the tree several times; so both are counted before anything is parsed. What is counted must be what
the parser sees: scripts, styles and comments, in which anything may look like a tag, are taken out, and the text of a
title is escaped.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from runner.webtext.refuse import NoPage

MOST_TAGS = 50_000  # ten times a large newspaper page's; past that, trafilatura takes minutes
MOST_ATTRIBUTES = 100_000
MOST_OF_ONE = 500
"""Attributes of one element; pages that people read have some 30."""
MOST_TEXT = 4 << 20  # "War and Peace" has three millions
_MARKS = 30
"""Combining marks on one letter: Unicode's own bound (Stream-Safe Text). Ordering them takes the square of it."""
_BEGUN = 1000  # pieces of text that begin with a mark, and so may come to stand after another's

_NEXT = re.compile(r"<(?:!--|([a-zA-Z][^\s/>]*))")
_COMMENT_END = re.compile(r"--!?>")
_ATTRIBUTE = re.compile(r"""[\s/]*[^\s/>][^\s/>=]*(?:\s*=\s*(?:"[^"]*"?|'[^']*'?|[^\s>]*))?""")
_CLOSED = re.compile(r"([\s/]*)>?")
_RAW_END = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.I) for name in ("script", "style", "title", "textarea")
}
_DATA = re.compile(r"application/ld\+json", re.I)
_TITLE = 5000  # characters of a title; one that ends later was never closed


def bounded(html: str) -> str:
    """The same page without scripts (but for JSON-LD), styles and comments. Raises NoPage."""
    if html.count("<") > MOST_TAGS:
        raise NoPage(f"too large: over {MOST_TAGS:,} tags")
    out: list[str] = []
    at = kept = attributes = 0
    while found := _NEXT.search(html, at):
        start, at = found.span()
        if not found[1]:
            kept, at = _without(html, out, kept, start, _comment_end(html, at))
            continue
        own = 0
        while one := _ATTRIBUTE.match(html, at):
            at, own = one.end(), own + 1
            if own > MOST_OF_ONE:
                raise NoPage(f"too large: over {MOST_OF_ONE} attributes on one element")
        attributes += own
        if attributes > MOST_ATTRIBUTES:
            raise NoPage(f"too large: over {MOST_ATTRIBUTES:,} attributes")
        closed = _CLOSED.match(html, at)
        at = closed.end() if closed else at
        end = _RAW_END.get(found[1].lower())
        if end is None or (closed and "/" in closed[1]):
            continue
        if end is _RAW_END["title"] or end is _RAW_END["textarea"]:
            if there := end.search(html, at, at + _TITLE):
                out += [html[kept:at], html[at : there.start()].replace("<", "&lt;")]
                kept = at = there.start()
        elif not _DATA.search(html, start, at) and (there := end.search(html, at)):
            after = html.find(">", there.end() - 1)
            kept, at = _without(html, out, kept, start, after + 1 or len(html))
    return "".join([*out, html[kept:]]) if out else html


def _without(html: str, out: list[str], kept: int, start: int, end: int) -> tuple[int, int]:
    """Leave out what is between, without making a tag of what stands on both sides."""
    out += [html[kept:start], " " if kept < start and html[start - 1] in "<!/?-" else ""]
    return end, end


def _comment_end(html: str, at: int) -> int:
    """Where a comment ends; one that is left open hides all that follows, as in a browser."""
    if html.startswith((">", "->"), at):
        return html.index(">", at) + 1
    end = _COMMENT_END.search(html, at)
    return end.end() if end else len(html)


def check_text(tree: Any) -> None:
    """Raises NoPage for more text than a book has, or letters with more combining marks than in any script."""
    begun = size = 0
    for text in tree.itertext():
        size += len(text)
        if size > MOST_TEXT:
            raise NoPage(f"too large: over {MOST_TEXT >> 20} million characters of text")
        if not text.isascii():
            if _marks(_MARKS + 1).search(text):
                raise NoPage(f"no text: over {_MARKS} combining marks on one letter")
            begun += _marks(1).match(text.lstrip()[:1]) is not None
    if begun > _BEGUN:
        raise NoPage(f"no text: over {_BEGUN:,} pieces of it begin with a combining mark")


@lru_cache
def _marks(least: int) -> re.Pattern[str]:
    """So many combining marks in a row."""
    ranges: list[list[int]] = []
    for code in range(0x300, 0x1E950):
        if unicodedata.combining(chr(code)):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    letters = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"[{letters}]{{{least}}}")
