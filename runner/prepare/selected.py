"""What a step of this stage gets from the one before it: numbers of rows, and the shelf they stand on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.making import Making
from runner.rows import Shelf, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDITING = ("filter", "render")  # steps that may change rows, in their order
PIECE = 2048  # rows that are worked on at once; what comes out does not hang on it


@dataclass(frozen=True)
class Selected:
    """`rows` are numbers of rows on the shelf, ascending; `tokens`, once rendered, says how long each is."""

    shelf: Shelf
    rows: NDArray[Any]
    tokens: NDArray[Any] | None

    def pieces(self) -> Iterator[NDArray[Any]]:
        """The rows, a piece at a time."""
        return cut(self.rows)


def cut(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Row numbers, a piece at a time."""
    for n in range(0, len(rows), PIECE):
        yield rows[n : n + PIECE]


def shelf(m: Making, *, edits: bool = True) -> Shelf:
    """All rows of all sources, as the steps before this one left them."""
    sources = [m.inputs[f"source.{s.name}"].path for s in m.plan.loaded.recipe.sources]
    return Shelf(sources, [m.inputs[n].path for n in EDITING if edits and n in m.inputs])


def selected(m: Making) -> Selected:
    """What the step before this one handed on; all rows where that is a source."""
    import numpy as np

    found = shelf(m)
    before = [n for n in m.step.needs if n != "model"][-1]
    if before.startswith("source."):
        return Selected(found, np.arange(len(found), dtype=np.uint32), None)
    folder = m.inputs[before].path
    tokens = load(folder / "tokens.npy") if (folder / "tokens.npy").is_file() else None
    return Selected(found, load(folder / "kept.npy"), tokens)
