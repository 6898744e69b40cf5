"""Asks services for the calls that conversations need, and replays what they said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from runner.errors import StepError
from runner.fetching import Fetcher, Got, Item, Keep, Unfetched, failed
from runner.toolset import service
from runner.toolset.form import ToolSet
from runner.toolset.gen import Gen, as_gen
from runner.toolset.words import compact
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
    raw: dict[str, Got] = field(default_factory=dict)
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
        used: list[Got] = []
        meta = meta_of(self.set, self.api)
        try:
            taken = _taken(self.set, self.api, call, partial(self._request, used))
        except (Unfetched, service.Unusable) as e:
            if isinstance(e, service.Unusable) and used:  # kept for ever, it would be refused for ever
                self.net.forget(used[-1])
            error = e if isinstance(e, Unfetched) else Unfetched(str(e))
            self.waiting.append(failed(call.key, error, meta))
            return NoAnswer(str(e))
        # What was taken, not the raw answers: those tell how long the service took, and two runs would differ.
        self.waiting.append(Item(call.key, self.net.store([taken]), meta))
        return _said(taken)

    def _request(self, used: list[Got], at: str, target: str) -> str:
        if (url := self.net.setting(at) + target) not in self.raw:
            private = {}
            for name, setting in service.SERVICES[self.api].private.items():
                private[name] = self.net.setting(setting)
                if not private[name]:
                    raise StepError(self.net.name, f"{self.api} needs the setting {setting!r}")
            self.raw[url] = self.net.get(
                url, accept="application/json", most=4 << 20, keep=self.keep, private=private, robots=False
            )
        used.append(self.raw[url])
        return self.raw[url].bytes().decode("utf-8", "replace")


def _taken(toolset: ToolSet, api: str, call: Call, request: service.Request) -> bytes:
    """What the conversation uses of a call's answers, as JSON: `{"result": …}`, or the name of a `failure`.

    Raises Unusable, and whatever `request` raises.
    """
    values = {slot: value.json for slot, value in call.values.items()}
    got = service.result(toolset, toolset.services[api][call.tool.name], values, request)
    if isinstance(got, str):
        return compact({"failure": got}).encode()
    gens = {name: as_gen(gen) for outcome in call.tool.outcomes for name, gen in outcome.draw.items()}
    result = {name: value for name, value in got.items() if name in gens}
    for name, value in result.items():
        _check(name, gens[name], value)
    try:
        return compact({"result": result}).encode()
    except UnicodeEncodeError:
        raise service.Unusable("its answer holds half a character (a lone surrogate)") from None


def _check(name: str, gen: Gen, value: Any) -> None:
    """Raises Unusable for a value of another type than the set's own: a tool that tells prices tells no words."""
    if gen.rows is not None:
        for row in value:
            for key, written in gen.rows.draw.items():
                _check(key, as_gen(written), row[key])
        return
    own = (str,) if gen.following or gen.joined or gen.dates else (int, float) if gen.between else ()
    known = own or tuple({type(v) for v in gen.one_of or ()})
    known = (*known, int, float) if int in known or float in known else known
    if known and type(value) not in known:
        raise service.Unusable(
            f"its answer has {json.dumps(value)[:60]} for {name}, which is of another type"
        )


def _said(taken: bytes) -> Mapping[str, Any] | str:
    got: dict[str, Any] = json.loads(taken)
    said: Mapping[str, Any] | str = got["failure"] if "failure" in got else got["result"]
    return said


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
        self.used[item.sha256] = None
        return _said(self.raw(item).read_bytes())
