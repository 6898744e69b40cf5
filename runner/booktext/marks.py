"""Where a Gutenberg book begins and ends: markers in all spellings that thirty years have
brought.

Markers wrap over two lines, come twice, or not at all. `*** START …`, `*END*THE SMALL PRINT!`
and an opening of known header lines begin a body; `*** END …`, "End of Project Gutenberg's …"
and the licence end it. A marker quoted within a sentence is body: only lines that *begin* as
markers count.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

_PG = r"project[\s_]+gutenberg"
_EDGE = r"^[\s*_#=<(\[-]*"
_DRAWN = r"^[\s_]*(?:\*|<<)[\s*_<]*"  # a marker's edge that no sentence has
# "*** DÉBUT DE CE LIVRE DU PROJET GUTENBERG", "*** FIM DO PROJETO GUTENBERG": other languages say it in other words.
_ABROAD = r"\b[^*]{0,80}?\b(?:proje[ck]?t[io]?|proyecto|progetto)[\s_-]+gutenberg"
_BEGINS = r"start|anfang|beginn?|d[ée]but|commencement|comienzo|inizio|in[íi]cio|come[çc]o|alku|b[öo]rjan|begyndelse"
_ENDS = r"ende?|einde|fin|fine|fim|final|slut|slutet|loppu"
_QUOTED = r"(?![^*]*[\"”]\s+\w)"
START = re.compile(
    rf"{_EDGE}start\s+of\s+(?:the\s+|this\s+|of\s+)*{_PG}{_QUOTED}|{_DRAWN}(?:{_BEGINS}){_ABROAD}{_QUOTED}",
    re.I,
)
END = re.compile(
    rf"{_DRAWN}(?:end\s+of\s+(?:the\s+|this\s+|of\s+)*{_PG}|(?:{_ENDS}){_ABROAD}){_QUOTED}", re.I
)
SOFT_END = re.compile(
    rf"{_EDGE}(?:(?:this\s+is\s+)?(?:the\s+)?end\s+(?:of\s+|dieses\s+)?(?:the\s+|this\s+|of\s+|is\s+|a\s+|copyrighted\s+)*"
    rf"(?:{_PG}|gutenberg\s+e-?(?:text|book)|(?:e-?text|e-?book)\b.*{_PG})"
    r"|(?:ende|einde|fin|fine|fim|slut)\b.{0,40}\b(?:proje[ck]?t[io]?|proyecto|progetto)\s+gutenberg"
    rf"|this site is full of free e-?books|.{{0,40}}\bfree e-?books\s*[-—–]+\s*{_PG})",
    re.I,
)
# What a line that ends a book says of it; a sentence goes on in other words.
_FORMAL = re.compile(
    r"gutenberg(?:['’]s\b|[\W_]*$|[-\s,(]*(?:tm\b|™|e-?texte?s?\b|e-?books?\b|edition|works?\b|files?\b|australia))"
    r"|(?:e-?texte?s?|e-?books?)\b",
    re.I,
)
_LEGAL = re.compile(
    rf"{_PG}|gutenberg\.(?:org|net)|e-?text\b|updated editions will|small print|public domain|\blicen[sc]e\b",
    re.I,
)
PRINT_START = re.compile(r"^\W*start\W*(?:of\W+)?(?:the\W+)?(?:legal\W+)?small\s+print", re.I)
PRINT_END = re.compile(r"^[\s*]*end\W*(?:of\W+)?(?:the\W+)?(?:legal\W+)?small\s+print", re.I)
LICENCE = re.compile(
    rf"^\W*(?:start:?\s+full\s+licen[sc]e|the\s+full\s+{_PG}\S*\s+licen[sc]e"
    rf"|section\s+1\.\s+general\s+terms\s+of\s+use"
    rf"|please\s+read\s+this\s+before\s+you\s+distribute)",
    re.I,
)
# Lines of a header that has neither START nor small print.
_OPENING = re.compile(
    rf"{_PG}|gutenberg\.(?:org|net)|e-?text|e-?book\s*#|^(?:title|author|editor|translator"
    rf"|illustrator"
    r"|release date|posting date|last updated|language|character set|edition|credits)[^:\n]{0,20}:"
    r"|for the use of anyone anywhere|copyright laws are changing"
    r"|no cost and with almost no restrict",
    re.I,
)
_INLINE = re.compile(
    rf"(\*{{3}} ?(?:START|END) OF (?:THE|THIS) {_PG} E-?(?:BOOK"
    rf"|TEXT)[^*\n\"”]{{0,200}}\*{{3}})",
    re.I,
)
# How a file of Gutenberg's begins; prose that only speaks of Gutenberg does not.
_NAMED = re.compile(
    rf"^[\W_]*(?:this is )?(?:an? |the )?(?:copyrighted )?{_PG}(?:['’]s\b|,? e-?(?:text|book)"
    rf"|\S* of )"
    r"|for the use of anyone anywhere|^title:\s.*|\[e-?(?:text|book) ?#\d+\]",
    re.I,
)
# Thai, Lao, Burmese, Khmer, kana and the Han characters.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_HINTS = ("gutenberg", "small", "licen", "terms", "distribute", "this site is full")
_FEW_WORDS = 20
_LONGEST_MARK = 1000  # characters of a line
_LONGEST_HEADER = 800  # lines
_LONGEST_END = 40  # words of a paragraph that ends a book


class Unusable(ValueError):
    """A file that cannot become a document; the message is the reason, as the ledger shows it."""


@dataclass(frozen=True)
class Header:
    """What a Gutenberg header says; `gutenberg` is false, the rest empty, where there is none."""

    gutenberg: bool = False
    title: str = ""
    author: str = ""
    copyrighted: bool = False


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    # Soft hyphens: Latin-1's dash in some old files ("-\xad"), else invisible.
    text = text.replace("-\xad", "--").replace("\xad\n", "\xad").replace("\xad", "")
    if text.count("\n") < 5:  # everything on one line: give the markers lines of their own
        text = _INLINE.sub(r"\n\1\n", text)
    return text.split("\n")


def _after(lines: list[str], i: int) -> int:
    """The line after the marker at `i`, which may wrap: it ends with a star, as it began."""
    edge = "*" if "*" in lines[i] else ">" if "<<" in lines[i] else ""
    if edge and not lines[i].rstrip().endswith(edge):
        for j in range(i + 1, min(i + 4, len(lines))):
            if not lines[j].strip():
                break
            if lines[j].rstrip().endswith(edge):
                return j + 1
    return i + 1


def _hinted(lines: list[str]) -> list[int]:
    """The lines that may be markers: those with a word that all markers have, and each line before one."""
    text = "\n".join(lines).lower()
    found: set[int] = set()
    for hint in _HINTS:
        at, line, seen = text.find(hint), 0, 0
        while at >= 0:
            line, seen = line + text.count("\n", seen, at), at
            found |= {max(0, line - 1), line}
            end = text.find("\n", at)
            at = text.find(hint, end) if end >= 0 else -1
    return sorted(found)


def _marks(lines: list[str]) -> list[tuple[int, int, str]]:
    """All markers, as (first line, line after, kind)."""
    found = []
    skip = 0
    for i in _hinted(lines):
        line = lines[i]
        if i < skip or not line.strip() or len(line) > _LONGEST_MARK:
            continue
        # "*** END OF THIS PROJECT / GUTENBERG EBOOK": the mark's own words may be parted.
        wrapped = f"{line} {lines[i + 1]}" if "gutenberg" not in line.lower() and i + 1 < len(lines) else line
        if ("*" in line or "<<" in line) and START.match(wrapped):
            kind = "start"
        elif END.match(wrapped):
            kind = "end"
        elif PRINT_END.match(line):
            kind = "print end"
        elif PRINT_START.match(line):
            kind = "print start"
        elif LICENCE.match(line):
            kind = "licence"
        elif SOFT_END.match(wrapped) and (i == 0 or not any(map(str.isalnum, lines[i - 1]))):
            kind = "soft end"
        else:
            continue
        skip = _after(lines, i)
        if kind == "soft end":
            while skip < len(lines) and lines[skip].strip() and skip - i < 4:
                skip += 1
        found.append((i, skip, kind))
    nexts = [i for i, _, _ in found[1:]] + [len(lines)]
    return [
        mark
        for mark, following in zip(found, nexts, strict=False)
        if mark[2] != "soft end" or _closes(lines, mark[0], mark[1], following)
    ]


def _closes(lines: list[str], at: int, after: int, following: int) -> bool:
    """Whether a line as "End of the Project Gutenberg …" ends a book and is not a sentence of it.

    It says so and no more, or the licence or another mark comes next.
    """
    said = " ".join(lines[at:after])
    if len(said.split()) > _LONGEST_END:
        return False
    if _FORMAL.search(said) and not re.search(
        r"[,;”\"]\s+(?:said|cried|he|she|it|which|read|and\s+\w+ed)\b", said
    ):
        return True
    return _legal(lines, after, following) or (
        following < len(lines) and not any(map(str.strip, lines[after:following]))
    )


def _legal(lines: list[str], after: int, following: int) -> bool:
    """Whether the first lines there are Gutenberg's, and no book's."""
    written = (lines[n] for n in range(after, following) if lines[n].strip())
    return any(_LEGAL.search(line[:_LONGEST_MARK]) for line in itertools.islice(written, 6))


def _words(lines: list[str]) -> int:
    return sum(count_words(line) for line in lines)


def count_words(text: str) -> int:
    """Words between spaces; two characters stand for one in scripts that write none."""
    spaced = len(text.split()) if len(text) < 10_000 else text.count(" ") + text.count("\n")
    return spaced if text.isascii() else spaced + sum(1 for _ in UNSPACED.finditer(text)) // 2


def _opening(lines: list[str]) -> int:
    """How many first lines are a header without a START mark: up to the last block that reads
    like one.
    """
    end, misses, block = 0, 0, False
    for i, line in enumerate(lines[:400]):
        if not line.strip():
            block = False
        elif _OPENING.search(line):
            misses, block, end = 0, True, i + 1
        elif block:
            end = i + 1
        elif i == 0 or not lines[i - 1].strip():
            misses += 1
            if misses > 3:
                break
    return end


def segments(text: str) -> list[list[str]]:
    """The lines of each book in a file of Gutenberg's, without what stands before, between and
    after.
    """
    lines = _lines(text)
    marks = _marks(lines)
    bodies: list[list[str]] = []
    opened: int | None = 0
    implicit = True  # no mark has opened this body: a header may lead it

    def close(at: int) -> None:
        if opened is None:
            return
        body = lines[opened:at]
        if implicit and _named(body):
            body = body[_opening(body) :]
        bodies.append(body)

    for n, (i, after, kind) in enumerate(marks):
        if kind in ("start", "print end"):
            # A second START with a whole book before it begins another; else all before was header.
            before = lines[opened:i] if opened is not None else []
            if len(before) > _LONGEST_HEADER or not (implicit or _is_header(before)):
                close(i)
            opened, implicit = after, False
        elif kind == "print start":
            if opened is not None and not implicit and _words(lines[opened:i]) > 300:
                close(i)  # small print that follows a body which no END has closed
                opened = None
        elif kind == "soft end":
            following = marks[n + 1][0] if n + 1 < len(marks) else len(lines)
            left = _words(lines[after:following])
            if opened is not None and (left > 1500 or (left > 150 and not _legal(lines, after, following))):
                close(i)  # a volume ends and the next follows without a mark of its own
                opened, implicit = after, True
            elif opened is not None:
                close(i)
                opened = None
        elif opened is not None:
            close(i)
            opened = None
    close(len(lines))
    return [b for b in bodies if _words(b) >= _FEW_WORDS]


def cut_off(text: str) -> bool:
    """Whether a START begins a book and no mark ends it. Files of the 1990s, which begin otherwise, often just end."""
    kinds = [kind for _, _, kind in _marks(_lines(text))]
    return kinds[-1:] == ["start"]


def _named(lines: list[str]) -> bool:
    """Whether Gutenberg's own words stand among the first lines."""
    top = [line for line in lines[:80] if line.strip()][:25]
    return any(re.search(_PG, x, re.I) for x in top) and any(_NAMED.search(x) for x in top)


def _is_header(lines: list[str]) -> bool:
    return _words(lines) < _FEW_WORDS or any("gutenberg" in line.lower() for line in lines)


def header(text: str) -> Header:
    """What the header says, from its `Title:` and `Author:` fields, or its first line in old
    files.
    """
    lines = _lines(text)
    marks = _marks(lines)
    starts = [i for i, _, kind in marks if kind in ("start", "print end")]
    top = lines[: starts[0] if starts and starts[0] < 600 else min(60, _opening(lines) or 0)]
    if not marks and not _named(top):
        return Header()
    head = "\n".join(top)
    title, author = _field(head, "Title"), _field(head, "Author")
    if not title or not author:
        first = re.search(
            rf"^[\s*]*(?:this is )?(?:the )?{_PG}(?:['’]s |,? (?:e-?text"
            rf"|e-?book)s?,?(?: of)?[:,]? )"
            r"(.{45,}\n[^\W\d_].+|.+)", head, re.I | re.M,
        )  # fmt: skip
        if first:
            name, _, by = (
                " ".join(first[1].split())
                .strip(" *.")
                .replace(" by ", ", by ", 1)
                .replace(",, by ", ", by ")
                .partition(", by ")
            )
            title, author = title or name.strip(" *.,"), author or by.strip(" *.,")
    # "The Entire Project Gutenberg Works of Mark Twain": its name is no part of a book's title.
    title = " ".join(re.sub(rf"\b{_PG}(?:['’]s)?\b", "", title, flags=re.I).split()).strip(" ,:;-—")
    return Header(True, title, author, bool(re.search(rf"copyrighted {_PG}", head, re.I)))


def _field(head: str, name: str) -> str:
    found = re.search(rf"^{name}:[ \t]*(\S.*(?:\n[ \t]+\S.*)*)", head, re.M | re.I)
    return " ".join(found[1].split()) if found else ""
