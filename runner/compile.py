"""What a recipe compiles to, as files to read: the Axolotl config and one file for each data step."""

from __future__ import annotations

import json
from pathlib import Path

from runner import axolotl, hardware
from runner.steps import Plan
from runner.store import write_atomic
from runner.yaml12 import dump


def compile_to(plan: Plan, out: Path) -> list[str]:
    """Write `axolotl.yml` (for a recipe with a model) and `steps/NN-NAME.json`; the names written."""
    names = []
    recipe = plan.loaded.recipe
    if recipe.model:
        base = recipe.model.base
        paths = axolotl.Paths(
            "model" if base.startswith("embedded/") else base,
            "data/train.jsonl",
            "data/validation.jsonl" if recipe.split.validation else None,
            "prepared",
            "output",
        )
        bf16 = hardware.bf16(plan.profile)
        config = axolotl.config(recipe, plan.profile, paths, plan.template, bf16=bf16)
        write_atomic(out / "axolotl.yml", dump(config).encode())
        names.append("axolotl.yml")
    steps = [s for s in plan.steps if s.stage == "prepare"]
    for n, step in enumerate(steps, 1):
        name = f"steps/{n:02d}-{step.name}.json"
        body = {"step": step.name, "fingerprint": step.fingerprint, "ingredients": step.ingredients}
        write_atomic(out / name, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode())
        names.append(name)
    return names
