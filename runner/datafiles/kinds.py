"""One file of rows (JSON Lines, JSON, CSV, TSV, Parquet, each also .gz or .zst) → its rows, one by one.

Sources share this, so that a damaged file meets the same fate everywhere: a row that is wrong comes as a Bad with
its number, and a file that cannot be read (further) becomes one rejected row that names the file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from runner.datafiles import spans
from runner.datafiles.jsontext import Row, are_lines, json_lines, json_rows
from runner.datafiles.opened import Bad, Unreadable, ending, opened
from runner.datafiles.parquet import parquet_rows
from runner.datafiles.spans import Span
from runner.datafiles.tabular import Table
from runner.record import Rejected

Kind = Literal["jsonl", "json", "csv", "tsv", "parquet", "txt", "md", "html"]
KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".txt": "txt", ".md": "md", ".markdown": "md", ".html": "html", ".htm": "html",
}  # fmt: skip
_LONG = 500  # characters of a reason
_HELD = 20  # rejected rows that wait for the first good one
T = TypeVar("T")


def kind_of(name: str) -> Kind | None:
    """What a file's name says that it is."""
    return KINDS.get(ending(name)[0])


def rows(
    path: Path,
    name: str,
    kind: Kind,
    *,
    wanted: Sequence[str] = (),
    known: Collection[str] = (),
    window: int = 1 << 27,
    only: Callable[[bytes], bool] | None = None,
    span: Span | None = None,
) -> Iterator[Row]:
    """(number, text, value) of each row: a dict, or a Bad. The number is that of its line, or of the element.

    Tables must have the columns `wanted`; those and the `known` ones are found whatever case they are written in.
    The text is there for JSON only; `only` picks lines of JSON Lines by it, before they are parsed. A `span`
    is read of a file that can be read `apart`. Raises Unreadable for a file that cannot be read, or not further.
    """
    if kind == "parquet":
        with _seekable(path, name) as file:
            for number, value in enumerate(parquet_rows(file, lambda names: _columns(names, wanted, ())), 1):
                yield number, b"", value
        return
    with opened(path, name, window=window) as stream:
        if kind in ("csv", "tsv"):
            table = Table(stream, "\t" if kind == "tsv" else ",")
            columns = _columns(table.columns, wanted, known)
            for number, cells in table.rows():
                value = cells if isinstance(cells, Bad) else dict(zip(columns, cells, strict=True))
                yield number, b"", value
        else:
            for number, raw, value in (
                json_lines(stream, only, span) if kind == "jsonl" else json_rows(stream)
            ):
                if not isinstance(value, dict | Bad):
                    value = Bad("not a JSON object", raw[:200].decode("utf-8", "replace").rstrip())
                yield number, raw, value


class Account(Struct):
    """What came of a file's rows. Where ranges of a file are read apart, each has one, and they add up, in order."""

    came: int = 0
    kept: bool = False
    first: str = ""  # why the first rejected row was
    broke: str = ""  # why it could not be read, or not further

    def of(self, made: Iterator[T]) -> Iterator[T | Rejected]:
        """The rows, counted, up to where they can be read."""
        try:
            for one in made:
                row: T | Rejected = _brief(one) if isinstance(one, Rejected) else one
                self.came += 1
                if isinstance(row, Rejected):
                    self.first = self.first or row.reason
                else:
                    self.kept = True
                yield row
        except Unreadable as e:
            self.broke = str(e)[:_LONG]

    def add(self, more: Account) -> None:
        """The next range's."""
        self.came += more.came
        self.kept |= more.kept
        self.first = self.first or more.first
        self.broke = more.broke

    @property
    def waiting(self) -> bool:
        """Whether a row that names the file would still come before the others."""
        return not self.kept and self.came <= _HELD

    def told(self, id: str, name: str) -> Rejected | None:
        """The row that names the file, where it gave nothing, or could not be read whole."""
        why = ""
        if self.broke:
            why = f"{name}: {self.broke}" + (f" ({self.came:,} rows came before that)" if self.came else "")
        elif not self.kept:
            why = f"{name}: nothing in it can be used" + (
                f"; its first row: {self.first}" if self.first else ""
            )
        return Rejected(id, why, name, origin=name) if why else None


def accounted(id: str, name: str, made: Iterator[T]) -> Iterator[T | Rejected]:
    """The rows of one file, with one more that names the file where it gave nothing, or could not be read whole.

    That one comes first where nothing came before it but a few rejected rows.
    """
    account = Account()
    held: list[T | Rejected] = []
    waiting = True
    for row in account.of(made):
        if waiting and account.waiting:
            held.append(row)
            continue
        if waiting:
            yield from held
            waiting, held = False, []
        yield row
    if told := account.told(id, name):
        yield told
    yield from held


def apart(path: Path, name: str, kind: Kind | None) -> bool:
    """Whether ranges of a file can be read apart, and it is large enough for that: a row a line, and not packed."""
    if kind != "jsonl" or ending(name)[1]:
        return False
    try:
        if path.stat().st_size <= spans.RANGE:
            return False
        with opened(path, name) as stream:
            return are_lines(stream)
    except (OSError, Unreadable):
        return False  # whoever reads it says why


def _brief(row: Rejected) -> Rejected:
    """With a reason of a sentence or two: libraries quote what they find wrong, and that may be megabytes long."""
    return row if len(row.reason) <= _LONG else replace(row, reason=f"{row.reason[:_LONG]}…")


def _columns(columns: list[str], wanted: Sequence[str], known: Collection[str]) -> list[str]:
    spelt = {name.casefold(): name for name in (*known, *wanted)}
    found = [c if c in wanted else spelt.get(c.casefold(), c) for c in columns]
    found = found if len(set(found)) == len(found) else columns
    for name in wanted:
        if name not in found:
            raise Unreadable(f"has no column {name!r}; there are {listed(columns)}")
    return found


def listed(columns: Sequence[str], most: int = 20) -> str:
    """Names of columns, in a sentence."""
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(repr(c[:40]) for c in columns[:most]) + more


@contextmanager
def _seekable(path: Path, name: str) -> Iterator[BinaryIO]:
    with opened(path, name) as stream:
        if not ending(name)[1]:
            yield stream
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(stream, copy, 1 << 20)
            copy.seek(0)
            yield copy
