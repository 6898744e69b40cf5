"""Which rows a step dropped, and why: columns on disk, few words and many numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from runner.rows import load, save

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Why(Struct, frozen=True):
    """Why rows were dropped. `by` names the part of the recipe; `of` what they clash with, if that is no row.

    `aside`: nobody chose to drop them; something went wrong with them.
    """

    by: str
    reason: str
    of: str = ""
    aside: bool = False


class Drops(Struct, frozen=True):
    """`rows` ascending; `whys[why[i]]` says why rows[i] went; `of[i]`, if any, is the row that stayed for it."""

    rows: Any
    why: Any
    whys: Sequence[Why]
    of: Any = None


class Dropper:
    """Collects drops, row after row, and writes them."""

    def __init__(self) -> None:
        from array import array

        self._rows, self._why = array("L"), array("L")
        self._number: dict[Why, int] = {}

    def add(self, row: int, why: Why) -> None:
        self._rows.append(row)
        self._why.append(self._number.setdefault(why, len(self._number)))

    def __len__(self) -> int:
        return len(self._rows)

    def counts(self) -> dict[Why, int]:
        """How many rows each reason took."""
        import numpy as np

        found = np.bincount(np.array(self._why, dtype=np.int64), minlength=len(self._number))
        return dict(zip(self._number, found.tolist(), strict=True))

    def write(self, folder: Path) -> None:
        import numpy as np

        rows, why = np.array(self._rows, dtype=np.uint32), np.array(self._why, dtype=np.uint32)
        write(folder, Drops(rows, why, list(self._number)))


def write(folder: Path, drops: Drops) -> None:
    """Write a step's drops into its artifact."""
    import numpy as np

    save(folder / "dropped.npy", drops.rows)
    save(folder / "dropped.why.npy", drops.why)
    save(folder / "dropped.of.npy", np.zeros(0, np.uint32) if drops.of is None else drops.of)
    (folder / "dropped.json").write_bytes(msgspec.json.encode(list(drops.whys)))


def read(folder: Path) -> Drops:
    """A step's drops."""
    whys = msgspec.json.decode((folder / "dropped.json").read_bytes(), type=list[Why])
    of: NDArray[Any] = load(folder / "dropped.of.npy")
    rows = load(folder / "dropped.npy")
    return Drops(rows, load(folder / "dropped.why.npy"), whys, of if len(of) == len(rows) else None)
