"""Parquet in bounded memory: what it says of its sizes is believed before anything is decoded, and checked after."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.datafiles.footer import survived
from runner.datafiles.kinds import rows
from runner.datafiles.opened import LONGEST, Bad, Unreadable
from runner.datafiles.parquet import parquet_rows

MB = 1 << 20
MOST_MB = 500


def big(mb: int, letter: str = "a") -> str:
    return f"{letter * 63}\n" * (mb * MB // 64)


def meant(times: int, text: str) -> Any:
    """One text that stands in the file once, and is meant many times."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * times), pa.array([text]))


def written(path: Path, text: Any, **options: Any) -> Path:
    pq.write_table(pa.table({"text": text}), path, compression="zstd", **options)
    return path


SCRIPT = """
import json, sys
from pathlib import Path
from runner.datafiles.kinds import rows
from runner.datafiles.opened import Bad
kept, refused = 0, {}
for number, _, value in rows(Path(sys.argv[1]), "a.parquet", "parquet"):
    if isinstance(value, Bad):
        refused[number] = value.reason
    else:
        kept += 1
# ru_maxrss would be the parent's, which made the file, where that is more
most = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([kept, refused, int(most) // 1024]))
"""
# What it holds; rows that are kept; numbers of those that are not, and why the first of them.
LARGE: dict[str, tuple[Callable[[], Any], dict[str, Any], int, list[int], str]] = {
    "three of 70 MB": (lambda: [big(70, c) for c in "abc"], {}, 0, [1, 2, 3], "one of 3 rows with a page of"),
    "three of 70 MB, plain": (
        lambda: [big(70, c) for c in "abc"],
        {"use_dictionary": False},
        0,
        [1, 2, 3],
        "one of 3 rows with a page of",
    ),
    "three of 30 MB in pages": (
        lambda: [big(30, c) for c in "abc"],
        {"use_dictionary": False, "data_page_size": 1024, "write_batch_size": 1},
        0,
        [1, 2, 3],
        "one of 3 rows that take 94,",
    ),
    "two of 30 MB": (lambda: [big(30, c) for c in "ab"], {}, 0, [1, 2], "a row of 31,457,2"),
    "one of 60 MB among small ones": (
        lambda: ["small"] * 500 + [big(60)] + ["small"] * 500,
        {},
        1000,
        [501],
        "a row of 62,914,5",
    ),
    "groups of their own": (
        lambda: ["small", big(70), "small"],
        {"row_group_size": 1},
        2,
        [2],
        "one of 1 rows with a page of 73,400,3",
    ),
    "70 MB, meant again and again": (
        lambda: meant(2000, big(70)),
        {},
        0,
        [*range(1, 2001)],
        "one of 2000 rows with a page of 73,400,3",
    ),
    "7 MB, meant again and again": (lambda: meant(30, big(7)), {}, 30, [], ""),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_rows_are_refused_by_their_number(tmp_path: Path, name: str) -> None:
    made, options, kept, refused, why = LARGE[name]
    path = written(tmp_path / "a.parquet", made(), **options)
    assert path.stat().st_size < 4 * MB
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True
    )
    found, reasons, mb = json.loads(done.stdout)
    assert found == kept
    assert [int(n) for n in reasons] == refused
    assert not refused or reasons[str(refused[0])].startswith(why)
    assert mb <= MOST_MB


def test_too_many_large_rows_end_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", meant(20_000, big(70)))
    with pytest.raises(Unreadable, match="cannot be read past row 0: its rows are too large"):
        list(rows(path, path.name, "parquet"))


def test_a_file_of_too_many_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 of them, in a file of some MB, took a gigabyte."""
    from runner.datafiles import parquet

    monkeypatch.setattr(parquet, "WIDEST", 3)
    for wide in (3, 4):
        pq.write_table(pa.table({f"c{n}": ["x"] for n in range(wide)}), file := io.BytesIO())
        if wide == 3:
            assert len(list(parquet_rows(file, lambda names: None))) == 1
        else:
            with pytest.raises(Unreadable, match="has 4 columns; the most is 3"):
                list(parquet_rows(file, lambda names: None))


def test_a_row_may_be_as_large_as_a_line(tmp_path: Path) -> None:
    texts = ["a" * (LONGEST - 64), "a" * (LONGEST + 1)]
    first, second = (
        value for _, _, value in rows(written(tmp_path / "a.parquet", texts), "a.parquet", "parquet")
    )
    assert first == {"text": texts[0]}
    assert isinstance(second, Bad) and second.reason.startswith("a row of 8,388,6")


@pytest.mark.parametrize(
    "options", [{}, {"use_dictionary": False}, {"version": "1.0"}, {"data_page_version": "2.0"}]
)
def test_rows_are_the_same_however_they_are_written(tmp_path: Path, options: dict[str, Any]) -> None:
    """Small rows in groups and pages of all kinds: categories, nulls, lists, several groups."""
    made = [
        {
            "text": f"row {n}",
            "kind": None if n % 5 == 0 else "ab"[n % 2],
            "said": [{"role": "user"}] * (n % 3),
        }
        for n in range(1000)
    ]
    table = pa.Table.from_pylist(made)
    table = table.set_column(1, "kind", table["kind"].dictionary_encode())
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300, **options)
    found = list(rows(tmp_path / "a.parquet", "a.parquet", "parquet"))
    assert [value for _, _, value in found] == made
    assert [number for number, _, _ in found] == list(range(1, 1001))


def test_a_row_that_is_no_utf8_costs_no_other(tmp_path: Path) -> None:
    raw = pa.array([b"one", b"\xff\xfe", b"three"], pa.binary())
    texts = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    found = [value for _, _, value in rows(written(tmp_path / "a.parquet", texts), "a.parquet", "parquet")]
    assert found[0] == {"text": "one"} and found[2] == {"text": "three"}
    assert isinstance(found[1], Bad) and found[1].reason.startswith("cannot be read: ")


@pytest.mark.parametrize("byte", [0, 8, 24, 40, 21])
def test_a_footer_that_ends_arrow_does_not_end_us(byte: int) -> None:
    """Found by the test below: such a byte takes a column's description away, and Arrow aborts."""
    file = io.BytesIO()
    pq.write_table(pa.table({"text": [f"t{n}" for n in range(500)], "m": [[{"a": "b"}]] * 500}), file)
    whole = file.getvalue()
    lost = 0
    for back in range(540, 660):
        raw = bytearray(whole)
        raw[-back] = byte
        lost += not survived(io.BytesIO(raw))
        try:
            list(parquet_rows(io.BytesIO(raw), lambda names: None))
        except (Unreadable, OSError) as e:
            assert str(e)
    assert lost, "Arrow outlives it now: the child has no reason left"
    assert next(iter(parquet_rows(io.BytesIO(whole), lambda names: None))) == {
        "text": "t0",
        "m": [{"a": "b"}],
    }


@given(st.lists(st.tuples(st.integers(4, 1500), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_told_in_words(changes: list[tuple[int, int]]) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": [f"t{n}" for n in range(500)], "m": [[{"a": "b"}]] * 500}), file)
    raw = bytearray(file.getvalue())
    for back, byte in changes:
        raw[-back] = byte
    try:
        assert all(isinstance(row, dict | Bad) for row in parquet_rows(io.BytesIO(raw), lambda names: None))
    except (Unreadable, OSError) as e:  # `opened` makes the latter Unreadable
        assert str(e)
