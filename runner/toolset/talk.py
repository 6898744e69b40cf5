"""Conversations of form 2, written shape by shape."""

from __future__ import annotations

from collections.abc import Sequence

from runner.toolset.dice import Dice
from runner.toolset.form import Question, Tool, said
from runner.toolset.phrases import in_pairs
from runner.toolset.values import Env, Value, plain, required
from runner.toolset.words import Direct
from runner.toolset.world import Call, Told
from runner.toolset.writing import Writer


class Talk(Writer):
    """One conversation being written. Each method named for a shape writes it and returns its group."""

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
