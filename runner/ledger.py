"""The ledger: one row for every input row of every source, and what became of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.mix import key
from runner.recipe import FailIf, Recipe
from runner.record import Fate, Record

EDGES = [0, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096]


def _tokens(record: Record) -> int | None:
    return int(record.meta["tokens"]) if "tokens" in record.meta else None


def complete(dropped: Iterable[Fate], train: Sequence[Record], validation: Sequence[Record]) -> list[Fate]:
    """Every input row's fate, in order of source and id. Copies of a record make one row with `times`."""
    out = list(dropped)
    for fate, records in (("trained", train), ("validation", validation)):
        times = Counter(x.id for x in records)
        firsts = {x.id: x for x in reversed(records)}
        for id, record in firsts.items():
            meta = record.meta
            out.append(
                Fate(
                    id,
                    meta.get("source", ""),
                    fate,  # type: ignore[arg-type]
                    times=times[id],
                    tokens=_tokens(record),
                    license=meta.get("license", ""),
                    origin=meta.get("origin", ""),
                    attribution=meta.get("attribution", ""),
                )
            )
    return sorted(out, key=lambda f: (f.source, f.id))


def write(path: Path, fates: Sequence[Fate]) -> None:
    """Parquet, one column a field of Fate."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [(n, pa.int64() if n in ("times", "tokens") else pa.string()) for n in Fate.__struct_fields__]
    )
    columns = {n: [getattr(f, n) for f in fates] for n in Fate.__struct_fields__}
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def read(path: Path) -> list[Fate]:
    """The rows of a ledger."""
    import pyarrow.parquet as pq

    return [msgspec.convert(row, Fate) for row in pq.read_table(path).to_pylist()]


def summary(
    fates: Sequence[Fate], train: Sequence[Record], validation: Sequence[Record], recipe: Recipe
) -> dict[str, Any]:
    """Counts for the report: rows by fate and reason, the mix asked and got, lengths."""
    by_fate = Counter(f.fate for f in fates)
    reasons = Counter((f.source, f.fate, f.by, f.reason) for f in fates if f.fate == "dropped")
    tokens = [t for x in (*train, *validation) if (t := _tokens(x)) is not None]
    names = ("source", "fate", "by", "reason")
    return {
        "rows": {
            "in": len(fates),
            **{fate: by_fate[fate] for fate in ("trained", "validation", "dropped")},
            "rejected": sum(f.by == "source" for f in fates),
            "by_reason": [dict(zip(names, k, strict=True)) | {"rows": n} for k, n in sorted(reasons.items())],
        },
        "mix": _mix(train, validation, recipe),
        "lengths": _lengths(tokens) if tokens else None,
    }


def _mix(train: Sequence[Record], validation: Sequence[Record], recipe: Recipe) -> dict[str, Any]:
    by = recipe.mix.by if recipe.mix else "source"
    unit = recipe.mix.unit if recipe.mix else "records"
    count, tokens = Counter[str](), Counter[str]()
    for record in (*train, *validation):
        name = key(record, by) or ""
        count[name] += 1
        tokens[name] += _tokens(record) or 0
    measured = tokens if unit == "tokens" else count
    total = sum(measured.values()) or 1
    asked = recipe.mix.weights if recipe.mix else {}
    shares = [
        {
            "name": n,
            "asked": asked.get(n),
            "got": measured[n] / total,
            "records": count[n],
            "tokens": tokens[n],
        }
        for n in sorted({*asked, *count})
    ]
    return {"by": by, "unit": unit, "shares": shares}


def _lengths(tokens: Sequence[int]) -> dict[str, list[int]]:
    edges = [e for e in EDGES if e <= max(tokens)] or [0]
    counts = [sum(a <= t < b for t in tokens) for a, b in zip(edges, [*edges[1:], 10**12], strict=True)]
    return {"edges": edges, "counts": counts}


def over_budget(rows: dict[str, Any], fail_if: FailIf) -> list[str]:
    """Which of the recipe's budgets are broken, in words."""
    out = []
    for name, budget in (("rejected", fail_if.rejected), ("dropped", fail_if.dropped)):
        if budget is None:
            continue
        match = re.match(r">\s*([0-9.]+)\s*(%?)", budget)
        assert match, budget
        # Rows that the mix had no need of are not lost, and rejected rows have a budget of their own.
        lost = (
            rows["rejected"]
            if name == "rejected"
            else sum(x["rows"] for x in rows["by_reason"] if x["by"] not in ("mix", "source"))
        )
        share = 100 * lost / rows["in"] if rows["in"] else 0.0
        if (share if match[2] else lost) > float(match[1]):
            out.append(
                f"fail_if.{name}: {lost:,} of {rows['in']:,} rows ({share:.1f}%) were {name}; the budget is {budget}"
            )
    return out
