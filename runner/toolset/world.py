"""Who answers the calls: the set itself, by draws, or a named service, whose answers were fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace

from runner.toolset.dice import Dice
from runner.toolset.form import Outcome, Tool, ToolSet, as_gen
from runner.toolset.values import DROPPED, Drawer, Env, Value, leaves, plain, said_rows, shape
from runner.toolset.words import compact


@dataclass(frozen=True)
class Call:
    """A call of a tool with values by slot; `arguments` is what the model writes."""

    tool: Tool
    values: Env

    @property
    def arguments(self) -> dict[str, Any]:
        made = shape(self.tool.tree, lambda name: self.values[name].json if name in self.values else DROPPED)
        return {} if made is DROPPED else dict(made)

    @property
    def key(self) -> str:
        """Names the call for good, and what was fetched for it."""
        return f"{self.tool.name} {compact(self.arguments)}"


@dataclass(frozen=True)
class Told:
    """What a tool told: the JSON, its fields as values, the kind of outcome; or the failure that it is."""

    result: dict[str, Any]
    fields: Env = field(default_factory=dict)
    outcome: Outcome | None = None
    failure: str = ""


class World(Protocol):
    def tell(self, call: Call, drawer: Drawer, die: Dice) -> Told:
        """The answer to a call."""
        ...


def failed(toolset: ToolSet, name: str) -> Told:
    """A call that comes to nothing."""
    return Told(toolset.failures[name].result, failure=name)


@dataclass(frozen=True)
class Offline:
    """Draws answers: the same call in the same conversation is told the same."""

    set: ToolSet

    def tell(self, call: Call, drawer: Drawer, die: Dice) -> Told:
        dice = Dice(f"{die.key}/{call.key}")
        fit = {i: float(o.weight) for i, o in enumerate(call.tool.outcomes) if _for(o, call)}
        outcome = call.tool.outcomes[dice.weighted(fit, "outcome")]
        fields: dict[str, Value] = {}
        for name, written in outcome.draw.items():
            fields[name] = drawer.draw(as_gen(written), name, dice, {**call.values, **fields})
        return _shaped(outcome, call, fields)


Answer = Callable[[Call], Mapping[str, Any] | str]
"""A call → the fields that a service gave for it, or the name of a failure."""


@dataclass(frozen=True)
class Served:
    """Puts a service's fields into the tool's own shape, and says them in its words."""

    set: ToolSet
    answer: Answer

    def tell(self, call: Call, drawer: Drawer, die: Dice) -> Told:
        if call.tool.own:
            return Offline(self.set).tell(call, drawer, die)
        got = self.answer(call)
        if isinstance(got, str):
            return failed(self.set, got)
        fit = [o for o in call.tool.outcomes if _for(o, call)]
        outcome = next((o for o in fit if _possible(o, got)), None) or replace(fit[0], remarks=None)
        fields: dict[str, Value] = {}
        for name, written in outcome.draw.items():
            gen = as_gen(written)
            if name not in got:
                fields[name] = plain(gen.always)
            elif gen.rows is not None:
                fields[name] = said_rows(gen.rows, got[name], name, Dice(f"{die.key}/{call.key}"))
            else:
                fields[name] = plain(got[name])
        return _shaped(outcome, call, fields)


def _for(outcome: Outcome, call: Call) -> bool:
    """Whether an outcome is for calls like this one; an argument that is left out counts as null."""
    given = {slot: value.json for slot, value in call.values.items()}
    return all(given.get(slot) in allowed for slot, allowed in outcome.when.items())


def _possible(outcome: Outcome, got: Mapping[str, Any]) -> bool:
    """Whether an outcome can be what a service told: words of its lists. Its numbers may lie anywhere."""
    lists = {name: as_gen(g).one_of for name, g in outcome.draw.items()}
    return all(got[name] in pool for name, pool in lists.items() if pool is not None and name in got)


def _shaped(outcome: Outcome, call: Call, fields: dict[str, Value]) -> Told:
    known = {**fields, **call.values}
    tree = outcome.tree
    result = shape(tree, lambda name: known[name].json if name in known else DROPPED)
    told = {name: known[name] for name in leaves(tree) if name in known}
    return Told({} if result is DROPPED else result, told, outcome)
