"""The ledger: one row for every input row, and budgets over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner import ledger
from runner.recipe import FailIf
from runner.record import Fate


def test_parquet_gives_back_what_was_written(tmp_path: Path) -> None:
    fates = [
        Fate("a/1", "a", "trained", times=3, tokens=12, license="CC0-1.0", origin="a.jsonl:1"),
        Fate("a/2", "a", "dropped", "dedup.near", "near duplicate", of="a/1"),
        Fate("b/ü\u202e", "b", "validation", edits="normalize: 2 quotes"),
    ]
    ledger.write(tmp_path / "l.parquet", fates)
    assert ledger.read(tmp_path / "l.parquet") == fates
    ledger.write(tmp_path / "none.parquet", [])
    assert ledger.read(tmp_path / "none.parquet") == []


def test_budgets_of_a_filter_and_of_a_source() -> None:
    reasons = [
        ("a", "source", "rejected: not JSON", 2),
        ("a", "filters[0].words", "too few words", 3),
        ("a", "filters[2].words", "too many words", 1),
        ("b", "filters[1].pii", "the filter failed on it: ValueError", 1),
        ("b", "dedup.near", "near duplicate", 4),
        ("b", "mix", "not needed for the weights", 9),
    ]
    counts = {
        "in": 40,
        "rejected": 3,
        "by_source": [{"source": "a", "in": 10, "rejected": 2}, {"source": "b", "in": 30, "rejected": 1}],
        "by_reason": [
            {"source": s, "fate": "dropped", "by": b, "reason": r, "rows": n} for s, b, r, n in reasons
        ],
    }

    def said(**budgets: Any) -> list[str]:
        return ledger.over_budget(counts, FailIf(**budgets))

    assert said(rejected=">3", dropped=">8") == []
    assert said(dropped=">7") == ["fail_if.dropped: 8 of 40 rows (20.0%) were dropped; the budget is >7"]
    assert said(by={"words": ">4", "dedup": ">4", "pii": ">1"}, sources={"a": ">6", "b": ">5"}) == []
    assert said(by={"words": ">9%", "dedup": ">3"}, sources={"a": ">50%", "b": ">16%"}) == [
        "fail_if.by.words: 4 of 40 rows (10.0%) were dropped by words; the budget is >9%",
        "fail_if.by.dedup: 4 of 40 rows (10.0%) were dropped by dedup; the budget is >3",
        "fail_if.sources.a: 6 of 10 rows (60.0%) were lost; the budget is >50%",
        "fail_if.sources.b: 5 of 30 rows (16.7%) were lost; the budget is >16%",
    ]


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
