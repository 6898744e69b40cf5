"""A catalogue of Project Gutenberg in gutendex's shape: its pages and books read, matched and placed.

The catalogue's own search is loose (any word in any title or name) and a stranger's server may answer, so
nothing is believed that is not checked here. Pure functions; `catalogue` and `mirror` ask for pages and texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Annotated, Any
from urllib.parse import urljoin

import msgspec
from msgspec import Meta, Struct, field

_PEOPLE = r"\(([^()]*)\)"
_HONORIFICS = frozenset(["sir", "lady", "lord", "mr", "mrs", "miss", "ms", "dr"])
# Names of text files at Project Gutenberg: 76-0.txt, 76-8.txt, 76.txt, pg76.txt; a readme is none.
_PLACES = (
    (re.compile(r"/ebooks/(\d+)\.txt\.utf-8"), "/cache/epub/{id}/pg{id}.txt"),
    (re.compile(r"/cache/epub/(\d+)/pg\1\.txt(?:\.utf8)?"), "/cache/epub/{id}/pg{id}.txt"),
    (re.compile(r"/files/(\d+)/(\1(?:-\d)?)\.txt(?:\.utf-8)?"), "/files/{id}/{name}.txt"),
)


class Author(Struct, frozen=True):
    name: str | None = None


class Book(Struct, frozen=True):
    """One book as the catalogue has it; what else it says is not read."""

    id: Annotated[int, Meta(ge=1)]
    title: str | None = None
    authors: list[Author] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    bookshelves: list[str] = field(default_factory=list)
    copyright: bool | None = None
    media_type: str = "Text"
    formats: dict[str, str] = field(default_factory=dict)
    # Only to name them: what is odd here costs no book.
    translators: Any = None
    illustrators: Any = None
    editors: Any = None


class Page(Struct, frozen=True):
    """One page: its books, not yet read; where the next one is, "" after the last; how many books all pages hold.

    `faults` say what else of it could not be read; its books are none the worse for it.
    """

    results: list[dict[str, Any]]
    next: str = ""
    count: int | None = None
    faults: tuple[str, ...] = ()


def read_page(data: Any, url: str) -> Page:
    """Parsed JSON as the page at `url`, to which its link to the next one may be relative.

    Raises: ValueError, with the reason, for what is none.
    """
    try:
        page = msgspec.convert(data, _Page)
    except msgspec.ValidationError as e:
        raise ValueError(f"it is no page of books: {e}") from None
    faults = []
    count = page.count
    if isinstance(count, str) and re.fullmatch(r"\s*\d{1,9}\s*", count, re.ASCII):
        count = int(count)
    if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
        faults.append(f"how many books there are cannot be read: {str(count)[:40]!r}")
        count = None
    link = page.next or ""
    if not isinstance(link, str):
        faults.append(f"where the next page is cannot be read: {str(link)[:40]!r}")
        link = ""
    try:
        link = link.strip() and urljoin(url, link.strip())
    except ValueError:
        faults.append(f"where the next page is cannot be read: {link[:40]!r}")
        link = ""
    return Page(page.results, link, count, tuple(faults))


class _Page(Struct, frozen=True):
    results: list[dict[str, Any]]
    next: Any = None
    count: Any = None


def read_book(data: dict[str, Any]) -> Book:
    """An entry as a book: what is null there is as good as absent, and so are nulls in the place of an author.

    Raises: ValueError, with the reason, for what is no book.
    """
    said = {key: value for key, value in data.items() if value is not None}
    if isinstance(authors := said.get("authors"), list):
        said["authors"] = [a for a in authors if a is not None]
    try:
        return msgspec.convert(said, Book)
    except msgspec.ValidationError as e:
        raise ValueError(f"no book can be read from its entry: {e}") from None


# -- matching -------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """Words without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text.replace("'", "").replace("’", "")).casefold()
    return re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c)))


def name_keys(name: str) -> set[tuple[str, ...]]:
    """What a person may be called: "Wells, H. G. (Herbert George), 1866-1946" is "H. G. Wells", "Herbert George
    Wells". The order of the words does not count, nor do years and "Sir".
    """
    inner = re.search(_PEOPLE, name)
    outer = re.sub(_PEOPLE, " ", name)
    spelled = [outer]
    if inner:
        family = outer.partition(",")[0] if "," in outer else (outer.split() or [""])[-1]
        spelled.append(f"{inner[1]} {family}")
    keys = (
        tuple(sorted(w for w in words(s) if w not in _HONORIFICS and not w.isdigit() and w != "bce"))
        for s in spelled
    )
    return {key for key in keys if key}


def spoken(name: str) -> str:
    """A catalogue's name as people say it: "Wells, H. G. (Herbert George)" → "H. G. Wells"."""
    plain = " ".join(re.sub(_PEOPLE, " ", name).split())
    parts = [p.strip() for p in plain.split(",")]
    parts = [p for p in parts if p and not re.search(r"\d{3}", p) and not _HONORIFICS.issuperset(words(p))]
    return ", ".join([" ".join(parts[1:2] + parts[:1]), *parts[2:]])


def names(people: Any) -> str:
    """Up to three of the catalogue's people as they are named in a sentence, "" where it has none that can be read."""
    entries = people if isinstance(people, list) else []
    found = [
        p.get("name") if isinstance(p, dict) else p.name for p in entries if isinstance(p, dict | Author)
    ]
    said = [s[:100] for n in found if isinstance(n, str) and (s := spoken(n))]
    return " and ".join(said[:3]) + (" and others" if len(said) > 3 else "")


def title_of(book: Book) -> str:
    """The title on one line; the marks of library records (`$b`) taken off."""
    title = re.sub(r"\s*[:;/]?\s*\$[a-z]\s*", ": ", book.title or "")
    return " ".join(title.split())[:300]


def _title_key(title: str) -> tuple[str, ...]:
    found = words(re.sub(r",\s*complete\W*$", "", title, flags=re.I))
    return tuple(found[1:] if len(found) > 1 and found[0] in ("the", "a", "an") else found)


def author_match(book: Book, wanted: Iterable[str]) -> str | None:
    """The catalogue's name of the first author that is wanted."""
    keys = set[tuple[str, ...]]().union(*(name_keys(w) for w in wanted))
    return next((a.name for a in book.authors if a.name and name_keys(a.name) & keys), None)


def title_match(book: Book, wanted: Iterable[str]) -> str | None:
    """The first title of `wanted` that the book bears, whole or up to its subtitle; articles and ", Complete" aside."""
    title = title_of(book)
    bears = {_title_key(title), _title_key(re.split(r"[:;]", title, maxsplit=1)[0])} - {()}
    return next((w for w in wanted if _title_key(w) in bears), None)


def topic_match(book: Book, topic: str) -> bool:
    """Whether a subject or a bookshelf holds the topic, as gutendex means it."""
    return any(topic.casefold() in x.casefold() for x in book.subjects + book.bookshelves)


# -- texts ----------------------------------------------------------------------------------------


def text_paths(book: Book) -> list[str]:
    """Where a mirror may have the book's plain text, best first: UTF-8, then other charsets, then plain ASCII.

    The catalogue's formats say which there are, but some of its addresses are archives (.zip), so the usual
    places follow. Only paths: the host is always the user's mirror.
    """
    named = sorted(_named(book))
    usual = [f"/cache/epub/{book.id}/pg{book.id}.txt"]
    folder = "/".join(["", *(str(book.id)[:-1] or "0"), str(book.id)])
    usual += [f"/files/{book.id}/{book.id}{end}.txt" for end in ("-0", "-8", "")]
    usual += [f"{folder}/{book.id}{end}.txt" for end in ("-0", "-8", "")]  # as mirrors lay files out
    return list(dict.fromkeys([path for _, path in named] + usual))


def _named(book: Book) -> Iterator[tuple[int, str]]:
    for kind, address in book.formats.items():
        if not kind.startswith("text/plain"):
            continue
        path = re.sub(r"^\w+://[^/?#]*|[?#].*$", "", address)
        for pattern, place in _PLACES:
            found = pattern.fullmatch(path)
            if found and int(found[1]) == book.id:
                name = found[2] if pattern.groups > 1 else ""
                utf8 = "utf-8" in kind.lower() or path.endswith((".utf-8", ".utf8"))
                rank = 0 if utf8 else 2 if "ascii" in kind.lower() else 1
                yield rank, place.format(id=book.id, name=name)
