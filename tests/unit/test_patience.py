"""Patience is counted from the trainer's log, so that it is the same after a kill."""

from __future__ import annotations

from typing import Any

import pytest

from runner.jobs.patience import in_vain


def log(*losses: tuple[int, float]) -> list[dict[str, Any]]:
    return [
        x for step, loss in losses for x in ({"step": step, "loss": 1.0}, {"step": step, "eval_loss": loss})
    ]


@pytest.mark.parametrize(
    ("losses", "count"),
    [
        ((), 0),
        (((0, 1.0),), 0),
        (((0, 1.0), (5, 2.0)), 0),  # before training is no better checkpoint
        (((5, 2.0), (10, 1.0), (15, 1.0)), 1),
        (((5, 2.0), (10, 3.0), (15, 4.0), (20, 1.9)), 0),
        (((5, 2.0), (10, 3.0), (15, 4.0)), 2),
        (((5, 2.0), (10, 3.0), (10, 3.0), (10, 1.0), (15, 4.0)), 2),  # said again at each restart
        (((5, float("nan")), (10, 2.0), (15, float("nan"))), 1),
    ],
)
def test_in_vain(losses: tuple[tuple[int, float], ...], count: int) -> None:
    assert in_vain(log(*losses)) == count
