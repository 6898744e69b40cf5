"""The two things that are compared: a recipe file, the same at a revision of git, or what a run kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner import library, locking
from runner.diffing.effective import Effective, effective
from runner.errors import MirepoixError, NeedsTrust, Problem, RecipeError, UsageError
from runner.extending import with_parents
from runner.hardware import Profile, profile
from runner.load import Loaded, load_recipe, load_suite, read, shaped
from runner.locking import RecipeLock
from runner.plan import plan as make_plan
from runner.steps import Plan
from runner.store import Store, digest
from runner.suite import Suite
from runner.unchanged import inputs
from runner.workspace import Workspace
from runner.yaml12 import Yaml

Kind = Literal["file", "revision", "run", "pack"]


@dataclass(frozen=True)
class Side:
    """One of the two. `lock` is None for a run that did not come to its end; `bytes_of` says where the bytes of
    an input lie, by its name and sha256, if they do; `requests` are the digests of what sources ask of the network."""

    label: str
    kind: Kind
    values: Effective
    plan: Plan
    lock: RecipeLock | None
    bytes_of: Callable[[str, str], Path | None]
    requests: Mapping[str, str]
    notes: tuple[str, ...] = ()
    home: str = ""
    """With what the names of its files begin, where they lie in a revision or a pack."""

    @property
    def planned(self) -> bool:
        """Whether its steps are known: not where data that it names are not here."""
        return bool(self.plan.steps)

    @property
    def steps(self) -> dict[str, str]:
        """The fingerprints of its steps."""
        return {s.name: s.fingerprint for s in self.plan.steps}


def of_file(
    path: Path, workspace: Workspace, wanted: Profile | None, label: str, kind: Kind = "file"
) -> Side:
    """A recipe as it stands, checked and planned; where nothing is wrong but that files are not here, checked only.

    Raises RecipeError, UsageError, NeedsTrust.
    """
    try:
        loaded = load_recipe(path, workspace)
    except RecipeError as e:
        if not all(p.what.startswith("no file ") for p in e.problems):
            raise
        return _unplanned(path, workspace, wanted, label, kind, e.problems)
    plan = make_plan(loaded, workspace, wanted)
    details = [s.details for s in plan.steps] + [f.files for f in plan.fetches]
    found = [*(f for d in details for f in inputs(d)), *plan.weights]
    known = {(f.name, f.sha256): f.path for f in found}
    return Side(
        label,
        kind,
        _values(loaded, workspace),
        plan,
        locking.facts(plan, Store(workspace.root)),
        lambda name, sha256: known.get((name, sha256)),
        {f.source.name: digest(f.request) for f in plan.fetches},
    )


def _unplanned(
    path: Path, workspace: Workspace, wanted: Profile | None, label: str, kind: Kind, gone: list[Problem]
) -> Side:
    """A recipe whose data are not here: its values, and why no more is known of it."""
    doc = with_parents(path, workspace)
    evaluate = doc.data.get("evaluate") or {}
    loaded = shaped(doc, [load_suite(name, workspace) for name in evaluate.get("suites", ())])
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    note = (
        f"{label}: {gone[0].where}: {gone[0].what}{more}; so values are compared, but no steps and forecasts"
    )
    plan = Plan(loaded, workspace, wanted or profile(loaded.recipe.compute.profile), (), None)
    return Side(label, kind, _values(loaded, workspace), plan, None, lambda *_: None, {}, (note,))


def _values(loaded: Loaded, workspace: Workspace) -> Effective:
    documents = {s.common.name: doc for s in loaded.suites if (doc := _document(s, workspace)) is not None}
    return effective(loaded, documents)


def _document(suite: Suite, workspace: Workspace) -> Yaml | None:
    path = workspace.find(f"evals/suites/{suite.common.name}.yaml")
    return read(path) if path else None


def recipe_file(name: str) -> Path | None:
    """The recipe file that a name means, as `check` takes it: one that is there, or a shipped one."""
    found = library.recipe(Path(name))
    return found if found and found.is_file() else None


def together(*wrong: MirepoixError) -> MirepoixError:
    """The errors of both sides as one: all problems, or all that was said, with the higher exit code."""
    for placed in (RecipeError, NeedsTrust):
        problems = [p for e in wrong if isinstance(e, placed) for p in e.problems]
        if problems and all(isinstance(e, placed) and e.problems for e in wrong):
            return placed(list(dict.fromkeys(problems)))
    if len(wrong) == 1:
        return wrong[0]
    kind = NeedsTrust if any(isinstance(e, NeedsTrust) for e in wrong) else UsageError
    return kind("\n".join(dict.fromkeys(map(str, wrong))))
