"""Hard-wrapped lines re-joined into paragraphs; verse, letters' heads and tables keep their
lines.

A line break is the typesetter's where the next word would not have fitted, and the author's
where it would: a block whose breaks are mostly the typesetter's is prose.
"""

from __future__ import annotations

import itertools
import re
import textwrap

from runner.booktext.marks import UNSPACED

_SLACK = 12  # files wrapped by hand are ragged by about a long word
_NARROWEST = 60  # characters of a line of prose; a book of verse has shorter lines, and none of them is full
_STEPS = 12  # columns that lines of one stanza may be set in
_ITALICS = re.compile(r"(?<!_)_(?!_)([^_]{1,1500}?)(?<!_)_(?!_)")
_STARS = re.compile(r"^\s*(?:[*•·]\s*){3,}$")
_COLUMNS = re.compile(r"\S {3,}\S")
_WIDE = tuple("。、，！？；：」』）…—“”")
_HANGING = re.compile(r"[A-Za-zÀ-ÿ]-$")


def drop_italics(text: str) -> str:
    """Without the `_` of `_italics_`, pairs within a paragraph; blanks such as `____` stay."""
    return "\n\n".join(_ITALICS.sub(r"\1", p) for p in text.split("\n\n"))


def reflow(text: str) -> str:
    """Paragraphs parted by one blank line, each on one line unless its line breaks are the
    author's.
    """
    lines = [
        line.rstrip() for line in text.expandtabs(8).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    ]
    lengths = sorted(len(line) for line in lines if line)
    if not lengths:
        return ""
    width = lengths[int(0.9 * (len(lengths) - 1))]
    if width > 110:  # not hard-wrapped: every line is a paragraph
        return "\n\n".join(_one(line) for line in lines if line.strip())
    if width < _NARROWEST and _capitals([line for line in lines if line]) >= 0.75:
        width = _NARROWEST
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return "\n\n".join(
        p for block in blocks if block for part in _parts(block, width) for p in [_block(part, width)]
    )


def _one(line: str) -> str:
    return "* * *" if _STARS.match(line) else _single(line.strip())


def _single(text: str) -> str:
    """Without runs of spaces; a pattern would hold each piece between two of them in memory."""
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _parts(block: list[str], width: int) -> list[list[str]]:
    """A block cut where indented lines stand against flush ones; a first line's own indent is
    no cut.
    """
    if _verse(block, width):
        return [block]
    parts = [[block[0]]]
    for line in block[1:]:
        last = parts[-1]
        flush, was_flush = _indent(line) < 2, _indent(last[-1]) < 2
        if flush == was_flush or (flush and len(last) == 1 and _reaches(last[0], line, width)):
            last.append(line)
        else:
            parts.append([line])
    return parts


def _reaches(line: str, following: str, width: int) -> bool:
    """Whether the next line's first word would not have fitted on this one."""
    word = 1 if UNSPACED.match(following.lstrip()) else len(following.split(None, 1)[0])
    return len(line) + 1 + word > width - _SLACK


def _verse(block: list[str], width: int) -> bool:
    """Whether lines begin as those of a poem do and end where their author wished, however they are set in."""
    capitals = _capitals(block)
    if capitals < 0.75 or len(block) < 2:
        return False
    indents = sorted(set(map(_indent, block)))
    if indents[-1] - indents[0] > _STEPS:
        return False  # a heading in the middle of the page, a name on its right
    if len(block) >= 4 and capitals >= 0.85 and len(set(map(_indent, block[1:]))) > 1:
        return True  # prose sets in its first line only
    return _full(block, width) <= 0.25


def _full(lines: list[str], width: int) -> float:
    """Share of lines that end because the next word would not have fitted."""
    return sum(_reaches(a, b, width) for a, b in itertools.pairwise(lines)) / max(1, len(lines) - 1)


def _capitals(lines: list[str]) -> float:
    return sum(line.lstrip(" \"'“‘(_-—«„¿¡")[:1].isupper() for line in lines) / len(lines)


def _block(lines: list[str], width: int) -> str:
    if len(lines) == 1:
        return _one(lines[0])
    own = max(len(line) for line in lines)
    indented = all(_indent(line) >= 2 for line in lines)
    # A block set in on both sides has a width of its own, but not a verse's.
    limit = own if indented and own >= 0.7 * width else width
    full, capitals = _full(lines, limit), _capitals(lines)
    prose = full >= 0.6 if indented else full >= 0.34 or (capitals < 0.6 and own > 0.6 * width)
    table = sum(bool(_COLUMNS.search(line)) for line in lines) >= 0.5 * len(lines)
    if not prose or table or (not indented and _verse(lines, width)):
        return "\n".join(line.rstrip() for line in textwrap.dedent("\n".join(lines)).split("\n")).strip("\n")
    return _join(lines)


def _join(lines: list[str]) -> str:
    out, end = [lines[0].strip()], lines[0].strip()
    for line in lines[1:]:
        line = line.strip()
        dashed = end.endswith(("--", "—")) or line.startswith(("--", "—"))
        hanging = (
            _HANGING.search(end[-2:])
            and line[:1].islower()
            and not re.match(r"(?:and|or|to|und|oder)\b", line)
        )
        unspaced = UNSPACED.match(line) and (UNSPACED.match(end[-1:]) or end[-1:] in _WIDE)
        out.append(line if dashed or hanging or unspaced else " " + line)
        end = line or end
    return _single("".join(out))
