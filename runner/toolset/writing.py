"""What every conversation of form 2 is written with: what people ask, what the assistant says and calls, what is drawn.

What keeps them grounded: an assistant's text is chosen among those whose slots the conversation can fill by then,
from what the user said or a tool told; and its own words hold no digits (check.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from runner.record import FunctionCall, Message, ToolCall
from runner.toolset.cast import Cast
from runner.toolset.dice import Dice, deal
from runner.toolset.form import Tool
from runner.toolset.phrases import NOTHING
from runner.toolset.values import Drawer, Env, Value, blocks, leaves
from runner.toolset.words import compact, fill, slots
from runner.toolset.world import Call, Told, failed

T = TypeVar("T")


@dataclass
class Writer:
    """Writes the messages of one conversation."""

    cast: Cast
    shape: str
    nth: int  # how many of this shape came before
    die: Dice
    again: int = 0  # how often it was drawn before, and came out like an earlier one
    messages: list[Message] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    only_others: bool = False
    """Whether the record offers none of the set's own tools."""

    def __post_init__(self) -> None:
        s = self.cast.set
        self.block = self._deal(blocks(s.gen(s.group_by).one_of or []), "block") if s.group_by else []
        self.drawer = Drawer(s, self.block, self.die)

    def _ask(
        self,
        template: str,
        known: Mapping[str, Value] | None = None,
        *,
        at: str = "",
        before: Env | None = None,
        twice: str = "",
        opened: bool = True,
    ) -> dict[str, Value]:
        """Write what the user says; the values it says. Those in `known` are given, the others drawn, and other
        than `before`."""
        die, s = Dice(f"{self.die.key}/ask{at}"), self.cast.set
        if opened and s.openers and die.chance(3, "opener"):
            template = f"{die.pick(s.openers, 'which opener')} {template}"
        if opened and s.closers and die.chance(5, "closer"):
            template = f"{template} {die.pick(s.closers, 'which closer')}"
        text = self.cast.phrases.expand(template, die)
        said = self._values(slots(text), die, known or {}, before or {}, twice)
        self.messages.append(Message("user", fill(text, {k: v.said for k, v in said.items()})))
        return said

    def _reply(self, template: str, said: dict[str, Value], at: str) -> dict[str, Value]:
        die = Dice(f"{self.die.key}/{at}")
        text = self.cast.phrases.expand(template, die)
        said = said | self._values(slots(text), die, said, {}, "")
        self.messages.append(Message("user", fill(text, {k: v.said for k, v in said.items()})))
        return said

    def _values(
        self, names: Collection[str], die: Dice, known: Mapping[str, Value], before: Env, twice: str
    ) -> dict[str, Value]:
        said, gens = dict(known), self.cast.set.values
        made = f"{twice}_2" if twice and f"{twice}_2" not in gens else ""
        late = {n for n in names if n in gens and self.cast.set.gen(n).like is not None}
        for name in (*sorted(set(names) - late - {made}), *sorted(late)):
            if name not in said:
                said[name] = self._other(name, name, die, said, before.get(name))
        if made and made in names:
            said[made] = self._other(twice, made, die, {}, said[twice])
        return said

    def _other(self, name: str, slot: str, die: Dice, said: Env, but: Value | None) -> Value:
        """A value of `name` that differs from `but`, if a dozen tries find one."""
        for n in range(12):
            tried = Dice(f"{die.key}/{slot}/{n}") if n or slot != name else die
            value = self.drawer.named(name, tried, said)
            if but is None or value.json != but.json:
                break
        return value

    def _choose(
        self,
        texts: Sequence[str],
        known: Env,
        what: str,
        asks: Sequence[str] = (),
        told: Mapping[str, frozenset[str]] = NOTHING,
    ) -> str:
        """One of the texts that can be said by now and that tell what was asked for and is known, filled."""
        phrases = self.cast.phrases
        able = phrases.answering(texts, known.keys(), asks, told)
        die = Dice(f"{self.die.key}/{what}")
        text = phrases.expand(die.pick(able, "text"), die)
        return fill(text, {k: v.said for k, v in known.items()})

    def _say(self, text: str) -> None:
        self.messages.append(Message("assistant", text))

    def _made(self, tool: Tool, said: Env) -> Call:
        return Call(tool, {slot: said[slot] for slot in leaves(tool.tree) if slot in said})

    def _call(self, calls: list[Call], failure: str = "") -> list[Told]:
        """Write the calls of one turn and their answers."""
        told = []
        start = 1 + sum(m.role == "tool" for m in self.messages)
        ids = [f"call_{start + n}" for n in range(len(calls))]
        made = [
            ToolCall(i, FunctionCall(c.tool.name, compact(c.arguments)))
            for i, c in zip(ids, calls, strict=True)
        ]
        self.messages.append(Message("assistant", tool_calls=made))
        for call_id, call in zip(ids, calls, strict=True):
            given = failure and not (failure == "unknown" and self.cast.served and not call.tool.own)
            answer = (
                failed(self.cast.set, failure) if given else self.cast.world.tell(call, self.drawer, self.die)
            )
            self.calls += [] if given else [call]
            told.append(answer)
            self.messages.append(Message("tool", compact(answer.result), tool_call_id=call_id))
        return told

    # -- draws ----------------------------------------------------------------------------------

    def _deal(self, pool: Sequence[T], what: str) -> T:
        if self.again:  # the same cards would make the same conversation
            return self.die.pick(pool, f"deal/{what}")
        key = f"{self.cast.seed}/{self.cast.set.name}/{self.shape}/{what}"
        return deal(pool, key, self.nth)

    def _tool(self, able: Callable[[Tool], bool] = lambda _: True) -> Tool:
        weights = {t.name: float(t.weight) for t in self.cast.tools if able(t)}
        return self.cast.set.tool(self.die.weighted(weights, "tool"))

    def _used_block(self, said: Env) -> bool:
        by, values = self.cast.set.group_by, self.cast.set.values
        return any(n == by or (n in values and self.cast.set.gen(n).like == by) for n in said if by)

    def _group(self) -> str:
        return str(self.block[0]) if self.block else ""
