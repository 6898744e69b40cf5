"""Rows of a source, laid out in a folder: those of a step, or of a part of it that somebody else read.

records.jsonl, and for what is no record rejected.jsonl and fates.jsonl. Columns beside them: `lines.npy` (where each
record begins in the file), `ids.npy` and `groups.npy` (hashes of those), and `fates.at.npy` (how many records stood
before each row that is none).
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.hashes import text_digest
from runner.making import Rows
from runner.record import Fate, Record, Rejected
from runner.rows import load, save
from runner.store import copy_into, file_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = ("records.jsonl", "rejected.jsonl", "fates.jsonl")
COLUMNS = ("lines.npy", "ids.npy", "groups.npy", "fates.at.npy")


class Facts(Struct):
    """What is in such a folder: how many rows, whose licences they name, and the first that is no record."""

    records: int = 0
    rejected: int = 0
    licenses: list[str] = []
    first: str = ""


class Laid:
    """Lays rows out, in their order; `source` is whose they are. Texts are whole once it is left, and `columns` then
    writes the rest."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.source = folder, source
        self._kept, self._rejected, self._fates = (_Lines(folder / name) for name in TEXTS)
        self._lines, self._ids, self._groups, self._at = array("q", [0]), bytearray(), bytearray(), array("Q")
        self._licenses = set[str]()
        self._first = ""

    def add(self, row: Record | Rejected) -> None:
        """The next row."""
        if isinstance(row, Record):
            self._kept.write(row)
            self._licenses.add(row.meta.get("license", ""))
            self._lines.append(self._kept.size)
            own = text_digest(row.id)
            self._ids += own
            self._groups += text_digest(g) if (g := row.meta.get("group", row.id)) != row.id else own
        else:
            self._first = self._first or f"{row.id}: {row.reason}"
            self._rejected.write(row)
            by, why = (f"source.{self.source}", "") if row.left_out else ("source", "rejected: ")
            self._fates.write(Fate(row.id, self.source, "dropped", by, why + row.reason, origin=row.origin))
            self._at.append(self._kept.count)

    def append(self, folder: Path, facts: Facts, digests: dict[str, str]) -> str:
        """The rows of another such folder. The name of a file in it that is not what its digest says; "" if all are."""
        import numpy as np

        size, count = self._kept.size, self._kept.count
        told = zip((self._kept, self._rejected, self._fates), TEXTS, strict=True)
        for name in COLUMNS:
            if file_digest(folder / name) != digests[name]:
                return name
        for lines, name in told:
            if (
                lines.take(folder / name, facts.records if lines is self._kept else facts.rejected)
                != digests[name]
            ):
                return name
        lines_, ids, groups, at = (load(folder / name) for name in COLUMNS)
        self._lines.frombytes(np.asarray(lines_[1:] + size, dtype="i8").tobytes())
        self._ids += ids.tobytes()
        self._groups += groups.tobytes()
        self._at.frombytes(np.asarray(at + np.uint64(count), dtype="u8").tobytes())
        self._licenses.update(facts.licenses)
        self._first = self._first or facts.first
        return ""

    @property
    def facts(self) -> Facts:
        """What there is so far."""
        return Facts(self._kept.count, self._rejected.count, sorted(self._licenses), self._first)

    @property
    def records(self) -> int:
        """How many there are so far."""
        return self._kept.count

    def columns(self) -> NDArray[Any]:
        """Write the columns, once all rows are there. The hashes of the records' ids."""
        ids = _column(self._ids, "<u8")
        columns = (_column(self._lines, "i8"), ids, _column(self._groups, "<u8"), _column(self._at, "u8"))
        for name, column in zip(COLUMNS, columns, strict=True):
            save(self.folder / name, column)
        return ids

    def __enter__(self) -> Laid:
        return self

    def __exit__(self, *_: object) -> None:
        for lines in (self._kept, self._rejected, self._fates):
            lines.__exit__()


class _Lines(Rows):
    """Rows that are written one by one, or taken from another file."""

    def take(self, path: Path, count: int) -> str:
        """All lines of a file, which are so many; their digest."""
        size, found = copy_into(self._file, path)
        self.size += size
        self.count += count
        return found


def digests(folder: Path) -> dict[str, str]:
    """Of each file that rows are laid out in."""
    return {name: file_digest(folder / name) for name in (*TEXTS, *COLUMNS)}


def _column(values: array[int] | bytearray, dtype: str) -> NDArray[Any]:
    """The numbers where they are: no copy of ten million of them."""
    import numpy as np

    return np.frombuffer(values, dtype=dtype) if values else np.zeros(0, dtype)
