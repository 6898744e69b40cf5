"""Bytes that came: unpacked within bounds, and refused where they are not what was asked for."""

from __future__ import annotations

import gzip
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


def check(folder: Path, data: bytes, accept: str, *, proven: bool = True) -> None:
    (folder / "body").write_bytes(data)
    body.check_bytes(folder / "body", accept, proven=proven)


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


def test_json_whose_end_was_not_announced_must_be_whole(tmp_path: Path) -> None:
    check(tmp_path, b'\xef\xbb\xbf {"a": [1, 2]}\n', "*/*", proven=False)
    check(tmp_path, b"once upon a time", "*/*", proven=False)
    with pytest.raises(Unfetched, match="broken JSON"):
        check(tmp_path, b'{"a": {"b": 1}', "*/*", proven=False)


def test_nothing_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(Unfetched, match="the answer is empty"):
        check(tmp_path, b"", "*/*")
