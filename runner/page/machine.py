"""What a run took of its machine, beside what was foretold: only ever from its logs, never from an artifact. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner import shown
from runner.shown import finite

_ROWS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("rows", "Rows", shown.count),
    ("tokens", "Tokens", shown.count),
    ("steps", "Steps", shown.count),
    ("parameters", "Trained parameters", shown.count),
    ("memory", "Memory at its peak", shown.memory),
    ("seconds", "Time of the training", shown.duration),
)


def of(report: dict[str, Any]) -> dict[str, Any]:
    """`table`: what was foretold, what it took, how far off; `steps`: speed and memory, where a log has them."""
    foretold, measured = report.get("forecast") or {}, report.get("measured") or {}
    table = []
    for key, name, write in _ROWS:
        one = {**(foretold.get(key) or {}), **(measured.get(key) or {})}
        said, took = finite(one.get("foretold")), finite(one.get("taken"))
        if said is None and took is None:
            continue
        off = "" if said is None or not took else _off(said, took)
        table.append(
            {
                "name": name,
                "foretold": write(said),
                "taken": write(took),
                "off": off,
                "took": took is not None,
            }
        )
    return {"table": table, "steps": measured.get("curve") or []}


def _off(said: float, took: float) -> str:
    """How far the forecast was off, as a part of what it took."""
    if said == took:
        return "exact"
    text = f"{100 * (said - took) / took:+.1f}%".replace("-", shown.MINUS)
    return text if abs(said - took) / took >= 5e-4 else "under 0.1%"
