"""The data of a run, written: records in the order in which they are trained, each as the steps left it.

Where others work, too, they write shards of so many records into the step's work folder, each whole or not there; what
they said each would be is looked at when the shards are joined, in order. The bytes are those of one writer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.making import Making
from runner.rows import Shelf, load, save
from runner.store import aside, copy_into

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARD = 1 << 15  # records


class Order(NamedTuple):
    """Rows of the shelf in the order in which they are written; the how manieth use of its record each is; and, where
    they are counted, its tokens."""

    rows: NDArray[Any]
    copies: NDArray[Any]
    tokens: NDArray[Any] | None


class Shard(NamedTuple):
    """A file of records, and what it is."""

    path: Path
    sha256: str


def write(m: Making, shelf: Shelf, order: Order, path: Path) -> None:
    """Write records as they are trained. Raises StepError where a shard is not what was written."""
    with path.open("wb", buffering=1 << 20) as file:
        if not m.spread or len(order.rows) <= SHARD:
            file.writelines(lines(shelf, order))
            return
        work = Writing(shelf, _kept(m.work / path.name, order))
        many = len(order.rows)
        for shard in m.mapped(work, [(n, min(n + SHARD, many)) for n in range(0, many, SHARD)]):
            if copy_into(file, shard.path)[1] != shard.sha256:
                raise m.fail(
                    f"{shard.path.name} is not what was written: the folder that machines share may be at fault; "
                    "run it again"
                )
            shard.path.unlink()


def _kept(folder: Path, order: Order) -> Path:
    """The order, in columns that others can read."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, column in order._asdict().items():
        (folder / f"{name}.npy").unlink(missing_ok=True)
        if column is not None:
            save(folder / f"{name}.npy", column)
    return folder


class Writing:
    """The work of one process: where a shard's records begin, and end → the shard, in `folder`."""

    def __init__(self, shelf: Shelf, folder: Path) -> None:
        self.shelf, self.folder = shelf, folder

    def __call__(self, records: tuple[int, int]) -> Shard:
        begin, end = records
        columns = [self.folder / f"{name}.npy" for name in Order._fields]
        rows, copies, tokens = (load(path)[begin:end] if path.exists() else None for path in columns)
        assert rows is not None and copies is not None
        place = self.folder / f"{begin:012d}.jsonl"
        made = aside(place)
        found = hashlib.sha256()
        with made.open("wb", buffering=1 << 20) as file:
            for line in lines(self.shelf, Order(rows, copies, tokens)):
                found.update(line)
                file.write(line)
        made.replace(place)
        return Shard(place, found.hexdigest())


def lines(shelf: Shelf, order: Order) -> Iterator[bytes]:
    """Records as they are trained: with how many tokens they have, and which copy each is."""
    tokens = order.tokens.tolist() if order.tokens is not None else None
    copies = order.copies.tolist()
    for n, line in enumerate(shelf.scattered(order.rows)):
        parts = line.count(b"\n")  # those of a row in parts have been counted one by one
        more = f',"tokens":"{tokens[n]}"' if tokens and parts == 1 else ""
        if copies[n]:
            more += f',"copy":"{copies[n]}"'
        # A record's line ends with its meta, which is never empty: `…"meta":{…}}` and a line end.
        if not more:
            yield line
        elif parts == 1:
            yield line[:-3] + more.encode() + b"}}\n"
        else:
            yield b"".join([part[:-3] + more.encode() + b"}}\n" for part in line.splitlines(keepends=True)])
