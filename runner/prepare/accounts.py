"""The ledger of a run, out of what every step dropped and what the mix used: each input row exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from runner import drops, ledger
from runner.drops import Why
from runner.making import Making, read_rows
from runner.prepare.selected import PIECE
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
        edited = m.inputs["filter"].path / "edited.npy" if "filter" in m.inputs else None
        self._edited = load(edited) if edited else np.zeros(0, np.uint32)
        self._whats = read_rows(m.inputs["filter"].file("edits.jsonl"), str) if edited else iter(())
        self._next = 0

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

    def edit(self, row: int) -> str:
        """What filters changed in a row; rows are asked for in ascending order."""
        if self._next < len(self._edited) and int(self._edited[self._next]) == row:
            self._next += 1
            return next(self._whats)
        return ""

    def of(self, row: int) -> str:
        """The id of what stayed for a duplicate."""
        import numpy as np

        rows, stayed = self.stayed
        at = int(np.searchsorted(rows, row))
        if at >= len(rows) or int(rows[at]) != row:
            return ""
        kept = int(stayed[at])
        if kept < len(self.shelf):
            return msgspec.json.decode(self.shelf.one(kept), type=_Row).meta.id
        kept -= len(self.shelf)
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
        at, one = next(rejected, (None, None))
        for low in range(begin, end, PIECE):
            high = min(low + PIECE, end)
            block = []
            told = _told(fates, spec.name, low, high, uses, size)
            for row, (fate, aside, remark) in enumerate(told, low - begin):
                while one is not None and at is not None and at <= row:
                    block.append(one)
                    tally.add(one, one.by == "source")
                    at, one = next(rejected, (None, None))
                block.append(fate)
                tally.add(fate, aside, remark)
            writer.write(block)
            m.progress(high, len(shelf), "rows of the ledger")
        rest = ([one] if one is not None else []) + [fate for _, fate in rejected]
        for fate in rest:
            tally.add(fate, fate.by == "source")
        writer.write(rest)
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
) -> Iterator[tuple[Fate, bool, str]]:
    """The fates of rows low…high, whether nobody chose them, and what their source remarks."""
    import numpy as np

    decoder = msgspec.json.Decoder(_Row)
    lines = fates.shelf.original(np.arange(low, high))
    columns = zip(
        range(low, high),
        lines,
        fates.fate[low:high].tolist(),
        uses[low:high].tolist(),
        size[low:high].tolist(),
        strict=True,
    )
    for row, line, fate, times, tokens in columns:
        m = decoder.decode(line).meta
        about = (m.license, m.origin, m.attribution, fates.edit(row))
        if fate < 0:
            name: Literal["trained", "validation"] = "trained" if fate == _TRAINED else "validation"
            long = tokens if tokens >= 0 else None
            yield Fate(m.id, source, name, "", "", "", times, long, *about), False, m.remark
        else:
            why = fates.whys[fate]
            of = why.of or (fates.of(row) if why.by.startswith("dedup") else "")
            yield Fate(m.id, source, "dropped", why.by, why.reason, of, 1, None, *about), why.aside, m.remark
