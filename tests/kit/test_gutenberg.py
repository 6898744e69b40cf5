"""Every Gutenberg file of the test kit against what it says a cleaner must keep and drop; and the catalogue."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from runner.booktext import decode
from runner.fetching import InputFile, Item
from runner.net.client import Client
from runner.net.watched import Limits
from runner.passages import to_records
from runner.recipe import Passages
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext
from runner.settings import SETTINGS, Settings
from runner.sources.gutenberg import fetch, gutenberg
from runner.sources.text import text as text_source

StandIn = Callable[..., AbstractContextManager[str]]
KIT = Path(os.environ.get("MIREPOIX_KIT") or Path(__file__).parents[2] / ".." / "shared" / "kit")
EXPECT = KIT / "gutenberg" / "expect.json"
if not EXPECT.is_file():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

CASES: dict[str, dict[str, Any]] = json.loads(EXPECT.read_text(encoding="utf-8"))
METADATA = {
    m["file"]: m for m in json.loads((KIT / "gutenberg" / "metadata.json").read_text(encoding="utf-8"))
}
BOOKS = [f for f, case in CASES.items() if not case.get("not_a_book")]
OTHERS = [f for f, case in CASES.items() if case.get("not_a_book")]


def solid(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def rows(file: str, **options: Any) -> list[Document | Rejected]:
    """What the source makes of one file of the kit."""
    item = Item(file, "ab" * 32, {"origin": f"https://www.gutenberg.org/ebooks/{Path(file).stem}"})
    context = SourceContext("pg", 1, {}, "", items=[item], raw=lambda i: KIT / i.key)
    return list(gutenberg(context, ids=[1], **options))


@pytest.mark.parametrize("file", BOOKS)
def test_book(file: str) -> None:
    case = CASES[file]
    made = rows(file)
    documents = [d for d in made if isinstance(d, Document)]
    assert len(documents) == len(made) >= 1
    text = "\n\n".join(d.text for d in documents)
    letters, lines = solid(text), frozenset(solid(p) for p in text.split("\n"))
    keep = case["keep_lines"] + case["body_mentions_gutenberg"]
    assert [line for line in keep if solid(line) not in letters] == []
    # Per paragraph: a header's "TITLE, by AUTHOR" also arises where a title page is run on.
    drop = case["drop_lines"] + case["credit_lines_after_start"]
    long = [line for line in drop if len(solid(line)) >= 12]
    assert [x for x in long if any(solid(x) in line for line in lines)] == []
    assert [x for x in drop if solid(x) in lines] == []
    assert 0.92 < len(text) / case["body_chars_reference"] < 1.02
    assert not re.search(r"\n{3}|^\s*\[Illustration", text)
    assert all(d.meta["title"] and d.meta["group"] == f"gutenberg/{file}" for d in documents)
    assert len({d.meta["id"] for d in documents}) == len(documents)
    assert [d.text for d in rows(file, chapters=False) if isinstance(d, Document)] == [text]


@pytest.mark.parametrize(
    ("number", "chapters"),
    [
        *[
            (76, 43),
            (74, 36),
            (86, 44),
            (245, 60),
            (3176, 61),
            (102, 21),
            (91, 13),
            (93, 11),
            (1213, 4),
            (3174, 3),
        ],
        *[
            (3250, 5),
            (3189, 60),
            (1342, 60),
            (1661, 12),
            (36, 26),
            (84, 28),
            (11, 12),
            (46, 5),
            (30165, 36),
            (3390, 24),
        ],
        *[(3172, 1), (2572, 1)],
    ],
)
def test_chapters(number: int, chapters: int) -> None:
    found = rows(f"gutenberg/{number}.txt")
    assert chapters <= len(found) <= chapters + 12  # prefaces, appendices, parts
    assert (
        chapters == 1
        or sum("chapter" in row.meta for row in found if isinstance(row, Document)) >= chapters - 1
    )


@pytest.mark.parametrize("file", BOOKS)
def test_charset(file: str) -> None:
    charset = decode((KIT / file).read_bytes())[1]
    actual = METADATA[file]["encoding_actual"]
    same = {"iso-8859-1": "cp1252", "windows-1252": "cp1252"}  # Latin-1 is read as its superset
    if actual not in same and actual not in ("utf-8", "ascii", "cp437"):
        pytest.skip(f"{actual}: mixed")
    assert charset == same.get(actual, actual)


@pytest.mark.parametrize("file", OTHERS)
def test_not_a_book(file: str) -> None:
    (row,) = rows(file)
    assert isinstance(row, Rejected) and row.reason


# What the kit leaves to us ("report"): the text is kept, and this is said of it.
DECIDED = {
    "txt/no_end.txt": "no mark of Project Gutenberg's ends it: it may be cut off",
    "txt/no_markers.txt": "it bears no mark of Project Gutenberg's",
    "txt/two_books.txt": "2 books in one file",
    "txt/one_line.txt": None,
}


@pytest.mark.parametrize(
    "case",
    [c for c in json.loads((KIT / "broken" / "cases.json").read_text()) if c["file"].startswith("txt/")],
    ids=lambda c: str(c["file"]),
)
def test_broken_text(case: dict[str, str]) -> None:
    file = InputFile(case["file"], KIT / "broken" / case["file"], "ab" * 32)
    (row,) = text_source(SourceContext("mine", 1, {"files": (file,)}, ""), files=["txt/*"])
    if case["expect"] == "reject":
        assert isinstance(row, Rejected) and row.reason and row.raw == case["file"]
        return
    assert isinstance(row, Document)
    assert not re.search("General Terms|Title:|START OF", row.text)
    assert len(re.findall("It was a quiet town", row.text)) == file.path.read_text().count(
        "It was a quiet town"
    )
    if "marker_in_body" in case["file"]:
        made = list(to_records(row, Passages(prompt="none", words=(10, 400))))
        assert [type(m) for m in made] == [Record] * len(made) and '"*** END OF' in made[0].text  # type: ignore[union-attr]
    assert row.meta.get("remark") == (DECIDED[case["file"]] if case["expect"] == "report" else None)


# -- the catalogue --------------------------------------------------------------------------------


class Net(Client):
    """The guarded client with what else a fetch gets, for the stand-in."""

    name, seed = "pg", 17
    files: Mapping[str, tuple[InputFile, ...]] = {}

    def __init__(self, base: str, root: Path) -> None:
        mine = {
            "allow": base.removeprefix("http://"),
            "pace": "100",
            "gutendex_url": base,
            "gutenberg_mirror": base,
        }
        self.own = Settings({name: s.default for name, s in SETTINGS.items()} | mine, {})
        super().__init__(self.own, root, limits=Limits(attempts=2, first_wait=0.05, longest_wait=0.1))

    def setting(self, name: str) -> str:
        return self.own[name]

    def records(self, source: str) -> Iterator[Record]:
        raise LookupError(source)

    def progress(self, done: int, of: int, what: str) -> None:
        assert done >= 0 and what


def ask(url: str, data: bytes | None = None, method: str | None = None) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method)) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def base(stand_in: StandIn) -> Iterator[str]:
    with stand_in("--page-size", "5", "--robots", "gutendex", "--require-ua") as found:
        yield found


CATALOGUE = {b["id"]: b for b in json.loads((KIT / "gutenberg" / "books.json").read_text(encoding="utf-8"))}
TWAINS = [
    n
    for n, b in sorted(CATALOGUE.items())
    if b["languages"] == ["en"] and b["authors"][0]["name"] == "Twain, Mark"
]


def test_all_pages_of_a_catalogue(base: str, tmp_path: Path) -> None:
    ask(f"{base}/__reset")
    with Net(base, tmp_path) as net:
        items = list(fetch(net, authors=["mark  TWAIN"], languages=["en"]))
        had = [i for i in items if not i.error]
        assert [int(i.key) for i in items] == sorted(int(i.key) for i in items)
        # 900003 and 3200, all books in one, are the stand-in's own; the rest of those have no text.
        assert [int(i.key) for i in had] == sorted([*TWAINS, 3200, 900003])
        failed = {i.key: i.error for i in items if i.error}
        assert list(failed) == ["900001", "900002", "900005", "900007", "900008"]
        assert "Sound" in failed["900001"] and "de too" in failed["900007"]
        assert had[0].meta == {
            "title": "The Adventures of Tom Sawyer",
            "author": "Mark Twain",
            "language": "en",
            "license": "public domain (USA)",
            "origin": "https://www.gutenberg.org/ebooks/74",
            "matched": "author Twain, Mark",
        }
        log = ask(f"{base}/__log")
        assert {
            e["target"].partition("page=")[2].partition("&")[0] for e in log if e["path"] == "/books/"
        } >= set("23456")
        stats = ask(f"{base}/__stats")
        assert stats["canary_hits"] in (0, []), stats["canary_hits"]
        # robots.txt closes the JSON interface, which is asked as the API that it is; nothing else.
        assert all("/books/" in target for target in stats["disallowed_by_robots"])
        one = next(i for i in had if i.key == "3174")
        context = SourceContext("pg", 1, {}, "", items=[one], raw=lambda i: net.path(i.sha256))
        dogs = [d for d in gutenberg(context, authors=["x"]) if isinstance(d, Document)]
        assert [d.meta["id"] for d in dogs] == ["pg/3174/1", "pg/3174/2", "pg/3174/3"]
        assert solid("".join(d.text for d in dogs)).startswith("adogstale")
        ask(f"{base}/__reset")
        again = list(fetch(net, authors=["mark  TWAIN"], languages=["en"]))
        assert [i for i in again if not i.error] == had
        assert not [e for e in ask(f"{base}/__log") if e["status"] == 200]


@pytest.mark.parametrize(
    ("options", "keys", "errors"),
    [
        ({"ids": [84, 11, 84, 999]}, ["999", "11", "84"], ["no book 999"]),
        ({"titles": ["frankenstein", "Huckleberry Fin"]}, ["title Huckleberry Fin", "84"], ["no title"]),
        ({"topic": "ghost stories"}, ["46"], []),
        (
            {"authors": ["H.G. Wells", "Austen, Jan"], "languages": ["en"]},
            ["author Austen, Jan", "36"],
            ["Austen, Jane"],
        ),
        ({"titles": ["A Modern Companion to Mark Twain"]}, ["900006"], ["copyrighted"]),
        ({"authors": ["Twain, Mark"], "languages": ["de"], "at_most": 1}, ["30165"], []),
    ],
)
def test_what_is_asked_for(
    base: str, tmp_path: Path, options: Any, keys: list[str], errors: list[str]
) -> None:
    with Net(base, tmp_path) as net:
        items = list(fetch(net, **options))
    assert [i.key for i in items] == keys
    said = [i.error for i in items if i.error]
    assert len(said) == len(errors) and all(want in have for want, have in zip(errors, said, strict=True))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("json_cut", "JSON"),
        ("json_nan", "JSON"),
        ("json_null", "no page of books"),
        ("json_list", "no page of books"),
        ("json_deep", "nested"),
        ("json_dup", "twice"),
        ("next_loop", "circle"),
        ("next_canary", "another address"),
        ("html", ""),
        ("404", "404"),
        ("empty", ""),
    ],
)
def test_a_catalogue_that_goes_wrong_on_page_two(base: str, tmp_path: Path, fault: str, says: str) -> None:
    ask(f"{base}/__faults", method="DELETE")
    ask(f"{base}/__reset")
    rule = f"^/books/$={fault}@nth:2"
    ask(f"{base}/__faults", json.dumps([rule]).encode(), "POST")
    try:
        with Net(base, tmp_path) as net:
            items = list(fetch(net, authors=["Twain, Mark"], languages=["en"], at_most=1))
    finally:
        ask(f"{base}/__faults", method="DELETE")
    assert items[0].key == f"catalogue, author Twain, Mark, page {3 if fault.startswith('next_') else 2}"
    assert says in items[0].error and "127.0.0" not in items[0].error
    assert items[1].key == "74" and items[1].sha256
    assert ask(f"{base}/__stats")["canary_hits"] in (0, [])


def test_a_catalogue_that_lies_about_its_size(base: str, tmp_path: Path) -> None:
    ask(f"{base}/__faults", json.dumps(["^/books/$=count_lie"]).encode(), "POST")
    try:
        with Net(base, tmp_path) as net:
            items = list(fetch(net, ids=[11]))
    finally:
        ask(f"{base}/__faults", method="DELETE")
    assert [i.key for i in items] == ["catalogue, ids 11 to 11", "11"]
    assert "75000" in items[0].error and items[1].sha256
