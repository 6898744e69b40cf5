"""Source `text`: plain-text files, books with Project Gutenberg's wrapping among them."""

from __future__ import annotations

from collections.abc import Iterator

from runner.record import Document, Rejected
from runner.registry import Files, SourceContext, Unit, source

_LARGEST = 20 << 20  # bytes: a text stands in memory several times over while it is read


def _units(context: SourceContext) -> Iterator[Unit]:
    for stem, file in context.labelled("files"):
        yield Unit(f"{context.name}/{stem}", file.name, file.path, file.sha256, file.name, told=False)


def _read(context: SourceContext, unit: Unit) -> Iterator[Document | Rejected]:
    from runner.booktext import Unusable, decode, header, read_book

    try:
        if unit.path.stat().st_size > _LARGEST:
            raise Unusable(f"larger than {_LARGEST >> 20} MB")
        whole, charset = decode(unit.path.read_bytes())
        body = read_book(whole)
    except Unusable as error:
        yield Rejected(unit.id, str(error), raw=unit.name)
        return
    head = header(whole)
    rights = "copyrighted (see its Project Gutenberg header)" if head.copyrighted else ""
    if head.gutenberg and not rights:
        rights = "public domain (USA)"
    meta = {
        "id": unit.id,
        "source": context.name,
        "group": unit.name,
        "title": head.title,
        "author": head.author,
        "license": context.license or rights,
        "origin": unit.origin,
        "sha256": unit.sha256,
        "charset": charset,
        "remark": body.remark,
    }
    yield Document(body.text, {k: v for k, v in meta.items() if v or k == "license"})


@source("text", version=3, units=_units, read=_read)
def text(context: SourceContext, *, files: Files) -> Iterator[Document | Rejected]:
    """Plain-text files, one document each; header and licence of Gutenberg books are taken off.

    Refused, with the reason: what is empty, binary, an HTML page, JSON, a PDF, a server's error, a listing, a licence
    alone, or has nothing between its marks (END before START is that, too). Kept as it is: a marker quoted within a
    sentence, text on one line. Kept, and `meta.remark` says so: text without any mark, a START without an END (it
    may be cut off), several books in one file (the licence between them goes).
    """
    for unit in _units(context):
        yield from _read(context, unit)
