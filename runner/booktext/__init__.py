"""Books as plain text: bytes → text → the author's words, in paragraphs parted by one blank
line.

`decode` finds the charset, `strip_gutenberg` takes off what Project Gutenberg and its
volunteers put around a book, `header` reads what that said of title, author and rights. Pure
functions of str and bytes.
"""

from __future__ import annotations

from runner.booktext.charset import decode
from runner.booktext.furniture import drop_furniture
from runner.booktext.marks import Header, Unusable, header, segments
from runner.booktext.paragraphs import drop_italics, reflow
from runner.booktext.refuse import refuse_body, refuse_file

__all__ = ["Header", "Unusable", "decode", "header", "strip_gutenberg"]


def strip_gutenberg(text: str) -> str:
    """The body of a book: no header, licence, credits, contents or illustration marks; lines
    re-joined.

    Text that bears no Gutenberg mark is only re-joined into paragraphs: no word of it is lost.
    Several books in one file come out one after the other.

    Raises: Unusable, with the reason, for what is not a book (an error page, a pointer, the
    licence alone, a listing, nothing between the marks).
    """
    refuse_file(text)
    named = header(text).gutenberg
    if not named:
        return reflow(text)
    bodies = []
    for lines in segments(text):
        body = drop_italics(reflow(drop_furniture(lines)))
        if body.strip():
            bodies.append(body)
    if not bodies:
        raise Unusable("not a book: nothing stands between the Gutenberg marks")
    whole = "\n\n".join(bodies)
    refuse_body(whole)
    return whole
