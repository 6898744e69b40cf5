"""The main text of a page: trafilatura's, with its edges judged and its lines tidied."""

from __future__ import annotations

import copy
import logging
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from runner.webtext.refuse import NoPage, solid
from runner.webtext.tree import Tree, free_quotes, unwrap_many

# Below this many characters the quick pass has likely missed text, and the thorough one is asked.
_ENOUGH = 1000
# A longer line at an edge is a paragraph, whatever the strict pass thinks of it.
_EDGE = 300
_NO_WIDTH = "\u00ad\u200b\u2060\ufeff"  # soft hyphens and spaces of no width: nobody reads them


def word_count(text: str) -> int:
    return max(len(text.split()), sum(c.isalpha() for c in text) // 6)


def main_text(tree: Tree, titles: Sequence[str]) -> list[str]:
    """The lines of the main text, without the headline.

    They are trafilatura's quick pass, or its thorough one where that found little (where it found enough, the
    thorough one rather adds teasers). Its strict pass is the judge of the edges: a short first or last line that it
    leaves out is a date, a teaser, a button.
    """
    free_quotes(tree)
    unwrap_many(tree)
    text = _trafilatura(tree, fast=True)
    if len(text) < _ENOUGH:
        text = _trafilatura(tree) or text
    lines = [line for raw in text.split("\n") if (line := _unruled(raw))]
    strict = solid(_trafilatura(tree, fast=True, favor_precision=True))
    if len(strict) * 2 >= len(solid(text)):  # else it lost its way
        kept = [n for n, line in enumerate(lines) if len(line) > _EDGE or solid(line) in strict]
        lines = lines[kept[0] : kept[-1] + 1] if kept else lines
    heads = [head for title in titles if len(head := solid(title)) > 5]
    while lines and _is_head(solid(lines[0]), heads):
        lines.pop(0)
    return lines


def _is_head(line: str, heads: Sequence[str]) -> bool:
    return any(line == head or (len(line) > 15 and line in head) for head in heads)


def _trafilatura(tree: Tree, *, fast: bool = False, favor_precision: bool = False) -> str:
    """One pass; "" where it finds nothing. No metadata is asked for: its dates depend on today's."""
    from trafilatura import bare_extraction

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it warns of every page without text
    try:
        found: Any = bare_extraction(
            copy.deepcopy(tree), include_comments=False, fast=fast, favor_precision=favor_precision
        )
    except Exception as e:  # of any kind, on trees that no author ever wrote
        raise NoPage(f"trafilatura cannot read it: {type(e).__name__}") from None
    return found.text or "" if found is not None else ""


def _unruled(line: str) -> str:
    """A line without a table's rules: the cells of layout tables are paragraphs."""
    line = line.strip()
    if line.startswith("|"):
        line = " | ".join(c for cell in line.split("|") if (c := cell.strip(" -")))
    return "" if line == "-" else line


def tidy(lines: Iterable[str]) -> str:
    """Paragraphs parted by blank lines, items of a list by line ends; NFC, no control or invisible characters."""
    listed = False
    out: list[str] = []
    for raw in lines:
        seen = (c for c in unicodedata.normalize("NFC", raw) if c not in _NO_WIDTH)
        text = "".join(" " if c.isspace() else c for c in seen if c.isspace() or c.isprintable())
        if text := " ".join(text.split()):
            item = text.startswith("- ")
            out += ["\n" if listed and item else "\n\n", text]
            listed = item
    return "".join(out[1:])
