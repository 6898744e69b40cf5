"""Contents tables and lists of illustrations, which a book need not say twice.

A table stands under a heading, or without one where its entries are numbered and come again in the book. Where it
ends is the hard part: entries run over several lines and paragraphs, and the book's first heading is in it, too.
"""

from __future__ import annotations

import re

from runner.booktext.chapters import plain, titled

HEADING = re.compile(
    r"^[\W_]*(?:(?:(?:the\s+)?table\s+of\s+|the\s+)?contents|inhalt(?:sverzeichnis)?|table\s+des\s+mati[èe]res|sommaire"
    r"|[íi]ndice|sum[áa]rio|sommario|inhoud(?:sopgave)?|sisällys(?:luettelo)?|innehåll|indhold|obsah|spis\s+treści|"
    r"(?:list\s+of\s+)?illustrations)[\W_]*$",
    re.I,
)
_NUMBERED = re.compile(
    r"^\s*((?:chapter|chap|book|part|letter|act|scene|canto|section|volume|vol|stave|kapitel"
    r"|chapitre|livre|partie|acte|lettre|cap[íi]tulo|capitolo|hoofdstuk|adventure)"
    r"\b\.?\s*(?:the\s+)?(?:[ivxlcdm]+|\d+|[a-z]+(?:-[a-z]+)?)|[ivxlc]+(?=\.)|\d+(?=\.))(?:\b"
    r"|(?=\W))",
    re.I,
)
_PAGED = re.compile(r"(?:\s\s|\.\.|\s\.\s)[\s.]*(?:\d{1,4}|[ivxlc]+|page|frontispiece)\s*$", re.I)
_LOOSE = re.compile(r"\s(?:\d{1,3}|[ivxlc]+)\s*$")  # under a heading, behind a single space
_LISTED = re.compile(r"\s*([ivxlc]+|\d{1,3})\b[.:)\s]\s*(\S.*)", re.I)
_LONGEST_ENTRY = 300  # characters of a line that may be a table's entry

Paragraph = list[str]


def _norm(line: str) -> str:
    if len(line) >= _LONGEST_ENTRY:
        return ""
    return plain(line[:-60] + _PAGED.sub("", line[-60:]))


def _paged(line: str) -> bool:
    return bool(_PAGED.search(line[-60:]))


def _full(paragraph: Paragraph) -> list[str]:
    return [line for line in paragraph if line.strip()]


def drop_contents(paragraphs: list[Paragraph]) -> tuple[list[Paragraph], frozenset[str]]:
    """Without tables of contents in the first fifth: three entries or more that look or recur
    as such; and those entries that recur.
    """
    lines = [(n, line[:_LONGEST_ENTRY]) for n, p in enumerate(paragraphs) for line in p if line.strip()]
    # In which paragraph each line stands for the last time, with "--[Written in 1870.]" and without.
    last = {name: n for n, line in lines for name in (*titled(line), _norm(line)) if name}
    n, out = 0, []
    titles: set[str] = set()
    ends: dict[str, int] = {}
    limit = max(60, len(paragraphs) // 5)
    while n < len(paragraphs):
        text_lines = _full(paragraphs[n]) if n < limit else []
        if text_lines and HEADING.match(text_lines[0]):
            end = _table_end(paragraphs, n, last)
        else:
            end = n + 1 if _is_bare_table(text_lines, n, last, ends) else None
        if end is None:
            out.append(paragraphs[n])
            n += 1
        else:
            printed = [line for p in paragraphs[n:end] for line in p]
            entries = {_norm(line) for line in printed} | {_norm(_LOOSE.sub("", line)) for line in printed}
            if (
                "illustration" not in " ".join(paragraphs[n])[:60].lower()
            ):  # captions are said in the book, too
                titles |= {e for e in entries if last.get(e, 0) >= end}
            n = end
    return out, frozenset(titles)


def _is_bare_table(lines: list[str], at: int, last: dict[str, int], ends: dict[str, int]) -> bool:
    """A block without a heading, numbered from one, of which most entries come again (behind "CHAPTER I." maybe).

    `ends`, filled on the first call, holds what headings may end in and where that stands last.
    """
    if not 4 <= len(lines) <= 200 or max(map(len, lines)) > 100:
        return False
    listed = [found for line in lines if (found := _LISTED.fullmatch(line))]
    if len(listed) < 0.8 * len(lines) or plain(listed[0][1]) not in ("i", "1"):
        return False
    if not ends:
        for norm, n in last.items():
            for skip in range(4):
                end = " ".join(norm.split()[skip:])
                ends[end] = max(n, ends.get(end, 0))
    return sum(ends.get(_norm(found[2]), 0) > at for found in listed) >= 0.6 * len(listed)


def _table_end(paragraphs: list[Paragraph], start: int, last: dict[str, int]) -> int | None:
    """The paragraph after the contents table at `start`, or None where it is no such table."""
    seen: set[str] = set()
    entries, end, strangers = 0, start, 0
    printed = False  # in one block, and so in no other
    paged, first = 0, ""  # entries with their pages; the first one's number
    pictures = "illustration" in " ".join(paragraphs[start]).lower()
    for n in range(start, min(start + 600, len(paragraphs))):
        lines = _full(paragraphs[n])[n == start :]
        if not lines:
            continue
        norms = [_norm(line) for line in lines]
        # The real heading has come: what stands in the table stands here again.
        heading = not pictures or bool(_NUMBERED.match(lines[0])) or lines[0].isupper()
        if heading and len(lines) <= 3 and (norms[0] in seen or " ".join(norms) in seen):
            break
        number = _NUMBERED.match(lines[0])
        if number and len(lines) <= 3 and _norm(number[1]) in seen and not _entry_follows(paragraphs, n):
            break  # "CHAPTER I. THE ICE", where the table had "CHAPTER I."
        if pictures and entries and len(lines) == 1 and _NUMBERED.match(lines[0]) and not _paged(lines[0]):
            break  # "CHAPTER I." is no picture
        if (
            paged >= 2
            and number
            and not any(map(_numbers, lines))
            and len(lines) <= 3
            and _count(number[1]) == first
            and not _entry_follows(paragraphs, n)
        ):
            break  # it counts from the beginning again, without pages: "CHAPITRE I", where the table had "I."
        fit = _entries(lines, norms, n, last, pictures and not printed)
        if fit:
            entries += fit
            paged += sum(map(_numbers, lines))
            first = first or (_count(number[1]) if number else "")
            end = n + 1
            printed = printed or len(lines) >= 6
        elif len(lines) == 1 and len(norms[0].split()) <= 8 and strangers < 4:
            strangers += 1  # "The Autobiography", over the entries of a part
        elif len(lines) > 12 or not _goes_on(paragraphs, n, last, pictures, seen):
            break
        for line, norm in zip(lines, norms, strict=True):
            seen.add(norm)
            if number := _NUMBERED.match(line):
                seen.add(_norm(number[1]))
    return end if entries >= 3 or entries == paged > 0 else None


def _numbers(line: str) -> bool:
    """Whether a numbered entry names its page, however that is set."""
    number = _NUMBERED.match(line)
    return _paged(line) or bool(number and _LOOSE.search(line[number.end() :][-60:]))


def _count(number: str) -> str:
    """The number itself: "i" of "Chapter I"."""
    return plain(number).rpartition(" ")[2]


def _entries(lines: list[str], norms: list[str], n: int, last: dict[str, int], pictures: bool) -> int:
    """How many entries the lines of one block hold; 0 where they are not a table's."""
    numbered = sum(bool(_NUMBERED.match(line)) for line in lines)
    fit = sum(
        bool(_NUMBERED.match(line) or _paged(line) or last.get(norm, 0) > n)
        for line, norm in zip(lines, norms, strict=True)
    )
    words = sorted(len(line.split()) for line in lines)
    short = len(lines) == 1 and words[0] <= 8 and not lines[0].isupper()
    flowing = bool(_NUMBERED.match(lines[0])) and len(lines) <= 12
    wrapped = len(lines) <= 4 and _paged(lines[-1])
    # Captions have neither numbers nor an echo in the book.
    captions = pictures and (short or (len(lines) >= 6 and words[len(words) // 2] <= 8))
    # Printed headings carry dates and notes that the table leaves out: a long list may miss more.
    share = 0.3 if len(lines) >= 6 and (words[-1] <= 12 or numbered >= 5) else 0.6
    if captions:
        return max(fit, len(lines))
    return max(fit, 1) if fit >= share * len(lines) or flowing or wrapped else 0


def _following(paragraphs: list[Paragraph], at: int) -> list[tuple[int, Paragraph]]:
    """The two blocks after that one, with their numbers."""
    near = range(at + 1, min(at + 6, len(paragraphs)))
    return [(n, lines) for n in near if (lines := _full(paragraphs[n]))][:2]


def _entry_follows(paragraphs: list[Paragraph], at: int) -> bool:
    return any(_NUMBERED.match(lines[0]) or _paged(lines[-1]) for _, lines in _following(paragraphs, at)[:1])


def _goes_on(
    paragraphs: list[Paragraph], at: int, last: dict[str, int], pictures: bool, seen: set[str]
) -> bool:
    """Whether the two blocks after a stranger are entries again, and not yet the book's own headings."""
    following = _following(paragraphs, at)
    return len(following) == 2 and all(
        _norm(lines[0]) not in seen
        and (_NUMBERED.match(lines[0]) or _paged(lines[-1]))
        and _entries(lines, [_norm(line) for line in lines], n, last, pictures)
        for n, lines in following
    )
