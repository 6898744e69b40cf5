"""What volunteers and printers put into a book that its author did not write.

Credits and opening transcriber's notes at the front, `[Transcriber's note: …]` and
`[Illustration: …]` anywhere, page marks, and contents tables whose entries come again as
headings. A closing section of transcriber's notes stays: where it ends cannot be told safely,
and appendices may follow it.
"""

from __future__ import annotations

import re

_FRONT = 40  # paragraphs in which credits may stand
_CREDIT = re.compile(
    r"^[\W_]*(?:(?:this|the|an?|original|first|second|earliest|html|plain text|ascii|updated"
    r"|pdf|pg)\s+){0,3}"
    r"(?:(?:project gutenberg|pg|gutenberg)\S*\s+)?"
    r"(?:(?:e-?text|e-?book|electronic (?:text|edition|version)|edition|text|file|version|html"
    r"|transcription)"
    r"(?:\s+file|\s+version|\s+edition)?\s+(?:was\s+|is\s+)?(?:first\s+|originally\s+|hereby\s+)?)?"
    r"(?:produced|prepared|transcribed|scanned|proofed|proof-?read|digiti[sz]ed|typed|keyed"
    r"|created|"
    r"contributed|provided|submitted|reformatted|compiled|converted|entered|ocr(?:'?e?d)?"
    r"|updated|edited and scanned)"
    r"(?:\s*(?:,|and|&)\s*\w+){0,3}\s+(?:by|from|for)\b(?=[\s\S]{2})",
    re.I,
)
_STRONG = re.compile(
    r"pgdp\.net|distributed proofread|gutenberg|\be-?text|electronic (?:edition|text|version)"
    r"|"
    r"\bocr\b|archive\.org|[\w.]+@[\w-]+\.\w+|\bhtml\b|\be-?mail\b|google books"
    r"|hathi",
    re.I,
)
_PLAIN = re.compile(  # without an address or the like: "Compiled by" may be the title page's
    r"^[\W_]*(?:produced|transcribed|digiti[sz]ed|scanned|proof-?read|typed|keyed)\b", re.I
)
_IMAGES = re.compile(r"^[\W_]*note:\s+(?:project gutenberg|images? of|the original)", re.I)
_NOTE = re.compile(
    r"^[\W_]*(?:transcriber|transcriptionist|e-?text editor)(?:['’]?s['’]?)?\s+(?:end)?notes?\b",
    re.I,
)
_BRACKET = re.compile(
    r"\[\s*(?:illustrations?\b|transcriber(?:['’]?s['’]?)?[\s-]+notes?\b"
    r"|tr(?:anscriber)?\.? note\b|t\.? ?n\.?:)",
    re.I,
)
_PAGE = re.compile(r"[ \t]?(?:\[(?:pg|page)\.?\s*[\divxlc]+\]|\{(?:pg |page )?[\divxlc]+\})", re.I)
_CONTENTS = re.compile(
    r"^[\W_]*(?:(?:table\s+of\s+)?contents|inhalt(?:sverzeichnis)?|table\s+des\s+mati[èe]res"
    r"|[íi]ndice|"
    r"(?:list\s+of\s+)?illustrations)[\W_]*$",
    re.I,
)
_NUMBERED = re.compile(
    r"^\s*((?:chapter|chap|book|part|letter|act|scene|canto|section|volume|vol|stave|kapitel"
    r"|chapitre|adventure)"
    r"\b\.?\s*(?:the\s+)?(?:[ivxlcdm]+|\d+|[a-z]+(?:-[a-z]+)?)|[ivxlc]+(?=\.)|\d+(?=\.))(?:\b"
    r"|(?=\W))",
    re.I,
)
_PAGED = re.compile(r"(?:\s{2,}|\.{2,}|\s\.\s)\s*(?:\d{1,4}|[ivxlc]+|page)\s*$", re.I)

Paragraph = list[str]


def drop_furniture(lines: list[str]) -> str:
    """The lines of one book without furniture, as text still to be re-joined."""
    text = _drop_brackets("\n".join(lines))
    text = _PAGE.sub("", text)
    paragraphs = _drop_front(_paragraphs(text))
    paragraphs = _drop_contents(paragraphs)
    return "\n".join("\n".join(p) for p in paragraphs)


def _paragraphs(text: str) -> list[Paragraph]:
    """Blocks of lines; each but the first carries its blank lines in front, so that gaps are
    known.
    """
    found: list[Paragraph] = [[]]
    for line in text.split("\n"):
        if not line.strip() and found[-1] and found[-1][-1].strip():
            found.append([])
        found[-1].append(line)
    return found


def _flat(paragraph: Paragraph) -> str:
    return " ".join(" ".join(paragraph).split())


def _drop_brackets(text: str) -> str:
    """Without bracketed marks and notes, brackets within brackets included; unclosed ones stay."""
    out, at = [], 0
    for found in _BRACKET.finditer(text):
        if found.start() < at:
            continue
        depth, end = 0, None
        for i in range(found.start(), min(len(text), found.start() + 2500)):
            depth += (text[i] == "[") - (text[i] == "]")
            if depth == 0:
                end = i + 1
                break
        if end is not None:
            out.append(text[at : found.start()])
            inner = text[found.end() : end - 1].strip(" :.\n")
            if _CONTENTS.match(inner):  # a drawn heading over a printed table
                out.append(inner)
            at = end
    return "".join(out) + text[at:]


def _drop_front(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Without credits and transcriber's notes among the first paragraphs."""
    kept, noting, seen = [], 0, 0
    for n, paragraph in enumerate(paragraphs):
        flat = _flat(paragraph)
        if not flat or n > _FRONT * 3 or seen > _FRONT:
            kept.append(paragraph)
            continue
        seen += 1
        gap = next(i for i, line in enumerate(paragraph) if line.strip())
        if _NOTE.match(flat):
            noting = 6 if len(flat.split()) <= 4 else 0  # a bare heading: the note itself follows
            continue
        if noting and gap < 2:
            noting -= 1
            continue
        noting = 0
        if not _is_credit(flat, seen):
            kept.append(paragraph)
    return kept


def _is_credit(flat: str, seen: int) -> bool:
    words = len(flat.split())
    if _IMAGES.match(flat):
        return words < 120
    strong = bool(_STRONG.search(flat))
    if _CREDIT.match(flat):
        return words < 100 if strong else words < 30 and seen <= 6 and bool(_PLAIN.match(flat))
    # "The Internet Wiretap First Electronic Edition of", "Electronic Edition by <dell@wiretap…>"
    return words < 80 and bool(
        re.search(
            r"\belectronic edition\b|\be-?text\b.*@|reformatted,? by\b.*@|@.*\be-?text\b",
            flat,
            re.I,
        )
    )


def _norm(line: str) -> str:
    line = _PAGED.sub("", line)
    return " ".join(re.findall(r"[^\W_]+", line.lower()))


def _drop_contents(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Without tables of contents in the first fifth: three entries or more that look or recur
    as such.
    """
    lines = [(n, _norm(line)) for n, p in enumerate(paragraphs) for line in p if line.strip()]
    last = {norm: n for n, norm in lines}  # in which paragraph each line stands for the last time
    n, out = 0, []
    limit = max(60, len(paragraphs) // 5)
    while n < len(paragraphs):
        text_lines = [line for line in paragraphs[n] if line.strip()]
        if n < limit and text_lines and _CONTENTS.match(text_lines[0]):
            end = _table_end(paragraphs, n, last)
            if end is not None:
                n = end
                continue
        out.append(paragraphs[n])
        n += 1
    return out


def _table_end(paragraphs: list[Paragraph], start: int, last: dict[str, int]) -> int | None:
    """The paragraph after the contents table at `start`, or None where it is no such table."""
    seen: set[str] = set()
    entries, end, strangers = 0, start, 0
    pictures = "illustration" in _flat(paragraphs[start]).lower()
    for n in range(start, min(start + 600, len(paragraphs))):
        lines = [line for line in paragraphs[n] if line.strip()][n == start :]
        if not lines:
            continue
        norms = [_norm(line) for line in lines]
        # The real heading has come: what stands in the table stands here again.
        heading = not pictures or bool(_NUMBERED.match(lines[0])) or lines[0].isupper()
        if heading and len(lines) <= 3 and (norms[0] in seen or " ".join(norms) in seen):
            break
        fit = sum(
            bool(_NUMBERED.match(line) or _PAGED.search(line) or last.get(norm, 0) > n)
            for line, norm in zip(lines, norms, strict=True)
        )
        short = len(lines) == 1 and len(norms[0].split()) <= 8
        flowing = bool(_NUMBERED.match(lines[0])) and len(lines) <= 12
        # Printed headings carry dates and notes that the table leaves out: a long list may miss
        # more.
        share = 0.3 if len(lines) >= 6 and max(len(x.split()) for x in lines) <= 12 else 0.6
        if fit >= share * len(lines) or flowing or (pictures and short and not lines[0].isupper()):
            entries += max(fit, 1)
            end = n + 1
        elif short and strangers < 4:  # "The Autobiography", over the entries of a part
            strangers += 1
        else:
            break
        for line, norm in zip(lines, norms, strict=True):
            seen.add(norm)
            if number := _NUMBERED.match(line):
                seen.add(_norm(number[1]))
    return end if entries >= 3 else None
