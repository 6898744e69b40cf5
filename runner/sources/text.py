"""Source `text`: plain-text files, books with Project Gutenberg's wrapping among them."""

from __future__ import annotations

from collections.abc import Iterator

from runner.booktext import Unusable, decode, header, strip_gutenberg
from runner.record import Document, Rejected
from runner.registry import Files, SourceContext, source


@source("text", version=1)
def text(context: SourceContext, *, files: Files) -> Iterator[Document | Rejected]:
    """Plain-text files, one document each; header and licence of Gutenberg books are taken off."""
    for stem, file in context.labelled("files"):
        doc_id = f"{context.name}/{stem}"
        data = file.path.read_bytes()
        try:
            whole, charset = decode(data)
            body = strip_gutenberg(whole)
        except Unusable as error:
            yield Rejected(doc_id, str(error), raw=file.name)
            continue
        head = header(whole)
        rights = "copyrighted (see its Project Gutenberg header)" if head.copyrighted else ""
        if head.gutenberg and not rights:
            rights = "public domain (USA)"
        meta = {
            "id": doc_id,
            "source": context.name,
            "group": file.name,
            "title": head.title,
            "author": head.author,
            "license": context.license or rights,
            "origin": file.name,
            "sha256": file.sha256,
            "charset": charset,
        }
        yield Document(body, {k: v for k, v in meta.items() if v or k == "license"})
