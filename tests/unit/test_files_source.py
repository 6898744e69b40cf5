"""The source `files`: every kind, packed or not; what is wrong is refused by name and costs nothing else."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from runner import contract
from runner.datafiles.rows import Columns
from runner.errors import RecipeError, UsageError
from runner.fetching import Got, InputFile, Item, Unfetched
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext, plugins
from runner.sources.files import fetch, files
from runner.sources.jsonl import jsonl

Row = Record | Document | Rejected
CHAT = {"messages": [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "Hi."}]}


def context(*paths: Path, items: Iterable[Item] = (), raw: Any = None) -> SourceContext:
    found = tuple(InputFile(p.name, p, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths)
    return SourceContext("s", 7, {"files": found} if found else {}, "", items, raw)


def read(*paths: Path, **options: Any) -> list[Row]:
    return list(files(context(*paths), files=[p.name for p in paths], **options))


def written(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def said(rows: Iterable[Row]) -> list[Any]:
    return [
        r.text if isinstance(r, Document) else [m.content for m in r.messages]
        for r in rows
        if not isinstance(r, Rejected)
    ]


def refused(rows: Iterable[Row]) -> dict[str, str]:
    return {r.id: r.reason for r in rows if isinstance(r, Rejected)}


ROWS = [{"prompt": "Who?", "response": "Me, “I”."}, {"prompt": "Two\nlines?", "response": "Yes."}]
SAID = [["Who?", "Me, “I”."], ["Two\nlines?", "Yes."]]


def table(folder: Path) -> bytes:
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "t")
    return (folder / "t").read_bytes()


def text_of(kind: str, folder: Path) -> bytes:
    if kind == "parquet":
        return table(folder)
    lines = [json.dumps(r, ensure_ascii=False) for r in ROWS]
    return {
        "jsonl": "\n".join(lines),
        "json": json.dumps(ROWS, indent=2),
        "csv": 'prompt,response\nWho?,"Me, “I”."\n"Two\nlines?",Yes.\n',
        "tsv": 'prompt\tresponse\nWho?\tMe, “I”.\n"Two\nlines?"\tYes.\n',
    }[kind].encode()


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "parquet"])
def test_rows_are_the_same_whatever_holds_them(tmp_path: Path, kind: str, packing: str) -> None:
    data = text_of(kind, tmp_path)
    packed = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[packing](data)
    path = written(tmp_path, f"rows.{kind}{packing}", packed)
    rows = read(path)
    assert said(rows) == SAID
    for row in rows:
        assert isinstance(row, Record) and contract.broken(row) is None
        assert row.meta["source"] == "s" and row.meta["sha256"] == hashlib.sha256(packed).hexdigest()
        assert row.meta["origin"].startswith(path.name + ":") and row.meta["group"]
    assert len({row.meta["id"] for row in rows if isinstance(row, Record)}) == 2
    assert read(path) == rows


def test_texts_of_each_kind_are_one_document(tmp_path: Path) -> None:
    words = [
        f"In spring {n} the river was high, and nobody on either bank minded it much. " * 5 for n in (1, 2)
    ]
    page = f"<html><head><title>High water</title></head><body><article><h1>High water</h1><p>{words[0]}</p><p>{words[1]}</p></article></body></html>"
    rows = read(
        written(tmp_path, "a.txt", "One line\nof a paragraph.\n\nAnother."),
        written(tmp_path, "b.md", "---\ntitle: x\n---\n# Head\n\nText."),
        written(tmp_path, "c.md.gz", gzip.compress(b"Plain.\n\n---\n\nMore.")),
        written(tmp_path, "d.html", page),
    )
    assert refused(rows) == {}
    texts = said(rows)
    assert texts[0] == "One line of a paragraph.\n\nAnother."
    assert texts[1:3] == ["# Head\n\nText.", "Plain.\n\n---\n\nMore."]
    assert texts[3].count("nobody on") == 10 and "<p>" not in texts[3]
    assert [r.meta["id"] for r in rows if isinstance(r, Document)] == ["s/a", "s/b", "s/c.md", "s/d"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (CHAT, ["Say hi.", "Hi."]),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, ["a", "b"]),
        ({"instruction": "a", "input": "", "output": "b"}, ["a", "b"]),
        ({"instruction": "a", "input": "i", "output": "b"}, ["a\n\ni", "b"]),
        ({"prompt": "a", "completion": "b"}, ["a", "b"]),
        ({"text": "plain"}, "plain"),
    ],
)
def test_usual_shapes_need_no_columns(tmp_path: Path, row: dict[str, Any], expected: Any) -> None:
    assert said(read(written(tmp_path, "a.jsonl", json.dumps(row)))) == [expected]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "a", "input": "", "output": " "},
        {"text": ""},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}]},
        {"headline": "a"},
        "a",
    ],
)
def test_nothing_empty_and_nothing_guessed_is_kept(tmp_path: Path, row: Any) -> None:
    rows = read(written(tmp_path, "a.jsonl", json.dumps(row)))
    assert said(rows) == []
    assert set(refused(rows)) == {"s/a", "s/a/1"}
    assert refused(rows)["s/a"].startswith("a.jsonl: nothing in it can be used")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "a", "response": None}, "column 'response' is empty"),
        ({"prompt": None, "response": "b"}, "column 'prompt' is empty"),
        ({"prompt": None, "response": None}, "column 'prompt' is empty"),
        ({"instruction": "a", "input": None, "output": None}, "column 'output' is empty"),
        ({"prompt": None, "completion": None, "query": "a", "response": None}, "column 'response' is empty"),
        ({"messages": None}, "column 'messages' is empty"),
        ({"text": None}, "column 'text' is empty"),
        (
            {"prompt": "a", "answer": None},
            "no known shape; its columns are prompt, answer (name them: columns)",
        ),
    ],
)
def test_a_null_is_an_empty_column(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    assert refused(read(written(tmp_path, "a.jsonl", json.dumps(row))))["s/a/1"] == why
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "b.parquet")
    assert refused(read(tmp_path / "b.parquet"))["s/b/1"] == why


def test_columns_say_what_a_table_holds(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", " Headline ,by,n\nMan Buys Hat,Ann,1\n,Bob,2\n")
    rows = read(path, columns=Columns(text="headline", author="by"))
    assert said(rows) == ["Man Buys Hat"]
    assert isinstance(rows[0], Document) and rows[0].meta["author"] == "Ann"
    assert "empty" in refused(rows)["s/a/3"]
    none = refused(read(path, columns=Columns(text="title")))
    assert none == {"s/a": "a.csv: has no column 'title'; there are 'Headline', 'by', 'n'"}


def test_a_file_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    rows = read(
        written(tmp_path, "a.jsonl", b""),
        written(tmp_path, "b.parquet", b"PAR1nonsensePAR1"),
        written(tmp_path, "c.data", b"x"),
        written(
            tmp_path,
            "d.jsonl.gz",
            gzip.compress(json.dumps(CHAT).encode() + b"\n" + bytes(range(97, 123)) * 999)[:-9],
        ),
        written(tmp_path, "e.txt", b"\x00\x01\x02" * 100),
        written(tmp_path, "f.jsonl", json.dumps(CHAT)),
        written(tmp_path, "g.md", "---\na: b\n---\n"),
    )
    assert said(rows) == [["Say hi.", "Hi."]] * 2
    reasons = refused(rows)
    assert list(reasons) == ["s/a", "s/b", "s/c", "s/d.jsonl", "s/e", "s/g"]
    for id, what in (
        ("a", "is empty"), ("b", "no Parquet"), ("c", "say it: kind"), ("d.jsonl", "cut short"), ("e", "NUL"), ("g", "no text"),
    ):  # fmt: skip
        assert what in reasons[f"s/{id}"]
        assert reasons[f"s/{id}"].startswith(f"{id[0]}.")


def test_what_breaks_off_says_how_far_it_was_read(tmp_path: Path) -> None:
    row = json.dumps(CHAT)
    rows = read(written(tmp_path, "a.json", f"[{row}, {row}, {row[:20]}"))
    assert len(said(rows)) == 2 and refused(rows)["s/a"].endswith("(2 rows came before that)")


def test_kind_says_what_a_name_does_not(tmp_path: Path) -> None:
    assert said(read(written(tmp_path, "dump", json.dumps(CHAT)), kind="jsonl")) == [["Say hi.", "Hi."]]


def test_rows_of_parquet_may_be_nested_and_absent(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([CHAT, {"messages": None}]), tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet")
    assert said(rows) == [["Say hi.", "Hi."]]
    assert list(refused(rows)) == ["s/a/2"]


def test_a_row_too_many_times_over_is_no_trap(tmp_path: Path) -> None:
    # 8 MB of text that Parquet writes once and means a thousand times.
    pq.write_table(pa.table({"text": ["word " * 1600] * 1000}), tmp_path / "a.parquet")
    assert len(read(tmp_path / "a.parquet")) == 1000


class Net:
    """Only what `fetch` uses: addresses that answer, and those that do not."""

    name, seed = "s", 7

    def __init__(self, path: Path, *gone: str, filesystems: str = "") -> None:
        self.raw, self.gone, self.filesystems = path, gone, filesystems
        self.most = dict[str, int]()

    def get_all(self, urls: Iterable[str], most: int, **_: Any) -> Iterator[tuple[str, Got | Unfetched]]:
        for url in urls:
            self.most[url] = most
            gone = Unfetched("it answers 404") if url.endswith(("gone.csv", *self.gone)) else None
            robots = "noindex" if "closed" in url else ""
            yield url, gone or Got(url, self.raw, "0" * 64, robots=robots)

    def setting(self, name: str) -> str:
        assert name == "filesystems"
        return self.filesystems

    def store(self, chunks: Iterable[bytes]) -> str:
        data = b"".join(chunks)
        sha256 = hashlib.sha256(data).hexdigest()
        (self.raw.parent / sha256).write_bytes(data)
        return sha256


def fetched(net: Net, *urls: str) -> list[Item]:
    return list(fetch(net, urls=list(urls)))  # type: ignore[arg-type]


def test_addresses_become_items_and_their_bytes_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "raw", json.dumps(CHAT))
    urls = ["https://a.test/data/x.jsonl?v=2", "https://a.test/gone.csv", "https://b.test/x.jsonl.gz"]
    items = list(fetch(Net(path), urls=urls))  # type: ignore[arg-type]
    assert [i.key for i in items] == urls
    assert items[1].error == "it answers 404"
    had = [i for i in items if not i.error]
    rows = list(files(context(items=had, raw=lambda item: path), urls=urls))
    # The last one was unpacked on the way, as servers do.
    assert said(rows) == [["Say hi.", "Hi."]] * 2
    assert [r.meta["id"] for r in rows if isinstance(r, Record)] == ["s/x/1", "s/x~2/1"]
    assert all(isinstance(r, Record) and r.meta["origin"].startswith("https://") for r in rows)


def test_no_more_is_fetched_than_can_be_used(tmp_path: Path) -> None:
    urls = [
        f"https://a.test/x{end}" for end in (".txt", ".csv", ".md.gz", ".html", ".jsonl.zst", "", ".parquet")
    ]
    net = Net(written(tmp_path, "raw", "x"))
    assert [item.key for item in fetched(net, *urls)] == urls
    text, rows = 16 << 20, 4 << 30
    assert [net.most[url] for url in urls] == [text, rows, text, text, rows, text, rows]
    list(fetch(net, urls=urls[:2], kind="txt"))  # type: ignore[arg-type]
    assert net.most[urls[1]] == text


def test_a_page_from_an_address_may_say_no(tmp_path: Path) -> None:
    words = "The river was high, and nobody on either bank minded it much. " * 20
    page = f'<html><head><meta name="robots" content="noai"></head><body><p>{words}</p></body></html>'
    path = written(tmp_path, "a.html", page)
    assert len(said(read(path))) == 1  # a file of one's own
    items = fetched(Net(path), "https://a.test/a.html", "https://a.test/closed.html")
    assert items[1].left_out and "X-Robots-Tag says 'noindex'" in items[1].error
    (row,) = files(context(items=items[:1], raw=lambda item: path), urls=["…"])
    assert isinstance(row, Rejected) and "its robots meta says 'noai'" in row.reason


@pytest.mark.parametrize("name", ["a.md", "a.txt"])
@pytest.mark.parametrize("start", ["<!DOCTYPE html><html>", "\n<HTML lang=en>", "<head>"])
def test_a_web_page_is_no_text(tmp_path: Path, name: str, start: str) -> None:
    page = written(tmp_path, name, f"{start}<title>x</title><body><p>{'Not here at all. ' * 30}")
    assert not said(read(page)) and "cannot be used" in refused(read(page))["s/a"]
    assert len(said(read(written(tmp_path, "b.md", "<p align=center>A title</p>\n\nWords.")))) == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "a.csv",
        "memory://x/y",
        "https:///a",
        "http://[",
        "s3://[",
        "s3:a",
        "s3://a/b::file:///c",
    ],
)
def test_other_addresses_are_downloaded_first(url: str) -> None:
    asked = {"files": None, "urls": ["https://a.test/a.csv", url], "columns": None, "kind": None}
    ((where, what),) = plugins("source")["files"].check(asked)
    assert where == ("urls", 1) and "download it first" in what


def test_ids_do_not_hang_on_what_else_could_be_had(tmp_path: Path) -> None:
    path = written(tmp_path, "raw", json.dumps(CHAT))
    urls = [f"https://{host}.test/x.jsonl" for host in "abc"] + ["https://a.test/x.jsonl"]

    def ids(*gone: str) -> dict[str, str]:
        items = [i for i in fetched(Net(path, *gone), *urls) if not i.error]
        rows = list(files(context(items=items, raw=lambda item: path), urls=urls))
        assert all(isinstance(r, Record) and "label" not in r.meta for r in rows)
        return {r.meta["origin"]: r.meta["id"] for r in rows if isinstance(r, Record)}

    every = ids()
    assert list(every.values()) == ["s/x/1", "s/x~2/1", "s/x~3/1"]
    for host in "abc":
        gone = f"{host}.test/x.jsonl"
        assert ids(gone) == {url: id for url, id in every.items() if gone not in url}


def test_a_local_file_keeps_its_label_from_addresses(tmp_path: Path) -> None:
    path = written(tmp_path, "x.jsonl", json.dumps(CHAT))
    items = fetched(Net(path), "https://a.test/x.jsonl", "https://b.test/x.jsonl")
    rows = list(files(context(path, items=items, raw=lambda item: path), files=["x.jsonl"], urls=["…"]))
    assert [r.meta["id"] for r in rows if isinstance(r, Record)] == ["s/x/1", "s/x~url/1", "s/x~2/1"]


def test_what_came_from_an_address_is_refused_by_its_address(tmp_path: Path) -> None:
    path = written(tmp_path, "raw", b"PAR1nonsensePAR1")
    url = "https://a.test/data/x.parquet?v=2"
    items = fetched(Net(path), url)
    (row,) = files(context(items=items, raw=lambda item: path), urls=[url])
    assert isinstance(row, Rejected) and row.id == "s/x" and row.raw == url
    assert row.reason.startswith(f"{url}: is no Parquet")


def test_other_stores_are_read_where_the_user_allows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = pytest.importorskip("fsspec.registry")
    memory: Any = pytest.importorskip("fsspec.implementations.memory")

    class Store(memory.MemoryFileSystem):  # type: ignore[misc,unused-ignore]
        protocol = "s3"
        store: ClassVar[dict[str, Any]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]

    monkeypatch.setitem(registry._registry, "s3", Store)
    Store().pipe_file("s3://bucket/a.jsonl", json.dumps(CHAT).encode())
    net = Net(tmp_path / "raw", filesystems="sftp, s3")
    urls = [
        "s3://bucket/a.jsonl",
        "https://a.test/gone.csv",
        "s3://bucket/b.jsonl",
        "https://b.test/gone.csv",
    ]
    items = fetched(net, *urls)
    assert [i.key for i in items] == urls
    assert [bool(i.error) for i in items] == [False, True, True, True]
    assert items[2].error.startswith("it cannot be read: FileNotFoundError: ")
    rows = list(files(context(items=items[:1], raw=lambda item: tmp_path / item.sha256), urls=urls))
    assert said(rows) == [["Say hi.", "Hi."]]
    assert (
        isinstance(rows[0], Record)
        and rows[0].meta["origin"] == f"{urls[0]}:1"
        and rows[0].meta["id"] == "s/a/1"
    )
    monkeypatch.setattr("runner.sources.files._DOWNLOAD", 10)
    assert fetched(net, urls[0])[0].error == "it has more than the 10 bytes allowed"


def test_other_stores_are_closed_unless_the_user_opens_them(tmp_path: Path) -> None:
    plugin = plugins("source")["files"]
    options = {"files": None, "urls": ["s3://bucket/a.csv"], "columns": None, "kind": None}
    assert list(plugin.check(options)) == []  # the recipe is right; who runs it decides
    with pytest.raises(
        RecipeError, match=r"download it first.*or allow it in your settings: filesystems = 's3'"
    ):
        fetched(Net(tmp_path, filesystems="sftp"), "s3://bucket/a.csv")
    for name in ("file", "memory", "http", "local", "simplecache", "zip"):
        with pytest.raises(UsageError, match=f"setting filesystems: '{name}' is none of"):
            fetched(Net(tmp_path, filesystems=f"s3,{name}"), "s3://bucket/a.csv")
    ((_, what),) = plugin.check(options | {"urls": ["sftp://me:mine@a.test/a.csv"]})
    assert "password" in what and "mine" not in what


def test_a_driver_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = pytest.importorskip("fsspec.registry")
    odd = {"class": "no_such_package_of_ours.Store", "err": "Install no-such-package to read oci"}
    monkeypatch.setitem(registry.known_implementations, "oci", odd)
    (item,) = fetched(Net(tmp_path, filesystems="oci"), "oci://bucket/a.csv")
    assert item.error == "oci:// needs a driver: Install no-such-package to read oci"


def test_options_name_files_and_addresses() -> None:
    plugin = plugins("source")["files"]
    assert plugin.file_options == {"files": "glob"}
    assert plugin.bind({"files": ["a.csv"]})["urls"] is None
    assert plugin.bind_fetch({"urls": ["https://a.test/x.csv"], "kind": "csv"}) == {
        "urls": ["https://a.test/x.csv"],
        "kind": "csv",
    }


def test_what_is_rejected_says_where_it_stands(tmp_path: Path) -> None:
    lines = ["bad", '{"conversations": []}', '{"messages": 1}', '{"messages": []}', json.dumps(CHAT)]
    path = written(tmp_path, "a.jsonl", "\n".join(lines))
    for made in (jsonl(context(path), files=["a.jsonl"]), files(context(path), files=["a.jsonl"])):
        origins = [r.origin for r in made if isinstance(r, Rejected)]
        assert origins == [f"a.jsonl:{n}" for n in (1, 2, 3, 4)]
    path = written(tmp_path, "a.txt", b"\0\0\1")
    (row,) = files(context(path), files=["a.txt"])
    assert isinstance(row, Rejected) and row.origin == "a.txt"


def test_jsonl_is_read_packed_too(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl.gz", gzip.compress(json.dumps(CHAT).encode()))
    rows = list(jsonl(context(path), files=["a.jsonl.gz"]))
    assert [isinstance(r, Record) for r in rows] == [True]


def test_jsonl_names_the_file_that_gave_nothing_first(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", b"\xff\xfe\xfd bad\nworse\n")
    rows = list(jsonl(context(path), files=["a.jsonl"]))
    assert [r.id for r in rows if isinstance(r, Rejected)] == ["s/a"]
    path = written(tmp_path, "b.jsonl", "bad\nworse\n")
    rows = list(jsonl(context(path), files=["b.jsonl"]))
    assert [r.id for r in rows if isinstance(r, Rejected)] == ["s/b", "s/b/1", "s/b/2"]
    assert [r.origin for r in rows if isinstance(r, Rejected)] == ["b.jsonl", "b.jsonl:1", "b.jsonl:2"]
    path = written(tmp_path, "c.jsonl", "bad\n" * 50)
    rows = list(jsonl(context(path), files=["c.jsonl"]))
    assert len(rows) == 51 and isinstance(rows[20], Rejected)
    assert [n for n, r in enumerate(rows) if isinstance(r, Rejected) and r.id == "s/c"] == [50]
