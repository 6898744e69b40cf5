"""Step `filter`: each filter in the recipe's order on each record, in as many processes as there are cores.

A filter that fails on a record keeps that one aside, with the filter's name and what went wrong; the recipe's budget
for rejected rows decides how much of that is too much.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from runner import contract, pool
from runner import recipe as r
from runner.drops import Dropper, Why
from runner.errors import MirepoixError
from runner.making import Making, Rows
from runner.prepare.edits import Edits
from runner.prepare.selected import Selected, selected
from runner.record import Edited, Record, Rejected
from runner.registry import Said, plugins
from runner.rows import Shelf, save
from runner.services import Ask

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 64  # records that a filter sees at once


class Outcome(Struct):
    """What the filters made of some rows: those kept, those dropped and why, and those changed and how."""

    kept: list[int]
    dropped: list[tuple[int, Why]]
    edited: list[tuple[int, str, bytes]]


class Filters:
    """Filters with their options, ready for any number of records."""

    def __init__(self, uses: Sequence[tuple[int, r.Use]], ask: Ask | None = None) -> None:
        self.uses, self._ask = list(uses), ask
        self._ready: list[tuple[str, str, Callable[[Sequence[Record]], list[Said]]]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"uses": self.uses, "_ask": None, "_ready": None}

    @property
    def asks(self) -> bool:
        """Whether one of them asks a service: that is done in one process alone, at the service's pace."""
        return any(plugins("filter")[u.plugin].asks(u.options) for _, u in self.uses)

    def judge(self, rows: Sequence[int], records: Sequence[Record], out: Outcome) -> list[tuple[int, Record]]:
        """Those that pass all, as they are then; the others and the changes are told to `out`."""
        if self._ready is None:  # in the process that does the work: what a filter sets up stays there
            known = plugins("filter")
            self._ready = [
                (f"filters[{i}].{u.plugin}", u.plugin, known[u.plugin].at_work(u.options, self._ask))
                for i, u in self.uses
            ]
        left = list(zip(rows, records, strict=True))
        changes: dict[int, list[str]] = {}
        for by, name, call in self._ready:
            left = list(self._one(by, name, call, left, changes, out.dropped))
        out.edited += [
            (row, "; ".join(changes[row]), msgspec.json.encode(record) + b"\n")
            for row, record in left
            if row in changes
        ]
        return left

    def _one(
        self,
        by: str,
        name: str,
        call: Callable[[Sequence[Record]], list[Said]],
        left: list[tuple[int, Record]],
        changes: dict[int, list[str]],
        dropped: list[tuple[int, Why]],
    ) -> Iterator[tuple[int, Record]]:
        for (row, record), said in zip(left, _said(call, [x for _, x in left]), strict=True):
            if said is True:
                yield row, record
            elif isinstance(said, Edited | Record):
                new, what = (said.record, _plain(said.what)) if isinstance(said, Edited) else (said, "edited")
                if new == record:
                    yield row, record
                elif (reason := contract.broken(new)) is not None:
                    dropped.append(
                        (row, Why(by, f"the filter failed on it: its edit broke it: {reason}", aside=True))
                    )
                else:
                    changes.setdefault(row, []).append(what if what.startswith(name) else f"{name}: {what}")
                    yield row, new
            elif said is False or (isinstance(said, str) and said.strip()):
                dropped.append((row, Why(by, _plain(said) if said else "refused")))
            else:
                what = _plain(str(said)) if isinstance(said, BaseException) else f"it said {said!r}"
                kind = type(said).__name__ if isinstance(said, BaseException) else "TypeError"
                dropped.append(
                    (
                        row,
                        Why(by, f"the filter failed on it: {kind}{': ' + what if what else ''}", aside=True),
                    )
                )


def _plain(said: str) -> str:
    """One line of text that any file can hold."""
    first = next(iter(said.splitlines()), "")
    return first[:200].encode("utf-8", "replace").decode()


def _said(call: Callable[[Sequence[Record]], list[Said]], records: list[Record]) -> list[Said | Exception]:
    """What a filter says of each record, or the exception that it raised on it."""
    try:
        said = call(records)
        if len(said) == len(records):
            return list(said)
        failure: Exception = ValueError(f"said {len(said)} things of {len(records)} records")
    except MirepoixError:  # something is not installed, say: no matter of this record
        raise
    except (Exception, SystemExit) as e:
        failure = e if isinstance(e, Exception) else RuntimeError("it called exit()")
    if len(records) == 1:
        return [failure]
    return [_said(call, [record])[0] for record in records]


class Filtering:
    """The work of one process: rows → Outcome. `left_out` are sources without weight, by their place in the recipe."""

    def __init__(self, shelf: Shelf, filters: Filters, left_out: list[int]) -> None:
        self.shelf, self.filters, self.left_out = shelf, filters, left_out

    @property
    def modules(self) -> list[str]:
        """What every process needs: imported once for all of them."""
        return ["numpy", *sorted({p.call.__module__ for p in plugins("filter").values()})]

    def __call__(self, rows: NDArray[Any]) -> Outcome:
        import numpy as np

        out = Outcome([], [], [])
        if self.left_out:
            none = np.isin(self.shelf.source(rows), self.left_out)
            why = Why("mix", "its source has the weight 0")
            out.dropped += [(row, why) for row in rows[none].tolist()]
            rows = rows[~none]
        if not self.filters.uses:
            out.kept = rows.tolist()
            return out
        decoder = msgspec.json.Decoder(Record)
        lines = zip(rows.tolist(), map(decoder.decode, self.shelf.read(rows)), strict=True)
        while batch := list(islice(lines, _BATCH)):
            passed = self.filters.judge([n for n, _ in batch], [x for _, x in batch], out)
            out.kept += [row for row, _ in passed]
        out.dropped.sort(key=lambda d: d[0])
        return out


def without_tokens(uses: Iterable[r.Use]) -> list[tuple[int, r.Use]]:
    """The filters of this step, with their place in the recipe; the others wait until tokens are counted."""
    return [(i, u) for i, u in enumerate(uses) if not plugins("filter")[u.plugin].needs]


def filter(m: Making) -> None:
    """All filters but those that count tokens; and the rows of sources that have no weight are left out."""
    import numpy as np

    before = selected(m)
    uses = without_tokens(m.plan.loaded.recipe.filters)
    drops, kept = Dropper(), array("L")
    with Edits(m) as edits, Rows(m.out / "rejected.jsonl") as aside:
        if uses or m.step.ingredients.get("left_out"):
            for out in _outcomes(m, before, Filters(uses, m.ask)):
                kept.extend(out.kept)
                for row, why in out.dropped:
                    drops.add(row, why)
                    if why.aside:
                        raw = before.shelf.one(row).decode()
                        record = msgspec.json.decode(raw, type=Record)
                        aside.write(Rejected(record.id, f"{why.by}: {why.reason}", raw.rstrip("\n")))
                edits.write(out.edited)
                m.progress(len(kept) + len(drops), len(before.rows), "records")
            rows = np.array(kept, dtype=np.uint32)
        else:
            rows = before.rows
    save(m.out / "kept.npy", rows)
    drops.write(m.out)


def _outcomes(m: Making, before: Selected, filters: Filters) -> Iterator[Outcome]:
    """What the filters make of each piece; rows of sources without weight never get to them."""
    none = set(m.step.ingredients.get("left_out", ()))
    left_out = [n for n, s in enumerate(m.plan.loaded.recipe.sources) if s.name in none]
    work = Filtering(before.shelf, filters, left_out)
    # What asks a service asks from here: one budget, one journal of answers.
    return pool.mapped(work, before.pieces(), 1) if filters.asks else m.mapped(work, before.pieces())
