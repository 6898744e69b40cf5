"""Where the chapters of a book begin: headings that count on, titles that its contents table named.

No single line makes a chapter: "I." may be a footnote, "CHAPTER IV" a leftover of a contents table. What counts
is that headings of one kind follow one another in number and stand far enough apart to hold text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

_PARTS = (
    "book|part|volume|vol|act|buch|teil|theil|band|akt|aufzug|livre|partie|tome|acte|parte|libro|tomo|deel"
)
_CHAPTERS = (
    "chapter|chap|letter|canto|section|stave|adventure|scene|lecture|essay|sermon|fable|kapitel|capitel|abschnitt"
    "|brief|gesang|chapitre|lettre|chant|cap[ií]tulo|capitolo|hoofdstuk|kapittel|luku|rozdział|kapitola|fejezet"
)
_ROMAN = re.compile(r"(?=[ivxlcdm])m{0,3}(?:cm|cd|d?c{0,4})(?:xc|xl|l?x{0,4})(?:ix|iv|v?i{0,4})", re.I)
_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
_SPELLED = {
    word: n
    for n, spellings in enumerate(
        (
            "one first erste premier primero primo", "two second zweite deuxième segundo", "three third dritte",
            "four fourth vierte", "five fifth fünfte", "six sixth sechste", "seven seventh siebente siebte",
            "eight eighth achte", "nine ninth neunte", "ten tenth zehnte", "eleven eleventh", "twelve twelfth",
            "thirteen thirteenth", "fourteen fourteenth", "fifteen fifteenth", "sixteen sixteenth",
            "seventeen seventeenth", "eighteen eighteenth", "nineteen nineteenth", "twenty twentieth",
        ),
        start=1,
    )
    for word in spellings.split()
}  # fmt: skip
# "CHAPTER IV.", "Letter 1", "Stave the First: …"; the rest of the line is the chapter's title.
_HEADED = re.compile(
    rf"[\W_]*({_PARTS}|{_CHAPTERS})\b\.?\s+(?:the\s+)?([^\W_]+(?:-[^\W_]+)?)(\W.*)?", re.I | re.S
)
# "Erstes Kapitel", "XII. Kapitel", "FIRST PART": all of the paragraph, but for a title: "1. Kapitel: Der Kai".
_TRAILED = re.compile(
    rf"[\W_]*(?:the\s+)?([^\W_]+)\.?\s+({_PARTS}|{_CHAPTERS})(?:[\W_]*|\s*(?:[:.—–\n]|--)\s*\S[^\n]{{0,80}})",
    re.I,
)
_BY = re.compile(r"(?:by|von|par|di|de|por|door|af|av)\b[^.!?]{2,60}\.?", re.I)  # the author on a title page
_BARE = re.compile(r"[\W_]*([ivxlc]+|\d{1,3})\b[\W_]*(\n.*|(?<=\.)\s.*|(?<=\.)\s*[—–-]+.*)?", re.I | re.S)
_UNNUMBERED = re.compile(
    r"[\W_]*(?:(?:the\s+)?(?:author['’]?s\s+)?(?:preface|introduction|introductory|foreword|prologue|epilogue|conclusion"
    r"|afterword|postscript|appendix(?:\s+\w)?|notes|footnotes|index)|vorwort|einleitung|nachwort|anhang|schluss"
    r"|schluß|pr[ée]face|avant-propos|pr[óo]logo)[\W_]*",
    re.I,
)
_FEWEST = 25  # words that make a section of its own
_APART = 80  # words between headings, in the middle: less is a table
_LONGEST_HEADING = 60  # words: old novels tell the chapter in its heading


@dataclass(frozen=True)
class Chapter:
    """A chapter, its heading within `text` and again in `heading`; that is "" for what stands before the first."""

    heading: str
    text: str


@dataclass(frozen=True)
class _Mark:
    at: int
    kind: str  # the keyword, "" for a bare number
    number: int | None
    sure: bool = False  # nothing but keyword and number stands there
    titled: bool = False  # a bare number with a title


def chapters(text: str, titles: frozenset[str] = frozenset()) -> list[Chapter]:
    """A re-joined book in chapters: one, without a heading, where none can be made out.

    `titles` are headings that the contents table named, as `plain` has them. The chapters' texts, parted by a blank
    line, are the text.
    """
    paragraphs = text.split("\n\n")
    before = [0, *accumulate(p.count(" ") + p.count("\n") + 1 for p in paragraphs)]
    by_kind: dict[str, list[_Mark]] = {}
    others = []
    for at, paragraph in enumerate(paragraphs):
        if before[at + 1] - before[at] > _LONGEST_HEADING:
            continue
        mark = _mark(at, paragraph)
        if mark and mark.kind and at + 1 < len(paragraphs) and _BY.fullmatch(paragraphs[at + 1]):
            continue  # "BOOK 12" is its title
        if mark:
            by_kind.setdefault(mark.kind, []).append(mark)
        elif _UNNUMBERED.fullmatch(paragraph) or (titles and titled(paragraph) & titles):
            others.append(at)
    bare = by_kind.pop("", [])
    found: list[int] = []
    chaptered = False
    for kind, marks in by_kind.items():
        # "ADVENTURE VI. …" may be followed by "VII. …".
        more = [m for m in bare if m.titled] if re.fullmatch(_CHAPTERS, kind) else []
        ordered = _in_order(sorted(marks + more, key=lambda m: m.at), before)
        chaptered = chaptered or bool(ordered and re.fullmatch(_CHAPTERS, kind))
        found += ordered
    if not chaptered:
        found += _in_order(bare, before)
    if found or _spread(others, before):
        found += others
    return _cut(paragraphs, before, sorted(set(found)))


def _spread(starts: list[int], before: list[int]) -> bool:
    """Whether there are several, with text between them."""
    return len(starts) > 1 and median(before[b] - before[a] for a, b in pairwise(starts)) >= _APART


def plain(line: str) -> str:
    """A heading's words alone, to compare it with another."""
    return " ".join(re.findall(r"[^\W_]+", line.lower()))


def titled(paragraph: str) -> set[str]:
    """What a contents table may call it: "MY WATCH--[Written about 1870.]" is "My Watch" there."""
    return {plain(paragraph), plain(re.split(r"--|—|\[|:|\n", paragraph, maxsplit=1)[0])} - {""}


def _number(word: str) -> int | None:
    word = word.lower()
    if word.isdecimal() and len(word) < 4:
        return int(word)
    if _ROMAN.fullmatch(word):
        values = [_VALUES[c] for c in word]
        return sum(-a if a < b else a for a, b in pairwise([*values, 0]))
    tens, _, ones = word.partition("-")
    if tens == "twenty" and _SPELLED.get(ones, 20) < 10:
        return 20 + _SPELLED[ones]
    return _SPELLED.get(word) or _SPELLED.get(word.rstrip("srn"))


def _mark(at: int, paragraph: str) -> _Mark | None:
    first = paragraph.partition("\n")[0]
    if found := _HEADED.fullmatch(paragraph):
        number, rest = _number(found[2]), found[3] or ""
        sure = len(first.split()) <= (3 if re.search(r"\bthe\b", first, re.I) else 2)
        named = re.match(r"\s*(?:[.:,;—–\n]|--|-)|\s+[^\Wa-z_]|\s*[\"“‘(]|\W*$", rest)
        return _Mark(at, found[1].lower(), number, sure) if sure or (number and named) else None
    if (found := _TRAILED.fullmatch(paragraph)) and found[1].lower() not in (
        "a",
        "this",
        "that",
        "my",
        "his",
    ):
        return _Mark(at, found[2].lower(), _number(found[1]), True)
    if found := _BARE.fullmatch(paragraph):
        rest = found[2] or ""
        # An arabic number stands alone: "1. Buy flour." is a list.
        if len(rest.split()) <= 12 and not (found[1].isdecimal() and rest.strip()):
            return _Mark(at, "", _number(found[1]), titled=bool(rest.strip()))
    return None


def _in_order(marks: list[_Mark], before: list[int]) -> list[int]:
    """The paragraphs of those marks that count on and stand apart; a count may begin anew (the next volume)."""
    runs: list[list[_Mark]] = []
    own = all(not m.kind for m in marks)
    for mark in marks:
        last = runs[-1][-1].number if runs else None
        if not mark.kind and not own:  # a bare number among chapters
            if last and mark.number == last + 1:
                runs[-1].append(mark)
        elif mark.number == 1 or not runs:
            runs.append([mark])
        elif mark.number is None or last is None or last < mark.number <= last + 3:
            runs[-1].append(mark)
        elif mark.sure:
            runs.append([mark])
    kept = []
    for run in runs:
        bounds = [*(before[m.at] for m in run), before[-1]]
        gaps = [b - a for a, b in pairwise(bounds)]
        first = run[0]
        if len(run) > 1:
            counted = bool(first.kind) or (first.number or 9) <= 2
        else:
            counted = first.sure and (first.number is not None or len(marks) > 1)
        if counted and median(gaps[:-1] or gaps) >= _APART:
            kept += [m.at for m in run]
    return kept


def _cut(paragraphs: list[str], before: list[int], starts: list[int]) -> list[Chapter]:
    """Sections at `starts`; one that holds next to nothing (a part's title) goes with what follows it."""
    sections: list[tuple[int, list[int]]] = [(0, [])]  # where each begins, its headings
    headed = 0  # words of the last section's headings
    for at in starts:
        begin, headings = sections[-1]
        if before[at] - before[begin] - headed < _FEWEST:
            headings.append(at)
        else:
            sections.append((at, [at]))
            headed = 0
        headed += before[at + 1] - before[at]
    begin, headings = sections[-1]
    if len(sections) > 1 and before[-1] - before[begin] < _FEWEST:
        sections.pop()
    ends = [begin for begin, _ in sections[1:]] + [len(paragraphs)]
    if len(sections) < 2:
        return [Chapter("", "\n\n".join(paragraphs))]
    return [
        Chapter(_heading(paragraphs, headings), "\n\n".join(paragraphs[begin:end]))
        for (begin, headings), end in zip(sections, ends, strict=True)
    ]


def _heading(paragraphs: list[str], headings: list[int]) -> str:
    """The headings on one line, with the title that stands below a bare number."""
    parts: list[str] = []
    for at in headings[:4]:
        parts.append(paragraphs[at])
        following = paragraphs[at + 1] if at + 1 < len(paragraphs) else ""
        titled = len(following.split()) <= 12 and "\n" not in following
        if (
            titled
            and len(parts[-1].split()) <= 3
            and (following.isupper() or following[-1:] not in ".!?,:;”\"’'")
        ):
            parts.append(following)
    unique = dict.fromkeys(" ".join(p.split()) for p in parts)
    return " ".join(p if p.endswith((".", "!", "?", ":", "--", "—")) else p + "." for p in unique)[
        :160
    ].rstrip(".")
