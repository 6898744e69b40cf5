"""Whom a recipe asks over the network, with the addresses of this user's settings: nobody is asked to find that out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from runner import hubcache
from runner import recipe as r
from runner.load import Loaded
from runner.registry import plugins
from runner.settings import Settings
from runner.steps import Plan, Step
from runner.toolset.service import SERVICES

_OF_SOURCES = {
    "gutenberg": ("gutendex_url", "gutenberg_mirror"),
    "hub": ("hub_url",),
    "reddit": ("reddit_url", "reddit_login_url"),
}
"""Sources that ask addresses of the settings."""
_SERVICES = ("moderation", "judge", "teacher")


class Asked(Struct, frozen=True):
    """A host, or in words what it hangs on, and what asks it. `origin` is `SCHEME://HOST`, "" for what is in words."""

    host: str
    why: str
    origin: str = ""


def hosts(plan: Plan, settings: Settings) -> list[Asked]:
    """Each host and asker once, in the order of the recipe, whatever is here already."""
    tasks = [_task(s, settings) for s in plan.steps if s.kind == "task"]
    return list(dict.fromkeys([*_all(plan, settings), *tasks]))


def still(plan: Plan, settings: Settings, made: frozenset[str]) -> list[Asked]:
    """Those that a run would still ask from here: not for what is fetched, in the hub's cache, or among the `made`
    steps."""
    fetched = {f"source {f.source.name}" for f in plan.fetches if f.items is not None}
    model = plan.loaded.recipe.model
    if model is not None and hubcache.commit(model.base, model.revision) is not None:
        fetched.add(f"model {model.base}")
    tasks = [_task(s, settings) for s in plan.steps if s.kind == "task" and s.name not in made]
    return list(dict.fromkeys([*(a for a in _all(plan, settings) if a.why not in fetched), *tasks]))


def _all(plan: Plan, settings: Settings) -> Iterator[Asked]:
    loaded = plan.loaded
    for source in loaded.recipe.sources:
        yield from _of_source(source, settings, f"source {source.name}")
    for use in loaded.recipe.filters:
        if service := plugins("filter")[use.plugin].service(use.options):
            yield _service(service, settings, f"filter {use.plugin}")
    model = loaded.recipe.model
    if model is not None and not plan.weights and not model.base.startswith("embedded/"):
        yield _at(settings["hub_url"], f"model {model.base}")
    yield from _of_suites(loaded, settings)
    if (wandb := loaded.recipe.track.wandb) is not None and wandb.mode == "online":
        yield Asked("Weights & Biases, as WANDB_BASE_URL says", "track, while it trains")


def _of_source(source: r.Source, settings: Settings, why: str) -> Iterator[Asked]:
    plugin = plugins("source")[source.plugin]
    if plugin.fetch is None or not plugin.fetches(source.options):
        return
    named: list[str] = list(_addresses(source.options.values()))
    named += [settings[s] for s in _OF_SOURCES.get(source.plugin, ())]
    if source.plugin == "tools":
        named += [settings[s] for s in SERVICES[source.options["api"]].addresses]
    if service := plugin.service(source.options):
        yield _service(service, settings, why)
    elif not named:
        yield Asked(f"whatever the source {source.plugin} asks", why)
    yield from (_at(url, why) for url in named)


def _of_suites(loaded: Loaded, settings: Settings) -> Iterator[Asked]:
    for suite in loaded.suites:
        if suite.judge and (service := plugins("judge")[suite.judge.plugin].service(suite.judge.options)):
            yield _service(service, settings, f"judge of {suite.common.name}")
    for arm, named in loaded.recipe.evaluate.arms.items():
        if named.endpoint:
            yield _service(named.endpoint, settings, f"arm {arm}")


def _task(step: Step, settings: Settings) -> Asked:
    """The data of one of lm-eval's own tasks, which a hub has."""
    name = step.name.removeprefix("task.")
    return _at(settings["hub_url"], f"data of {name} ({step.ingredients['path']})")


def _service(name: str, settings: Settings, why: str) -> Asked:
    url = settings[f"{name}_url"] if name in _SERVICES else settings.endpoints.get(name, ("", ""))[0]
    return _at(url, why) if url else Asked(f"the service {name!r}, which your settings do not name", why)


def _at(url: str, why: str) -> Asked:
    """The host of an address, with its port and without what may be secret in it."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return Asked(url[:100], why)
    if not host:
        return Asked(url[:100], why)
    return Asked(host, why, f"{parts.scheme}://{host}" if parts.scheme in ("http", "https") else "")


def _addresses(values: Iterable[Any]) -> Iterator[str]:
    """All that looks like an address in a plug-in's options."""
    for value in values:
        if isinstance(value, str):
            if "://" in value:
                yield value
        elif isinstance(value, Mapping):
            yield from _addresses(value.values())
        elif isinstance(value, list | tuple):
            yield from _addresses(value)
