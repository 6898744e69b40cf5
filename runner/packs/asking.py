"""Whom a recipe would have asked, with the addresses of this user's settings: nobody is asked to find that out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from runner import recipe as r
from runner.load import Loaded
from runner.registry import plugins
from runner.settings import Settings
from runner.steps import Plan
from runner.toolset.service import SERVICES

_OF_SOURCES = {
    "gutenberg": ("gutendex_url", "gutenberg_mirror"),
    "hub": ("hub_url",),
    "reddit": ("reddit_url", "reddit_login_url"),
}
"""Sources that ask addresses of the settings."""
_SERVICES = ("moderation", "judge", "teacher")


class Asked(Struct, frozen=True):
    """A host, or in words what it hangs on, and what asks it."""

    host: str
    why: str


def hosts(plan: Plan, settings: Settings) -> list[Asked]:
    """Each host and asker once, in the order of the recipe."""
    return list(dict.fromkeys(_all(plan, settings)))


def _all(plan: Plan, settings: Settings) -> Iterator[Asked]:
    loaded = plan.loaded
    for source in loaded.recipe.sources:
        for host in _of_source(source, settings):
            yield Asked(host, f"source {source.name}")
    for use in loaded.recipe.filters:
        if service := plugins("filter")[use.plugin].service(use.options):
            yield Asked(_service(service, settings), f"filter {use.plugin}")
    yield from _of_model(plan, settings)
    yield from _of_suites(loaded, settings)
    if (wandb := loaded.recipe.track.wandb) is not None and wandb.mode == "online":
        yield Asked("Weights & Biases, as WANDB_BASE_URL says", "track, while it trains")


def _of_source(source: r.Source, settings: Settings) -> Iterator[str]:
    plugin = plugins("source")[source.plugin]
    if plugin.fetch is None or not plugin.fetches(source.options):
        return
    named: list[str] = list(_addresses(source.options.values()))
    named += [settings[s] for s in _OF_SOURCES.get(source.plugin, ())]
    if source.plugin == "tools":
        named += [settings[s] for s in SERVICES[source.options["api"]].addresses]
    if service := plugin.service(source.options):
        yield _service(service, settings)
    elif not named:
        yield f"whatever the source {source.plugin} asks"
    yield from dict.fromkeys(map(host_of, named))


def _of_model(plan: Plan, settings: Settings) -> Iterator[Asked]:
    model = plan.loaded.recipe.model
    if model is not None and not plan.weights and not model.base.startswith("embedded/"):
        yield Asked(host_of(settings["hub_url"]), f"model {model.base}")


def _of_suites(loaded: Loaded, settings: Settings) -> Iterator[Asked]:
    for suite in loaded.suites:
        if suite.judge and (service := plugins("judge")[suite.judge.plugin].service(suite.judge.options)):
            yield Asked(_service(service, settings), f"judge of {suite.common.name}")
    for arm, named in loaded.recipe.evaluate.arms.items():
        if named.endpoint:
            yield Asked(_service(named.endpoint, settings), f"arm {arm}")


def tasks(plan: Plan, settings: Settings) -> list[Asked]:
    """The data of lm-eval's own tasks, which a hub has."""
    return [
        Asked(
            host_of(settings["hub_url"]), f"data of {s.name.removeprefix('task.')} ({s.ingredients['path']})"
        )
        for s in plan.steps
        if s.kind == "task"
    ]


def _service(name: str, settings: Settings) -> str:
    url = settings[f"{name}_url"] if name in _SERVICES else settings.endpoints.get(name, ("", ""))[0]
    return host_of(url) if url else f"the service {name!r}, which your settings do not name"


def host_of(url: str) -> str:
    """The host of an address, with its port and without what may be secret in it."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url[:100]
    except ValueError:
        return url[:100]


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
