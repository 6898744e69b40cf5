"""Books as plain text: bytes → text → the author's words, in paragraphs parted by one blank
line.

`decode` finds the charset, `strip_gutenberg` takes off what Project Gutenberg and its
volunteers put around a book, `header` reads what that said of title, author and rights. Pure
functions of str and bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.booktext.chapters import Chapter, chapters
from runner.booktext.charset import decode
from runner.booktext.furniture import drop_furniture
from runner.booktext.marks import Header, Unusable, cut_off, header, segments
from runner.booktext.paragraphs import drop_italics, reflow
from runner.booktext.refuse import refuse_body, refuse_file, refuse_listing

__all__ = ["Body", "Chapter", "Header", "Unusable", "decode", "header", "read_book", "strip_gutenberg"]


@dataclass(frozen=True)
class Body:
    """A book's own words: `text` whole, `chapters` the same in chapters (one where none can be made out).

    `remark` says what is odd about the file and was decided without being sure, "" mostly.
    """

    text: str
    chapters: tuple[Chapter, ...]
    remark: str = ""


def strip_gutenberg(text: str) -> str:
    """The body of a book: no header, licence, credits, contents or illustration marks; lines
    re-joined.

    Text that bears no Gutenberg mark is only re-joined into paragraphs: no word of it is lost.
    Several books in one file come out one after the other.

    Raises: Unusable, with the reason, for what is not a book (an error page, a pointer, the
    licence alone, a listing, nothing between the marks).
    """
    return "\n\n".join(text for text, _ in _bodies(text, header(text).gutenberg))


def read_book(text: str) -> Body:
    """As `strip_gutenberg`, in chapters too. Raises: Unusable."""
    marked = header(text).gutenberg
    bodies = _bodies(text, marked)
    remarks = [f"{len(bodies)} books in one file"] if len(bodies) > 1 else []
    if not marked:
        remarks.append("it bears no mark of Project Gutenberg's")
    elif cut_off(text):
        remarks.append("no mark of Project Gutenberg's ends it: it may be cut off")
    found = (chapter for body, titles in bodies for chapter in chapters(body, titles))
    return Body("\n\n".join(body for body, _ in bodies), tuple(found), "; ".join(remarks))


def _bodies(text: str, marked: bool) -> list[tuple[str, frozenset[str]]]:
    """Each book of a file, re-joined, with the titles that its contents table named."""
    refuse_file(text)
    if not marked:
        refuse_listing(text)
        return [(reflow(text), frozenset())]
    bodies = []
    for lines in segments(text):
        furnished, titles = drop_furniture(lines)
        body = drop_italics(reflow(furnished))
        if body.strip():
            bodies.append((body, titles))
    if not bodies:
        raise Unusable("not a book: nothing stands between the Gutenberg marks")
    refuse_body("\n\n".join(body for body, _ in bodies))
    return bodies
