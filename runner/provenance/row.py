"""A row of a run's data, and the raw bytes that it was read from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from runner import ledger
from runner.errors import UsageError
from runner.hashes import text_hash
from runner.provenance.chain import Link, item_said, items_of, link, of_source
from runner.provenance.file import file
from runner.provenance.left import Left
from runner.provenance.thing import Thing, made
from runner.record import Fate, Record
from runner.rows import Table, load


def rows(left: Left) -> Iterator[str]:
    """Ids of all rows."""
    path = left.folder / "ledger.parquet"
    return (fate.id for fate in ledger.each(path)) if path.is_file() else iter(())


def row(left: Left, name: str, arm: str) -> Thing | None:
    """The row of that id; None where there is none."""
    path = left.folder / "ledger.parquet"
    if arm or not path.is_file():
        return None
    fate = _fate(path, [name, name.rpartition("#")[0]])  # a part of a record that was cut has its number
    if fate is None:
        return None
    source, starts = f"source.{fate.source}", made(left, "split")
    doubts = ledger_of.doubts if (ledger_of := file(left, "ledger.parquet")) else []
    ends = [link(left, step, p) for step, p in made(left, source)]
    found = {"row": msgspec.to_builtins(fate)} | ({"part": name} if name != fate.id else {})
    found["raw"] = _raw(left, fate, ends[0]) if ends else {"name": fate.origin}
    return Thing("row", found, starts, of_source(fate.source), list(doubts))


def _fate(path: Path, ids: Iterable[str]) -> Fate | None:
    import pyarrow.parquet as pq

    try:
        for id in filter(None, ids):
            if rows := pq.read_table(path, filters=[("id", "=", id)]).to_pylist():
                return msgspec.convert(rows[0], Fate)
    except (ValueError, msgspec.ValidationError):  # Arrow's errors are ValueErrors
        raise UsageError(f"{path} is damaged; run it again") from None
    return None


def _raw(left: Left, fate: Fate, source: Link) -> dict[str, str]:
    """The raw bytes that a row was read from: a file, or what was fetched."""
    meta = _record(left, fate, source).meta
    origin, sha256 = meta.get("origin", fate.origin), meta.get("sha256", "")
    place = ledger.place(origin)
    for item in items_of(source, left) or ():
        if (sha256 and item.sha256 == sha256) or fate.origin in (item.key, item.meta.get("origin")):
            return {"name": origin, **item_said(item)}
    if not sha256:
        sha256 = next((d.digest.get("sha256", "") for d in source.inputs if d.name == place), "")
    return {k: v for k, v in {"name": origin, "sha256": sha256}.items() if v}


def _record(left: Left, fate: Fate, source: Link) -> Record:
    """The row as its source wrote it; an empty one where it never became a record, or is gone."""
    import numpy as np

    if source.artifact is not None:
        table = Table(source.artifact.file("records.jsonl"), source.artifact.file("lines.npy"))
        ids = load(source.artifact.file("ids.npy"))
        for n in np.flatnonzero(ids == np.uint64(text_hash(fate.id)))[:1].tolist():
            return msgspec.json.decode(table.one(n), type=Record)
    file = {"trained": "train", "validation": "validation"}.get(fate.fate)
    path, wanted = left.folder / "data" / f"{file}.jsonl", fate.id.encode()
    with path.open("rb") if path.is_file() else _nothing() as lines:
        for line in lines:
            if (
                wanted in line
                and (record := msgspec.json.decode(line, type=Record)).id.partition("#")[0] == fate.id
            ):
                return record
    return Record([])


def _nothing() -> Any:
    return nullcontext(())
