"""A run as a side: its recipe, its lock and what its steps were made of, as it kept them. Nothing is planned anew, so
files that have changed since, or are gone, change nothing of what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, cast

import msgspec

from runner import library, locking, paths
from runner.catalogue import run_folder
from runner.diffing.effective import effective
from runner.diffing.sides import Side
from runner.errors import NeedsTrust, UsageError
from runner.hardware import Profile, profile
from runner.load import read, shaped
from runner.locking import RecipeLock
from runner.steps import STAGES, Plan, Stage, Step
from runner.store import digest
from runner.suite import Suite
from runner.unchanged import digested
from runner.workspace import Workspace

_STAGES: dict[str, Stage] = {
    "askable": "train", "rows": "train", "preprocess": "train", "proof": "train", "contaminated": "train",
    "train": "train", "generate": "evaluate", "judge": "evaluate", "lm_eval": "evaluate",
    "perplexity": "evaluate", "report": "report",
}  # fmt: skip
"""Stages of kinds of steps; all others are of prepare."""


def of_run(name: str, workspace: Workspace) -> Side:
    """What the run NAME kept. Raises UsageError where that is none of a recipe, or cannot be read."""
    folder = run_folder(name, workspace.root)
    kept = folder / "recipe.yaml"
    again = f"recipe run runs/{name}/recipe.yaml"
    if not kept.is_file():
        raise UsageError(f"the run {name!r} kept no recipe: it did not come so far, or is no recipe's")
    try:
        said = paths.read_json(folder / "plan.json")
        made = {n: x for n, x in said.items() if isinstance(x, dict) and "step" in x}
        steps = _in_order([_step(n, x) for n, x in made.items()])
        report = made.get("report", {})
        suites = msgspec.convert(report.get("suites", []), list[Suite])
        machine = report.get("profile")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):  # msgspec's errors are ValueErrors
        raise UsageError(f"runs/{name}/plan.json cannot be read; {again}") from None
    loaded = shaped(read(kept), suites)
    lock: RecipeLock | None = None
    if (folder / "recipe.lock").is_file():
        lock = locking.read(folder / "recipe.lock", again)
    wanted = cast(Profile, machine) if machine in ("cpu", "gpu") else profile(loaded.recipe.compute.profile)
    pinned = locking.pinned(loaded, lock) if lock else loaded
    plan = Plan(pinned, workspace, wanted, tuple(steps), None)
    return Side(
        f"run {name}",
        "run",
        effective(loaded, {}, f"runs/{name}/plan.json"),
        plan,
        lock,
        lambda name, sha256: _still(name, sha256, workspace),
        {n: f.request for n, f in lock.fetched.items()} if lock else {},
        () if lock else (f"the run {name} did not come to its end: it has no versions to compare",),
    )


def _step(name: str, ingredients: dict[str, Any]) -> Step:
    kind = str(ingredients["step"])
    needs = msgspec.convert(ingredients["needs"], dict[str, str])
    return Step(name, kind, _STAGES.get(kind, "prepare"), tuple(needs), ingredients, digest(ingredients))


def _in_order(steps: Sequence[Step]) -> list[Step]:
    """Stage by stage, each after what it needs."""
    known = {s.name: s for s in steps}
    try:
        order = [
            *TopologicalSorter(
                {n: [x for x in s.needs if x in known] for n, s in known.items()}
            ).static_order()
        ]
    except CycleError:
        raise ValueError("steps need one another") from None
    return sorted((known[n] for n in order), key=lambda s: STAGES.index(s.stage))


def _still(name: str, sha256: str, workspace: Workspace) -> Path | None:
    """Where a file lies whose bytes are still those; None where it is gone or another one by now."""
    try:
        path = workspace.find(name) or library.find(name)
        there = path is not None and path.is_file() and digested(name, path).sha256 == sha256
    except (OSError, NeedsTrust):
        return None
    return path if there else None
