"""What is not a book, and why: pages, pointers and archives saved as one, listings, numbers,
stubs.
"""

from __future__ import annotations

import re

from runner.booktext.marks import Unusable, count_words

_HTML = re.compile(
    r"(?:<\?xml[^>]*>\s*|<!--[^>]*-->\s*)*</?(?:!doctype\b|(?:html|head|body|title|meta|link|style|script|base|div|span|p"
    r"|h[1-6]|a|b|i|em|strong|font|center|pre|code|hr|br|img|table|tbody|tr|t[dh]|ul|ol|li|dl|form|main|article|section|nav"
    r"|header|footer|blockquote|svg|rdf:rdf|rss|feed|error)(?:\s[^<>]*)?/?>)",
    re.I,
)
_JSON = re.compile(r"[\[{]\s*(?:[\[{]\s*)*\"(?:[^\"\\\n]|\\.){0,200}\"\s*[:,\]]")
_OTHER_FILES = {
    "version https://git-lfs.github.com/": "a Git LFS pointer",
    "{\\rtf": "an RTF file",
    "%PDF-": "a PDF file",
    "%!PS": "a PostScript file",
    "GIF8": "a picture",
    "begin 6": "a uuencoded file",
}
# The first line of what a server says instead of a book.
_FAILURE = re.compile(
    r"[\W_]*(?:(?:http(?:/[\d.]+)?|error|status|code|oops)\b\W*){0,4}"
    r"(?:[45]\d\d\b\W*(?:error\b|bad |unauthori[sz]ed|payment|forbidden|not (?:found|allowed|acceptable|implemented)"
    r"|method|request|gone\b|too many|internal|service|gateway|backend|unavailable|over(?:loaded|load)|rate|time-?out"
    r"|server|proxy|web server|conflict|precondition|length|unsupported|page|file|mirror|\W*$)"
    r"|(?:the )?(?:page|file|document|resource|object|url)(?: you requested| requested)?"
    r" (?:was |is |could )?not (?:be )?found"
    r"|not found\W*$|index of /\S*\s*$|bad gateway|gateway time-?out"
    r"|service (?:temporarily )?unavailable|internal server error|too many requests"
    r"|(?:rate|request|download) limit(?:ed)?\b(?: \w+)? (?:exceeded|reached|error)|rate[- ]limited\b|access denied\b"
    r"|(?:backend|upstream|server|origin)(?: \w+)? (?:overloaded|unavailable|timed out)"
    r"|error establishing|no such file)",
    re.I,
)
_LONGEST_FAILURE = 2000  # words
_LISTED = re.compile(r"\s\d{1,6}[A-Z]?$")
_FEWEST_WORDS = 40
_MOST_LINES = 1_500_000  # all of Mark Twain in one file has 330,000; each costs memory
_FEWEST_LETTERS = 0.3  # of what is no white space; also of a whole file, before marks are looked for in it
_AUDIO = re.compile(
    r"\b(?:audio ?book|audio (?:reading|recording|performance|file)|\.?mp3|ogg vorbis|midi)\b", re.I
)


def refuse_file(text: str) -> None:
    """Raises: Unusable for a file that is something else altogether."""
    start = text[:20_000].lstrip("\ufeff \t\n\r")[:2000]
    if not start.strip():
        raise Unusable("empty")
    if _HTML.match(start):
        raise Unusable("not a book: an HTML or XML page")
    for begins, what in _OTHER_FILES.items():
        if start.startswith(begins):
            raise Unusable(f"not a book: {what}")
    if _JSON.match(start):
        raise Unusable("not a book: JSON, an answer meant for programs")
    if _FAILURE.match(start.partition("\n")[0]) and count_words(text[:100_000]) < _LONGEST_FAILURE:
        raise Unusable("not a book: an error that a server sent instead")
    if text.count("\n") > _MOST_LINES:
        raise Unusable(f"not a book: more than {_MOST_LINES} lines")
    if _letters(text) < _FEWEST_LETTERS:
        raise Unusable("not a book: numbers or symbols, not words")


def refuse_body(body: str) -> None:
    """Raises: Unusable for what Gutenberg carries that is no prose or verse to learn from."""
    # All of them would take more memory than the book.
    words = len(body.split(None, 600)) + (0 if body.isascii() else count_words(body[:20_000]))
    if words < _FEWEST_WORDS:
        raise Unusable("not a book: hardly any text between the Gutenberg marks")
    if words < 600 and len(_AUDIO.findall(body)) >= 2:
        raise Unusable("not a book: a note on a recording")
    if _letters(body) < 0.6:
        raise Unusable("not a book: numbers or symbols, not words")
    refuse_listing(body)


def refuse_listing(text: str) -> None:
    """Raises: Unusable for titles and their numbers, line after line, as the indexes of Gutenberg's have them."""
    # What is set in belongs to the line above: "  [Subtitle: …]".
    lines = [line for line in text.splitlines() if line.strip() and line[0] not in " \t["]
    listed = sum(bool(_LISTED.search(line[-20:])) for line in lines)
    if len(lines) >= 40 and listed > 0.5 * len(lines):
        raise Unusable("not a book: a listing")


def _letters(text: str) -> float:
    """Share of letters in what is no white space."""
    shown = len(text) - sum(map(str.isspace, text))
    return sum(map(str.isalpha, text)) / shown if shown else 0.0
