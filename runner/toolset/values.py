"""Draws of values: the JSON that goes into calls and results, and the words that people say for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from msgspec import UNSET

from runner.toolset.dice import Dice
from runner.toolset.form import ToolSet, Tree
from runner.toolset.gen import Between, Dates, Gen, Rows, as_gen
from runner.toolset.words import fill, fill_from

NEIGHBOURS = 4
"""Values of `group_by` stand in blocks of this many; a conversation keeps to one, so that a split can part them."""
MONTHS = ["January", "February", "March", "April", "May", "June", "July"]
MONTHS += ["August", "September", "October", "November", "December"]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@dataclass(frozen=True)
class Value:
    """`json` goes into calls and results, `said` into what people say; `fact` is a number as it was drawn, where it
    is told in another measure."""

    json: Any
    said: str
    fact: int | float | None = None


Env = Mapping[str, Value]


def plain(json: Any) -> Value:
    """A value that is said as it stands."""
    words = {True: "yes", False: "no", None: "none"}
    return Value(json, words[json] if json is None or isinstance(json, bool) else str(json))


def blocks(values: list[Any]) -> list[list[Any]]:
    """Neighbouring values; the last few that fill no block join the one before."""
    starts = range(0, max(len(values) // NEIGHBOURS, 1) * NEIGHBOURS, NEIGHBOURS)
    cut = [values[s : s + NEIGHBOURS] for s in starts]
    cut[-1] = values[starts[-1] :]
    return cut


@dataclass(frozen=True)
class Drawer:
    """Draws values of a set; `block` holds the values of `group_by` that this conversation may use."""

    set: ToolSet
    block: list[Any]
    die: Dice
    """The conversation's: days in rows begin on the same one in all its calls."""

    def named(self, name: str, die: Dice, env: Env) -> Value:
        """A value of `values.NAME`."""
        if name == self.set.group_by:
            return plain(die.pick(self.block, name))
        return self.draw(self.set.gen(name), name, die, env)

    def _unlike(self, target: str, name: str, die: Dice, env: Env) -> Value:
        """A value as that of `target` is drawn, and different from it."""
        taken = env.get(target)
        if target == self.set.group_by:
            return plain(die.pick([v for v in self.block if taken is None or v != taken.json], name))
        # A dozen tries find another wherever there are a few.
        for n in range(12):
            drawn = self.named(target, Dice(f"{die.key}/{name}/{n}"), env)
            if taken is None or drawn.json != taken.json:
                break
        return drawn

    def draw(self, gen: Gen, name: str, die: Dice, env: Env, nth: int = 0) -> Value:
        """A value by its generator; `nth` is the row that it stands in."""
        if gen.one_of is not None:
            return plain(die.pick(gen.one_of, name))
        if gen.following is not None:
            start = gen.following.index(die.pick(gen.following, name))
            return plain(gen.following[(start + nth) % len(gen.following)])
        if gen.between is not None:
            return _between(gen.between, name, die, env)
        if gen.ways is not None:
            way = die.pick(gen.ways, name)
            return Value(way[0], str(die.pick(way[1:], f"{name}/said")))
        if gen.joined is not None:
            return plain(self._joined(gen.joined, name, die))
        if gen.dates is not None:
            return _date(gen.dates, name, die, nth)
        if gen.rows is not None:
            return self._rows(gen.rows, name, die, env)
        if gen.like is not None:
            return self._unlike(gen.like, name, die, env)
        assert gen.always is not UNSET  # check.py has seen that one is given
        return plain(gen.always)

    def _joined(self, texts: list[str], name: str, die: Dice) -> str:
        inner = Dice(f"{die.key}/{name}")
        count = iter(range(1000))
        return fill_from(
            die.pick(texts, name),
            lambda slot: self.draw(self.set.gen(slot), f"{slot}/{next(count)}", inner, {}).said,
        )

    def _rows(self, rows: Rows, name: str, die: Dice, env: Env) -> Value:
        count = rows.count if isinstance(rows.count, int) else int(env[rows.count].json)
        made: list[dict[str, Value]] = []
        for n in range(count):
            row: dict[str, Value] = {}
            for field, written in rows.draw.items():
                gen = as_gen(written)
                steady = gen.following is not None or gen.dates is not None
                inner = self.die if steady else Dice(f"{die.key}/{name}/{n}")
                row[field] = self.draw(gen, field, inner, {**env, **row}, n)
            made.append(row)
        return said_rows(rows, [{k: v.json for k, v in row.items()} for row in made], name, die)


def said_rows(rows: Rows, made: list[dict[str, Any]], name: str, die: Dice) -> Value:
    """Rows with the sentence they read as."""
    form = die.pick(rows.say, f"{name}/say")
    texts = [fill(form, {k: plain(v).said for k, v in row.items()}) for row in made]
    return Value(made, rows.joined_by.join(texts))


def _between(b: Between, name: str, die: Dice, env: Env) -> Value:
    steps = int(round((b.max - b.min) / b.step, 6))
    base = env[b.above] if b.above is not None else Value(0, "0")
    drawn = (
        (base.json if base.fact is None else base.fact) + b.min + die.pick(range(steps + 1), name) * b.step
    )
    fact = drawn if isinstance(drawn, int) else round(drawn, 6)
    told = b.measured(fact, b.scale(lambda slot: env[slot].json if slot in env else None))
    return Value(told, str(told), fact)


def _date(dates: Dates, name: str, die: Dice, nth: int) -> Value:
    first, last = date.fromisoformat(dates.first), date.fromisoformat(dates.last)
    day = first + timedelta(die.pick(range((last - first).days + 1), name) + nth)
    parts = {"iso": day.isoformat(), "year": day.year, "month": MONTHS[day.month - 1], "day": day.day}
    said = fill(die.pick(dates.say, f"{name}/said"), {**parts, "weekday": WEEKDAYS[day.weekday()]})
    return Value(day.isoformat(), said)


DROPPED = object()


def shape(tree: Tree, value: Callable[[str], Any]) -> Any:
    """The JSON of a tree: each name gives way to its value, and what has none (DROPPED) to nothing.

    An object or list of which nothing is left goes too, but for one that is written empty.
    """
    if isinstance(tree, str):
        return value(tree)
    if isinstance(tree, dict):
        made = {k: shape(v, value) for k, v in tree.items()}
        left: Any = {k: v for k, v in made.items() if v is not DROPPED}
    else:
        left = [v for v in (shape(t, value) for t in tree) if v is not DROPPED]
    return left if left or not tree else DROPPED


def leaves(tree: Tree) -> list[str]:
    """The names in a tree, in order; something that is neither name, object nor list counts as one, too."""
    if isinstance(tree, dict):
        return [name for inner in tree.values() for name in leaves(inner)]
    if isinstance(tree, list):
        return [name for inner in tree for name in leaves(inner)]
    return [tree]


def required(schema: Mapping[str, Any], tree: Tree) -> list[str]:
    """The names in a tree that a call must have by its schema."""
    if isinstance(tree, str):
        return [tree]
    if isinstance(tree, list):
        return required(schema.get("items", {}), tree[0]) if tree else []
    properties = schema.get("properties", {})
    wanted = [key for key in tree if key in schema.get("required", [])]
    return [name for key in wanted for name in required(properties.get(key, {}), tree[key])]
