"""What a run writes, in bytes: prepared rows, checkpoints, adapter, merged model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.forecast.memory import compute_bytes, optimizer_bytes
from runner.forecast.parameters import Trained
from runner.forecast.shapes import Shape

TOKEN = 13
"""Bytes a token of prepared rows: id and mask and label, 4 + 1 + 8."""
POSITION = 8
"""Its position, with packing."""
ASIDE = 8 << 20
"""What lies beside the weights in a checkpoint: tokenizer, configs, the trainer's state."""


def disk(
    shape: Shape | None,
    what: Trained | None,
    config: Mapping[str, Any],
    tokens: int | None,
    steps: int | None,
) -> dict[str, int]:
    """Bytes by kind; `None` where rows or parameters are not known leaves out what hangs on them."""
    out: dict[str, float] = {}
    if tokens is not None:  # made by `preprocess`, and copied for the training
        out["prepared"] = 2 * tokens * (TOKEN + (POSITION if config.get("sample_packing") else 0))
    if shape is not None and what is not None:
        own = compute_bytes(config) if what.full else 4
        weights = what.parameters * own
        kept = int(config.get("save_total_limit") or 1) + 1  # the new one is written before an old one goes
        every = config.get("save_steps")
        if steps is not None and isinstance(every, int) and every > 0:
            kept = min(kept, steps // every + 1)
        out["checkpoints"] = kept * (weights + what.parameters * optimizer_bytes(config, own) + ASIDE)
        out["adapter" if not what.full else "model"] = 2 * weights  # the trainer's, and the artifact
        if not what.full:
            out["merged"] = 2 * shape.parameters
    return {name: round(n) for name, n in out.items()}
