"""What volunteers and printers put into a book that its author did not write.

Credits and opening transcriber's notes at the front, `[Transcriber's note: …]` and
`[Illustration: …]` anywhere, page marks, and contents tables: under a heading, or without one
where their entries are numbered and come again in the book. A closing section of transcriber's
notes stays: where it ends cannot be told safely, and appendices may follow it.
"""

from __future__ import annotations

import re
from array import array
from collections import deque

from runner.booktext.contents import HEADING, Paragraph, drop_contents

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
_FILE = re.compile(r"file|e-?book|e-?text|html|electronic|transcription", re.I)
_IMAGES = re.compile(r"^[\W_]*note:\s+(?:project gutenberg|images? of|the original)", re.I)
# What stands at the very front, and means the file.
_ABOUT = re.compile(
    r"^[\W_]*(?:(?:this is )?(?:the )?project gutenberg(?:['’]s\b|,? e-?(?:text|book)\b| edition\b| is a trademark)"
    r"|portions of this header are"
    r"|(?:html|e-?text|e-?book|text)(?: version| edition| conversion| file)s?(?: \w+)? by\b"
    r"|this e-?(?:book|text|file) (?:was|is|has)\b|the following is a public domain e-?text"
    r"|credits?:\s|(?:last |most recently )?updated:?\s[\w ,:-]*\d\W*$)",
    re.I,
)
# "Note du transcripteur", "Anmerkungen zur Transkription" … as other languages have it.
_ABROAD = (
    r"notes?\s+(?:du|de\s+la|des|sur\s+la|de)\s+transcri\w+|(?:an|be)merkung(?:en)?\s+(?:de[sr]|zur|zu\s+dieser)\s+(?:transkri\w+"
    r"|bearbeite\w+|textgestalt\w*)|hinweise?\s+zur\s+transkription|notas?\s+(?:del|do|da|de|de\s+la|dos)\s+transcri\w+"
    r"|not[ae]\s+(?:del|dei|di|della|sulla)\s+trascri\w+|(?:opmerking(?:en)?|aantekening(?:en)?|noot)\s+(?:van|bij)\s+(?:de|het)\s+"
    r"(?:transcri\w+|bewerk\w+)|(?:siirt|puhtaaksikirjoitt|e-kirjan\s+(?:laati|tekij))\w+\s+huom\w*|huomautus(?=:)"
    r"|transkrib\w+\s+(?:anm|not|bem)\w+|renskriv\w+\s+(?:anm|not|bem)\w+|uwag[ai]\s+(?:od\s+)?transkry\w+"
)
_NOTE = re.compile(
    rf"^[\W_]*(?:{_ABROAD}|(?:transcriber|transcriptionist|e-?text editor)(?:['’]?s['’]?)?\s+(?:end)?notes?)\b",
    re.I,
)
_BRACKET = re.compile(
    rf"\[\s*(?:(?:illustrations?|abbildung(?:en)?|ilustraci[óo]n(?:es)?|illustrazion[ei]|illustraties?|ilustraç(?:ão|ões)|kuva)\b"
    rf"|(?:{_ABROAD})\b|transcriber(?:['’]?s['’]?)?[\s-]+notes?\b"
    r"|tr(?:anscriber)?\.? note\b|t\.? ?n\.?:)",
    re.I,
)
_PAGE = re.compile(r"[ \t]?(?:\[(?:pg|page)\.?\s*[\divxlc]+\]|\{(?:pg |page )?[\divxlc]+\})", re.I)
_LONGEST_MARK = 2500  # characters of a bracketed mark or note
_LONGEST_CREDIT = 5000  # characters of which it is looked whether they are a credit


def drop_furniture(lines: list[str]) -> tuple[str, frozenset[str]]:
    """The lines of one book without furniture, as text still to be re-joined; and the entries of its contents
    table that come again, as `chapters.plain` has them.
    """
    text = _drop_brackets("\n".join(lines))
    text = _PAGE.sub("", text)
    paragraphs, titles = drop_contents(_drop_front(_paragraphs(text)))
    return "\n".join("\n".join(p) for p in paragraphs), titles


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
    return " ".join(" ".join(paragraph)[:_LONGEST_CREDIT].split())


def _drop_brackets(text: str) -> str:
    """Without bracketed marks and notes, brackets within brackets included; unclosed ones stay."""
    starts, ends = array("q"), array("q")
    opened: deque[int] = deque()
    for found in re.finditer(r"[\[\]]", text):
        at = found.start()
        while opened and at - opened[0] > _LONGEST_MARK:
            opened.popleft()
        if found[0] == "[":
            opened.append(at)
        elif opened:
            start = opened.pop()
            if _BRACKET.match(text, start):
                while starts and starts[-1] > start:  # a mark within this one
                    starts.pop()
                    ends.pop()
                starts.append(start)
                ends.append(at + 1)
    out, at = [], 0
    for start, end in zip(starts, ends, strict=True):
        out.append(text[at:start])
        mark = _BRACKET.match(text, start)
        inner = text[mark.end() : end - 1].strip(" :.\n") if mark else ""
        if HEADING.match(inner):  # a drawn heading over a printed table
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
    if len(flat) > 4000:
        return False
    words = len(flat.split())
    if _IMAGES.match(flat):
        return words < 120
    if seen <= 6 and words < 100 and _ABOUT.match(flat):
        return True
    if found := _CREDIT.match(flat):
        if _STRONG.search(flat):
            return words < 100
        return words < 30 and seen <= 6 and bool(_PLAIN.match(flat) or _FILE.search(found[0]))
    # "The Internet Wiretap First Electronic Edition of", "Electronic Edition by <dell@wiretap…>"
    return words < 80 and bool(
        re.search(
            r"\belectronic edition\b|\be-?text\b.*@|reformatted,? by\b.*@|@.*\be-?text\b",
            flat,
            re.I,
        )
    )
