"""The ledger: one row for every input row, and what became of it. Written as it is read: block by block.

`ledger.parquet` has one column for each field of `Fate`. Rows stand in the order of the recipe's sources, and within a
source in the order in which it gave them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from runner.recipe import FailIf, Recipe
from runner.record import Fate

EDGES = [0, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096]
BLOCK = 1 << 15  # rows written at once
_NUMBERS = ("times", "tokens")
USED = ("trained", "validation")


class Tally(Struct):
    """What is counted while the ledger is written: for summary, budgets and data card."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)  # (source, fate)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (source, by, reason)
    aside: Counter[str] = field(default_factory=Counter)  # source → rows that nobody chose to drop
    used: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (licence, source, attribution)
    remarks: Counter[tuple[str, str]] = field(default_factory=Counter)  # (source, what it says of a used row)
    origins: dict[str, set[str]] = field(default_factory=dict)  # source → places its used rows are from

    def add(self, block: Block) -> None:
        """More rows of the ledger, all of one source."""
        columns, source = block.columns, block.source
        for fate, many in Counter(columns["fate"]).items():
            self.rows[source, fate] += many
        used = [fate != "dropped" for fate in columns["fate"]]
        for (by, reason), many in Counter(zip(columns["by"], columns["reason"], strict=True)).items():
            if by:
                self.reasons[source, by, reason] += many
        self.aside[source] += sum(block.aside)
        rights = zip(columns["license"], columns["attribution"], strict=True)
        for (license, attribution), many in Counter(compress(rights, used)).items():
            self.used[license, source, attribution] += many
        for remark, many in Counter(compress(block.remarks, used)).items():
            if remark:
                self.remarks[source, remark] += many
        places = self.origins.setdefault(source, set())
        places.update(map(place, filter(None, compress(columns["origin"], used))))


def place(origin: str) -> str:
    """Where a row is from without its number: `posts.csv:1027` is of `posts.csv`."""
    file, _, number = origin.rpartition(":")
    return file if number.isdigit() and file else origin


class Block(Struct):
    """Rows of one source: a column for each field of Fate; `aside` says of each whether nobody chose to drop it, and
    `remarks` what its source says of it besides."""

    source: str
    columns: dict[str, list[Any]]
    aside: list[bool]
    remarks: list[str]

    def insert(self, at: int, fate: Fate, aside: bool) -> None:
        """One more row, before the row `at`."""
        for name, column in self.columns.items():
            column.insert(at, getattr(fate, name))
        self.aside.insert(at, aside)
        self.remarks.insert(at, "")


def block(source: str, fates: Iterable[Fate] = ()) -> Block:
    """A block of such rows."""
    rows = list(fates)
    columns = {name: [getattr(row, name) for row in rows] for name in Fate.__struct_fields__}
    return Block(source, columns, [False] * len(rows), [""] * len(rows))


class Writer:
    """Writes Parquet, one column a field of Fate."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = Fate.__struct_fields__
        self._pa = pa
        self._schema = pa.schema([(n, pa.int64() if n in _NUMBERS else pa.string()) for n in names])
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._held: dict[str, list[Any]] = {name: [] for name in names}

    def write(self, block: Block) -> None:
        """More rows."""
        for name, column in self._held.items():
            column += block.columns[name]
        if len(self._held["id"]) >= BLOCK:
            self._flush()

    def _flush(self) -> None:
        arrays = [(_numbers if name in _NUMBERS else _texts)(column) for name, column in self._held.items()]
        self._file.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
        for column in self._held.values():
            column.clear()

    def close(self) -> None:
        """The last rows, and the end of the file."""
        self._flush()
        self._file.close()


# pyarrow.array() would do, but it imports pandas, where that is installed, to see whether a list comes from there.


def _texts(values: list[str]) -> Any:
    import numpy as np
    import pyarrow as pa

    whole = "".join(values).encode()
    sizes = (
        map(len, values) if len(whole) == sum(map(len, values)) else (len(value.encode()) for value in values)
    )
    ends = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(sizes, np.int32, len(values)), out=ends[1:])
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(whole))


def _numbers(values: list[int | None]) -> Any:
    import numpy as np
    import pyarrow as pa

    there = np.fromiter((value is not None for value in values), bool, len(values))
    numbers = np.fromiter((value or 0 for value in values), np.int64, len(values))
    known = pa.py_buffer(np.packbits(there, bitorder="little"))
    return pa.Array.from_buffers(pa.int64(), len(values), [known, pa.py_buffer(numbers)])


def write(path: Path, fates: Iterable[Fate]) -> None:
    """A whole ledger."""
    writer = Writer(path)
    writer.write(block("", fates))
    writer.close()


def read(path: Path) -> list[Fate]:
    """All rows of a ledger."""
    return list(each(path))


def each(path: Path) -> Iterator[Fate]:
    """The rows of a ledger, one after the other."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for block in file.iter_batches(BLOCK):
            for row in block.to_pylist():
                yield msgspec.convert(row, Fate)


def summary(tally: Tally, shares: dict[str, Any], tokens: Any) -> dict[str, Any]:
    """Counts for the report: rows by fate and reason, the mix asked and got, lengths (`tokens`: a column, or None)."""
    by_fate = Counter[str]()
    for (_, fate), n in tally.rows.items():
        by_fate[fate] += n
    by_source = Counter[str]()
    for (source, _), n in tally.rows.items():
        by_source[source] += n
    return {
        "rows": {
            "in": sum(by_fate.values()),
            **{fate: by_fate[fate] for fate in (*USED, "dropped")},
            "rejected": sum(tally.aside.values()),
            "by_source": [
                {"source": s, "in": n, "rejected": tally.aside[s]} for s, n in sorted(by_source.items())
            ],
            "by_reason": [
                {"source": s, "fate": "dropped", "by": by, "reason": reason, "rows": n}
                for (s, by, reason), n in sorted(tally.reasons.items())
            ],
        },
        "mix": shares,
        "lengths": None if tokens is None or not len(tokens) else _lengths(tokens),
    }


def shares(recipe: Recipe, names: list[str], records: list[int], tokens: list[int] | None) -> dict[str, Any]:
    """The mix asked and got, by what the recipe mixes by. `records` and `tokens` stand in the order of `names`."""
    mix = recipe.mix
    unit = mix.unit if mix else "records"
    measured = dict(zip(names, tokens if unit == "tokens" and tokens else records, strict=True))
    total = sum(measured.values()) or 1
    asked = mix.asked if mix else {}
    whole = (sum(asked.values()) or 1) if mix and mix.amounts is not None else 1
    counted = dict(zip(names, zip(records, tokens or [0] * len(names), strict=True), strict=True))
    return {
        "by": mix.by if mix else "source",
        "unit": unit,
        "shares": [
            {
                "name": n,
                "asked": asked[n] / whole if n in asked else None,
                "got": measured.get(n, 0) / total,
                "records": counted.get(n, (0, 0))[0],
                "tokens": counted.get(n, (0, 0))[1],
            }
            for n in sorted({*asked, *names})
        ],
    }


def _lengths(tokens: Any) -> dict[str, list[int]]:
    import numpy as np

    edges = [e for e in EDGES if e <= int(tokens.max())] or [0]
    counts, _ = np.histogram(tokens, [*edges, 10**12])
    return {"edges": edges, "counts": counts.tolist()}


def over_budget(rows: dict[str, Any], fail_if: FailIf) -> list[str]:
    """Which of the recipe's budgets are broken, in words."""
    # Rows that the mix had no need of are not lost, and rejected rows have a budget of their own.
    lost = [x for x in rows["by_reason"] if x["by"] != "mix"]
    dropped = sum(x["rows"] for x in lost if x["by"] != "source") - _failed(rows)
    out = [
        _broken("fail_if.rejected", "rejected", rows["rejected"], rows["in"], fail_if.rejected),
        _broken("fail_if.dropped", "dropped", dropped, rows["in"], fail_if.dropped),
    ]
    for name, budget in fail_if.by.items():
        # Of a filter: what got as far as it would be fairer, but nobody could check that against the ledger.
        n = sum(x["rows"] for x in lost if x["by"].split(".")[0 if name in _STEPS else -1] == name)
        out.append(_broken(f"fail_if.by.{name}", f"dropped by {name}", n, rows["in"], budget))
    for name, budget in fail_if.sources.items():
        n = sum(x["rows"] for x in lost if x["source"] == name)
        whole = sum(x["in"] for x in rows["by_source"] if x["source"] == name)
        out.append(_broken(f"fail_if.sources.{name}", "lost", n, whole, budget))
    return [said for said in out if said]


_STEPS = ("dedup", "decontaminate", "render")


def _failed(rows: dict[str, Any]) -> int:
    """Rows that filters failed on: rejected, though not by their source."""
    unread: int = sum(x["rows"] for x in rows["by_reason"] if x["by"] == "source")
    return int(rows["rejected"]) - unread


def _broken(where: str, what: str, lost: int, whole: int, budget: str | None) -> str | None:
    if budget is None:
        return None
    match = re.match(r">\s*([0-9.]+)\s*(%?)", budget)
    assert match, budget
    share = 100 * lost / whole if whole else 0.0
    if (share if match[2] else lost) <= float(match[1]):
        return None
    return f"{where}: {lost:,} of {whole:,} rows ({share:.1f}%) were {what}; the budget is {budget}"
