"""Rows that share a key of a column, found by the column and a range of its keys: wherever there is a core.

A column of more rows than are sorted at once is first sorted in runs of so many, each run written once; a range of keys
then is a slice of each run. What comes of a range stands in a file beside the column where others are to find it, and
is handed over as it is where nobody else is at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.dedup import spill
from runner.rows import load, save
from runner.store import aside

if TYPE_CHECKING:
    from runner.pool import Mapped

Keys = NDArray[Any]


class Buckets(NamedTuple):
    """Bucket i is rows[ends[i-1]:ends[i]], ascending; `column` says of which column."""

    column: int
    rows: Keys
    ends: Keys


def repeated(
    columns: Sequence[spill.Column], skip: NDArray[np.bool_] | None, mapped: Mapped | None
) -> Iterator[Buckets]:
    """Rows whose values equal another's, by column, and by ranges of its values, ascending. Those that `skip` marks are
    left out. At most about spill.AT_ONCE values are in memory at a time, wherever that is: without `mapped`, here.
    """
    if mapped is None:
        for n, column in enumerate(columns):
            for rows, ends in column.repeated(skip):
                yield Buckets(n, rows, ends)
        return
    for column in columns:
        column.close()
    many = columns[0].rows if columns else 0
    paths = [column.path for column in columns]
    left_out = None
    if skip is not None and columns:
        save(left_out := paths[0].with_name("skip.npy"), skip)
    parts = spill.ranges(many)
    begins = list(range(0, many, spill.AT_ONCE)) if parts > 1 else []
    runs = [(n, begin, min(begin + spill.AT_ONCE, many)) for n in range(len(paths)) for begin in begins]
    if runs:
        for _ in mapped(Sorting(paths, left_out), runs):
            continue
    ranges = [(n, part) for n in range(len(paths)) for part in range(parts)]
    sorted_ = [[(_run(path, b, "keys"), _run(path, b, "rows")) for b in begins] for path in paths]
    work = Finding(paths, left_out, many, parts, sorted_)
    for (n, _), place in zip(ranges, mapped(work, ranges), strict=True):
        yield Buckets(n, *_taken(place))
    for n, begin, _ in runs:
        for what in ("keys", "rows"):
            _run(paths[n], begin, what).unlink(missing_ok=True)


class Sorting:
    """The work of one process: (column, first row, one past the last) → that run of it, sorted, in a file beside it."""

    def __init__(self, paths: list[Path], skip: Path | None) -> None:
        self.paths, self.skip = paths, skip

    def __call__(self, run: tuple[int, int, int]) -> None:
        n, begin, end = run
        keys, rows = _read(self.paths[n], self.skip, begin, end)
        order = np.argsort(keys)
        _put(_run(self.paths[n], begin, "keys"), keys[order])
        _put(_run(self.paths[n], begin, "rows"), rows[order])


class Finding:
    """The work of one process: (column, range of keys) → the file that its buckets are in. A column has so many `rows`;
    `runs` are, by column, the files that it was sorted in, keys and rows; none where it is read as it is."""

    def __init__(
        self, paths: list[Path], skip: Path | None, rows: int, parts: int, runs: list[list[tuple[Path, Path]]]
    ) -> None:
        self.paths, self.skip, self.rows, self.parts, self.runs = paths, skip, rows, parts, runs

    def __call__(self, wanted: tuple[int, int]) -> Path:
        n, part = wanted
        path = self.paths[n]
        if self.runs[n]:
            slices = [self._slice(*run, part) for run in self.runs[n]]
            keys, rows = (np.concatenate(some) for some in zip(*slices, strict=True))
        else:
            keys, rows = _read(path, self.skip, 0, self.rows)
        found, ends = spill.buckets(keys, rows)
        place = path.with_name(f"{path.name}.{part}.buckets.npy")
        _put(place, np.concatenate([[len(found)], found, ends]).astype(np.int64))
        return place

    def _slice(self, sorted_: Path, rows: Path, part: int) -> tuple[Keys, Keys]:
        keys = load(sorted_)
        width = (1 << 64) // self.parts
        low = int(np.searchsorted(keys, np.uint64(part * width)))
        high = len(keys)
        if part + 1 < self.parts:
            high = int(np.searchsorted(keys, np.uint64((part + 1) * width)))
        return np.array(keys[low:high]), np.array(load(rows)[low:high])


def _read(path: Path, skip: Path | None, begin: int, end: int) -> tuple[Keys, Keys]:
    """The keys of rows begin…end of a column, but of those to be left out, and the rows' numbers."""
    keys = np.fromfile(path, np.uint64, end - begin, offset=8 * begin)
    if len(keys) < end - begin:
        raise OSError(f"{path.name} is shorter than it was written")
    rows = np.arange(begin, end, dtype=np.uint32)
    if skip is None:
        return keys, rows
    wanted = ~load(skip)[begin:end]
    return keys[wanted], rows[wanted]


def _run(path: Path, begin: int, what: str) -> Path:
    return path.with_name(f"{path.name}.{begin}.{what}.npy")


def _put(place: Path, values: Keys) -> None:
    """Written whole: whoever else is at it writes the same."""
    made = aside(place)
    save(made, values)
    made.replace(place)


def _taken(place: Path) -> tuple[Keys, Keys]:
    """Rows and ends out of a file, which then goes."""
    values = np.array(load(place))
    place.unlink()
    many = int(values[0])
    return values[1 : 1 + many].astype(np.uint32), values[1 + many :]
