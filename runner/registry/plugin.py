"""A plug-in: its function, what was declared of it, and its options, checked and bound."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner.errors import Problem
from runner.fetching import Item
from runner.record import Document, Edited, Metric, Record, Rejected, Verdict
from runner.registry.contexts import Unit
from runner.registry.options import marked, struct_of
from runner.registry.wanted import WantsFn, anything

Kind = Literal["source", "filter", "judge"]
FetchFn = Callable[..., Iterator[Item]]
SourceFn = Callable[..., Iterator[Record | Document | Rejected]]
UnitsFn = Callable[..., Iterator[Unit]]
ReadFn = SourceFn
Said = bool | str | Record | Edited
"""What a filter says of a record: True keeps it, a reason drops it, a Record or Edited takes its place."""
JudgeFn = Callable[..., Verdict]
CheckFn = Callable[[Mapping[str, Any]], Iterable[tuple[tuple[str | int, ...], str]]]
AsksFn = Callable[[Mapping[str, Any]], "str | bool"]
"""Options → the name of the service that is asked, empty where none is. A bare True says no name, so that nobody can
tell before the run whether it is set."""
Scale = Mapping[str, Metric | None]
"""Metrics → how they are read; facts → None."""
MetricNames = tuple[str, ...] | Scale | Callable[[Mapping[str, Any]], "Iterable[str] | Scale"]
LookFn = Callable[[Mapping[str, Mapping[str, Path]]], Iterable[Problem]]
"""Files that options name, by option and name → what is wrong in them."""


def always(options: Mapping[str, Any]) -> bool:
    return True


def never(options: Mapping[str, Any]) -> bool:
    return False


def nothing(options: Mapping[str, Any]) -> Iterable[Any]:
    return ()


@dataclass(frozen=True)
class Plugin:
    """A source, filter or judge as it was declared (runner/registry/declare.py says what each part means)."""

    kind: Kind
    name: str
    version: int
    call: Callable[..., Any]
    libraries: tuple[str, ...] = ()
    fetch: Callable[..., Any] | None = None
    license: str = ""
    fetches: Callable[[Mapping[str, Any]], bool] = always
    check: CheckFn = nothing
    needs: tuple[str, ...] = ()
    asks: AsksFn = never
    reads: tuple[str, ...] = ()
    look: LookFn = nothing
    metrics: MetricNames = ()
    wants: WantsFn = anything
    units: UnitsFn | None = None
    read: ReadFn | None = None

    def _said(self, options: Mapping[str, Any]) -> Iterable[str] | Scale:
        return self.metrics(options) if callable(self.metrics) else self.metrics

    def names(self, options: Mapping[str, Any]) -> frozenset[str] | None:
        """What gates may name of a judge with these options; None where it does not say."""
        return frozenset(self._said(options)) or None

    def scale(self, options: Mapping[str, Any]) -> dict[str, Metric]:
        """How those of its metrics are read of which a judge with these options says it before the run."""
        said = self._said(options)
        return {name: m for name, m in said.items() if m is not None} if isinstance(said, Mapping) else {}

    def service(self, options: Mapping[str, Any]) -> str:
        """Which service of the user's settings it asks; empty where it asks none, or does not say which."""
        said = self.asks(options)
        return said if isinstance(said, str) else ""

    @cached_property
    def doc(self) -> str:
        return inspect.getdoc(self.call) or ""

    @cached_property
    def options(self) -> type[msgspec.Struct]:
        """The options as a struct: one field for every keyword-only parameter of the function."""
        return struct_of(self.call, "".join(w.title() for w in self.name.split("_")) + self.kind.title())

    def bind_fetch(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options that `fetch` takes, bound: those that only parsing needs are no reason to fetch anew."""
        assert self.fetch is not None
        return self.bind_for(self.fetch, options)

    def bind_for(self, call: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """Those options, bound, that another function of the plug-in's takes."""
        taken = inspect.signature(call).parameters
        return {name: value for name, value in self.bind(options).items() if name in taken}

    def bind(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Checked options, as a recipe holds them → keyword arguments for `call`."""
        typed = msgspec.convert(options, self.options)
        return {name: getattr(typed, name) for name in self.options.__struct_fields__}

    def at_work(
        self, options: Mapping[str, Any], ask: Callable[..., Any] | None = None
    ) -> Callable[[Sequence[Record]], list[Said]]:
        """A filter with its options, in the form that all three ways of writing one come to: records → what it says.

        A filter takes `record`; or `records`, and says as many things; or neither, and returns a function of a record.
        """
        bound = self.bind(options)
        positional = [
            n for n, p in inspect.signature(self.call).parameters.items() if p.kind is not p.KEYWORD_ONLY
        ]
        if positional == ["records", "ask"]:
            return lambda records: list(self.call(records, ask, **bound))
        if positional == ["records"]:
            return lambda records: list(self.call(records, **bound))
        if positional:
            return lambda records: [self.call(record, **bound) for record in records]
        made = self.call(**bound)
        return lambda records: [made(record) for record in records]

    @cached_property
    def file_options(self) -> dict[str, str]:
        """Options that name files → how they name them: "glob", "tool set" or "evals"."""
        return marked(self.options, "files")

    @cached_property
    def shares(self) -> dict[str, float]:
        """Options that are shares → what they must sum to."""
        return marked(self.options, "sum")

    @cached_property
    def source_options(self) -> dict[str, Any]:
        """Options that name an earlier source."""
        return marked(self.options, "source")
