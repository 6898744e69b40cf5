"""What a training took of its machine, out of its log: time, speed, memory of the GPU. Never part of an artifact.

The log may be a stranger's: numbers are all that is read from it. Their names are those of Transformers' trainer and of
Axolotl 0.19 (`axolotl/utils/callbacks`, `axolotl/core/trainers/base.py`).
"""

from __future__ import annotations

import math
import re
from typing import Any

from runner.shown import finite

_LOGGED = re.compile(rb"\{'loss': [^{}\n]*\}")
_TOOK = re.compile(rb"'train_runtime': '?([\d.]+)")
_PAIR = re.compile(rb"'([\w/ ()]+)': '?([-+.\w]+)'?")
_NAMES = {
    "tokens_per_second": "tokens/train_per_sec_per_gpu",
    "memory": "memory/device_reserved (GiB)",
}
GIB = 1 << 30
NEAR = 0.01
"""A log rounds to four digits; a loss that is further off is another training's."""


def read(log: bytes, training: dict[str, Any] | None) -> dict[str, Any]:
    """`seconds` and `memory` (bytes) as `taken`, and `curve` by step; empty where the log is not this training's.

    Of a training that was stopped and went on, the log has steps twice: its time is then not known.
    """
    steps = (training or {}).get("steps") or []
    logged = [
        {key: value for key, value in numbers(found[0]).items() if value is not None}
        for found in _LOGGED.finditer(log)
    ]
    # Of a step that was done again, the last try.
    at = {one["epoch"]: one for one in logged if "epoch" in one}
    told = [at.get(_rounded(step.get("epoch"))) for step in steps]
    if not steps or not all(one and _same(one, step) for one, step in zip(told, steps, strict=True)):
        return {}
    curve = []
    for one, step in zip(told, steps, strict=True):
        assert one is not None
        known = {name: one[key] for name, key in _NAMES.items() if one.get(key)}
        curve.append({"step": step.get("step"), **known})
    out: dict[str, Any] = {"curve": curve}
    if peak := max((x.get("memory", 0.0) for x in curve), default=0.0):
        out["memory"] = {"taken": peak * GIB}
    took = _TOOK.findall(log)
    if len(logged) == len(steps) and len(took) == 1 and (seconds := _number(took[0])) is not None:
        out["seconds"] = {"taken": seconds}
    return out


def _rounded(epoch: Any) -> float:
    """An epoch as the trainer writes it into its log."""
    found = finite(epoch)
    return math.nan if found is None else float(f"{found:.4g}")


def _same(logged: dict[str, float], step: dict[str, Any]) -> bool:
    one, other = logged.get("loss"), finite(step.get("loss"))
    return one is not None and other is not None and math.isclose(one, other, rel_tol=NEAR, abs_tol=1e-3)


def numbers(raw: bytes) -> dict[str, float | None]:
    """What the trainer logs as a dict, by name; None for what is no finite number."""
    return {key.decode(): _number(value) for key, value in _PAIR.findall(raw)}


def _number(raw: bytes) -> float | None:
    try:
        return finite(float(raw))
    except ValueError:
        return None
