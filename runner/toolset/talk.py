"""Conversations of form 2, written shape by shape.

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
from runner.toolset.form import Question, Tool, said
from runner.toolset.phrases import NOTHING, in_pairs
from runner.toolset.values import Drawer, Env, Value, blocks, leaves, plain, required
from runner.toolset.words import Direct, compact, fill, slots
from runner.toolset.world import Call, Told, failed

T = TypeVar("T")


@dataclass
class Talk:
    """One conversation being written. Each method named for a shape writes it and returns its group."""

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

    # -- shapes ---------------------------------------------------------------------------------

    def one_call(self) -> str:
        tool = self._tool()
        question = self._deal(tool.questions, f"question/{tool.name}")
        self._exchange(tool, said(question), tool.asked(question))
        return self._group()

    def two_calls(self) -> str:
        return self._pair(parallel=False)

    def parallel_calls(self) -> str:
        return self._pair(parallel=True)

    def follow_ups(self) -> str:
        tool, call = self._tool(), None
        asks: Sequence[str] = []
        for n in range(2 + self.die.chance(3, "long")):
            at = f"turn {n}"
            if call is None or not tool.follow_ups:
                question = self._deal(tool.questions, f"question/{tool.name}/{n}")
                asks = tool.asked(question)
                call = self._exchange(tool, said(question), asks, at)
                continue
            more = self._deal(tool.follow_ups, f"follow-up/{tool.name}/{n}")
            asks = more.asks if isinstance(more, Question) else asks
            call = self._exchange(tool, said(more), asks, at, before=call.values)
        return self._group()

    def missing_argument(self) -> str:
        tool = self._tool(lambda t: bool(t.open_questions))
        question = self._deal(tool.open_questions, f"open/{tool.name}")
        known = self._ask(said(question))
        for slot in required(tool.schema, tool.tree):
            if slot in known:
                continue
            ask = self.cast.set.ask[slot]
            self._say(self._choose(ask.ask.of(self.cast.voice), known, f"ask/{slot}"))
            reply = self._deal(ask.replies, f"reply/{slot}")
            known = self._reply(reply, known, f"reply/{slot}")
        self._finish(tool, known, tool.asked(question))
        return self._group()

    def ambiguous_argument(self) -> str:
        which = self.cast.set.which
        assert which is not None
        case = self._deal([c for c in which.cases if self.cast.asking(c.argument)], "case")
        tool, question = self._deal(self.cast.asking(case.argument), f"asking/{case.argument}")
        known = self._ask(said(question), {case.argument: Value(None, case.said)})
        options = ", ".join(case.means[:-1]) + " or " + case.means[-1]
        told = {**known, "said": plain(case.said), "options": plain(options)}
        self._say(self._choose(which.ask.of(self.cast.voice), told, "which"))
        chosen = plain(self.die.pick(case.means, "chosen"))
        known = self._reply(self._deal(which.replies, "reply"), {**known, "chosen": chosen}, "reply")
        self._finish(tool, {**known, case.argument: chosen}, tool.asked(question))
        return case.said

    def unknown_value(self) -> str:
        tool = self._tool(lambda t: t.unknown is not None)
        assert tool.unknown is not None
        slot = tool.unknown.argument
        gen = tool.unknown.gen
        value = self.drawer.draw(gen, slot, Dice(f"{self.die.key}/unknown"), {})
        asked = [q for q in tool.questions if slot in self.cast.phrases.needs(said(q))]
        question = self._deal(asked, f"question/{tool.name}")
        known = self._ask(said(question), {slot: value})
        self._finish(tool, known, tool.asked(question), failure="unknown")
        return value.said

    def tool_error(self) -> str:
        tool = self._tool()
        name = self._deal(self.cast.failures, "failure")
        question = self._deal(tool.questions, f"question/{tool.name}")
        known, asks = self._ask(said(question)), tool.asked(question)
        failure = self.cast.set.failures[name]
        if failure.retry:
            self._call([self._made(tool, known)], failure=name)
            self._finish(tool, known, asks, failure=name if self.die.chance(3, "again") else "")
        else:
            self._finish(tool, known, asks, failure=name)
        return self._group()

    def chained_calls(self) -> str:
        chain = self.cast.set.chains[self._deal(self.cast.chains, "chain")]
        first, then = self.cast.set.tool(chain.first), self.cast.set.tool(chain.then)
        question = self._deal(chain.questions, f"chain/{chain.first}/{chain.then}")
        asked = self._ask(said(question))
        one = self._call([self._made(first, asked)])[0]
        if not set(chain.give.values()) <= one.fields.keys():
            self._say(self._report(first, one, asked, "first"))
            return self._group()
        given = {slot: one.fields[name] for slot, name in chain.give.items()}
        two = self._call([self._made(then, {**asked, **given})])[0]
        if two.failure:
            texts = (
                self._report(first, one, asked, "first"),
                self._report(then, two, {**asked, **given}, "then"),
            )
            self._say(" ".join(texts))
            return self._group()
        second = {k if k not in one.fields else f"{k}_2": v for k, v in two.fields.items()}
        known = {**one.fields, **second, **asked}
        self._say(self._choose(chain.answers.of(self.cast.voice), known, "answer", chain.asked(question)))
        return self._group()

    def refusal(self) -> str:
        return self._in_words(self.cast.set.refusals)

    def no_call(self) -> str:
        return self._in_words(self.cast.set.direct)

    def irrelevant_tools(self) -> str:
        tool, self.only_others = self._tool(), True
        known = self._ask(said(self._deal(tool.questions, f"question/{tool.name}")))
        assert self.cast.set.irrelevant is not None
        self._say(self._choose(self.cast.set.irrelevant.of(self.cast.voice), known, "irrelevant"))
        return self._group()

    # -- parts ----------------------------------------------------------------------------------

    def _exchange(
        self, tool: Tool, question: str, asks: Sequence[str], at: str = "", before: Env | None = None
    ) -> Call:
        known = self._ask(question, at=at, before=before, opened=before is None)
        return self._finish(tool, {**(before or {}), **known}, asks, at=at)

    def _finish(
        self, tool: Tool, known: Env, asks: Sequence[str], *, failure: str = "", at: str = ""
    ) -> Call:
        call = self._made(tool, known)
        told = self._call([call], failure=failure)[0]
        self._say(self._report(tool, told, known, f"answer{at}", asks))
        return call

    def _pair(self, *, parallel: bool) -> str:
        tool = self._tool(lambda t: t.pairs is not None)
        pairs = tool.pairs
        assert pairs is not None
        question = self._deal(pairs.questions, f"pair/{tool.name}")
        known = self._ask(said(question), twice=pairs.differ)
        other = {**known, pairs.differ: known[f"{pairs.differ}_2"]}
        calls = [self._made(tool, known), self._made(tool, other)]
        if parallel:
            a, b = self._call(calls)
        else:
            a, b = (self._call([c])[0] for c in calls)
        if a.failure or b.failure:
            self._say(f"{self._report(tool, a, known, 'one')} {self._report(tool, b, other, 'two')}")
            return self._group()
        one, two = self._facts(a, known, "one"), self._facts(b, other, "two")
        facts = {**one, **{f"{k}_2": v for k, v in two.items() if k in b.fields or k == "short"}, **known}
        if pairs.compare is not None:
            x, y = a.fields[pairs.compare].json, b.fields[pairs.compare].json
            if x != y:
                more, less = (known, other) if x > y else (other, known)
                facts |= {"more": more[pairs.differ], "less": less[pairs.differ]}
        assert a.outcome and b.outcome
        told = in_pairs(self.cast.phrases, a.outcome, b.outcome)
        asks = [name for ask in pairs.asked(question) for name in (ask, f"{ask}_2")]
        self._say(self._choose(pairs.answers.of(self.cast.voice), facts, "answer", asks, told))
        return self._group()

    def _facts(self, told: Told, known: Env, at: str) -> dict[str, Value]:
        """What is known after one of a pair's calls; `short` is its result in a few words."""
        facts = {**known, **told.fields}
        if told.outcome and told.outcome.short:
            texts = told.outcome.short.of(self.cast.voice)
            facts["short"] = plain(self._choose(texts, facts, f"short {at}"))
        return facts

    def _in_words(self, entries: list[Direct]) -> str:
        ask, entry = self._deal([(ask, d) for d in entries for ask in d.asks], "direct")
        known = self._ask(ask, opened=self.shape != "no_call")
        self._say(self._choose(entry.of(self.cast.voice), known, "answer"))
        return self._group() if self._used_block(known) else entry.asks[0]

    def _report(self, tool: Tool, told: Told, said: Env, at: str, asks: Sequence[str] = ()) -> str:
        """What the assistant says of one answer, where a question asked for fields."""
        if told.failure:
            return self._choose(self.cast.set.failures[told.failure].answers.of(self.cast.voice), said, at)
        assert told.outcome is not None
        answers, remarks = told.outcome.answers or tool.answers, told.outcome.remarks
        assert answers is not None  # check.py has seen to it
        known = {**said, **told.fields}
        told_of = self.cast.phrases.of_outcome(told.outcome)
        text = self._choose(answers.of(self.cast.voice), known, at, asks, told_of)
        if remarks and self.die.chance(2, f"{at}/remark"):
            text += " " + self._choose(remarks.of(self.cast.voice), known, f"{at}/which remark")
        return text

    # -- saying and calling ---------------------------------------------------------------------

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
