"""Columns of numbers on disk: appended to row by row, read back whole or by ranges of their values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 1 << 22  # values sorted at once
_CHUNK = 1 << 20


class Column:
    """One column. What is appended is there to be read once `flush` has been called."""

    def __init__(self, path: Path, dtype: str) -> None:
        self.path, self.dtype = path, np.dtype(dtype)
        self.rows = 0
        self._file = path.open("wb", buffering=1 << 16)

    def append(self, values: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.rows += len(values)

    def close(self) -> None:
        self._file.close()

    def whole(self) -> NDArray[Any]:
        """All of it, as a view of the file."""
        self.close()
        if not self.rows:
            return np.zeros(0, self.dtype)
        return np.memmap(self.path, dtype=self.dtype, mode="r")

    def _chunks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        self.close()
        with self.path.open("rb") as file:
            for begin in range(0, self.rows, _CHUNK):
                yield begin, np.fromfile(file, self.dtype, min(_CHUNK, self.rows - begin))

    def repeated(self, skip: NDArray[np.bool_] | None = None) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Rows whose values equal another's, as (rows, ends): bucket i is rows[ends[i-1]:ends[i]], ascending.

        Rows that `skip` marks are left out. At most about AT_ONCE values are in memory at a time.
        """
        parts = ranges(self.rows)
        shift = np.uint64(65 - parts.bit_length())
        for part in range(parts):
            keys, rows = [], []
            for begin, values in self._chunks():
                wanted = (
                    np.ones(len(values), dtype=bool) if skip is None else ~skip[begin : begin + len(values)]
                )
                if parts > 1:
                    wanted &= (values >> shift) == np.uint64(part)
                rows.append((np.flatnonzero(wanted) + begin).astype(np.uint32))
                keys.append(values[wanted])
            yield buckets(
                np.concatenate(keys or [np.zeros(0, self.dtype)]),
                np.concatenate(rows or [np.zeros(0, np.uint32)]),
            )


def ranges(rows: int) -> int:
    """Into how many ranges of its values a column of so many is cut: a power of two."""
    parts = 1
    while rows > parts * AT_ONCE:
        parts *= 2
    return parts


def buckets(keys: NDArray[Any], rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The rows that share their key with others, as (rows, ends), by key and then by number."""
    order = np.argsort(keys)
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    member = np.zeros(len(keys), dtype=bool)
    member[1:] = same
    member[:-1] |= same
    keys, rows = keys[member], rows[order[member]]
    order = np.lexsort((rows, keys))
    keys, rows = keys[order], rows[order]
    ends = np.flatnonzero(np.append(keys[1:] != keys[:-1], True)) + 1 if len(keys) else np.zeros(0, np.int64)
    return rows, ends
