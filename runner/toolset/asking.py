"""Asks services for the calls that conversations need, and replays what they said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from runner.errors import StepError
from runner.fetching import Fetcher, Item, Keep, Unfetched, failed
from runner.toolset import service
from runner.toolset.form import ToolSet
from runner.toolset.world import Call


class NoAnswer(Exception):
    """A call whose answer could not be fetched; `str()` says why."""


@dataclass
class Asking:
    """Answers calls by asking the service, each address once; what was asked waits to be taken as items."""

    net: Fetcher
    set: ToolSet
    api: str
    keep: Keep
    raw: dict[str, str] = field(default_factory=dict)
    known: dict[str, Mapping[str, Any] | str | NoAnswer] = field(default_factory=dict)
    waiting: list[Item] = field(default_factory=list)

    def taken(self) -> list[Item]:
        items, self.waiting = self.waiting, []
        return items

    def answer(self, call: Call) -> Mapping[str, Any] | str:
        if call.key not in self.known:
            self.known[call.key] = self._asked(call)
        got = self.known[call.key]
        if isinstance(got, NoAnswer):
            raise got
        return got

    def _asked(self, call: Call) -> Mapping[str, Any] | str | NoAnswer:
        answers: list[str] = []
        meta = meta_of(self.set, self.api)
        try:
            got = _result(self.set, self.api, call, partial(self._request, answers))
        except (Unfetched, service.Unusable) as e:
            error = e if isinstance(e, Unfetched) else Unfetched(str(e))
            self.waiting.append(failed(call.key, error, meta))
            return NoAnswer(str(e))
        sha256 = self.net.store([json.dumps(answers).encode()])
        self.waiting.append(Item(call.key, sha256, meta))
        return got

    def _request(self, answers: list[str], at: str, target: str) -> str:
        if (url := self.net.setting(at) + target) not in self.raw:
            private = {}
            for name, setting in service.SERVICES[self.api].private.items():
                private[name] = self.net.setting(setting)
                if not private[name]:
                    raise StepError(self.net.name, f"{self.api} needs the setting {setting!r}")
            got = self.net.get(
                url, accept="application/json", most=4 << 20, keep=self.keep, private=private, robots=False
            )
            self.raw[url] = got.bytes().decode("utf-8", "replace")
        answers.append(self.raw[url])
        return self.raw[url]


def _result(toolset: ToolSet, api: str, call: Call, request: service.Request) -> Mapping[str, Any] | str:
    values = {slot: value.json for slot, value in call.values.items()}
    return service.result(toolset, toolset.services[api][call.tool.name], values, request)


def meta_of(toolset: ToolSet, api: str) -> dict[str, str]:
    of = service.SERVICES[api]
    return {"origin": f"tools/{toolset.name}, {api}", "license": of.license, "attribution": of.attribution}


@dataclass
class Replay:
    """Answers calls with what was fetched, `raw` being the file of an item; `used` collects the digests.

    Items come in the order in which conversations need them, and no more of them are taken than that: the first
    conversations can be looked at before the rest is fetched.
    """

    raw: Callable[[Item], Path]
    set: ToolSet
    api: str
    coming: Iterator[Item]
    items: dict[str, Item] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)

    def answer(self, call: Call) -> Mapping[str, Any] | str:
        while call.key not in self.items and (item := next(self.coming, None)) is not None:
            self.items[item.key] = item
        item = self.items.get(call.key)
        if item is None:
            raise NoAnswer(f"no answer was fetched for its call {call.key}")
        answers = iter(json.loads(self.raw(item).read_bytes()))
        self.used[item.sha256] = None
        try:
            return _result(self.set, self.api, call, lambda at, target: str(next(answers)))
        except service.Unusable as e:
            raise NoAnswer(f"its call {call.key}: {e}") from None
