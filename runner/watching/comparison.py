"""Runs side by side: what `recipe compare` says, and where their recipes differ, as `recipe diff` has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from runner.errors import MirepoixError, UsageError
from runner.watching import reading, runs

MOST = 6
"""Runs that are compared at once: each is another walk over all answers."""
VERSION = 1
_READ = ("plan.json", "recipe.yaml", "recipe.lock", "report.json")
_one = Lock()


def comparison(workspace: Path, named: Sequence[str]) -> dict[str, Any]:
    """What `recipe compare --json` gives, and in each pair `recipe`: the changes from the one's to the other's.

    A name is RUN or RUN:ARM. Raises UsageError where there is nothing to compare, in the words of that verb.
    """
    asked = list(dict.fromkeys(named))
    if len(asked) < 2:
        raise UsageError("choose two runs or more")
    if len(asked) > MOST:
        raise UsageError(f"choose {MOST} runs at most")
    states = []
    for name in asked:
        run = name.partition(":")[0]
        if runs.find(workspace, run) is None:
            raise UsageError(f"there is no run {run[:100]!r} here")
        found = tuple(reading.state(workspace, "runs", run, file) for file in _READ)
        if found[0] is None:
            raise UsageError(f"the run {run!r} has not come so far that it could be compared")
        states.append(found)
    with _one:  # a page that is asked for again and again makes one of it
        return _compared(workspace, tuple(asked), tuple(states))


@lru_cache(maxsize=8)
def _compared(workspace: Path, asked: tuple[str, ...], states: object) -> dict[str, Any]:
    from runner import comparing

    sides = [comparing.find(name, workspace) for name in asked]
    found = comparing.compare(sides)
    for pair, side in zip(found["pairs"], sides[1:], strict=True):
        pair["recipe"] = _recipes(workspace, sides[0].run, side.run)
    return found


def _recipes(workspace: Path, first: str, second: str) -> dict[str, Any]:
    """What changes from one run's recipe to the other's, or why that cannot be told."""
    if first == second:
        return {"changes": [], "problem": ""}
    from runner.diffing.changes import changes
    from runner.diffing.kept import of_run
    from runner.diffing.values import between
    from runner.workspace import Workspace

    place = Workspace(workspace.resolve())
    for run in (first, second):
        if reading.state(workspace, "runs", run, "recipe.yaml") is None:
            return {"changes": [], "problem": f"the run {run!r} kept no recipe"}
    try:
        a, b = (of_run(run, place) for run in (first, second))
    except MirepoixError as e:
        return {"changes": [], "problem": str(e)}
    found = []
    for one in changes(a.values, b.values):
        before, after = between(one.a, one.b)
        found.append({"group": one.group, "key": one.key, "kind": one.kind, "a": before, "b": after})
    return {"changes": found, "problem": ""}
