"""Streams of bytes: packed or plain, cut short, damaged, too long, too large."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from runner.datafiles import opened as o

LINES = [f"line {n}\n".encode() for n in range(5000)]
WHOLE = b"".join(LINES)
PACKED = {"": WHOLE, ".gz": gzip.compress(WHOLE), ".zst": zstandard.compress(WHOLE)}


def read(folder: Path, name: str, data: bytes, *, window: int = 1 << 27) -> list[bytes | o.Overlong]:
    path = folder / name
    path.write_bytes(data)
    with o.opened(path, name, window=window) as stream:
        o.head(stream)
        return [line for _, line in o.lines(stream)]


@pytest.mark.parametrize("packing", PACKED)
def test_lines_are_those_of_the_file(tmp_path: Path, packing: str) -> None:
    assert read(tmp_path, f"a.txt{packing}", PACKED[packing]) == LINES


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_parts_one_after_the_other_are_one_file(tmp_path: Path, packing: str) -> None:
    assert read(tmp_path, f"a.txt{packing}", PACKED[packing] * 2) == LINES * 2


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("cut", [1, 5, 200])
def test_a_file_cut_short_is_never_whole(tmp_path: Path, packing: str, cut: int) -> None:
    with pytest.raises(o.Unreadable, match=r"cut short|damaged"):
        read(tmp_path, f"a.txt{packing}", PACKED[packing][:-cut])


def test_a_file_cut_short_says_how_much_is_missing_where_it_knows(tmp_path: Path) -> None:
    with pytest.raises(o.Unreadable, match=rf"after 0 unpacked bytes; {len(WHOLE):,} are missing"):
        read(tmp_path, "a.txt.zst", PACKED[".zst"][:-5])
    for data in (PACKED[".zst"] + PACKED[".zst"][:-5], PACKED[".gz"] + PACKED[".gz"][:-9]):
        name = "a.txt.zst" if data.startswith(b"\x28") else "a.txt.gz"
        with pytest.raises(
            o.Unreadable, match=r"is cut short after \d\d,\d+ unpacked bytes; (48,890 are|it does)"
        ):
            read(tmp_path, name, data)


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_name_that_lies_is_found_out(tmp_path: Path, packing: str) -> None:
    with pytest.raises(o.Unreadable, match=r"damaged|cannot be read"):
        read(tmp_path, f"a.txt{packing}", WHOLE)
    with pytest.raises(o.Unreadable, match=f"should end in {packing}"):
        read(tmp_path, "a.txt", PACKED[packing])


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_what_grows_without_measure_is_refused(
    tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(o, "_FREE", 1 << 20)
    data = b"a" * (8 << 20)
    packed = gzip.compress(data) if packing == ".gz" else zstandard.compress(data)
    with pytest.raises(o.Unreadable, match="200-fold"):
        read(tmp_path, f"a.txt{packing}", packed)


def test_a_dump_may_look_far_back_only_where_that_is_allowed(tmp_path: Path) -> None:
    far = zstandard.ZstdCompressionParameters(window_log=28)
    compressor = zstandard.ZstdCompressor(compression_params=far)
    data = compressor.compressobj()
    packed = data.compress(WHOLE) + data.flush()
    assert read(tmp_path, "a.zst", packed, window=1 << 31) == LINES
    with pytest.raises(o.Unreadable, match="Zstandard"):
        read(tmp_path, "a.zst", packed)


def test_a_line_past_the_most_is_skipped_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(o, "LONGEST", 20)
    long = b'"' * 3 + b"x" * 50 + b"\n"
    assert read(tmp_path, "a", b"one\n" + long + b"x" * 20 + b"\nlast" + b"y" * 40) == [
        b"one\n",
        o.Overlong(54, 3),
        o.Overlong(21, 0),
        o.Overlong(44, 0),
    ]
    assert read(tmp_path, "b", b"x" * 19 + b"\nz") == [b"x" * 19 + b"\n", b"z"]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        ("a\nb".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04...", "zip"),
        (b"%PDF-1.7", "PDF"),
        (b"{}\n" + bytes(1000), "NUL"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(o.Unreadable, match=what):
        read(tmp_path, "a.jsonl", data)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(o.Unreadable, match="cannot be read"), o.opened(path, "x"):
            pass


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("A.JSONL", (".jsonl", "")),
        ("a/b.csv.GZ", (".csv", ".gz")),
        ("RS_2021-06.zst", ("", ".zst")),
        ("none", ("", "")),
        ("x.tar.gz", (".tar", ".gz")),
    ],
)
def test_what_a_name_says(name: str, said: tuple[str, str]) -> None:
    assert o.ending(name) == said


def test_whole_is_capped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 11)
    with o.opened(tmp_path / "a", "a") as stream, pytest.raises(o.Unreadable, match="larger than 10"):
        o.whole(stream, 10)
