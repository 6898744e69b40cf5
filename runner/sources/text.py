"""Source `text`: plain-text files, books with Project Gutenberg's wrapping among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from runner.booktext import Unusable, decode, header, strip_gutenberg
from runner.record import Document, Rejected
from runner.registry import Files, SourceContext, source


@source("text", version=1)
def text(context: SourceContext, *, files: Files) -> Iterator[Document | Rejected]:
    """Plain-text files, one document each; header and licence of Gutenberg books are taken off."""
    taken: dict[str, int] = {}
    for file in context.files["files"]:
        stem = PurePosixPath(file.name).stem
        taken[stem] = taken.get(stem, 0) + 1
        # Files of one name in two folders need two ids; the order of files is the planner's, so
        # stable.
        doc_id = f"{context.name}/{stem}" + (f"~{taken[stem]}" if taken[stem] > 1 else "")
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
