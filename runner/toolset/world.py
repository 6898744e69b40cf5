"""Who answers the calls: the set itself, by draws, or a named service, whose answers were fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import UNSET
from msgspec.structs import replace

from runner.toolset.dice import Dice
from runner.toolset.form import Outcome, Tool, ToolSet
from runner.toolset.gen import Gen, as_gen
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

    @property
    def about(self) -> str:
        """Names what the call is about: calls that differ only in how they are told are about the same facts."""
        asked = {slot: value for slot, value in self.values.items() if slot not in self.tool.retell}
        return Call(self.tool, asked).key


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
    """Draws answers: in one conversation, what a call is about has one answer, however it is told."""

    set: ToolSet

    def tell(self, call: Call, drawer: Drawer, die: Dice) -> Told:
        dice = Dice(f"{die.key}/{call.about}")
        fit = {i: float(o.weight) for i, o in enumerate(call.tool.outcomes) if _for(o, call)}
        outcome = call.tool.outcomes[dice.weighted(fit, "outcome")]
        fields: dict[str, Value] = {}
        for name, written in outcome.draw.items():
            fields[name] = drawer.draw(as_gen(written), name, dice, {**fields, **call.values})
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
        outcome = next((o for o in fit if _surely(o, got, call)), None)
        if outcome is None:
            outcome = replace(next((o for o in fit if _possible(o, got)), fit[0]), remarks=None)
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


def _surely(outcome: Outcome, got: Mapping[str, Any], call: Call) -> bool:
    """Whether an outcome is what a service told, so that its remarks hold: all its words and numbers are such as it
    draws. Where that cannot be decided, it is not."""
    return all(_within(as_gen(g), got.get(name), call) for name, g in outcome.draw.items())


def _within(gen: Gen, told: Any, call: Call) -> bool:
    if gen.always is not UNSET:  # the set's own, or an argument's echo
        return True
    if (pool := gen.one_of or gen.following) is not None:
        return told in pool
    if (b := gen.between) is not None:
        if isinstance(told, bool) or not isinstance(told, int | float) or b.above is not None:
            return False
        scale = b.scale(lambda slot: call.values[slot].json if slot in call.values else None)
        return b.measured(b.min, scale) <= told <= b.measured(b.max, scale)
    if gen.rows is not None:
        return bool(told) and all(
            _within(as_gen(g), row.get(name), call) for row in told for name, g in gen.rows.draw.items()
        )
    return False


def _shaped(outcome: Outcome, call: Call, fields: dict[str, Value]) -> Told:
    known = {**fields, **call.values}
    tree = outcome.tree
    result = shape(tree, lambda name: known[name].json if name in known else DROPPED)
    told = {name: known[name] for name in leaves(tree) if name in known}
    return Told({} if result is DROPPED else result, told, outcome)
