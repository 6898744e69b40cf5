"""Services that a recipe asks and the user's settings do not name: said before the first step, not hours later."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from runner.load import Loaded
from runner.registry import plugins
from runner.services import unset
from runner.settings import Settings
from runner.steps import STAGES, Plan, Stage
from runner.store import Store
from runner.wording import nearest


class Unset(Struct, frozen=True):
    """A step that cannot be made here yet, and a sentence that names the setting."""

    step: str
    what: str


def of_recipe(loaded: Loaded, settings: Settings | None = None) -> list[Unset]:
    """What is not set for any step of a recipe, one for each service. Raises UsageError for settings that are none;
    they are read only where something is asked."""
    return _unset(loaded, None, settings)


def of_plan(plan: Plan, store: Store, to: Stage = "report", settings: Settings | None = None) -> list[Unset]:
    """The same for the steps of a plan up to a stage that are not made, and for what is not fetched: what was answered
    once is asked no more."""
    last = STAGES.index(to)
    open_ = {
        s.name
        for s in plan.steps
        if s.kind in ("filter", "generate", "judge") and STAGES.index(s.stage) <= last
        if store.get(s.fingerprint, verify=False) is None
    } | {f.name for f in plan.fetches if f.items is None}
    return _unset(plan.loaded, open_, settings)


def _unset(loaded: Loaded, steps: Collection[str] | None, settings: Settings | None) -> list[Unset]:
    first: dict[str, Unset] = {}
    for step, service, asks in _asked(loaded):
        if service in first or (steps is not None and step not in steps):
            continue
        if settings is None:
            from runner import settings as own

            settings = own.load()
        if what := unset(settings, service):
            near = nearest(service, settings.endpoints) if "endpoints" in what else ""
            first[service] = Unset(step, f"{asks} {service!r}; say where it is: {what}{near}")
    return list(first.values())


def _asked(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """(step, service, who asks it) of all that a recipe has asked."""
    for source in loaded.recipe.sources:
        if service := plugins("source")[source.plugin].service(source.options):
            yield f"fetch.{source.name}", service, f"the source {source.name!r} names the service"
    for use in loaded.recipe.filters:
        if service := plugins("filter")[use.plugin].service(use.options):
            yield "filter", service, f"the filter {use.plugin} names the service"
    judged = [s for s in loaded.suites if s.judge]
    for arm, named in loaded.recipe.evaluate.arms.items():
        for suite in judged if named.endpoint else ():
            yield f"answers.{arm}.{suite.common.name}", named.endpoint or "", "the recipe names the endpoint"
    for suite in judged:
        assert suite.judge is not None
        if service := plugins("judge")[suite.judge.plugin].service(suite.judge.options):
            yield f"judge.{suite.common.name}", service, f"the suite {suite.common.name!r} names the service"
