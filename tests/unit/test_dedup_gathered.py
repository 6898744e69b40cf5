"""runner/dedup/gathered.py: the same as a set, and no number is sorted once for each time that some come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runner.dedup import gathered


def test_it_is_a_set_in_order() -> None:
    dice = np.random.default_rng(3)
    found, all_of_them = gathered.Gathered(), set[int]()
    for many in (0, 1, 5, 400, 0, 2000, 30):
        some = dice.integers(1000, size=many, dtype=np.uint64)
        found.add(some)
        all_of_them |= set(some.tolist())
        if many == 400:
            assert found.whole().tolist() == sorted(all_of_them)
    assert found.whole().tolist() == sorted(all_of_them) and found.whole().dtype == np.uint64
    assert gathered.Gathered().whole().tolist() == []


def test_what_is_sorted_does_not_grow_with_how_often_some_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers again and again, as near-identical rows meet in every band: 200 times 100 of 20,000."""
    monkeypatch.setattr(gathered, "_LEAST", 64)
    sorted_ = []
    unique = np.unique

    def counted(numbers: Any) -> Any:
        sorted_.append(len(numbers))
        return unique(numbers)

    monkeypatch.setattr(gathered.np, "unique", counted)
    found = gathered.Gathered()
    for n in range(200):
        found.add(np.arange(100 * n, 100 * n + 100, dtype=np.uint64))
    for _ in range(5):
        found.add(np.arange(20_000, dtype=np.uint64))
    assert len(found.whole()) == 20_000
    assert sum(sorted_) < 6 * 120_000, "a merge each time sorts 2,000,000"
