"""The rows of a run, by number: the records of all its sources, in order, where they lie on disk.

Steps after the sources hand on numbers of rows and columns of facts about them, not the records over and over. A row's
number is its place among all records of all sources; 4 bytes hold it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.uint32]

_SPAN = 1 << 18  # bytes read at once
_AT_ONCE = 1 << 14  # rows looked up at once
_GAP = 1 << 14  # bytes between two wanted rows that are read rather than jumped


def save(path: Path, values: NDArray[Any]) -> None:
    """A column, as .npy. Raises OSError where any of it cannot be written."""
    import numpy as np

    # Not numpy.save: it writes through C's stdio, and does not look at what closing that says of the last bytes.
    values = np.ascontiguousarray(values)
    if values.dtype.hasobject:
        raise ValueError("a column holds numbers, not objects")
    npy: Any = np.lib.format  # has no types of its own
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(values))
        file.write(values.data.cast("B") if values.size else b"")


def load(path: Path) -> NDArray[Any]:
    """A column, as it lies on disk: nothing is read before it is used."""
    import numpy as np

    values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return values


class Table:
    """Lines of one file, found by where they begin: `lines` has one number more than there are lines."""

    def __init__(self, path: Path, lines: Path) -> None:
        self.path, self.lines = path, load(lines)
        self._file: int | None = None

    def __len__(self) -> int:
        return max(len(self.lines) - 1, 0)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "lines": self.lines.filename}  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], Path(state["lines"]))  # type: ignore[misc]

    def one(self, row: int) -> bytes:
        """One line."""
        begin, end = int(self.lines[row]), int(self.lines[row + 1])
        return os.pread(self._fd(), end - begin, begin)

    def read(self, rows: NDArray[Any]) -> Iterator[bytes]:
        """Lines, in ascending order of their numbers."""
        import numpy as np

        if not len(rows):
            return
        rows = rows.astype(np.int64)
        begins, ends = self.lines[rows], self.lines[rows + 1]
        far = (begins[1:] - ends[:-1] > _GAP) | (begins[1:] // _SPAN != begins[:-1] // _SPAN)
        cuts = [0, *(np.flatnonzero(far) + 1).tolist(), len(rows)]
        for low, high in pairwise(cuts):
            base = int(begins[low])
            block = _read(self._fd(), int(ends[high - 1]) - base, base)
            stops = (ends[low:high] - base).tolist()
            for begin, end in zip((begins[low:high] - base).tolist(), stops, strict=True):
                yield block[begin:end]

    def _fd(self) -> int:
        if self._file is None:
            self._file = os.open(self.path, os.O_RDONLY)
        return self._file

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)  # type: ignore[arg-type]


def first(line: bytes) -> bytes:
    """The first line of a row that a step has split; else the row's line."""
    return line.partition(b"\n")[0]


def _read(fd: int, size: int, at: int) -> bytes:
    data = os.pread(fd, size, at)
    while len(data) < size:  # a call gives 2 GiB at most
        more = os.pread(fd, size - len(data), at + len(data))
        if not more:
            raise OSError("a file of records is shorter than its index says")
        data += more
    return data


class Layer(NamedTuple):
    """Rows that one step changed: their numbers, ascending, and what they are since."""

    rows: NDArray[Any]
    table: Table


class Shelf:
    """All rows of a run. `sources` are folders with records.jsonl and lines.npy; `edits` those of steps that changed
    rows, the later ones last: edited.jsonl, edited.lines.npy, edited.npy (their numbers, ascending).

    A row that a step has split holds a line a piece.
    """

    def __init__(self, sources: Sequence[Path], edits: Sequence[Path] = ()) -> None:
        import numpy as np

        self.folders = list(sources)
        self.tables = [Table(folder / "records.jsonl", folder / "lines.npy") for folder in sources]
        self.ends = np.cumsum([len(table) for table in self.tables]).astype(np.int64)
        self.layers = [
            Layer(load(folder / "edited.npy"), Table(folder / "edited.jsonl", folder / "edited.lines.npy"))
            for folder in edits
            if (folder / "edited.npy").is_file()
        ]
        self.layers = [layer for layer in self.layers if len(layer.rows)]

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def source(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Which source each row is of, by its place in the recipe."""
        import numpy as np

        return np.searchsorted(self.ends, rows, side="right")

    def column(self, name: str) -> NDArray[Any]:
        """A column that every source has, for all rows."""
        import numpy as np

        parts = [load(folder / f"{name}.npy") for folder in self.folders]
        return np.concatenate(parts) if parts else np.zeros(0, np.uint64)

    def original(self, rows: NDArray[Any]) -> Iterator[bytes]:
        """Lines of rows in ascending order, as the sources gave them."""
        import numpy as np

        cuts = np.searchsorted(rows, self.ends).tolist()
        begin = before = 0
        for table, cut, end in zip(self.tables, cuts, self.ends.tolist(), strict=True):
            yield from table.read(rows[begin:cut].astype(np.int64) - before)
            begin, before = cut, end

    def read(self, rows: NDArray[Any]) -> Iterator[bytes]:
        """Lines of rows in ascending order, as the steps left them."""
        import numpy as np

        if not self.layers:
            yield from self.original(rows)
            return
        by, place = self._changed(rows)
        left = [self.original(rows[by < 0])]
        left += [layer.table.read(place[by == n]) for n, layer in enumerate(self.layers)]
        for n in (by + 1).astype(np.int64).tolist():
            yield next(left[n])

    def _changed(self, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Of each row which layer changed it last (-1: none), and its place there."""
        import numpy as np

        by, place = np.full(len(rows), -1, dtype=np.int8), np.zeros(len(rows), dtype=np.int64)
        for n, layer in enumerate(self.layers):
            at = np.minimum(np.searchsorted(layer.rows, rows), len(layer.rows) - 1)
            mine = layer.rows[at] == rows
            by[mine], place[mine] = n, at[mine]
        return by, place

    def scattered(self, rows: NDArray[Any]) -> Iterator[bytes]:
        """Lines of rows in any order, as the steps left them."""
        import numpy as np

        tables = [*self.tables, *(layer.table for layer in self.layers)]
        for n in range(0, len(rows), _AT_ONCE):
            some = rows[n : n + _AT_ONCE].astype(np.int64)
            table = self.source(some)
            place = some - np.append(0, self.ends)[table]
            if self.layers:
                by, at = self._changed(some)
                table = np.where(by >= 0, len(self.tables) + by, table)
                place = np.where(by >= 0, at, place)
            begin, size = np.empty_like(some), np.empty_like(some)
            for t, one in enumerate(tables):
                mine = table == t
                begin[mine] = one.lines[place[mine]]
                size[mine] = one.lines[place[mine] + 1] - begin[mine]
            for t, at_, many in zip(table.tolist(), begin.tolist(), size.tolist(), strict=True):
                yield _read(tables[t]._fd(), many, at_)

    def one(self, row: int) -> bytes:
        """One row's line, as the steps left it."""
        import numpy as np

        for layer in reversed(self.layers):
            at = int(np.searchsorted(layer.rows, row))
            if at < len(layer.rows) and int(layer.rows[at]) == row:
                changed: bytes = layer.table.one(at)
                return changed
        n = int(np.searchsorted(self.ends, row, side="right"))
        return self.tables[n].one(row - (int(self.ends[n - 1]) if n else 0))
