"""Walks a plan: takes a step from the store, resumes it or makes it; then lays out `runs/NAME/`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from runner import evaluate, fetch, fetching, ledger, lock, locking, paths, prepare, report, scrub, train
from runner.errors import StepError, UsageError
from runner.evaluate.answers import ANSWERS
from runner.fetching import InputFile
from runner.making import Maker, Making, read_rows
from runner.plan import moves
from runner.plan import plan as make_plan
from runner.pool import WorkerLost, seldom_collected
from runner.record import Record
from runner.resolving import resolve
from runner.services import asking
from runner.serving import engines
from runner.settings import Settings
from runner.settings import load as load_settings
from runner.status import status
from runner.steps import STAGES, Fetch, Plan, Stage, Step
from runner.store import Artifact, Store, digest, place, write_atomic
from runner.store.garbage import announce
from runner.trouble import os_error
from runner.unchanged import Changed, inputs, unchanged
from runner.unset import of_plan
from runner.yaml12 import dump

if TYPE_CHECKING:
    from runner.net.client import Client

Refresh = Literal["none", "failed", "all"]

MAKERS: Mapping[str, Maker] = {
    **prepare.MAKERS,
    **train.MAKERS,
    **evaluate.MAKERS,
    **report.MAKERS,
}


@dataclass(frozen=True)
class Event:
    """What a run tells: a step `starts`, makes `progress`, is `made`, `waits` for another run that makes it, or was
    `kept` from an earlier one."""

    what: str
    step: str
    stage: Stage
    why: str = ""
    done: int = 0
    of: int = 0


Tell = Callable[[Event], None]
Hold = Callable[[Plan, Store], Plan]


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `failed_gates` and `inconclusive_gates` are sentences, `executed` the steps made."""

    folder: Path
    executed: int
    kept: int
    failed_gates: list[str]
    inconclusive_gates: list[str]
    report: Path | None
    paid: dict[str, dict[str, str]]  # source → tokens and cost of what a model wrote for it


def folder(plan: Plan) -> Path:
    """Where this recipe's run is laid out."""
    return plan.workspace.root / "runs" / plan.loaded.recipe.name


def before(plan: Plan) -> dict[str, Any]:
    """The ingredients of each step of this recipe's last run."""
    try:
        data = json.loads((folder(plan) / "plan.json").read_bytes())
        return {k: v for k, v in data.items() if isinstance(v, dict)} if isinstance(data, dict) else {}
    except (OSError, ValueError):
        return {}


class _Walk:
    """One execution: the steps made so far, and who is told."""

    def __init__(self, plan: Plan, store: Store, tell: Tell, settings: Settings) -> None:
        self.plan, self.store, self.tell = plan, store, tell
        self.made: dict[str, Artifact] = {}
        self.settings = settings
        self.executed = self.kept = 0
        self.remembered = before(plan)
        self._planned()

    def _planned(self) -> None:
        """There is a plan: say what it needs, so that nobody collects it, and see what of it is made."""
        announce(self.store, self.plan.loaded.recipe.name, (s.fingerprint for s in self.plan.steps))
        self.whys = {s.name: why for s, _, why in status(self.plan, self.store, before(self.plan))}

    def take(self, step: Step) -> Artifact:
        """A step's artifact: from the store, else made now."""
        if step.name in self.made:
            return self.made[step.name]
        while (artifact := self.store.get(step.fingerprint)) is None:
            if (artifact := self._make(step)) is not None:
                break
        else:
            self.kept += 1
            self.store.used(artifact)
            self.tell(Event("kept", step.name, step.stage))
        self.made[step.name] = artifact
        if self.remembered.get(step.name) != step.ingredients:
            self.remembered[step.name] = step.ingredients
            _remember(self.plan, self.remembered)
        return artifact

    def _make(self, step: Step) -> Artifact | None:
        """Make a step. None where another run made it while we waited for that."""

        def waits(process: int | None) -> None:
            why = f"process {process or 'of another run'} makes it"
            self.tell(Event("waits", step.name, step.stage, why))

        def there() -> bool:
            return self.store.get(step.fingerprint, verify=False) is not None

        with self.store.waiting(step.fingerprint, waits, there) as mine:
            if not mine or there():
                return None
            why = self.whys[step.name] or "its artifact is damaged"
            self.tell(Event("starts", step.name, step.stage, why))
            artifact = _make(self.plan, self.store, step, self.made, self.tell, self.settings)
            self.executed += 1
            self.tell(Event("made", step.name, step.stage))
            return artifact

    def fetch(self, settings: Settings, refresh: Refresh) -> None:
        """Fetch what is not locked yet, or what `refresh` names; the plan is made anew after each."""
        wanted = [f.name for f in self.plan.fetches if f.items is None or _again(f, refresh)]
        if not wanted:
            return
        from runner.net.client import Client

        with Client(settings, self.store.root, refresh=refresh == "all") as client:
            for name in wanted:
                self._fetch(name, client, settings)

    def _fetch(self, name: str, client: Client, settings: Settings) -> None:
        one = next(f for f in self.plan.fetches if f.name == name)

        def records(source: str) -> Iterator[Record]:
            return read_rows(self.made[f"source.{source}"].file("records.jsonl"), Record)

        def progress(done: int, of: int, what: str) -> None:
            self.tell(Event("progress", name, "prepare", what, done, of))

        def waits(process: int | None) -> None:
            self.tell(Event("waits", name, "prepare", f"process {process or 'of another run'} fetches it"))

        if one.needs:
            self.take(self.plan.step(one.needs))
        net = fetch.Net(one, client, settings, self.plan.loaded.recipe.seed, records, progress)
        log = folder(self.plan) / "logs" / f"{name}.log"
        with self.store.waiting(f"fetch.{digest(one.request)}", waits):
            if one.items is None and lock.read(self.store.root, one.request) is not None:
                self._replan()  # another run has fetched it meanwhile
                return
            why = "not fetched yet" if one.items is None else "asked again"
            self.tell(Event("starts", name, "prepare", why))
            fetch.run(one, net, self.store.root, log, f"logs/{log.name}")
        self.executed += 1
        self._replan()
        one = next(f for f in self.plan.fetches if f.name == name)
        self.tell(Event("made", name, "prepare", fetch.told(one.items or (), f"logs/{log.name}")))

    def _replan(self) -> None:
        self.plan = make_plan(self.plan.loaded, self.plan.workspace, self.plan.profile)
        self._planned()


def _again(one: Fetch, refresh: Refresh) -> bool:
    return refresh == "all" or (
        refresh == "failed" and any(i.error and not i.left_out for i in one.items or ())
    )


def run(
    plan: Plan,
    *,
    to: Stage = "report",
    tell: Tell = lambda event: None,
    refresh: Refresh = "none",
    settings: Settings | None = None,
    hold: Hold = lambda plan, store: plan,
) -> Outcome:
    """Execute what is not made yet, up to the stage `to`. Raises StepError, Locked.

    `refresh` asks the world again for what was fetched before: "all", or only what could not be had ("failed").
    `hold` looks at the plan before anything is done, and each time more is known of it: it gives back the one to take,
    or refuses by an error.
    """
    store = Store(plan.workspace.root)
    with store.locked(plan.loaded.recipe.name):
        _tidy(plan)
        plan = hold(plan, store)
        settings = settings or load_settings()
        for left in ("logs", "track"):  # a run that was killed cleaned its last words no more
            scrub.known(settings=settings).folder(folder(plan) / left)
        _all_set(plan, store, to, settings)
        plan = _pinned(plan, refresh)
        walk = _Walk(plan, store, tell, settings)
        walk.fetch(settings, refresh)
        plan = hold(walk.plan, store)
        _all_set(plan, store, to, settings)  # what was fetched anew is judged anew
        for step in plan.steps:
            if STAGES.index(step.stage) > STAGES.index(to):
                break
            artifact = walk.take(step)
            if step.kind == "task":  # which data those are is known only now
                hold(plan, store)
            if step.name == "split" and (broken := _budgets(plan, artifact)):
                _lay_out(plan, walk.made, folder(plan))  # so that what was lost can be looked at
                raise StepError("split", "; ".join(broken))
        made, out = walk.made, folder(plan)
        later = {
            s.name: a for s in plan.steps if (a := made.get(s.name) or store.get(s.fingerprint, verify=False))
        }
        _lay_out(plan, later, out)
        if _of_recipe(plan):
            locking.write(out / "recipe.lock", locking.facts(plan, store), plan.workspace.root)
        whole = made.get("report")
        data = json.loads(whole.file("report.json").read_bytes()) if whole else {"gates": []}
        failed, unsure = (
            [g["why"] for g in data["gates"] if g["counts"] == what] for what in ("fail", "inconclusive")
        )
        html = out / "report.html" if whole else None
        paid = {f.source.name: p.meta() for f in plan.fetches if (p := fetching.paid(f.items or ()))}
        return Outcome(out, walk.executed, walk.kept, failed, unsure, html, paid)


def _tidy(plan: Plan) -> None:
    """Make the run's folder, without what a kill left half written. Raises NeedsTrust for links that lead out of it."""
    root, out = plan.workspace.root, folder(plan)
    paths.folder(root, out.relative_to(root))
    paths.check(root, out / "track")
    for link in paths.leading_out(
        out / "track"
    ):  # a tracker's, of a training that was killed; they are not followed
        link.unlink()
    paths.check_all(root, out)
    for left in out.glob(".*.*.tmp"):
        left.unlink()


def _pinned(plan: Plan, refresh: Refresh) -> Plan:
    """The plan with its hub model at one commit: the locked one, or what the hub says now. Raises StepError."""
    model = plan.loaded.recipe.model
    said = plan.loaded.document.data.get("model")
    if model is None or not isinstance(said, dict) or not any(s.stage == "prepare" for s in plan.steps):
        return plan  # an evaluation without a recipe reads the cache, and knows the commit
    named = msgspec.structs.replace(model, revision=said.get("revision"))
    if not moves(named, plan.workspace) or (model != named and refresh != "all"):
        return plan
    log = folder(plan) / "logs" / "model-revision.log"
    resolve(named, plan.workspace.root, log, f"logs/{log.name}")
    loaded = replace(plan.loaded, recipe=msgspec.structs.replace(plan.loaded.recipe, model=named))
    return make_plan(loaded, plan.workspace, plan.profile)


def _all_set(plan: Plan, store: Store, to: Stage, settings: Settings) -> None:
    """Raises StepError for services that are to be asked and stand in no setting, and for a vLLM that is not here:
    now, not when all is trained."""
    if found := of_plan(plan, store, to, settings):
        raise StepError(found[0].step, "; ".join(u.what for u in found))
    for step in plan.steps:
        late = STAGES.index(step.stage) > STAGES.index(to)
        if late or step.details.get("engine") != "vllm" or store.get(step.fingerprint, verify=False):
            continue
        try:
            engines.choose("vllm", plan.profile == "gpu", settings["vllm_python"])
        except UsageError as e:
            raise StepError(step.name, f"evaluate.engine is vllm: {e}") from None
        return


def _make(
    plan: Plan, store: Store, step: Step, made: dict[str, Artifact], tell: Tell, settings: Settings
) -> Artifact:
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
                Making(step, plan, taken, out, work, log, progress, ask, settings.workers, settings)
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


def _budgets(plan: Plan, split: Artifact) -> list[str]:
    rows = json.loads(split.file("summary.json").read_bytes())["rows"]
    return ledger.over_budget(rows, plan.loaded.recipe.fail_if)


def _remember(plan: Plan, steps: dict[str, Any]) -> None:
    """What the steps were made of, for the next run to say what changed."""
    data = json.dumps(steps, indent=1, sort_keys=True).encode()
    write_atomic(folder(plan) / "plan.json", data, plan.workspace.root)


def _of_recipe(plan: Plan) -> bool:
    """Whether data are prepared: an evaluation without a recipe has none, only those of lm-eval's tasks."""
    return any(s.kind == "split" for s in plan.steps)


def _lay_out(plan: Plan, made: dict[str, Artifact], out: Path) -> None:
    """Fill `runs/NAME/` with links to the artifacts. What an earlier run left of others is removed."""
    said = plan.loaded.document.data  # with what it extends merged in: it stands for itself
    data = dump({k: v for k, v in said.items() if k != "extends"}).encode()
    paths.check_all(plan.workspace.root, out)  # once more: a run takes hours
    write_atomic(out / ("recipe.yaml" if _of_recipe(plan) else "evaluation.yaml"), data, plan.workspace.root)
    files: dict[str, tuple[str, str]] = {
        "data/train.jsonl": ("split", "data/train.jsonl"),
        "data/validation.jsonl": ("split", "data/validation.jsonl"),
        "ledger.parquet": ("split", "ledger.parquet"),
        "data-card.md": ("split", "data-card.md"),
        "axolotl.yml": ("train", "axolotl.yml"),
        "report.json": ("report", "report.json"),
        "report.html": ("report", "report.html"),
    }
    if "train" in made:
        names = [n for n in made["train"].manifest.files if n.startswith(("adapter/", "model/"))]
        files |= {n: ("train", n) for n in names}
        if "report" in made:
            folder = plan.loaded.recipe.adapter.folder
            files[f"{folder}/README.md"] = ("report", "model-card.md")
    for name in made:
        if name.startswith("source."):
            files[f"rejected/{name[7:]}.jsonl"] = (name, "rejected.jsonl")
        if name == "filter":  # rows that a filter failed on; no source's name begins so
            files["rejected/_filters.jsonl"] = (name, "rejected.jsonl")
        if name.startswith("answers."):
            _, arm, suite = name.split(".", 2)
            files[f"answers/{arm}/{suite}.jsonl"] = (name, ANSWERS)
    for target in ("adapter", "model", "answers", "rejected"):
        shutil.rmtree(out / target, ignore_errors=True)
    for target, (step, file) in files.items():
        (out / target).unlink(missing_ok=True)
        if step not in made:
            continue
        # A source that rejected nothing needs no file that says so.
        if not target.startswith("rejected/") or made[step].file(file).stat().st_size:
            place(made[step].file(file), out / target)
