"""Walks a plan: fetches, takes each step from the store or has it made; then `runs/NAME/` is laid out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from runner import extras, fetch, fetching, ledger, lock, locking, scrub
from runner.doctor import needs
from runner.engines import opened
from runner.errors import StepError, UsageError
from runner.making import Engine, read_rows
from runner.noting import noting
from runner.plan import moves
from runner.plan import plan as make_plan
from runner.recipe.running import Engine as Name
from runner.record import Record
from runner.resolving import resolve
from runner.runfolder import before, folder, lay_out, of_recipe, remember, tidy
from runner.serving import engines
from runner.settings import Settings
from runner.settings import load as load_settings
from runner.status import status
from runner.stepping import Event, Tell, make
from runner.steps import STAGES, Fetch, Plan, Stage, Step
from runner.store import Artifact, Store, digest
from runner.store.garbage import announce
from runner.syncing import Syncing
from runner.unset import of_plan

if TYPE_CHECKING:
    from runner.net.client import Client

Refresh = Literal["none", "failed", "all"]


Hold = Callable[[Plan, Store], Plan]


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `failed_gates` and `inconclusive_gates` are sentences, `executed` the steps made,
    `engine` says where: "local", or on what cluster, in words; `not_put` what could not be put into the artifact store,
    and why, in words."""

    folder: Path
    executed: int
    kept: int
    failed_gates: list[str]
    inconclusive_gates: list[str]
    report: Path | None
    paid: dict[str, dict[str, str]]  # source → tokens and cost of what a model wrote for it
    engine: str = "local"
    not_put: str = ""


class _Walk:
    """One execution: the steps made so far, and who is told. `planned` hears of each plan, and what of it is made."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        tell: Tell,
        settings: Settings,
        engine: Engine | None = None,
        planned: Callable[[Plan, set[str]], None] = lambda plan, made: None,
        syncing: Syncing | None = None,
    ) -> None:
        self.plan, self.store, self.tell, self.engine, self.planned = plan, store, tell, engine, planned
        self.syncing = syncing or Syncing("", store, tell)
        self.made: dict[str, Artifact] = {}
        self.settings = settings
        self.executed = self.kept = 0
        self.remembered = before(plan)
        self._planned()

    def _planned(self) -> None:
        """There is a plan: say what it needs, so that nobody collects it, and see what of it is made."""
        fetches = self.plan.fetches
        asked = [digest(f.request) for f in fetches]
        asked += [digest(msgspec.to_builtins(f.items)) for f in fetches if f.items is not None]
        announce(self.store, self.plan.loaded.recipe.name, (s.fingerprint for s in self.plan.steps), asked)
        if any(f.items is not None and lock.read(self.store.root, f.request) is None for f in fetches):
            self._replan()  # collected since the plan was made: from now on it is not
            return
        found = status(self.plan, self.store, before(self.plan))
        self.whys = {s.name: why for s, _, why in found}
        self.planned(self.plan, {s.fingerprint for s, made, _ in found if made})

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
            if step.fingerprint not in self.syncing.brought:  # which was told
                self.tell(Event("kept", step.name, step.stage))
        self.syncing.put(step, artifact)
        self.made[step.name] = artifact
        if self.remembered.get(step.name) != step.ingredients:
            self.remembered[step.name] = step.ingredients
            remember(self.plan, self.remembered)
        return artifact

    def _make(self, step: Step) -> Artifact | None:
        """Make a step. None where another run made it while we waited for that, or it came from the artifact store."""

        def waits(process: int | None) -> None:
            why = f"process {process or 'of another run'} makes it"
            self.tell(Event("waits", step.name, step.stage, why))

        def there() -> bool:
            return self.store.get(step.fingerprint, verify=False) is not None

        with self.store.waiting(step.fingerprint, waits, there) as mine:
            if not mine or there() or self.syncing.take(step):
                return None
            why = self.whys[step.name] or "its artifact is damaged"
            self.tell(Event("starts", step.name, step.stage, why))
            artifact = make(self.plan, self.store, step, self.made, self.tell, self.settings, self.engine)
            self.executed += 1
            self.tell(Event("made", step.name, step.stage))
            return artifact

    def fetch(self, settings: Settings, refresh: Refresh) -> None:
        """Fetch what is not locked yet, or what `refresh` names; the plan is made anew after each."""
        wanted = [f.name for f in self.plan.fetches if f.items is None or _again(f, refresh)]
        if not wanted:
            return
        from runner.net.client import Client

        away = self.engine.fetching if self.engine is not None else None
        with Client(settings, self.store.root, refresh=refresh == "all", away=away) as client:
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
    engine: Name | None = None,
) -> Outcome:
    """Execute what is not made yet, up to the stage `to`. Raises StepError, Locked.

    `refresh` asks the world again for what was fetched before: "all", or only what could not be had ("failed").
    `hold` looks at the plan before anything is done, and each time more is known of it: it gives back the one to take,
    or refuses by an error. `engine` is where work is done; None: as the recipe says.
    """
    store = Store(plan.workspace.root)
    with ExitStack() as stack:
        stack.enter_context(store.locked(plan.loaded.recipe.name))
        note = stack.enter_context(noting(plan, store, to, tell))
        tidy(plan)
        plan = hold(plan, store)
        settings = settings or load_settings()
        for left in ("logs", "track"):  # a run that was killed cleaned its last words no more
            scrub.known(settings=settings).folder(folder(plan) / left)
        syncing = Syncing(settings["artifact_store"], store, note.tell, puts=settings.puts)
        syncing.fetch(plan, to)
        _all_set(plan, store, to, settings, engine)
        log = folder(plan) / "logs" / "engine.log"

        def say(name: str, words: str) -> None:
            note.tell(Event("engine", name, plan.steps[0].stage, words))

        one = stack.enter_context(opened(plan, to, settings, log, engine, say))
        plan = _pinned(plan, refresh)
        walk = _Walk(plan, store, note.tell, settings, one, note.planned, syncing)
        walk.fetch(settings, refresh)
        plan = hold(walk.plan, store)
        syncing.fetch(plan, to)
        _all_set(plan, store, to, settings, engine)  # what was fetched anew is judged anew
        for step in plan.steps:
            if STAGES.index(step.stage) > STAGES.index(to):
                break
            artifact = walk.take(step)
            if step.kind == "task":  # which data those are is known only now
                hold(plan, store)
            if step.name == "split" and (broken := _budgets(plan, artifact)):
                lay_out(plan, walk.made, folder(plan))  # so that what was lost can be looked at
                raise StepError("split", "; ".join(broken))
        made, out = walk.made, folder(plan)
        later = {
            s.name: a for s in plan.steps if (a := made.get(s.name) or store.get(s.fingerprint, verify=False))
        }
        lay_out(plan, later, out)
        if of_recipe(plan):
            locking.write(out / "recipe.lock", locking.facts(plan, store), plan.workspace.root)
        whole = made.get("report")
        data = json.loads(whole.file("report.json").read_bytes()) if whole else {"gates": []}
        failed, unsure = (
            [g["why"] for g in data["gates"] if g["counts"] == what] for what in ("fail", "inconclusive")
        )
        html = out / "report.html" if whole else None
        paid = {f.source.name: p.meta() for f in plan.fetches if (p := fetching.paid(f.items or ()))}
        where = note.now.engine or one.name
        return Outcome(out, walk.executed, walk.kept, failed, unsure, html, paid, where, syncing.left())


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


def _all_set(plan: Plan, store: Store, to: Stage, settings: Settings, engine: Name | None = None) -> None:
    """Raises StepError for services that are to be asked and stand in no setting, and for a vLLM that is not here,
    Missing for other packages that are not: now, not when all is trained."""
    if found := of_plan(plan, store, to, settings):
        raise StepError(found[0].step, "; ".join(u.what for u in found))
    if gone := needs.of_run(plan, store, to, settings, engine):
        raise extras.Missing(needs.said(gone), needs.command(gone))
    for step in plan.steps:
        late = STAGES.index(step.stage) > STAGES.index(to)
        if late or step.details.get("engine") != "vllm" or store.get(step.fingerprint, verify=False):
            continue
        try:
            engines.choose("vllm", plan.profile == "gpu", settings["vllm_python"])
        except UsageError as e:
            raise StepError(step.name, f"evaluate.engine is vllm: {e}") from None
        return


def _budgets(plan: Plan, split: Artifact) -> list[str]:
    rows = json.loads(split.file("summary.json").read_bytes())["rows"]
    return ledger.over_budget(rows, plan.loaded.recipe.fail_if)
