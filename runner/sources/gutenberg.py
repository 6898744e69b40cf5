"""Source `gutenberg`: Project Gutenberg's books, named by author, title, id or topic.

A catalogue in gutendex's shape says which books there are, page after page; the texts come from the user's mirror,
never from where the catalogue points. What was asked for and cannot be had is named: a page that cannot be read, a
book that is copyrighted, a recording, in other languages too, or nowhere on the mirror.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta

from runner import gutendex
from runner.fetching import Fetcher, Item, Unfetched, failed
from runner.gutendex.catalogue import Walk
from runner.gutendex.mirror import texts
from runner.gutendex.wanted import Wanted
from runner.record import Document, Rejected
from runner.registry import SourceContext, Unit, source

_COPYRIGHTED = "copyrighted (see its Project Gutenberg header)"

Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(min_length=1)]
Codes = Annotated[list[Annotated[str, Meta(pattern="^[a-z]{2,3}$")]], Meta(min_length=1)]
Numbers = Annotated[list[Annotated[int, Meta(ge=1, le=10_000_000)]], Meta(min_length=1)]
Word = Annotated[str, Meta(min_length=1, max_length=200)]
Most = Annotated[int, Meta(ge=1)]

Authors = Annotated[
    Names | None,
    Meta(
        description='Authors as the catalogue has them, "Twain, Mark" or "Mark Twain"; any of them.',
        examples=[["Twain, Mark"]],
    ),
]
Titles = Annotated[
    Names | None,
    Meta(
        description="Titles, with or without what follows the colon; any of them.",
        examples=[["Adventures of Huckleberry Finn"]],
    ),
]
Languages = Annotated[
    Codes | None,
    Meta(description="Two-letter codes. A book in another language as well is left out.", examples=[["en"]]),
]
Ids = Annotated[
    Numbers | None, Meta(description="Numbers of books at Project Gutenberg.", examples=[[76, 3176]])
]
Topic = Annotated[
    Word | None, Meta(description="A word of the catalogue's subjects or bookshelves.", examples=["humor"])
]
AtMost = Annotated[
    Most | None, Meta(description="Take no more books than this, those with the lowest numbers.")
]
Copyrighted = Annotated[
    bool, Meta(description="Take books too that are copyrighted, or of which that is not known.")
]


def fetch(
    net: Fetcher,
    *,
    authors: Authors = None,
    titles: Titles = None,
    languages: Languages = None,
    ids: Ids = None,
    topic: Topic = None,
    at_most: AtMost = None,
    copyrighted: Copyrighted = False,
) -> Iterator[Item]:
    """Each book once, by number: its text as the mirror has it, or why there is none. First what is wrong with
    the catalogue.
    """
    numbers = sorted(set(ids or []))
    wanted = Wanted(authors or [], titles or [], languages or [], numbers, topic or "", copyrighted)
    walk = Walk(net)
    by_the_way: list[gutendex.Book] = []
    found: dict[int, tuple[gutendex.Book, str]] = {}
    for label, params in wanted.queries():
        for book in walk.books(label, params):
            by = wanted.matched(book)
            if by is not None:
                found.setdefault(book.id, (book, by))
            elif len(by_the_way) < 1000:
                by_the_way.append(book)
            net.progress(len(found), 0, "books found")
    yield from walk.failures
    for key, name in wanted.missing([book for book, _ in found.values()]):
        yield Item(key, error=_not_found(name, wanted, by_the_way, unread=bool(walk.failures)))
    books = [found[i] for i in sorted(found)]
    taken = [(book, by) for book, by in books if not wanted.refused(book)][:at_most]
    had = texts(net, [book for book, _ in taken])
    last = taken[-1][0].id if at_most and len(taken) == at_most else None
    for book, by in books:
        if reason := wanted.refused(book):
            yield Item(str(book.id), meta=_meta(book, by), error=reason, left_out=True)
        else:
            got = next(had)
            meta = _meta(book, by)
            yield (
                failed(str(book.id), got, meta)
                if isinstance(got, Unfetched)
                else Item(str(book.id), got.sha256, meta)
            )
        if book.id == last:
            break


def _not_found(name: str, wanted: Wanted, others: list[gutendex.Book], unread: bool) -> str:
    error = f"the catalogue has no {name}"
    error += f" in {', '.join(wanted.languages)}" if wanted.languages else ""
    error += ", as far as it could be read" if unread else ""
    if wanted.authors and not wanted.ids:
        known = {a.name for book in others for a in book.authors if a.name}
    else:
        known = {gutendex.title_of(book) for book in others}
    near = difflib.get_close_matches(name.partition(" ")[2].strip("'\""), sorted(known), 1)
    return error + (f" (did you mean {near[0]!r}?)" if near else "")


def _meta(book: gutendex.Book, by: str) -> dict[str, str]:
    rights = {False: "public domain (USA)", True: _COPYRIGHTED, None: "not stated by the catalogue"}
    meta = {
        "title": gutendex.title_of(book),
        "author": gutendex.names(book.authors),
        "translator": gutendex.names(book.translators),
        "illustrator": gutendex.names(book.illustrators),
        "editor": gutendex.names(book.editors),
        "language": ", ".join(book.languages),
        "license": rights[book.copyright],
        "origin": f"https://www.gutenberg.org/ebooks/{book.id}",
        "matched": by,
    }
    return {key: value for key, value in meta.items() if value}


def _attribution(meta: Mapping[str, str], number: str) -> str:
    """Whom to name with a book, and where it is from.

    Project Gutenberg asks that its name be taken off the text of a book in the public domain; it may be said where a
    text was found, in the plain words that a bibliography uses.
    """
    by = ", ".join(x for x in (meta.get("author"), meta.get("title")) if x) or "a book without title"
    roles = {"translator": "translated", "illustrator": "illustrated", "editor": "edited"}
    hands = "".join(f", {done} by {meta[role]}" for role, done in roles.items() if meta.get(role))
    return f"{by}{hands}; Project Gutenberg, eBook {number}"


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not any(options[name] for name in ("authors", "titles", "ids", "topic")):
        yield (), "name authors, titles, ids or a topic; without any of them it would be all books"


def _units(context: SourceContext) -> Iterator[Unit]:
    for item in context.items:
        id, path = f"{context.name}/{item.key}", context.raw(item)
        yield Unit(id, item.key, path, item.sha256, item.key, item.meta, told=False)


def _read(
    context: SourceContext, unit: Unit, *, copyrighted: bool, chapters: bool
) -> Iterator[Document | Rejected]:
    from runner.booktext import Unusable, decode, header, read_book

    try:
        whole, charset = decode(unit.path.read_bytes())
        head = header(whole)
        if head.copyrighted and not copyrighted:
            raise Unusable("its header says that it is copyrighted (take it with copyrighted: true)")
        body = read_book(whole)
    except Unusable as error:
        yield Rejected(unit.id, str(error), raw=unit.name)
        return
    rights = {"license": _COPYRIGHTED} if head.copyrighted else {}
    meta = {"title": head.title, "author": head.author, **unit.meta, **rights}
    meta |= {"license": context.license} if context.license else {}
    meta |= {
        "source": context.name,
        "group": f"gutenberg/{unit.name}",
        "sha256": unit.sha256,
        "attribution": _attribution(meta, unit.name),
        "charset": charset,
        "remark": body.remark,
    }
    meta = {key: value for key, value in meta.items() if value}
    if not chapters or len(body.chapters) == 1:
        yield Document(body.text, {"id": unit.id, **meta})
        return
    # The title page and preface, which stand before the first heading, are number 0.
    for number, chapter in enumerate(body.chapters, start=1 if body.chapters[0].heading else 0):
        named = {"chapter": chapter.heading} if chapter.heading else {}
        yield Document(chapter.text, {"id": f"{unit.id}/{number}", **meta, **named})


@source(
    "gutenberg",
    version=4,
    fetch=fetch,
    check=_wrong,
    license="public domain (USA)",
    units=_units,
    read=_read,
)
def gutenberg(
    context: SourceContext,
    *,
    authors: Authors = None,
    titles: Titles = None,
    languages: Languages = None,
    ids: Ids = None,
    topic: Topic = None,
    at_most: AtMost = None,
    copyrighted: Copyrighted = False,
    chapters: Annotated[
        bool, Meta(description="Each chapter a document of its own; passages then end where chapters end.")
    ] = True,
) -> Iterator[Document | Rejected]:
    """Books of Project Gutenberg by author, title, id or topic, without header, licence, notes and contents tables.

    A book's chapters share its group, so that a split never tears it. What is no book is refused, and so is one
    whose own header says that it is copyrighted, whatever the catalogue said.
    """
    for unit in _units(context):
        yield from _read(context, unit, copyrighted=copyrighted, chapters=chapters)
