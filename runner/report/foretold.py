"""The forecast beside what came of it: what `recipe plan` says once prepare has run, and what the training took.

Nothing that a clock or this machine decides is in here: a run has that in its logs (see `page.measured`).
"""

from __future__ import annotations

from typing import Any

from runner.forecast import lengths, made
from runner.making import Making


def foretold(
    m: Making, proof: dict[str, Any] | None, training: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Rows, tokens, steps, parameters; memory in bytes, foretold only. None without a model, or before it trained."""
    recipe = m.plan.loaded.recipe
    if recipe.model is None or training is None:
        return None
    counted = lengths.counted(m.plan)
    whole = made.make(recipe, m.plan.profile, m.plan.template, made.shape_of(m.plan), counted)
    proved = proof or {}
    steps = training["steps"][-1]["step"] if training["steps"] else None
    rows = tokens = None
    if counted:
        rows = len(counted.train) + len(counted.validation)
        tokens = sum(counted.train) + sum(counted.validation)
    return {
        "rows": {"foretold": rows, "taken": proved.get("records")},
        "tokens": {"foretold": tokens, "taken": proved.get("tokens")},
        "steps": {
            "foretold": whole.steps.steps if whole.steps else None,
            "taken": steps,
            "exact": bool(whole.epoch and whole.epoch.exact and not recipe.train.early_stopping),
        },
        "parameters": {
            "foretold": whole.what.parameters if whole.what else None,
            "taken": training["trainable_parameters"],
        },
        "memory": {"foretold": whole.memory.total if whole.memory else None, "taken": None},
    }
