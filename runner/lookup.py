"""What became of the rows of a run: `recipe show R drops`, `row ID` and `near ID`. Only reads what the run left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runner import drops, ledger
from runner.errors import UsageError
from runner.making import read_rows
from runner.record import Fate, Record, Rejected, Said
from runner.rows import Shelf, load
from runner.steps import Plan
from runner.store import Artifact, Store
from runner.wording import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = 3  # rows that are named for each reason
NEAREST = 5
_PIECE = 4096


class Lookup:
    """The prepare stage of a plan that has been run. Raises UsageError where it has not been."""

    def __init__(self, plan: Plan) -> None:
        store = Store(plan.workspace.root)
        self.plan, self.name = plan, plan.loaded.recipe.name
        self.sources = [s.name for s in plan.loaded.recipe.sources]
        steps = [s for s in plan.steps if s.stage == "prepare" and s.name != "model"]
        found = {s.name: store.get(s.fingerprint, verify=False) for s in steps}
        self.made: dict[str, Artifact] = {name: made for name, made in found.items() if made is not None}
        # A run that stopped at its mix has no ledger; what its steps dropped can be told all the same.
        for name in [f"source.{n}" for n in self.sources] + ["filter"]:
            if name not in self.made:
                raise UsageError(
                    f"{name} of {self.name!r} is not made; run it first: recipe run … --to prepare"
                )
        folders = [self.made[f"source.{n}"].path for n in self.sources]
        self.originals = Shelf(folders)
        from runner.prepare.selected import EDITING

        self.compared = Shelf(folders, [self.made["filter"].path])
        self.shelf = Shelf(folders, [self.made[n].path for n in EDITING if n in self.made])
        self.ledger = self.made["split"].file("ledger.parquet") if "split" in self.made else None

    def fates(self) -> Iterator[Fate]:
        """The rows of the ledger; without one, those that were dropped before the run stopped."""
        if self.ledger is not None:
            yield from ledger.each(self.ledger)
            return
        for n, name in enumerate(self.sources):
            yield from read_rows(self.made[f"source.{name}"].file("fates.jsonl"), Fate)
            begin, end = int(self.originals.ends[n - 1]) if n else 0, int(self.originals.ends[n])
            for step in ("filter", "dedup", "decontaminate", "render"):
                if step in self.made:
                    yield from self._dropped_by(step, name, begin, end)

    def _dropped_by(self, step: str, source: str, begin: int, end: int) -> Iterator[Fate]:
        found = drops.read(self.made[step].path)
        for row, why in zip(found.rows.tolist(), found.why.tolist(), strict=True):
            if begin <= row < end:
                said = found.whys[why]
                yield Fate(self._id(row), source, "dropped", said.by, said.reason, said.of)

    def drops(self) -> list[dict[str, Any]]:
        """Rows dropped, by source, part of the recipe and reason, most first, each with a few ids."""
        count, examples, whole = (
            Counter[tuple[str, str, str]](),
            dict[tuple[str, str, str], list[str]](),
            Counter[str](),
        )
        for fate in self.fates():
            whole[fate.source] += 1
            if fate.fate == "dropped":
                key = (fate.source, fate.by, fate.reason)
                count[key] += 1
                if len(held := examples.setdefault(key, [])) < EXAMPLES:
                    held.append(fate.id)
        if self.ledger is None:
            for n, name in enumerate(self.sources):
                kept = int(self.originals.ends[n]) - (int(self.originals.ends[n - 1]) if n else 0)
                whole[name] = kept + sum(
                    r for k, r in count.items() if k[0] == name and k[1].startswith("source")
                )
        return [
            {
                "source": key[0],
                "by": key[1],
                "reason": key[2],
                "rows": n,
                "of": whole[key[0]],
                "ids": examples[key],
            }
            for key, n in sorted(count.items(), key=lambda item: (-item[1], item[0]))
        ]

    def fate(self, id: str) -> Fate:
        """The ledger's row. Raises UsageError, with ids like it, where there is none."""
        import pyarrow.parquet as pq

        if self.ledger is None:
            found = [fate for fate in self.fates() if fate.id == id]
            if not found:
                what = f"{id!r} was not dropped, or is not there: the run of {self.name!r} stopped before its ledger"
                raise UsageError(what)
            return found[0]
        rows = pq.read_table(self.ledger, filters=[("id", "=", id)]).to_pylist()
        if rows:
            return msgspec.convert(rows[0], Fate)
        known = [fate.id for _, fate in zip(range(100_000), self.fates(), strict=False)]
        raise UsageError(f"no row {id!r} in {self.name!r}{nearest(id, known) or _like(id, known)}")

    def number(self, fate: Fate) -> int | None:
        """The row's number on the shelf; None if it never became a record."""
        import numpy as np

        from runner.hashes import text_hash

        n = self.sources.index(fate.source)
        ids = load(self.made[f"source.{fate.source}"].file("ids.npy"))
        found = np.flatnonzero(ids == np.uint64(text_hash(fate.id)))
        return int(found[0]) + (int(self.originals.ends[n - 1]) if n else 0) if len(found) else None

    def row(self, id: str) -> dict[str, Any]:
        """A row's whole way: where it is from, what each step made of it, what it is now, and what went for it."""
        fate = self.fate(id)
        out: dict[str, Any] = {"row": msgspec.to_builtins(fate), "way": [], "before": None, "record": None}
        number = self.number(fate)
        if number is None:
            said = f"read from {fate.origin}: {fate.reason}" if fate.origin else fate.reason
            out["way"].append({"step": f"source.{fate.source}", "what": said})
            out["raw"] = self._raw(fate)
            return out
        before = msgspec.json.decode(self.originals.one(number), type=Record)
        now = [msgspec.json.decode(x, type=Record) for x in self.shelf.one(number).splitlines()]
        out["record"] = msgspec.to_builtins(now[0])
        if len(now) > 1:  # it is several since
            out["parts"] = msgspec.to_builtins(now)
        if now != [before]:
            out["before"] = msgspec.to_builtins(before)
        out["way"] = list(self._way(fate, number))
        out["instead_of"] = self._dropped_for(number)
        return out

    def _raw(self, fate: Fate) -> str:
        rows = read_rows(self.made[f"source.{fate.source}"].file("rejected.jsonl"), Rejected)
        return next((row.raw for row in rows if row.id == fate.id), "")

    def _way(self, fate: Fate, number: int) -> Iterator[dict[str, str]]:
        yield {"step": f"source.{fate.source}", "what": f"read from {fate.origin}" if fate.origin else "read"}
        for step in ("filter", "dedup", "decontaminate", "render", "mix"):
            if step not in self.made:
                continue
            if changed := self._changed(step, number):
                yield {"step": step, "what": f"changed: {changed}"}
            if number in _set(drops.read(self.made[step].path).rows, number):
                of = f" of {fate.of}" if fate.of else ""
                near = self._similarity(number) if step == "dedup" else None
                alike = f" (similarity {near:.3f})" if near is not None else ""
                yield {"step": step, "what": f"dropped by {fate.by}: {fate.reason}{of}{alike}"}
                return
            if not changed:
                yield {"step": step, "what": "kept"}
        times = f", {fate.times} times" if fate.times > 1 else ""
        yield {"step": "split", "what": f"{fate.fate}{times}"}

    def _changed(self, step: str, number: int) -> str:
        """What a step changed in a row, in its own words."""
        import numpy as np

        folder = self.made[step].path
        if not (folder / "edited.npy").is_file():
            return ""
        rows = load(folder / "edited.npy")
        at = int(np.searchsorted(rows, number))
        if at >= len(rows) or int(rows[at]) != number:
            return ""
        return next(islice(read_rows(folder / "edits.jsonl", str), at, None))

    def _similarity(self, number: int) -> float | None:
        import numpy as np

        folder = self.made["dedup"].path
        at = int(np.searchsorted(drops.read(folder).rows, number))
        return float(load(folder / "similarity.npy")[at])

    def _dropped_for(self, number: int) -> list[dict[str, Any]]:
        """The rows that went because this one stayed."""
        import numpy as np

        if "dedup" not in self.made:
            return []
        folder = self.made["dedup"].path
        found = drops.read(folder)
        if found.of is None:
            return []
        at = np.flatnonzero(found.of == number)
        similarity = load(folder / "similarity.npy")
        return [
            {"id": self._id(int(found.rows[i])), "similarity": round(float(similarity[i]), 4)}
            for i in at.tolist()
        ]

    def _id(self, number: int) -> str:
        return msgspec.json.decode(self.originals.one(number), type=Record).id

    def near(self, id: str) -> dict[str, Any]:
        """The rows that dedup put with this one, and those of all sources that are most like it."""
        fate = self.fate(id)
        number = self.number(fate)
        if number is None:
            raise UsageError(f"{id!r} never became a record: {fate.reason}")
        kept = fate.of if fate.by.startswith("dedup") else fate.id
        try:
            stays = self.number(self.fate(kept))
        except UsageError:  # a row of an earlier run
            stays = None
        return {
            "row": msgspec.to_builtins(fate),
            "kept": kept,
            "group": [] if stays is None else self._dropped_for(stays),
            "nearest": self._nearest(number),
        }

    def _nearest(self, number: int) -> list[dict[str, Any]]:
        import numpy as np

        from runner.shingles import Shingler, batch

        near = self.plan.loaded.recipe.dedup.near
        shingler = Shingler(near.ngram if near else 5, near.unit if near else "words")
        decoder = msgspec.json.Decoder(Said)

        def sets(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
            return shingler.sets(batch(decoder.decode(x).compared for x in self.compared.read(rows)))

        own, _ = sets(np.array([number]))
        best: list[tuple[float, int]] = []
        for low in range(0, len(self.shelf), _PIECE):
            rows = np.arange(low, min(low + _PIECE, len(self.shelf)))
            shingle, ends = sets(rows)
            row = np.repeat(np.arange(len(rows)), np.diff(ends, prepend=0))
            shared = np.bincount(row[np.isin(shingle, own)], minlength=len(rows))
            similarity = shared / (len(own) + np.diff(ends, prepend=0) - shared)
            some = np.argsort(-similarity, kind="stable")[: NEAREST + 1].tolist()
            best += [
                (-float(similarity[i]), int(rows[i])) for i in some if similarity[i] > 0 and rows[i] != number
            ]
        return [{"id": self._id(row), "similarity": round(-less, 4)} for less, row in sorted(best)[:NEAREST]]


def _set(rows: NDArray[Any], number: int) -> set[int]:
    import numpy as np

    at = int(np.searchsorted(rows, number))
    return {int(rows[at])} if at < len(rows) else set()


def latest(workspace: Path) -> Path:
    """The recipe of the run that was laid out last, as it was run. Raises UsageError where there is none."""
    found = [p for p in (workspace / "runs").glob("*/recipe.yaml") if p.is_file()]
    if not found:
        raise UsageError("nothing has been run here yet; name a recipe")
    return max(found, key=lambda p: (p.stat().st_mtime_ns, p.parent.name))


def _like(id: str, known: list[str]) -> str:
    """An id that has the wrong one in it, or its number; else what ids of this run look like."""
    number = id.rpartition("/")[2].lstrip("0")
    for found in known:
        if id in found or (number and found.rpartition("/")[2].lstrip("0") == number):
            return f" (did you mean {found}?)"
    return f" (its ids are like {known[0]})" if known else ""
