"""Source gutenberg: the catalogue walked and checked, texts from the mirror, books in chapters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.fetching import Fetcher, Got, InputFile, Item, Keep, Unfetched
from runner.gutendex import (
    Book,
    author_match,
    name_keys,
    read_book,
    spoken,
    text_paths,
    title_match,
    title_of,
)
from runner.net.failures import TooMuch
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext, plugins
from runner.sources.gutenberg import fetch, gutenberg

CATALOGUE, MIRROR = "http://catalogue.example", "http://mirror.example/gutenberg"
PROSE = (
    "The ferry had not run since the ice came, and nobody in the town of Marl could say when it would. " * 6
)
TEXT = "The Project Gutenberg eBook of {title}\n\nTitle: {title}\n\nAuthor: Ann Example\n\n{mark}\n\n{body}\n\n{end}\n"
START = "*** START OF THE PROJECT GUTENBERG EBOOK THE FERRY ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK THE FERRY ***"


def book(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "title": f"Book {number}",
        "authors": [{"name": "Example, Ann", "birth_year": 1850, "death_year": None}],
        "languages": ["en"],
        "subjects": ["Ferries -- Fiction"],
        "copyright": False,
        "media_type": "Text",
        "formats": {"text/plain; charset=utf-8": f"{CATALOGUE}/files/{number}/{number}-0.txt"},
    } | more


def page(*books: dict[str, Any], next: Any = None, count: int | None = None) -> bytes:
    return json.dumps({"count": count, "next": next, "previous": None, "results": books}).encode()


class Net(Fetcher):
    """Answers from a table of addresses; a number is an HTTP status. `asked` says what was asked for."""

    name, seed = "books", 17
    files: Mapping[str, tuple[InputFile, ...]] = {}

    def __init__(self, folder: Path, answers: Mapping[str, bytes | int]) -> None:
        self.folder, self.answers, self.asked = folder, answers, list[str]()
        self.proven, self.forgotten, self.vouched = True, list[str](), list[str]()

    def forget(self, got: Got) -> None:
        self.forgotten.append(got.url)

    def vouch(self, got: Got) -> None:
        self.vouched.append(got.url)

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        robots: bool = True,
        private: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Got:
        assert robots == url.startswith(MIRROR) and private is headers is body is None
        assert accept == ("text/plain" if robots else "application/json")
        self.asked.append(url)
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        key = url if robots else f"page {query.get('page', ['1'])[0]}"
        answer = self.answers.get(key, self.answers.get("*", 404))
        if answer == 413:
            raise TooMuch("more than allowed")
        if isinstance(answer, int):
            raise Unfetched(f"status {answer}", transient=answer >= 500, gone=answer == 404)
        sha256 = hashlib.sha256(answer).hexdigest()
        return Got(url, self.path(self.store([answer])), sha256, proven=self.proven)

    def get_all(
        self,
        urls: Iterable[str],
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        robots: bool = True,
    ) -> Iterator[tuple[str, Got | Unfetched]]:
        for url in urls:
            try:
                yield url, self.get(url, accept=accept, most=most, robots=robots)
            except Unfetched as error:
                yield url, error

    def store(self, chunks: Iterable[bytes]) -> str:
        data = b"".join(chunks)
        name = hashlib.sha256(data).hexdigest()
        (self.folder / name).write_bytes(data)
        return name

    def path(self, sha256: str) -> Path:
        return self.folder / sha256

    def setting(self, name: str) -> str:
        return {"gutendex_url": CATALOGUE, "gutenberg_mirror": MIRROR}[name]

    def records(self, source: str) -> Iterator[Record]:
        raise LookupError(source)

    def progress(self, done: int, of: int, what: str) -> None:
        assert done >= 0


def at(number: int) -> str:
    return f"{MIRROR}/files/{number}/{number}-0.txt"


def next_page(number: int) -> str:
    return f"{CATALOGUE}/books/?page={number}&search=example+ann"


def test_all_pages_by_number_each_book_once(tmp_path: Path) -> None:
    answers = {
        "page 1": page(book(30), book(7), next=next_page(2), count=5),
        "page 2": page(book(7), book(11), book(5, authors=[{"name": "Example, Anna"}]), next=None),
        **{at(n): str(n).encode() for n in (7, 11)},
        f"{MIRROR}/cache/epub/30/pg30.txt": b"30",
    }
    net = Net(tmp_path, answers)
    items = list(fetch(net, authors=["ann éxample"], languages=["en"]))
    assert [(i.key, i.error, net.path(i.sha256).read_bytes()) for i in items] == [
        ("7", "", b"7"), ("11", "", b"11"), ("30", "", b"30"),
    ]  # fmt: skip
    assert items[0].meta == {
        "title": "Book 7",
        "author": "Ann Example",
        "language": "en",
        "license": "public domain (USA)",
        "origin": "https://www.gutenberg.org/ebooks/7",
        "matched": "author Example, Ann",
    }
    first = parse_qs(urlsplit(net.asked[0]).query)
    assert first == {"languages": ["en"], "search": ["ann éxample"], "sort": ["ascending"]}
    assert all(url.startswith(MIRROR) for url in net.asked[2:])


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (b'{"count": 3, "next": nu', "JSON"),
        (b'{"results": [], "count": NaN}', "JSON"),
        (b"null", "no page of books"),
        (b"[]", "no page of books"),
        (b'{"results": {}}', "no page of books"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
        (b'{"results": [], "results": [{"id": 9}]}', "twice"),
        (b"\xff\xfe", "UTF-8"),
        (page(book(2)), "earlier pages"),
        (503, "status 503"),
        (404, "status 404"),
    ],
)
def test_a_page_that_cannot_be_read_keeps_what_came_before(
    tmp_path: Path, second: bytes | int, says: str
) -> None:
    net = Net(tmp_path, {"page 1": page(book(2), next=next_page(2)), "page 2": second, at(2): b"text"})
    broken, had = fetch(net, authors=["Ann Example"])
    assert broken.key == "catalogue, author Ann Example, page 2" and says in broken.error
    assert had.key == "2" and had.sha256


@pytest.mark.parametrize(
    ("next", "says"),
    [
        (f"{CATALOGUE}/books/?search=Ann+Example&sort=ascending", "circle"),
        ("http://127.0.0.2:9/books/?page=2", "another address"),
        ("https://catalogue.example/books/?page=2", "another address"),
        ("http://catalogue.example:81/books/?page=2", "another address"),
        ("http://me@catalogue.example/books/?page=2", "another address"),
        ("http://catalogue.example/other/?page=2", "another address"),
        ("//127.0.0.2:9/books/?page=2", "another address"),
        ("../other/?page=2", "another address"),
        ("?search=Ann+Example&sort=ascending", "circle"),
    ],
)
def test_next_links_lead_nowhere_else(tmp_path: Path, next: str, says: str) -> None:
    net = Net(tmp_path, {"page 1": page(book(2), next=next), at(2): b"text"})
    broken, had = fetch(net, authors=["Ann Example"])
    assert says in broken.error and broken.key.endswith("page 2")
    assert had.sha256 and len(net.asked) == 2


@pytest.mark.parametrize(
    "next",
    [
        "/books/?page=2",
        "?page=2",
        "/books?page=2",
        "//catalogue.example/books/?page=2",
        "http://catalogue.example/books?page=2",
        " /books/?page=2 ",
    ],
)
def test_a_next_link_may_be_relative(tmp_path: Path, next: str) -> None:
    answers = {"page 1": page(book(2), next=next, count=2), "page 2": page(book(3), next="")}
    net = Net(tmp_path, answers | {at(n): b"text" for n in (2, 3)})
    assert [(i.key, i.error) for i in fetch(net, authors=["Ann Example"])] == [("2", ""), ("3", "")]


@pytest.mark.parametrize("next", [5, {"page": 2}, ["x"], True, "http://[catalogue/books/"])
def test_a_next_link_that_cannot_be_read_is_told(tmp_path: Path, next: Any) -> None:
    net = Net(tmp_path, {"page 1": page(book(2), next=next), at(2): b"text"})
    told, had = fetch(net, authors=["Ann Example"])
    assert "where the next page is cannot be read" in told.error and not told.gone and had.sha256


@pytest.mark.parametrize("count", ["1", " 1 ", None])
def test_a_count_in_other_words_is_read(tmp_path: Path, count: Any) -> None:
    net = Net(tmp_path, {"page 1": page(book(2), next="", count=count), at(2): b"text"})
    (had,) = fetch(net, authors=["Ann Example"])
    assert had.sha256


@pytest.mark.parametrize("count", ["some", "", 1.5, [1], True, "9" * 40])
def test_a_count_that_cannot_be_read_costs_no_book(tmp_path: Path, count: Any) -> None:
    net = Net(tmp_path, {"page 1": page(book(2), count=count), at(2): b"text"})
    told, had = fetch(net, authors=["Ann Example"])
    assert "how many books there are cannot be read" in told.error and had.sha256


def test_null_in_an_entry_is_as_good_as_absent(tmp_path: Path) -> None:
    nulls = dict.fromkeys(("authors", "subjects", "bookshelves", "formats", "translators"))
    some = book(3, authors=[None, {"name": "Example, Ann"}])
    usual = f"{MIRROR}/cache/epub/2/pg2.txt"
    net = Net(tmp_path, {"page 1": page(book(2, **nulls), some), usual: b"text", at(3): b"text"})
    assert [(i.key, i.error, i.meta.get("author")) for i in fetch(net, ids=[2, 3])] == [
        ("2", "", None),
        ("3", "", "Ann Example"),
    ]


def test_pages_without_end_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.gutendex.catalogue._MOST_PAGES", 5)
    answers = {f"page {n}": page(book(n), next=next_page(n + 1)) for n in range(1, 9)}
    items = list(fetch(Net(tmp_path, answers | {at(n): b"x" for n in range(9)}), topic="ferries"))
    assert "more than 5 pages" in items[0].error
    assert [i.key for i in items[1:]] == ["1", "2", "3", "4", "5"]


def test_a_count_that_the_pages_do_not_hold_is_told(tmp_path: Path) -> None:
    net = Net(tmp_path, {"page 1": page(book(2), count=75000), at(2): b"text"})
    told, had = fetch(net, ids=[2])
    assert "75000" in told.error and had.sha256


def test_an_entry_that_is_no_book_does_not_cost_the_others(tmp_path: Path) -> None:
    odd = [{"id": "x"}, {"id": 3, "formats": [1]}, {"title": "no id"}]
    net = Net(tmp_path, {"page 1": page(*odd, book(2)), at(2): b"text"})
    *broken, had = fetch(net, topic="FERRIES")
    assert [i.key for i in broken] == [f"catalogue, topic FERRIES, page 1, entry {n}" for n in (1, 2, 3)]
    assert had.key == "2" and had.sha256


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    books = [
        book(1, copyright=True),
        book(2, copyright=None),
        book(3, media_type="Sound"),
        book(4, languages=["de", "en"]),
        book(5, languages=["de"]),
        book(6),
    ]
    answers = {"page 1": page(*books), **{at(n): b"text" for n in range(1, 7)}}
    items = list(fetch(Net(tmp_path, answers), authors=["Example, Ann"], languages=["en"]))
    assert [(i.key, i.error.split(" (")[0]) for i in items] == [
        ("1", "copyrighted"),
        ("2", "the catalogue does not say whether it is copyrighted"),
        ("3", "no text: the catalogue calls it 'Sound'"),
        ("4", "not only in en, but in de too"),
        ("6", ""),
    ]
    first, second, *_ = fetch(Net(tmp_path, answers), authors=["Example, Ann"], copyrighted=True, at_most=2)
    assert (
        first.sha256
        and first.meta["license"].startswith("copyrighted")
        and second.meta["license"].startswith("not stated")
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ids": [2, 9]}, "the catalogue has no book 9"),
        (
            {"authors": ["Exampel, Ann"], "languages": ["en"]},
            "no author 'Exampel, Ann' in en (did you mean 'Example, Ann'?)",
        ),
        ({"titles": ["Bok 2"]}, "no title 'Bok 2' (did you mean 'Book 2'?)"),
    ],
)
def test_what_is_not_found_is_named(tmp_path: Path, options: Any, says: str) -> None:
    items = list(fetch(Net(tmp_path, {"page 1": page(book(2)), at(2): b"text"}), **options))
    assert says in items[0].error


def test_at_most_takes_the_first_by_number(tmp_path: Path) -> None:
    net = Net(tmp_path, {"page 1": page(book(9), book(4), book(6)), **{at(n): b"text" for n in (4, 6, 9)}})
    assert [i.key for i in fetch(net, topic="ferries", at_most=2)] == ["4", "6"]
    assert at(9) not in net.asked


@pytest.mark.parametrize(
    ("answers", "places", "error"),
    [
        ({"/cache/epub/2/pg2.txt": b"text"}, 2, ""),
        ({"/2/2-8.txt": b"text"}, 0, "at any of"),
        ({"/0/2/2-8.txt": b"text"}, 6, ""),
        ({"/files/2/2-0.txt": 503, "/cache/epub/2/pg2.txt": b"text"}, 1, "status 503"),
        ({"/files/2/2-0.txt": b" \n<!DOCTYPE html><html>wait"}, 1, "web page"),
        ({}, 0, "status 404, nor is its text at any of 6 other places"),
    ],
)
def test_texts_come_from_the_mirror_or_are_named(
    tmp_path: Path, answers: Any, places: int, error: str
) -> None:
    net = Net(tmp_path, {"page 1": page(book(2)), **{MIRROR + path: a for path, a in answers.items()}})
    (item,) = fetch(net, ids=[2])
    assert error in item.error if error else item.sha256
    assert not places or len(net.asked) == places + 1
    assert all(url.startswith(MIRROR + "/") for url in net.asked[1:])


def test_what_has_no_end_is_not_asked_for_elsewhere(tmp_path: Path) -> None:
    net = Net(tmp_path, {"page 1": page(book(2)), at(2): 413, f"{MIRROR}/cache/epub/2/pg2.txt": b"text"})
    (item,) = fetch(net, ids=[2])
    assert item.error == "more than allowed" and item.gone
    assert net.asked[1:] == [at(2)]


def test_a_text_that_is_nowhere_is_gone(tmp_path: Path) -> None:
    gone, failed = fetch(Net(tmp_path, {"page 1": page(book(2), book(3)), at(3): 503}), ids=[2, 3])
    assert gone.gone and not failed.gone


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<!-- blocked -->", "a web page"),
        (b"\xef\xbb\xbf\r\n<p>Too many requests.</p>", "a web page"),
        (b"<div class=x>", "a web page"),
        (b"<HEAD><title>No</title>", "a web page"),
        (b'<?xml version="1.0"?><Error/>', "a web page"),
        (b"<h1>502</h1>", "a web page"),
        (b'{"error": "rate limit"}', "JSON"),
        (b'[{"error": 1}]', "JSON"),
        (b"%PDF-1.7\n", "a binary file"),
        (b"PK\x03\x04\x14\x00", "a binary file"),
        (b"\x1f\x8b\x08", "a binary file"),
        (b"words\0words", "a binary file"),
    ],
)
def test_what_is_no_text_is_a_failure_of_that_book(tmp_path: Path, body: bytes, what: str) -> None:
    net = Net(tmp_path, {"page 1": page(book(2), book(3)), at(2): body, at(3): b"text"})
    bad, good = fetch(net, ids=[2, 3])
    assert bad.error == f"the mirror gave {what} instead of the text" and not bad.sha256 and not bad.gone
    assert net.forgotten == [at(2)] and good.sha256


@pytest.mark.parametrize(
    "body",
    [
        b"<<THIS ELECTRONIC VERSION IS FREE>>",
        b"[Illustration: the ferry]",
        b"{1} The first page",
        b"< 3 miles from Marl",
        "Fähre".encode("utf-16"),
        b"P.K. said so.",
    ],
)
def test_texts_with_odd_beginnings_are_texts(tmp_path: Path, body: bytes) -> None:
    (item,) = fetch(Net(tmp_path, {"page 1": page(book(2)), at(2): body}), ids=[2])
    assert item.sha256 and not item.error


SOFT = "End of Project Gutenberg's The Ferry, by Ann Example"
WRAPPED = "*** END OF THIS PROJECT\nGUTENBERG EBOOK THE FERRY ***"


@pytest.mark.parametrize(
    ("end", "whole"),
    [
        (END, True),
        (f"{END}\n\n" + "Section 1. General Terms of Use\n" * 900, True),
        (SOFT, True),
        (WRAPPED, True),
        ("", False),
        ("They spoke of the end of the Project Gutenberg eBook.", False),
        (f"{END}\n\n\n{START}\n\nThe second ferry", False),
    ],
)
def test_a_text_without_announced_end_must_have_its_mark(tmp_path: Path, end: str, whole: bool) -> None:
    text = TEXT.format(title="The Ferry", mark=START, body=PROSE, end=end).encode()
    net = Net(tmp_path, {"page 1": page(book(2)), at(2): text})
    net.proven = False
    (item,) = fetch(net, ids=[2])
    assert bool(item.sha256) is whole
    assert net.vouched == [at(2)] * whole and net.forgotten == [at(2)] * (not whole)
    assert whole or "may be cut off" in item.error
    net.proven = True
    (item,) = fetch(net, ids=[2])
    assert item.sha256


# -- the catalogue's spellings ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("catalogue", "recipe"),
    [
        ("Twain, Mark", "mark twain"),
        ("Twain, Mark, 1835-1910", "Twain,  Mark"),
        ("Brontë, Charlotte", "Charlotte Bronte"),
        ("Wells, H. G. (Herbert George)", "H.G. Wells"),
        ("Wells, H. G. (Herbert George)", "Wells, Herbert George"),
        ("Doyle, Arthur Conan", "Sir Arthur Conan Doyle"),
        ("O'Brien, Fitz-James", "Fitz James O’Brien"),
        ("Толстой, Лев", "лев толстой"),
    ],
)
def test_names_that_are_the_same(catalogue: str, recipe: str) -> None:
    assert author_match(read_book({"id": 1, "authors": [{"name": catalogue}]}), [recipe]) == catalogue


@pytest.mark.parametrize("recipe", ["Twain", "Mark", "Shania Twain", "Twain, Marc", "?", "1835-1910"])
def test_names_that_are_not(recipe: str) -> None:
    assert (
        author_match(read_book({"id": 1, "authors": [{"name": "Twain, Mark"}, {"name": None}]}), [recipe])
        is None
    )


@given(st.text(max_size=40))
@settings(deadline=None)
def test_any_name_and_title_can_be_read(text: str) -> None:
    assert name_keys(text) == name_keys(text.strip())
    assert "\n" not in spoken(text) and "\n" not in title_of(Book(1, title=text))
    title_match(Book(1, title=text), [text])
    assert len(text_paths(Book(1, formats={"text/plain": text}))) == 7


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Twain, Mark", "Mark Twain"),
        ("Wells, H. G. (Herbert George)", "H. G. Wells"),
        ("Dumas, Alexandre, fils", "Alexandre Dumas, fils"),
        ("Doyle, Arthur Conan, Sir, 1859-1930", "Arthur Conan Doyle"),
        ("Anonymous", "Anonymous"),
    ],
)
def test_names_as_people_say_them(name: str, said: str) -> None:
    assert spoken(name) == said


@pytest.mark.parametrize(
    ("title", "recipe", "same"),
    [
        ("Frankenstein; Or, The Modern Prometheus", "Frankenstein", True),
        ("The Adventures of Tom Sawyer, Complete", "adventures of tom sawyer", True),
        ("The Adventures of Tom Sawyer, Part 1.", "The Adventures of Tom Sawyer", False),
        ('Threads gathered up : $b A sequel to "Something"', "Threads Gathered Up", True),
        ("Pudd'nhead Wilson", "Pudd’nhead Wilson", True),
        ("Emma", "Em", False),
        ("", "", False),
    ],
)
def test_titles(title: str, recipe: str, same: bool) -> None:
    assert bool(title_match(Book(1, title=title), [recipe])) is same


def test_places_of_a_text() -> None:
    formats = {
        "text/plain; charset=us-ascii": "https://x/files/76/76.txt",
        "text/plain; charset=iso-8859-1": "https://x/files/76/76-8.txt",
        "text/plain": "https://x/files/76/76-readme.txt",
        "text/plain; charset=utf-8": "https://x/files/76/76-0.zip",
        "text/plain; charset=windows-1252": "https://x/ebooks/77.txt.utf-8",
        "text/html": "https://x/files/76/76-h/76-h.htm",
        "application/zip": "https://x/files/76/76.txt",
    }
    assert text_paths(Book(76, formats=formats)) == [
        "/files/76/76-8.txt",
        "/files/76/76.txt",
        "/cache/epub/76/pg76.txt",
        "/files/76/76-0.txt",
        "/7/76/76-0.txt",
        "/7/76/76-8.txt",
        "/7/76/76.txt",
    ]


# -- the books ----------------------------------------------------------------------------------------


def documents(tmp_path: Path, body: str, meta: dict[str, str] | None = None, **options: Any) -> list[Any]:
    path = tmp_path / "raw"
    path.write_bytes(TEXT.format(title="The Ferry", mark=START, body=body, end=END).encode())
    items = [
        Item("5", "ab" * 32, meta or {"origin": "https://www.gutenberg.org/ebooks/5", "author": "Example"})
    ]
    context = SourceContext("books", 1, {}, options.pop("license", ""), items=items, raw=lambda _: path)
    return list(gutenberg(context, ids=[5], **options))


def test_chapters_are_documents_of_one_group(tmp_path: Path) -> None:
    body = f"THE FERRY\n\n{PROSE}\n\n\nCHAPTER I. The Ice\n\n{PROSE}\n\n\nCHAPTER II. The Thaw\n\n{PROSE}"
    front, one, two = documents(tmp_path, body)
    assert [d.meta["id"] for d in (front, one, two)] == ["books/5/0", "books/5/1", "books/5/2"]
    assert [d.meta.get("chapter") for d in (front, one, two)] == [
        None,
        "CHAPTER I. The Ice",
        "CHAPTER II. The Thaw",
    ]
    assert {d.meta["group"] for d in (front, one, two)} == {"gutenberg/5"}
    assert one.text == f"CHAPTER I. The Ice\n\n{PROSE.strip()}"
    assert one.meta == {
        "id": "books/5/1",
        "title": "The Ferry",
        "author": "Example",
        "origin": "https://www.gutenberg.org/ebooks/5",
        "source": "books",
        "group": "gutenberg/5",
        "sha256": "ab" * 32,
        "attribution": "Example, The Ferry; Project Gutenberg, eBook 5",
        "charset": "ascii",
        "chapter": "CHAPTER I. The Ice",
    }
    (whole,) = documents(tmp_path, body, chapters=False)
    assert whole.text == "\n\n".join(d.text for d in (front, one, two))
    assert whole.meta["id"] == "books/5" and "chapter" not in whole.meta


def test_a_book_without_chapters_is_one_document(tmp_path: Path) -> None:
    (only,) = documents(tmp_path, f"THE FERRY\n\n{PROSE}", license="mine")
    assert (only.meta["id"], only.meta["license"]) == ("books/5", "mine")


def test_who_made_a_book_is_named_and_where_it_is_from(tmp_path: Path) -> None:
    people = {
        "translators": [{"name": "Brunner, H.", "birth_year": None}, {"name": "Other, Ann (Ann B.)"}],
        "illustrators": [{"name": "Kemble, E. W."}],
        "editors": [],
    }
    text = TEXT.format(title="The Ferry", mark=START, body=PROSE, end=END).encode()
    net = Net(tmp_path, {"page 1": page(book(2, **people)), at(2): text})
    (item,) = fetch(net, ids=[2])
    context = SourceContext("books", 1, {}, "", items=[item], raw=lambda i: net.path(i.sha256))
    (found,) = gutenberg(context, ids=[2])
    assert isinstance(found, Document)
    assert found.meta["attribution"] == (
        "Ann Example, Book 2, translated by H. Brunner and Ann Other, illustrated by E. W. Kemble; "
        "Project Gutenberg, eBook 2"
    )
    assert "Gutenberg" not in found.text


@pytest.mark.parametrize(
    "odd", [None, "Brunner", [None], ["Brunner"], [{"name": 7}], [{"name": ""}], {"name": "x"}, 5]
)
def test_odd_translators_cost_no_book(tmp_path: Path, odd: Any) -> None:
    net = Net(tmp_path, {"page 1": page(book(2, translators=odd, illustrators=odd)), at(2): b"text"})
    (item,) = fetch(net, ids=[2])
    assert item.sha256 and "translator" not in item.meta


def test_many_hands_are_named_in_short(tmp_path: Path) -> None:
    many = [{"name": f"{c}{'x' * 300}, A."} for c in "PQRST"]
    net = Net(tmp_path, {"page 1": page(book(2, editors=many)), at(2): b"text"})
    (item,) = fetch(net, ids=[2])
    assert item.meta["editor"].endswith(" and others") and len(item.meta["editor"]) < 340


def test_what_is_no_book_is_refused(tmp_path: Path) -> None:
    assert documents(tmp_path, "3.14159 26535 89793 " * 100) == [
        Rejected("books/5", "not a book: numbers or symbols, not words", "5")
    ]


def test_a_header_that_says_copyrighted_counts(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    text = TEXT.format(title="The Ferry", mark=START, body=PROSE, end=END)
    path.write_text(f"** This is a COPYRIGHTED Project Gutenberg eBook, Details Below **\n\n{text}")
    item = Item("5", "ab" * 32, {"license": "public domain (USA)"})
    context = SourceContext("books", 1, {}, "", items=[item], raw=lambda _: path)
    (refused,) = gutenberg(context, ids=[5])
    assert isinstance(refused, Rejected) and "copyrighted" in refused.reason
    (kept,) = gutenberg(context, ids=[5], copyrighted=True)
    assert isinstance(kept, Document) and kept.meta["license"].startswith("copyrighted")
    assert kept.meta["attribution"] == "Ann Example, The Ferry; Project Gutenberg, eBook 5"


def test_options_are_checked_by_their_types() -> None:
    plugin = plugins("source")["gutenberg"]
    assert plugin.fetch is fetch
    bound = plugin.bind_fetch({"authors": ["Twain, Mark"], "languages": ["en"], "chapters": False})
    assert "chapters" not in bound and bound["languages"] == ["en"]
    for wrong in (
        {"languages": ["english"]},
        {"ids": [0]},
        {"ids": []},
        {"authors": [""]},
        {"at_most": 0},
        {"topics": "x"},
    ):
        with pytest.raises(msgspec.ValidationError):
            plugin.bind(wrong)
