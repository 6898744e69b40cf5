"""Headings apart from the text below them: a model that is asked for a passage should not say "CHAPTER VI" first.

A document that is one chapter begins with its heading, as `meta` names it; one that holds a whole book has headings in
the middle, too. There only what hardly anybody writes in a story is taken for one: "CHAPTER VI. …", a number alone,
a short line in capitals that no colon leads to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_NUMBER = (
    r"(?:[ivxlc]+|\d{1,3}|the\s+[a-z]+|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|first|second"
    r"|third|last)(?![a-z]))"
)
_KEYWORD = r"(?:chapter|chap\.|letter|book|part|volume|stave|canto|act|scene|section|adventure|appendix)"
_NUMBERED = re.compile(
    rf"[\W_]*{_KEYWORD}\s+{_NUMBER}(?:[\W_]*$|\s*[.:,;\n—–-]+\s*(?=\W*[A-Z\[(])|\s+(?=[A-Z]))", re.I
)
_CASED = re.compile(r"\W*[A-Z]")  # "chapter ten. It …" begins no chapter
_TRAILED = re.compile(r"\W*[^\W\d_]+\s+(?:kapitel|chapter|part|book)\W*", re.I)
_BARE = re.compile(r"\W*(?:[IVXLC]{1,7}|\d{1,3})\W*")
_COUNTED = re.compile(r"(?:[IVXLC]{1,7}|\d{1,3})\.\s+(?=\S)")
_BY = re.compile(r"(?:by|von)(?:\s+[A-Z].*|\W*)", re.I | re.S)
_LAST_PART = re.compile(
    r".*[.:]\s+(?:[IVXLC]{1,7}|\d{1,3})\.\s+(?=[^\W\d_]{2})", re.S
)  # "BOOK ONE. THE ICE. I. THE EVE"
_LEFT_NUMBER = re.compile(r"[.:]\s*(?:[IVXLC]{1,7}|\d{1,3})\W*$")
_ASIDE = re.compile(r"\[[^\[\]]{1,200}\]\.?|\([^()]{1,200}\)\.?")
_UNNAMED = re.compile(
    r"(?:the\s+)?(?:author['’]?s\s+)?(?:preface|introduction|introductory|foreword|prologue|epilogue|conclusion|afterword"
    r"|postscript|appendix|notes?|footnotes?|index|the end|finis|explanatory|notice|schlu(?:ss|ß)|vorwort|nachwort)",
    re.I,
)
_QUOTES = "\"“”‘’«»„'"
_LONGEST = 25  # words of a heading
LONGEST_CHARS = 400
_FEWEST = 40  # words below a heading in the middle; less is a leftover of a contents table
_PARTED = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SMALL = frozenset(
    "a an the and or but nor of in on at to for by with from as is his her its my our into upon over".split()
)


class Section(NamedTuple):
    """What stands below one heading; `heading` is on one line, "" where the text has none."""

    heading: str
    text: str


def words_of(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _capitals(paragraph: str) -> bool:
    """Whether it is a line in capitals, and nobody's cry."""
    letters = [c for c in paragraph if c.isalpha()]
    quoted = paragraph.strip()[:1] in _QUOTES or paragraph.strip()[-1:] in _QUOTES
    return len(letters) > 3 and not quoted and "".join(letters).isupper()


def _titled(paragraph: str) -> bool:
    """ "Roxy Plays a Shrewd Trick.": each word of weight with a capital, no other stop than one at the end."""
    found = paragraph.split()
    heavy = [w for w in found if w.lower().strip(".,'’") not in _SMALL]
    return (
        len(heavy) > 0
        and len(found) <= 12
        and paragraph[0] not in _QUOTES
        and not re.search(r"[!?;\"“”]|\d{3}|,$", paragraph)
        and all(w.lstrip("([_")[:1].isupper() for w in heavy)
    )


def _short(paragraph: str) -> bool:
    return len(paragraph) <= LONGEST_CHARS and len(paragraph.split()) <= _LONGEST


def _numbered(paragraph: str) -> bool:
    return paragraph.lstrip()[:1] not in _QUOTES and bool(
        (_NUMBERED.match(paragraph) and _CASED.match(paragraph))
        or _TRAILED.fullmatch(paragraph)
        or _BARE.fullmatch(paragraph)
        or (_COUNTED.match(paragraph) and _capitals(paragraph))
    )


def _begins(paragraphs: Sequence[str], at: int, capitals: bool) -> bool:
    """Whether a heading begins there; with `capitals`, one without a number, too."""
    here = paragraphs[at].strip()
    if not _short(here):
        return False
    if _numbered(here):
        return True
    before = paragraphs[at - 1].rstrip() if at else "."
    # Behind a colon it is a notice or a gravestone that the text shows.
    return (
        capitals
        and _capitals(here)
        and len(here.split()) <= 12
        and here[-1:] not in "!?,:"
        and before[-1:] in ".!?*”\"’']"
    )


def _goes_on(paragraph: str, before: str) -> bool:
    """Whether a paragraph below a heading is still heading: its title, a date of writing, the author."""
    here = paragraph.strip()
    if not _short(here):
        return False
    bare = not name(before)
    return bool(
        _numbered(here)
        or _capitals(here)
        or _ASIDE.fullmatch(here)
        or (_BY.match(here) and len(here.split()) <= 8)
        or (_titled(here) and (bare or here[-1:] not in ".:,"))
    )


def _run(paragraphs: Sequence[str], at: int) -> int:
    """The paragraph after the heading that begins at `at`."""
    end = at + 1
    while end < len(paragraphs) and _goes_on(paragraphs[end], paragraphs[end - 1]):
        end += 1
    return end


def _line(paragraphs: Sequence[str]) -> str:
    """The paragraphs of a heading on one line."""
    parts = [" ".join(p.split()) for p in paragraphs]
    return " ".join(p if p[-1] in ".:!?—-,;]" else f"{p}." for p in parts).rstrip(".")


def sections(text: str, *known: str, capitals: bool = True) -> Iterator[Section]:
    """The text in sections, each without its heading; `known` are headings that it may begin with (title, chapter).

    Text without headings is one section, and a heading with hardly anything below it stays in the text. With
    `capitals` a line in capitals in the middle is a heading as well; within one chapter it may be a notice.
    """
    paragraphs = [p for p in _PARTED.split(text) if p.strip()]
    named = [w for w in map(words_of, known) if w]
    below = 0
    while below < len(paragraphs) and (
        _among(paragraphs[below], named)
        or _begins(paragraphs, below, True)
        or (below and _goes_on(paragraphs[below], paragraphs[below - 1]))
    ):
        below += 1
    starts = [(0, below if below < len(paragraphs) else 0)]  # (first paragraph of a heading, first below it)
    at = starts[0][1] + 1
    while at < len(paragraphs):
        end = _run(paragraphs, at) if _begins(paragraphs, at, capitals) else at
        if end > at and sum(len(p.split()) for p in paragraphs[end : end + _FEWEST]) >= _FEWEST:
            starts.append((at, end))
        at = max(end, at + 1)
    bounds = [begin for begin, _ in starts[1:]] + [len(paragraphs)]
    for (begin, first), end in zip(starts, bounds, strict=True):
        yield Section(_line(paragraphs[begin:first]), "\n\n".join(paragraphs[first:end]))


def behead(passage: str) -> Section:
    """A passage that begins with a line in capitals, as a section."""
    paragraphs = passage.split("\n\n")
    end = _run(paragraphs, 0) if _begins(paragraphs, 0, True) else 0
    end = end if end < len(paragraphs) else 0
    return Section(_line(paragraphs[:end]), "\n\n".join(paragraphs[end:]))


def _among(paragraph: str, known: Sequence[list[str]]) -> bool:
    """Whether a first paragraph is part of a known heading; speech that became a chapter's title is none."""
    if not _short(paragraph) or paragraph.strip()[:1] in _QUOTES:
        return False
    own = words_of(paragraph)
    return bool(own) and any(
        own == heading[i : i + len(own)] for heading in known for i in range(len(heading) - len(own) + 1)
    )


def name(heading: str) -> str:
    """A heading's own name, as a sentence may say it: "CHAPTER VI. IT'S A CARAVAN" → "It's a Caravan".

    "" for a number alone and for a preface: nobody can tell by it what is asked for.
    """
    rest = " ".join(heading.split()) if len(heading) <= LONGEST_CHARS else ""
    rest = re.sub(r"(?:--|—)?\s*\[[^\[\]]*\]\.?\s*", " ", rest).strip()
    rest = _LEFT_NUMBER.sub("", _LAST_PART.sub("", rest))
    while True:
        found = _NUMBERED.match(rest) if _CASED.match(rest) else None
        found = found or _TRAILED.fullmatch(rest) or _BARE.fullmatch(rest) or _COUNTED.match(rest)
        if not found or not found[0]:
            break
        rest = rest[found.end() :].strip()
    rest = rest.strip(" .:;,—–-*_")
    if len(re.findall(r"[^\W\d_]", rest)) < 3 or _UNNAMED.fullmatch(rest):
        return ""
    letters = [c for c in rest if c.isalpha()]
    return _spoken(rest) if sum(map(str.isupper, letters)) > 0.8 * len(letters) else rest


def _spoken(capitals: str) -> str:
    """Capitals as a title is written."""
    out = []
    for n, word in enumerate(capitals.split()):
        roman = re.fullmatch(r"\W*(?=[IVX]{2})(?:X{0,3}(?:IX|IV|V?I{0,3}))\W*", word)
        low = word.lower()
        small = n and low.strip(".,:;") in _SMALL
        out.append(
            word if roman else low if small else re.sub(r"[^\W\d_]", lambda m: m[0].upper(), low, count=1)
        )
    return " ".join(out)
