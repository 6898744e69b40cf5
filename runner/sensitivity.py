"""What the suites of a plan will be able to see: the smallest difference that so many prompts show, before the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from runner import stats
from runner.errors import RecipeError
from runner.probechecks import Counted, counted
from runner.steps import Plan
from runner.suite import Suite
from runner.workspace import Workspace
from runner.yaml12 import decode, parse


class Sees(Struct, frozen=True):
    """Of pass and fail, at worst: true differences from these on would show in four of five runs.

    At worst means rates near one half and, between arms, answers that have nothing to do with each other; prompts of
    one family count once. Where few answers change, far smaller differences show: the report says which.
    """

    suite: str
    what: str  # "" for its probes, else the task, or the group of probes
    prompts: int
    families: int
    between_arms: float
    from_number: float


def sensitivity(plan: Plan) -> list[Sees]:
    """One for the probes of each suite, or for each group of them that metrics are of (calls wanted, none wanted), and
    one for each task whose documents lie here."""
    if plan.loaded.recipe.model is None:
        return []
    return [one for suite in plan.loaded.suites for one in _of(suite, plan.workspace)]


def _of(suite: Suite, workspace: Workspace) -> Iterator[Sees]:
    common = suite.common
    probes = counted(suite, workspace)
    groups = list(dict.fromkeys(p.wanted.group for p in probes))
    shared = [m for m in _metrics(probes) if all(p.wanted.counts(m) for p in probes)]
    if len(groups) == 1 or shared:
        yield _sees(common.name, "", len(probes), len({p.family for p in probes}))
    for group in groups if len(groups) > 1 else ():
        some = [p for p in probes if p.wanted.group == group]
        yield _sees(common.name, group, len(some), len({p.family for p in some}))
    for task in common.lm_eval.tasks if common.lm_eval else []:
        if (n := documents(suite, task, workspace)) is not None:
            yield _sees(common.name, task, n, n)


def _metrics(probes: list[Counted]) -> set[str]:
    """Those that are of some probes only; how many answers were cut off is a note, and no reason for a line."""
    return set().union(*(p.wanted.metrics or () for p in probes)) - {"truncated"}


def documents(suite: Suite, task: str, workspace: Workspace) -> int | None:
    """How many documents of a task a suite asks; None where nobody knows before the run."""
    limit = suite.common.lm_eval.limit if suite.common.lm_eval else None
    n = _documents(task, workspace)
    return None if n is None else min(n, limit or n)


def _sees(suite: str, what: str, prompts: int, families: int) -> Sees:
    # Where all are of one family, it is what is spoken of, as in runner/stats.
    worth = max(families if families > 1 else prompts, 1)
    return Sees(
        suite,
        what,
        prompts,
        families,
        stats.foreseen(worth, paired=True),
        stats.foreseen(worth, paired=False),
    )


def _documents(task: str, workspace: Workspace) -> int | None:
    """How many documents of a task are asked; None where they are not lines of JSON beside it."""
    for name, path in workspace.named("evals", f"tasks/{task}.yaml").items():
        try:
            data: Any = parse(decode(path.read_bytes(), name), name).data
            split = data.get("test_split") or data.get("validation_split")
            file = data["dataset_kwargs"]["data_files"][split]
        except (RecipeError, OSError, KeyError, TypeError, AttributeError):
            return None
        if not isinstance(file, str) or not file.endswith((".jsonl", ".ndjson")):
            return None
        for found in workspace.named("evals", f"tasks/{Path(file).name}").values():
            return sum(bool(line.strip()) for line in found.read_bytes().splitlines())
    return None


def lines(seen: list[Sees]) -> list[str]:
    """The same as text: a line each, and what it means."""
    if not seen:
        return []
    names = [f"{s.suite} {s.what}".rstrip() for s in seen]
    width = max(map(len, names))
    out = ["what the suites can see of pass and fail, at worst:"]
    for name, s in zip(names, seen, strict=True):
        many = f"{s.prompts:,} prompts" + (f" in {s.families:,} families" if s.families < s.prompts else "")
        out.append(
            f"  {name:<{width}}  {many:<12}  {100 * s.between_arms:.0f} points between arms, "
            f"{100 * s.from_number:.0f} from a number"
        )
    return [
        *out,
        "  (true differences that four of five runs would show; smaller ones where few answers change)",
    ]
