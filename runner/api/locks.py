"""What a recipe's outcome hangs on: its lock, whether that holds, and a run made again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.api.common import Name, settings_of, shown, told
from runner.api.plans import Profile
from runner.api.recipes import Recipe, Trust, loaded
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.locking import Drift, RecipeLock
    from runner.replaying import Replay
    from runner.steps import Plan as Planned

Progress = bool | Callable[..., None]


@dataclass(frozen=True)
class Locked:
    """A lock that was written: how much it names, and whether it was `changed` by that."""

    path: Path
    changed: bool
    files: int
    items: int
    packages: int


@dataclass(frozen=True)
class Held:
    """Whether all is as it was locked: `drift` is what is not. `raise_` raises that as the error that a run would."""

    path: Path
    drift: list[Drift]
    planned: Planned
    again: str

    def raise_(self) -> None:
        """Raises Drifted, a RecipeError, where anything is not as it was locked."""
        from runner.locking import Drifted

        if self.drift:
            raise Drifted(self.drift, self.planned, shown(self.path), self.again, undone="")


@told
def lock(
    recipe: Recipe | Name,
    *,
    profile: Profile | None = None,
    workspace: Name = ".",
    trust: Collection[Trust] = (),
) -> Locked:
    """Write NAME.lock beside a recipe: all that its outcome hangs on, by content and version.

    Raises UsageError where something is still to be fetched: that cannot be locked.
    """
    from runner import locking
    from runner.plan import plan
    from runner.store import Store

    path, _ = _place(recipe, workspace)
    known = loaded(recipe, workspace, trust)
    planned, store = plan(known.loaded, known.place, profile), Store(known.workspace)
    if missing := locking.unknown(planned, store):
        first = f"fetch that first: recipe run {known.path} --to prepare"
        raise UsageError(f"not known yet: {', '.join(missing)}; {first}")
    made = locking.facts(planned, store)
    changed = locking.write(path, made, known.workspace)
    return Locked(path, changed, *_counted(made))


def _counted(made: RecipeLock) -> tuple[int, int, int]:
    files = sum(len(part.files) for part in made.stages.values())
    items = sum(len(f.items) for f in made.fetched.values())
    return files, items, len({name for part in made.stages.values() for name in part.packages})


@told
def check_lock(
    recipe: Recipe | Name,
    *,
    profile: Profile | None = None,
    workspace: Name = ".",
    trust: Collection[Trust] = (),
) -> Held:
    """What is not as a recipe's lock says. Writes nothing. Raises UsageError where there is no lock."""
    from runner import locking
    from runner.plan import plan
    from runner.store import Store

    path, again = _place(recipe, workspace)
    before = locking.read(path, again)
    known = loaded(recipe, workspace, trust)
    planned = plan(locking.pinned(known.loaded, before), known.place, profile)
    return Held(path, locking.drifts(before, planned, Store(known.workspace)), planned, again)


def _place(recipe: Recipe | Name, workspace: Name) -> tuple[Path, str]:
    """Where a recipe's lock lies, and the command that writes it."""
    from runner import locking

    named = recipe.path if isinstance(recipe, Recipe) else Path(recipe)
    folder = recipe.folder if isinstance(recipe, Recipe) else Path(workspace)
    return locking.beside(named, folder), f"recipe lock {named}"


@told
def replay(
    run: str,
    *,
    compare: bool = True,
    verdict: bool = False,
    progress: Progress = False,
    allow: Collection[str] = (),
    workspace: Name = ".",
    trust: Collection[Trust] = (),
) -> Replay:
    """Make the data of a finished run again from its raw inputs, beside it, and compare them byte for byte.

    With `verdict`, what was trained is judged again, too, and numbers are compared within their error. `.same` says
    whether all is. Raises UsageError for what cannot be made again, and what a run raises.
    """
    from contextlib import ExitStack

    from runner.api.running import told_of
    from runner.replaying import replay as again
    from runner.results.finished import finished

    if verdict and not compare:
        raise UsageError("--verdict compares, --no-verify does not: say one of them")
    of = finished(run, Path(workspace))
    with ExitStack() as stack:
        return again(
            of,
            settings_of(allow),
            verdict=verdict,
            compare=compare,
            trust=frozenset(trust),
            shows=lambda planned: stack.enter_context(told_of(planned, progress)),
        )
