"""How long a training has not got better, by the trainer's own log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def in_vain(log: Iterable[dict[str, Any]]) -> int:
    """How many evaluations have passed, at the end of a trainer's log, since the one with the lowest loss.

    A step counts once, however often it was evaluated; step 0, before any training, does not.
    """
    losses: dict[int, float] = {}
    for entry in log:
        if "eval_loss" in entry and entry["step"]:
            losses.setdefault(entry["step"], entry["eval_loss"])
    best, since = float("inf"), 0
    for step in sorted(losses):
        best, since = (losses[step], 0) if losses[step] < best else (best, since + 1)
    return since
