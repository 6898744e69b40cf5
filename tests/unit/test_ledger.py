"""The ledger: one row for every input row, and budgets over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import ledger
from runner.recipe import FailIf
from runner.record import Fate, Message, Record

SAID = [Message("user", "q"), Message("assistant", "a")]


def record(source: str, n: int, **meta: str) -> Record:
    return Record(SAID, meta={"source": source, "id": f"{source}/{n}", "license": "CC0-1.0"} | meta)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["t", "v", "d"]), st.integers(1, 4)), max_size=40
    )
)
def test_every_row_stands_there_exactly_once(rows: list[tuple[str, str, int]]) -> None:
    train, validation, dropped = [], [], []
    for n, (source, fate, times) in enumerate(rows):
        if fate == "d":
            dropped.append(Fate(f"{source}/{n}", source, "dropped", "filters[0].words", "too few words"))
        elif fate == "t":
            train += [record(source, n, tokens="7", **({"copy": str(c)} if c else {})) for c in range(times)]
        else:
            validation.append(record(source, n))
    fates = ledger.complete(dropped, train, validation)
    assert [f.id for f in fates] == [
        i for _, i in sorted((s, f"{s}/{n}") for n, (s, _, _) in enumerate(rows))
    ]
    by_id = {f.id: f for f in fates}
    for n, (source, fate, times) in enumerate(rows):
        row = by_id[f"{source}/{n}"]
        assert row.fate == {"t": "trained", "v": "validation", "d": "dropped"}[fate]
        assert row.times == (times if fate == "t" else 1)
        assert row.tokens == (7 if fate == "t" else None)


def test_parquet_gives_back_what_was_written(tmp_path: Path) -> None:
    fates = [
        Fate("a/1", "a", "trained", times=3, tokens=12, license="CC0-1.0", origin="a.jsonl:1"),
        Fate("a/2", "a", "dropped", "dedup.near", "near duplicate", of="a/1"),
        Fate("b/ü\u202e", "b", "validation"),
    ]
    ledger.write(tmp_path / "l.parquet", fates)
    assert ledger.read(tmp_path / "l.parquet") == fates
    ledger.write(tmp_path / "none.parquet", [])
    assert ledger.read(tmp_path / "none.parquet") == []


def rows(total: int, rejected: int, filtered: int, unneeded: int) -> dict[str, Any]:
    parts = [("source", rejected), ("filters[0].words", filtered), ("mix", unneeded)]
    return {
        "in": total,
        "rejected": rejected,
        "by_reason": [
            {"source": "a", "fate": "dropped", "by": b, "reason": "r", "rows": n} for b, n in parts
        ],
    }


@pytest.mark.parametrize(
    ("budget", "counts", "broken"),
    [
        ({"rejected": ">0"}, (10, 0, 9, 1), []),
        (
            {"rejected": ">0"},
            (10, 1, 0, 0),
            ["fail_if.rejected: 1 of 10 rows (10.0%) were rejected; the budget is >0"],
        ),
        ({"rejected": ">10%"}, (10, 1, 0, 0), []),
        ({"dropped": "> 20 %"}, (10, 0, 2, 8), []),
        (
            {"dropped": ">20%"},
            (1000, 0, 201, 700),
            ["fail_if.dropped: 201 of 1,000 rows (20.1%) were dropped; the budget is >20%"],
        ),
        ({"dropped": ">2"}, (10, 5, 2, 3), []),
        ({"dropped": ">2.5"}, (10, 5, 3, 2), ["fail_if.dropped: 3 of 10 rows (30.0%) were dropped; "]),
        ({"dropped": ">0%", "rejected": ">0%"}, (0, 0, 0, 0), []),
        ({}, (10, 10, 0, 0), []),
    ],
)
def test_budgets(budget: dict[str, str], counts: tuple[int, int, int, int], broken: list[str]) -> None:
    said = ledger.over_budget(rows(*counts), FailIf(**budget))
    assert len(said) == len(broken)
    assert all(s.startswith(b) for s, b in zip(said, broken, strict=True))
