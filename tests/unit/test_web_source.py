"""Source `web`: which pages are fetched, and what becomes of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("trafilatura", reason="trafilatura is not installed")

from runner.fetching import Got, Item, Unfetched
from runner.record import Document, Rejected
from runner.registry import SourceContext, plugins

WEB = plugins("source")["web"]
STORY = " ".join(f"On day {n} the raft went on, and the river took no notice of it." for n in range(12))


class Shelf:
    """The network: addresses and their bytes, the rest is 404. Notes what was asked for."""

    name, seed = "press", 1

    def __init__(self, folder: Path, there: dict[str, bytes | str]) -> None:
        self.folder, self.there, self.asked = folder, there, list[str]()

    def get(self, url: str, **_: Any) -> Got:
        self.asked.append(url)
        if url not in self.there:
            raise Unfetched("404 Not Found")
        data = self.there[url]
        data = data.encode() if isinstance(data, str) else data
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / digest).write_bytes(data)
        return Got(url, self.folder / digest, digest, "text/html", "utf-8")

    def get_all(self, urls: Iterable[str], **_: Any) -> Iterator[tuple[str, Got | Unfetched]]:
        for url in urls:
            try:
                yield url, self.get(url)
            except Unfetched as e:
                yield url, e

    def progress(self, done: int, of: int, what: str) -> None:
        assert done <= of or not of

    def fetch(self, **options: Any) -> list[Item]:
        assert WEB.fetch is not None
        return list(WEB.fetch(self, **WEB.bind_fetch(options)))

    def rows(self, license: str = "", **options: Any) -> list[Document | Rejected]:
        items = [i for i in self.fetch(**options) if not i.error]
        context = SourceContext("press", 1, {}, license, items, lambda item: self.folder / item.sha256)
        return list(WEB.call(context, **WEB.bind(options)))


Open = Callable[[dict[str, bytes | str]], Shelf]


@pytest.fixture
def shelf(tmp_path: Path) -> Open:
    return lambda there: Shelf(tmp_path, there)


def html(text: str = STORY, head: str = "<title>The raft</title>") -> str:
    return f'<html lang="en"><head>{head}</head><body><article><p>{text}</p></article></body></html>'


def urlset(*urls: str) -> str:
    return "<urlset>" + "".join(f"<url><loc>{u}</loc></url>" for u in urls) + "</urlset>"


def index(*urls: str) -> str:
    return "<sitemapindex>" + "".join(f"<sitemap><loc>{u}</loc></sitemap>" for u in urls) + "</sitemapindex>"


def test_a_page_becomes_a_document(shelf: Open) -> None:
    url = "http://a.example/raft"
    net = shelf({url: html(head='<title>The raft</title><meta name="author" content="Jim Finn">')})
    (document,) = net.rows(license="CC-BY-4.0", urls=[url + "#part"])
    assert isinstance(document, Document) and document.text == STORY
    assert document.meta == {
        "id": f"press/{url}",
        "source": "press",
        "group": url,
        "title": "The raft",
        "author": "Jim Finn",
        "language": "en",
        "license": "CC-BY-4.0",
        "origin": url,
        "sha256": hashlib.sha256(net.there[url].encode()).hexdigest(),  # type: ignore[union-attr]
        "charset": "utf-8",
    }


def test_the_pages_own_licence_goes_first(shelf: Open) -> None:
    link = '<link rel="license" href="https://creativecommons.org/licenses/by-nc/2.0/">'
    (document,) = shelf({"http://a.example/": html(head=link)}).rows("mine", urls=["http://a.example/"])
    assert document.meta["license"] == "CC-BY-NC-2.0"  # type: ignore[union-attr]


def test_named_listed_and_fed_pages_each_once(shelf: Open) -> None:
    there: dict[str, bytes | str] = {f"http://a.example/{n}": html(f"{STORY} {n}") for n in range(5)}
    there["http://a.example/map.xml"] = index("http://a.example/part.xml", "http://a.example/gone.xml")
    there["http://a.example/part.xml"] = urlset("http://a.example/1", "http://a.example/2#x")
    there["http://a.example/feed"] = "<rss><item><link>/2</link></item><item><link>/3</link></item></rss>"
    net = shelf(there)
    options = {
        "urls": ["http://a.example/0", "http://a.example/0#again"],
        "sitemaps": ["http://a.example/map.xml"],
        "feeds": ["http://a.example/feed"],
    }
    items = net.fetch(**options)
    assert [(i.key, i.error) for i in items] == [
        ("http://a.example/gone.xml", "404 Not Found"),
        *((f"http://a.example/{n}", "") for n in range(4)),
    ]
    assert len(net.asked) == len(set(net.asked))
    assert [i.key for i in net.fetch(**options, at_most=2) if not i.error] == [
        "http://a.example/0",
        "http://a.example/1",
    ]


def test_include_and_exclude(shelf: Open) -> None:
    names = ["http://a.example/blog/1?x=y", "http://a.example/blog/draft/2", "http://a.example/shop/(3)"]
    net = shelf({"http://a.example/map.xml": urlset(*names)} | dict.fromkeys(names, html()))
    found = {"sitemaps": ["http://a.example/map.xml"]}

    def keys(**more: list[str]) -> list[str]:
        return [i.key for i in net.fetch(**found, **more)]

    assert keys(include=["*/blog/*"], exclude=["*/draft/*"]) == names[:1]
    assert keys(include=["http://a.example/shop/(3)", "*?x=y"]) == [names[0], names[2]]
    assert keys(exclude=["http://a.example"]) == names
    assert keys(include=["*" * 500]) == names


def test_indexes_end_somewhere(shelf: Open) -> None:
    there: dict[str, bytes | str] = {
        f"http://a.example/{n}.xml": index(f"http://a.example/{n + 1}.xml", f"http://a.example/{n}.xml")
        for n in range(9)
    }
    net = shelf(there)
    (item,) = net.fetch(sitemaps=["http://a.example/0.xml"])
    assert len(net.asked) == 4 and "an index within 3 indexes" in item.error
    wide = shelf({"http://a.example/w.xml": index(*(f"http://a.example/{n}" for n in range(1500)))})
    errors = [i.error for i in wide.fetch(sitemaps=["http://a.example/w.xml"]) if "404" not in i.error]
    assert len(wide.asked) == 1000 and errors == ["it is one of over 1000 sitemaps; no more are read"]


def test_what_is_no_page_is_kept_out_by_name(shelf: Open) -> None:
    reasons = {
        "http://a.example/noindex": html(head='<meta name="robots" content="noindex,noai">'),
        "http://a.example/short": html("Only a few words here."),
        "http://a.example/pdf": b"%PDF-1.7 ...",
        "http://a.example/one": html(),
        "http://a.example/print": html(head="<title>The raft, to print</title>"),
    }
    rows = shelf(reasons).rows(urls=[*reasons, "http://a.example/none"])
    said = {r.id.rpartition("/")[2]: r.reason for r in rows if isinstance(r, Rejected)}
    assert said == {
        "noindex": "asks not to be used: its robots meta says 'noindex,noai'",
        "short": "its text has 5 words, fewer than min_words: 20",
        "pdf": "not a page: a PDF",
        "print": "the same text as http://a.example/one",
    }
    assert [r.meta["group"] for r in rows if isinstance(r, Document)] == ["http://a.example/one"]


def test_selectors_need_no_new_fetch_and_are_checked(shelf: Open) -> None:
    url = "http://a.example/"
    net = shelf({url: html(f"{STORY}</p><p class=ad>Buy our boots, they are the best boots on the river.")})
    (row,) = net.rows(urls=[url], selectors={"keep": ["p"], "drop": ["p.ad"]})
    assert isinstance(row, Document) and row.text == STORY
    assert "selectors" not in WEB.bind_fetch({"urls": [url], "selectors": {"keep": ["p"]}})
    for slow in ("p:has(a)", "p ~ p", "*:nth-child(2)"):
        with pytest.raises(msgspec.ValidationError, match="selectors"):
            WEB.bind({"urls": [url], "selectors": {"keep": [slow]}})


def test_a_scheme_in_capitals_is_the_same(shelf: Open) -> None:
    options = {"urls": ["HTTP://a.example/1", "http://a.example/1"], "feeds": ["Http://a.example/f"]}
    WEB.bind(options)
    net = shelf(
        {"http://a.example/1": html(), "http://a.example/f": "<rss><item><link>/1</link></item></rss>"}
    )
    assert [(i.key, i.error) for i in net.fetch(**options)] == [("http://a.example/1", "")]


def test_addresses_are_those_of_the_web() -> None:
    for bad in ("ftp://a.example/", "/etc/passwd", "http://", "http:///x", "javascript:1"):
        with pytest.raises(msgspec.ValidationError):
            WEB.bind({"urls": [bad]})
