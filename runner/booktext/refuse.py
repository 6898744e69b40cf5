"""What is not a book, and why: pages, pointers and archives saved as one, listings, numbers,
stubs.
"""

from __future__ import annotations

import re

from runner.booktext.marks import Unusable

_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|rdf:rdf)\b",
    re.I | re.S,
)
_FEWEST_WORDS = 40
_MOST_LINES = 1_500_000  # all of Mark Twain in one file has 330,000; each costs memory
_FEWEST_LETTERS = 0.3  # of what is no white space; also of a whole file, before marks are looked for in it
_AUDIO = re.compile(
    r"\b(?:audio ?book|audio (?:reading|recording|performance|file)|\.?mp3|ogg vorbis|midi)\b", re.I
)


def refuse_file(text: str) -> None:
    """Raises: Unusable for a file that is something else altogether."""
    start = text.lstrip("\ufeff \t\n\r")[:2000]
    if not start.strip():
        raise Unusable("empty")
    if _HTML.match(start):
        raise Unusable("not a book: an HTML or XML page")
    if start.startswith("version https://git-lfs.github.com/"):
        raise Unusable("not a book: a Git LFS pointer")
    if start.startswith("{\\rtf"):
        raise Unusable("not a book: an RTF file")
    if text.count("\n") > _MOST_LINES:
        raise Unusable(f"not a book: more than {_MOST_LINES} lines")
    if _letters(text) < _FEWEST_LETTERS:
        raise Unusable("not a book: numbers or symbols, not words")


def refuse_body(body: str) -> None:
    """Raises: Unusable for what Gutenberg carries that is no prose or verse to learn from."""
    words = len(body.split(None, 600))  # all of them would take more memory than the book
    if words < _FEWEST_WORDS:
        raise Unusable("not a book: hardly any text between the Gutenberg marks")
    if words < 600 and len(_AUDIO.findall(body)) >= 2:
        raise Unusable("not a book: a note on a recording")
    if _letters(body) < 0.6:
        raise Unusable("not a book: numbers or symbols, not words")
    lines = [line for line in body.splitlines() if line.strip()]
    listed = sum(bool(re.search(r"\s\d{1,6}[A-Z]?$", line)) for line in lines)
    if len(lines) >= 40 and listed > 0.5 * len(lines):
        raise Unusable("not a book: a listing")


def _letters(text: str) -> float:
    """Share of letters in what is no white space."""
    shown = len(text) - sum(map(str.isspace, text))
    return sum(map(str.isalpha, text)) / shown if shown else 0.0
