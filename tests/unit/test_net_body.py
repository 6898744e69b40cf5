"""Bytes that came: unpacked within bounds, and refused where they are not what was asked for."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.fetching import Unfetched
from runner.net import body

TEXT = b"".join(b"line %d of a book that is not very long\r\n" % n for n in range(9000))


def unpacked(folder: Path, packed: bytes, encoding: str = "gzip", most: int = 1 << 20) -> bytes:
    (folder / "packed").write_bytes(packed)
    body.unpack(folder / "packed", folder / "plain", encoding, most)
    return (folder / "plain").read_bytes()


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    assert unpacked(tmp_path, gzip.compress(TEXT)) == TEXT
    assert unpacked(tmp_path, gzip.compress(TEXT) + gzip.compress(b"more")) == TEXT + b"more"
    assert unpacked(tmp_path, zlib.compress(TEXT), "deflate") == TEXT
    assert unpacked(tmp_path, bare(TEXT), "deflate") == TEXT
    assert unpacked(tmp_path, gzip.compress(b"")) == b""
    assert unpacked(tmp_path, gzip.compress(TEXT), most=len(TEXT)) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_broken_packing_is_refused(tmp_path: Path, encoding: str) -> None:
    packed = gzip.compress(TEXT) if encoding == "gzip" else zlib.compress(TEXT)
    middle = len(packed) // 2
    broken = [
        packed[:middle],
        packed[:-1],
        b"",
        TEXT,
        packed + b"x",
        packed[:middle] + bytes(40) + packed[middle + 40 :],
        packed[:-4] + b"\0\1\2\3",
    ]
    for data in broken:
        with pytest.raises(Unfetched, match=r"broken|cut off") as e:
            unpacked(tmp_path, data, encoding)
        assert e.value.transient


@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_cut_anywhere_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int) -> None:
    packed = gzip.compress(data)
    if cut < len(packed):
        with pytest.raises(Unfetched):
            unpacked(tmp_path_factory.getbasetemp(), packed[:cut])


def test_bombs_are_stopped_on_the_way(tmp_path: Path) -> None:
    with pytest.raises(Unfetched, match="more than the 1,000 bytes allowed"):
        unpacked(tmp_path, gzip.compress(TEXT), most=1000)
    assert (tmp_path / "plain").stat().st_size <= 1000
    with pytest.raises(Unfetched, match="200 times its size"):
        unpacked(tmp_path, gzip.compress(bytes(50 << 20)), most=1 << 30)
    assert (tmp_path / "plain").stat().st_size < 16 << 20


def test_encodings() -> None:
    assert [body.encoding_of(e) for e in ("", " identity", "GZIP", "x-gzip", "deflate")] == [
        "", "", "gzip", "gzip", "deflate",
    ]  # fmt: skip
    for other in ("br", "zstd", "gzip, gzip", "compress"):
        with pytest.raises(Unfetched, match="not asked for"):
            body.encoding_of(other)


@pytest.mark.parametrize(
    ("header", "kind", "charset"),
    [
        ("", "", ""),
        ("text/plain", "text/plain", ""),
        ("Text/HTML; Charset=\"ISO-8859-1\"", "text/html", "iso-8859-1"),
        ("text/plain; charset=", "text/plain", ""),
        (";;;=", "", ""),
        ("text/plain; charset*=utf-8''x", "text/plain", "x"),
    ],
)  # fmt: skip
def test_content_types(header: str, kind: str, charset: str) -> None:
    assert body.content_type(header) == (kind, charset)


def check(folder: Path, data: bytes, accept: str, *, kind: str = "", proven: bool = True) -> bool:
    (folder / "body").write_bytes(data)
    return body.check_bytes(folder / "body", accept, kind=kind, proven=proven)


def test_a_page_in_the_place_of_something_else(tmp_path: Path) -> None:
    page = b"\xef\xbb\xbf\n <!DOCTYPE html><html><title>Checking your browser"
    for accept in ("text/plain", "application/json", "text/csv, application/json;q=0.5"):
        with pytest.raises(Unfetched, match="a web page came instead"):
            body.check_type("text/html", accept)
        with pytest.raises(Unfetched, match="a web page came instead"):
            check(tmp_path, page, accept)
    for accept in ("*/*", "text/html", "text/plain, */*;q=0.1", "text/*"):
        body.check_type("text/html", accept)
        check(tmp_path, page, accept)
    check(tmp_path, b"The <html> tag is older than this book.", "text/plain")


@pytest.mark.parametrize(
    "data", [b'{"a":[1,2', b'{"a":nan}', b'{"a":1}{"b":2}', b"hello", b"[" * 100_000 + b"]" * 100_000]
)
def test_broken_json_is_not_kept(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Unfetched, match="broken JSON"):
        check(tmp_path, data, "application/json")
    check(tmp_path, data, "*/*")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'\xef\xbb\xbf {"a": [1, 2]}\n', True),
        (b'[\n{"a": 1},\n{"a": 2}\n]\n', True),
        (b"once upon a time", False),
        (b'{"a": 1}\n{"a": 2}\n', False),
        (b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}', False),
        (b"\n[1, 2]\n[3, 4]\n", False),
        (b'{"a": 1}\n{"a": nonsense}\n{"a": NaN}\n', False),  # rows for their reader to judge
    ],
)
def test_what_shows_that_it_is_whole(tmp_path: Path, data: bytes, shown: bool) -> None:
    assert check(tmp_path, data, "*/*", proven=False) is shown
    assert check(tmp_path, data, "*/*", proven=True)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": {"b": 1}',
        b'[\n{"a": 1},\n{"a": 2}',
        b'{"a": 1}\n{"a": 2}\n{"a"',
        b'{"a": 1}\n{"a": 2}\n{"a": {"b": 1}\n',
        b'{\n "a": 1,',
        b'{"a": 1} once upon a time',
    ],
)
def test_json_without_an_announced_end_must_be_whole(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Unfetched, match="broken JSON") as e:
        check(tmp_path, data, "*/*", proven=False)
    assert e.value.transient
    assert check(tmp_path, data, "*/*", proven=True)


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), min_size=1), min_size=2, max_size=6)
)
def test_json_lines_cut_within_a_line_are_noticed(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = b"\n".join(json.dumps(row).encode() for row in rows)
    assert check(folder, data, "*/*", proven=False) is False
    with pytest.raises(Unfetched, match="broken JSON"):
        check(folder, data[:-1], "*/*", proven=False)


def test_a_page_without_an_announced_end_must_have_its_own(tmp_path: Path) -> None:
    page = b"<html><body><p>The raft went on past the mill.</p></BODY ></HTML>\n<!-- served by 7 -->"
    assert check(tmp_path, page, "text/html", proven=False)
    assert check(tmp_path, page[:40], "text/html", proven=True)
    for cut, kind in ((page[:40], ""), (b"<p>The raft went", "text/html"), (page[:20] + b" " * 40_000, "")):
        with pytest.raises(Unfetched, match="the page is cut off") as e:
            check(tmp_path, cut, "text/html", kind=kind, proven=False)
        assert e.value.transient


def test_what_is_only_called_a_page_needs_no_page_s_end(tmp_path: Path) -> None:
    assert not check(tmp_path, b"day,weather\n1,rain\n", "*/*", kind="text/html", proven=False)
    assert not check(tmp_path, b'{"a": 1}\n{"a": 2}\n', "*/*", kind="text/html", proven=False)


def test_nothing_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(Unfetched, match="the answer is empty"):
        check(tmp_path, b"", "*/*")
