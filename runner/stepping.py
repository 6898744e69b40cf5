"""Makes one step of a plan: its work folder, its log, what it may read, and its artifact, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runner import evaluate, prepare, report, scrub, train
from runner.errors import StepError
from runner.fetching import InputFile
from runner.making import Engine, Maker, Making
from runner.pool import WorkerLost, seldom_collected
from runner.runfolder import folder
from runner.services import asking
from runner.settings import Settings
from runner.steps import Plan, Stage, Step
from runner.store import Artifact, Store
from runner.trouble import os_error
from runner.unchanged import Changed, inputs, unchanged

MAKERS: Mapping[str, Maker] = {
    **prepare.MAKERS,
    **train.MAKERS,
    **evaluate.MAKERS,
    **report.MAKERS,
}


@dataclass(frozen=True)
class Event:
    """What a run tells: a step `starts`, makes `progress`, is `made`, `waits` for another run that makes it, or was
    `kept` from an earlier one; it `gets` one from the artifact store, and has `got` it, `sends` one there, and has
    `sent` it; what it `notes` of that, in words; or which `engine` works, where that is not this machine's cores:
    `step` is its name."""

    what: str
    step: str
    stage: Stage
    why: str = ""
    done: int = 0
    of: int = 0


Tell = Callable[[Event], None]


def make(
    plan: Plan,
    store: Store,
    step: Step,
    made: dict[str, Artifact],
    tell: Tell,
    settings: Settings,
    engine: Engine | None = None,
) -> Artifact:
    """Make a step and publish it; nothing is published where what it read changed meanwhile. Raises StepError."""
    log = folder(plan) / "logs" / f"{step.name}.log"
    work = store.work(step.fingerprint)

    def progress(done: int, of: int, what: str) -> None:
        tell(Event("progress", step.name, step.stage, what, done, of))

    taken = {name: made[name] for name in _inputs(step, made)}
    try:
        with (
            store.making(step.name, step.fingerprint, step.ingredients) as out,
            asking(settings, store.root, step.name) as ask,
            seldom_collected(),
            unchanged(step.name, *_reads(plan, step)),
        ):
            MAKERS[step.kind](
                Making(step, plan, taken, out, work, log, progress, ask, settings.workers, settings, engine)
            )
            if step.stage != "prepare":  # data stay as they are; services' words were covered as they came
                scrub.known(settings=settings).folder(out)
    except Changed:
        shutil.rmtree(work, ignore_errors=True)
        raise
    except WorkerLost:
        what = "a process that worked on it was ended from outside (is memory short?); run it again to go on"
        raise StepError(step.name, what) from None
    except OSError as e:
        raise StepError(step.name, os_error(e)) from e
    # Only now: until the artifact is whole, checkpoints in here are all there is.
    shutil.rmtree(work, ignore_errors=True)
    artifact = store.get(step.fingerprint, verify=False)
    assert artifact is not None
    return artifact


def _reads(plan: Plan, step: Step) -> tuple[list[InputFile], tuple[InputFile, ...]]:
    """The user's files that a step reads while it is made, and those of the base model. Answers and lm-eval copy the
    former first, and look after that."""
    files = [] if step.kind in ("generate", "lm_eval") else list(inputs(step.details))
    return files, plan.weights if "model" in step.ingredients or step.kind == "proof" else ()


def _inputs(step: Step, made: dict[str, Artifact]) -> list[str]:
    """The steps whose artifacts a step may read: those that it needs, so that nothing undeclared decides."""
    return [n for n in step.needs if n in made]
