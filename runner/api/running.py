"""Running a recipe: what the verb `run` does, without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from runner.api.common import Name, chosen, enough_memory, settings_of, shown, told
from runner.api.plans import Plan, Profile
from runner.api.recipes import Recipe, Trust, load
from runner.api.runs import Run
from runner.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from runner.locking import Held
    from runner.recipe.running import Engine
    from runner.run import Outcome
    from runner.stepping import Event, Tell
    from runner.steps import Plan as Planned

Stage = Literal["prepare", "train", "evaluate", "report"]
Refresh = Literal["none", "failed", "all"]
Progress = bool | Callable[["Event"], None]
"""True: lines (on a terminal, a bar) on stderr. A function is called with each event: `.what` is starts, progress,
made, waits or kept, gets, got, sends, sent or notes (of the artifact store), of the step `.step` of `.stage`; `.why` in
words, `.done` of `.of` where that is counted. It is "engine" once it is known on what cluster the work is done, which
`.why` says."""


@told
def run(
    recipe: Recipe | Plan | Name,
    *,
    to: Stage = "report",
    progress: Progress = False,
    locked: bool = False,
    refresh: Refresh = "none",
    allow: Collection[str] = (),
    profile: Profile | None = None,
    workspace: Name = ".",
    trust: Collection[Trust] = (),
    engine: Engine | None = None,
    address: str | None = None,
) -> Run:
    """Run a recipe up to a stage. What is made already is not made again.

    `progress` says how it gets on; without it nothing is printed. `locked` refuses to run what is not as its lock says,
    `refresh` asks again for what was fetched before (`failed`: for what could not be had). `allow` are addresses
    (`HOST:PORT`) that may be fetched from although they are not public. `workspace` and `trust` are for a recipe that
    is named by its file. `engine` says where its work is done, whatever the recipe says; `address` is the `HOST:PORT`
    of a Ray cluster that is there: without one, the engine `ray` starts one for the run.

    A gate that fails is no error: `Run.verdict` says so. Raises RecipeError, UsageError and NeedsTrust before anything
    is done; StepError, with `log`, where a step failed; Locked where the same run is at work already. KeyboardInterrupt
    ends all child processes on its way up; run it again to go on from there.
    """
    from runner.recipe.running import Engine

    for what, said, of in (
        ("to", to, Stage),
        ("refresh", refresh, Refresh),
        ("profile", profile, Profile),
        ("engine", engine, Engine),
    ):
        chosen(what, said, get_args(of))
    if locked and refresh != "none":
        raise UsageError("--locked takes what was locked, --refresh what there is now: say one of them")
    if isinstance(recipe, Plan):
        profile = profile or recipe.planned.profile
    named = recipe.recipe if isinstance(recipe, Plan) else recipe
    if locked:
        planned, hold = _held(named, to, workspace, trust, profile)
    else:
        planned, hold = _planned(named, workspace, trust, profile), None
    if to in ("train", "evaluate") and planned.loaded.recipe.model is None:
        raise UsageError(
            f"--to {to}: the recipe names no model, so there is nothing to {to}; --to prepare makes its data"
        )
    if address is not None and (engine or planned.loaded.recipe.compute.engine) != "ray":
        raise UsageError("--address is of a Ray cluster: say --engine ray, too")
    settings = settings_of(allow)
    if address is not None:
        settings = settings.with_cluster(address)
    enough_memory()
    from runner import run as runs

    with told_of(planned, progress) as tell:
        made = runs.run(
            planned,
            to=to,
            tell=tell,
            refresh=refresh,
            settings=settings,
            hold=hold or (lambda plan, store: plan),
            engine=engine,
        )
        return result(planned, made)


def _planned(
    recipe: Recipe | Name, workspace: Name, trust: Collection[Trust], profile: Profile | None
) -> Planned:
    from runner.plan import plan

    known = recipe if isinstance(recipe, Recipe) else load(recipe, workspace, trust)
    return plan(known.loaded, known.place, profile)


def _held(
    recipe: Recipe | Name, to: Stage, workspace: Name, trust: Collection[Trust], profile: Profile | None
) -> tuple[Planned, Held]:
    """The plan at what its lock names, and how the run is held to that."""
    from runner import locking
    from runner.plan import plan
    from runner.workspace import Workspace

    named = recipe.path if isinstance(recipe, Recipe) else Path(recipe)
    folder = recipe.folder if isinstance(recipe, Recipe) else Path(workspace)
    path, again = locking.beside(named, folder), f"recipe lock {named}"
    lock = locking.read(path, again)
    try:
        known = recipe if isinstance(recipe, Recipe) else load(recipe, workspace, trust)
    except RecipeError as e:
        missing = list(locking.gone(lock, Workspace(folder.resolve(), frozenset(trust))))
        if not missing:
            raise
        raise locking.Drifted(missing, None, shown(path), again, e.problems) from None
    planned = plan(locking.pinned(known.loaded, lock), known.place, profile)
    return planned, locking.Held(lock, shown(path), again, to, path.parent.absolute() / locking.RAW)


@contextmanager
def told_of(planned: Planned, progress: Progress) -> Iterator[Tell]:
    """Whoever is told of the events of a run: a function, lines on stderr, or nobody."""
    from runner.progress import Display

    if callable(progress):
        yield progress
    elif progress:
        with Display(planned) as tell:
            yield tell
    else:
        yield lambda event: None


def result(planned: Planned, outcome: Outcome) -> Run:
    """What a run came to, as the API gives it."""
    return Run(
        planned.loaded.recipe.name,
        planned.workspace.root,
        outcome.folder,
        outcome.report,
        outcome.executed,
        outcome.kept,
        outcome.paid,
        outcome.engine,
        outcome.not_put,
    )
