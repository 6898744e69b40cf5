"""The ledger of a run, out of what every step dropped and what the mix used: each input row exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from runner import drops, ledger
from runner.drops import Why
from runner.making import Making, read_rows
from runner.prepare.selected import EDITING, PIECE
from runner.record import Fate
from runner.rows import Shelf, load

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRAINED, _VALIDATION, _NONE = -1, -2, -3
_STEPS = ("filter", "dedup", "decontaminate", "render", "mix")


class _Meta(Struct):
    id: str
    license: str = ""
    origin: str = ""
    attribution: str = ""
    remark: str = ""


class _Row(Struct):
    """The part of a record that the ledger tells."""

    meta: _Meta


class _Fates:
    """What became of every row of the shelf, in columns."""

    def __init__(self, m: Making, shelf: Shelf) -> None:
        import numpy as np

        self.m, self.shelf = m, shelf
        self.whys: list[Why] = []
        self.fate = np.full(len(shelf), _NONE, dtype=np.int32)
        self.stayed = (np.zeros(0, np.uint32), np.zeros(0, np.uint32))
        for step in _STEPS:
            if step not in m.inputs:
                continue
            found = drops.read(m.inputs[step].path)
            self._set(found.rows, found.why.astype(np.int32) + len(self.whys))
            self.whys += found.whys
            if found.of is not None and len(found.rows):
                self.stayed = (found.rows, found.of)
        self.against = self._against()
        folders = [m.inputs[n].path for n in EDITING if n in m.inputs]
        self._edited = [
            (load(folder / "edited.npy"), read_rows(folder / "edits.jsonl", str))
            for folder in folders
            if (folder / "edited.npy").is_file()
        ]
        self.row = msgspec.json.Decoder(_Row)

    def _set(self, rows: NDArray[Any], fates: Any) -> None:
        if (self.fate[rows] != _NONE).any():
            raise self.m.fail("a row was dropped twice: its steps do not fit together; please report this")
        self.fate[rows] = fates

    def _against(self) -> list[tuple[str, int]]:
        if "dedup" not in self.m.inputs:
            return []
        raw = self.m.inputs["dedup"].file("against.json").read_bytes()
        return msgspec.json.decode(raw, type=list[tuple[str, int]])

    def used(self, rows: NDArray[Any], times: NDArray[Any], held: NDArray[Any]) -> None:
        """The rows that are trained, or held out."""
        import numpy as np

        self._set(rows[times > 0], np.where(held[times > 0], _VALIDATION, _TRAINED))
        if (self.fate == _NONE).any():
            row = int(np.flatnonzero(self.fate == _NONE)[0])
            raise self.m.fail(f"nothing says what became of row {row}; please report this")
        # What each number means. Those of the two that are used are -1 and -2: the last in these lists.
        self.names = [*["dropped"] * len(self.whys), "validation", "trained"]
        self.by = [*(why.by for why in self.whys), "", ""]
        self.reason = [*(why.reason for why in self.whys), "", ""]
        self.clashes = [*(why.of for why in self.whys), "", ""]
        self.aside = [*(why.aside for why in self.whys), False, False]

    def edits(self, low: int, high: int) -> list[str]:
        """What steps changed in rows low…high; rows are asked for in ascending order."""
        import numpy as np

        told = [""] * (high - low)
        for edited, whats in self._edited:
            first, last = np.searchsorted(edited, [low, high]).tolist()
            for row, what in zip(edited[first:last].tolist(), whats, strict=False):
                before = told[row - low]
                told[row - low] = f"{before}; {what}" if before else what
        return told

    def of(self, rows: list[int]) -> Iterator[str]:
        """The ids of what stayed for duplicates, which are asked for by ascending row."""
        import numpy as np

        dropped, stayed = self.stayed
        at = np.minimum(np.searchsorted(dropped, rows), max(len(dropped) - 1, 0))
        for row, place in zip(rows, at.tolist(), strict=True):
            if place >= len(dropped) or int(dropped[place]) != row:
                yield ""
            elif (kept := int(stayed[place])) < len(self.shelf):
                yield self.row.decode(self.shelf.one(kept)).meta.id
            else:
                yield self._earlier(kept - len(self.shelf))

    def _earlier(self, kept: int) -> str:
        begin = 0
        for name, end in self.against:
            if kept < end:
                return f"{name}:{kept - begin + 1}"
            begin = end
        return ""


def accounts(
    m: Making,
    shelf: Shelf,
    rows: NDArray[Any],
    times: NDArray[Any],
    held: NDArray[Any],
    tokens: NDArray[Any] | None,
) -> ledger.Tally:
    """Write ledger.parquet; what was counted on the way. `times`, `held` and `tokens` are those of `rows`."""
    import numpy as np

    fates = _Fates(m, shelf)
    fates.used(rows, times, held)
    uses = np.ones(len(shelf), dtype=np.uint32)
    uses[rows] = np.maximum(times, 1)
    size = np.full(len(shelf), -1, dtype=np.int32)
    if tokens is not None:
        size[rows[times > 0]] = tokens[times > 0]
    tally = ledger.Tally()
    writer = ledger.Writer(m.out / "ledger.parquet")
    begin = 0
    for spec, end in zip(m.plan.loaded.recipe.sources, shelf.ends.tolist(), strict=True):
        rejected = _rejected(m, spec.name)
        at, one = next(rejected, (0, None))
        low = begin
        while low < end or one is not None:
            high = min(low + PIECE, end)
            between: list[tuple[int, Fate]] = []  # rows that are no records, at most as many
            while one is not None and len(between) < PIECE and (begin + at < high or high == end):
                between.append((begin + at, one))
                at, one = next(rejected, (0, None))
            if one is not None and len(between) == PIECE:
                high = min(high, begin + at)
            block = _told(fates, spec.name, low, high, uses, size)
            for n, (before, fate) in enumerate(between):
                block.insert(before - low + n, fate, fate.by == "source")
            tally.add(block)
            writer.write(block)
            m.progress(high, len(shelf), "rows of the ledger")
            low = high
        begin = end
    writer.close()
    return tally


def _rejected(m: Making, source: str) -> Iterator[tuple[int, Fate]]:
    """What a source gave that is no record, each with how many records stood before it."""
    folder = m.inputs[f"source.{source}"].path
    yield from zip(
        load(folder / "fates.at.npy").tolist(), read_rows(folder / "fates.jsonl", Fate), strict=True
    )


def _told(
    fates: _Fates, source: str, low: int, high: int, uses: NDArray[Any], size: NDArray[Any]
) -> ledger.Block:
    """What became of rows low…high."""
    import numpy as np

    metas = [row.meta for row in map(fates.row.decode, fates.shelf.original(np.arange(low, high)))]
    fate = fates.fate[low:high].tolist()
    repeated = [n for n, f in enumerate(fate) if f >= 0 and fates.by[f].startswith("dedup")]
    stayed = [fates.clashes[f] for f in fate]
    for n, id in zip(repeated, fates.of([low + n for n in repeated]), strict=True):
        stayed[n] = id
    columns: dict[str, list[Any]] = {
        "id": [m.id for m in metas],
        "source": [source] * len(metas),
        "fate": [fates.names[f] for f in fate],
        "by": [fates.by[f] for f in fate],
        "reason": [fates.reason[f] for f in fate],
        "of": stayed,
        "times": [many if f < 0 else 1 for f, many in zip(fate, uses[low:high].tolist(), strict=True)],
        "tokens": [
            long if f < 0 and long >= 0 else None
            for f, long in zip(fate, size[low:high].tolist(), strict=True)
        ],
        "license": [m.license for m in metas],
        "origin": [m.origin for m in metas],
        "attribution": [m.attribution for m in metas],
        "edits": fates.edits(low, high),
    }
    return ledger.Block(source, columns, [fates.aside[f] for f in fate], [m.remark for m in metas])
