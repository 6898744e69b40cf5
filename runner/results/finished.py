"""A finished run, planned anew from the recipe and the lock that it left: for its replay, and for its export whole."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import locking
from runner.catalogue import run_folder
from runner.errors import UsageError
from runner.load import load_recipe
from runner.locking import RecipeLock
from runner.plan import plan as make_plan
from runner.steps import Plan
from runner.workspace import Workspace
from runner.yaml12 import decode, dump, parse

DATA = ("data/train.jsonl", "data/validation.jsonl", "ledger.parquet", "data-card.md")
"""What preparing leaves in `runs/NAME/`."""


@dataclass(frozen=True)
class Finished:
    """`root` is the workspace, resolved; `recipe` the effective one, whole in itself."""

    name: str
    root: Path
    lock: RecipeLock
    recipe: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.root / "runs" / self.name

    @property
    def again(self) -> str:
        return f"recipe run runs/{self.name}/recipe.yaml"

    def plan(self, place: Workspace) -> Plan:
        """The run's plan in a workspace that has its inputs. Raises RecipeError where one of them is not there."""
        with tempfile.TemporaryDirectory(prefix="mirepoix-") as scratch:
            path = Path(scratch, f"{self.name}.yaml")
            # Nothing is trained, so nobody is told of it.
            told = {k: v for k, v in self.recipe.items() if k != "track"}
            path.write_text(dump(told), encoding="utf-8")
            loaded = load_recipe(path, place)
        return make_plan(locking.pinned(loaded, self.lock), place)


def finished(name: str, workspace: Path) -> Finished:
    """The run of that name, its data prepared. Raises UsageError where there is none."""
    root = workspace.resolve()
    folder = run_folder(name, root)
    recipe, lock = folder / "recipe.yaml", folder / "recipe.lock"
    again = f"recipe run runs/{name}/recipe.yaml"
    if not recipe.is_file():
        what = f"the run {name!r} has no data: it was ended before they were made, so run its recipe again"
        raise UsageError(f"{what}; or it is no recipe's (`recipe evaluate`)")
    if not lock.is_file():
        raise UsageError(f"the run {name!r} did not come to its end, or is of an earlier version: {again}")
    said = parse(decode(recipe.read_bytes(), recipe.name), recipe.name).data
    if not isinstance(said, dict):
        raise UsageError(f"{recipe} is no recipe any more; put it back, or run the recipe again")
    whole = {k: v for k, v in said.items() if k != "extends"}
    return Finished(name, root, locking.read(lock, again), whole)
