"""Whether each shape that a set has can be written: questions, pairs, chains, what may be meant, failures."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

from runner.toolset.checktexts import Known, Texts, meant
from runner.toolset.checkvalues import examples, gen_mistakes
from runner.toolset.form import Chain, Question, Tool, said
from runner.toolset.gen import as_gen
from runner.toolset.phrases import NOTHING, RANKS, in_pairs
from runner.toolset.schemas import refused
from runner.toolset.values import DROPPED, leaves, required, shape
from runner.toolset.words import Mistake, Voices, Where, slots


class Shapes(Texts):
    """Checks that whatever is drawn, something can be said."""

    def mistakes(self) -> Iterator[Mistake]:
        s = self.s
        for i, tool in enumerate(s.tools):
            for where, what in self._tool(tool) if tool.name not in self.broken else ():
                yield ("tools", i, *where), what
        for key, texts in (("openers", s.openers), ("closers", s.closers)):
            yield from self._asked((key,), texts)
            for n, text in enumerate(texts):
                for slot in sorted(self.needs(text) & self.arguments):
                    yield (key, n), f"{{{slot}}} is a tool's argument, and would change calls"
        for key, entries in (("direct", s.direct), ("refusals", s.refusals)):
            for i, entry in enumerate(entries):
                yield from self._asked((key, i, "asks"), entry.asks)
                said = [self.surely(a) for a in entry.asks]
                yield from self._answers((key, i), Voices(entry.persona, entry.plain), said)
        for name, failure in s.failures.items():
            wanted = [frozenset[str]()]
            if name == "unknown":
                wanted = [frozenset({t.unknown.argument}) for t in s.tools if t.unknown] or wanted
            may = [k | self.arguments | s.values.keys() for k in wanted]
            yield from self._answers(("failures", name, "answers"), failure.answers, wanted, may=may)
        if s.irrelevant:
            may = [frozenset(self.arguments | s.values.keys())]
            yield from self._answers(("irrelevant",), s.irrelevant, [frozenset()], may=may)
        for slot, ask in s.ask.items():
            if slot not in self.arguments:
                yield ("ask", slot), "no tool has such an argument" + meant(slot, self.arguments)
            may = [frozenset(self.arguments | s.values.keys())]
            yield from self._answers(("ask", slot, "ask"), ask.ask, [frozenset()], may=may)
            yield from self._asked(("ask", slot, "replies"), ask.replies, {slot})
        yield from self._which()
        for i, chain in enumerate(s.chains):
            for where, what in self._chain(chain):
                yield ("chains", i, *where), what

    def _tool(self, tool: Tool) -> Iterator[Mistake]:
        told = [*self._outcomes(tool)]
        yield from told
        names, wanted = set(leaves(tool.tree)), required(tool.schema, tool.tree)
        yield from self._asked(("questions",), tool.questions, wanted)
        yield from self._asked(("open_questions",), tool.open_questions)
        yield from self._asked(("follow_ups",), tool.follow_ups)
        fields = frozenset().union(*(self._fields(tool, o, frozenset(names)) for o in tool.outcomes))
        for key in ("questions", "open_questions", "follow_ups"):
            yield from self._fields_asked((key,), tool.asks, getattr(tool, key), fields)
        for i, name in enumerate(tool.retell):
            if name not in names:
                yield ("retell", i), "is no argument of the tool" + meant(name, names)
            elif any(name in o.when for o in tool.outcomes):
                yield ("retell", i), "chooses an outcome (`when`), so it changes more than how one is told"
        for i, text in enumerate(map(said, tool.questions)):
            whole = self.surely(text) >= set(wanted)
            if whole and (why := self._refused(tool, self.surely(text))):
                yield ("questions", i), f"makes a call that the schema refuses: {why}"
        for i, text in enumerate(map(said, tool.open_questions)):
            left = [slot for slot in wanted if slot not in self.surely(text)]
            if not left:
                yield (
                    ("open_questions", i),
                    f"leaves nothing to be asked for; required are {', '.join(wanted)}",
                )
            for slot in left:
                if slot in self.needs(text):
                    yield ("open_questions", i), f"only some wordings say {{{slot}}}"
                if slot not in self.s.ask:
                    yield ("open_questions", i), f"ask.{slot} must say how to ask for {slot!r}"
        for i, text in enumerate(map(said, tool.follow_ups)):
            if not self.surely(text) & names:
                yield ("follow_ups", i), f"must say at least one of {', '.join(sorted(names))}"
        if told:
            return
        # What a mistaken question says is not what answers must do with.
        known = [k for q in tool.questions if (k := self.surely(said(q))) >= set(wanted)]
        known += [self.surely(said(q)) | set(wanted) for q in (*tool.open_questions, *tool.follow_ups)]
        known = known or [frozenset(wanted)]
        asks = {frozenset(tool.asked(q)) for q in (*tool.questions, *tool.open_questions)}
        asks |= {frozenset(q.asks) for q in tool.follow_ups if isinstance(q, Question)}
        yield from self._told(tool, known, asks=asks)
        if tool.unknown:
            slot = tool.unknown.argument
            yield from gen_mistakes(("unknown", "values"), tool.unknown.gen, self.s)
            if slot not in names or not any(slot in self.surely(said(q)) for q in tool.questions):
                yield ("unknown", "argument"), f"no question surely says {slot!r}"
            if "unknown" not in self.s.failures:
                yield ("unknown",), "the set needs the failure `unknown`"
        yield from self._pairs(tool)

    def _refused(self, tool: Tool, said: Known) -> str:
        """What the schema has against a call with the arguments that are said; "" for nothing."""
        call = shape(
            tool.tree, lambda n: next(iter(examples(self.s, self.s.gen(n))), None) if n in said else DROPPED
        )
        return refused(tool.schema, {} if call is DROPPED else call)

    def _pairs(self, tool: Tool) -> Iterator[Mistake]:
        pairs = tool.pairs
        if pairs is None:
            return
        names, other = leaves(tool.tree), f"{pairs.differ}_2"
        if pairs.differ not in names:
            yield ("pairs", "differ"), f"is none of {', '.join(names)}" + meant(pairs.differ, names)
            return
        wanted = {*required(tool.schema, tool.tree), pairs.differ}
        yield from self._asked(("pairs", "questions"), pairs.questions, {*wanted, other})
        at: Where = ("pairs", "answers")
        numbers = [{n for n, g in o.draw.items() if as_gen(g).between} for o in tool.outcomes]
        if pairs.compare is not None and not all(pairs.compare in n for n in numbers):
            what = f"{pairs.compare!r} is not a number in every outcome"
            yield ("pairs", "compare"), what + meant(pairs.compare, set().union(*numbers))
            return
        ranks = RANKS if pairs.compare is not None else Known()
        ever = frozenset().union(*(self._fields(tool, o, frozenset(names)) for o in tool.outcomes))
        yield from self._fields_asked(("pairs", "questions"), pairs.asks, pairs.questions, ever | ranks)
        asked = {frozenset(n for a in pairs.asked(q) for n in (a, f"{a}_2")) for q in pairs.questions}
        known = [self.surely(said(q)) for q in pairs.questions]
        yield from self._short(tool, [k & set(names) | {pairs.differ} for k in known])
        all_known: set[Known] = set()
        cases: dict[tuple[int, int], set[tuple[Known, Known]]] = {}
        for (i, a), (j, b) in product(enumerate(tool.outcomes), repeat=2):
            one, two = (
                self._fields(tool, o, frozenset()) | ({"short"} if o.short else set()) for o in (a, b)
            )
            here = {k | one | {f"{n}_2" for n in two} for k in known}
            all_known |= here
            cases[i, j] = {(k | r, asks) for k in here for r in {ranks, Known()} for asks in asked}
        may = [k | ranks for k in all_known]
        only = "has no text where only this is known: "
        if ranks:
            only = f"needs a text for a tie in {pairs.compare!r}, where {{more}} and {{less}} say nothing, with only: "
        yield from self._answers(at, pairs.answers, all_known, may=may, only=only)
        told = set()
        for (i, j), of in cases.items():
            a, b = tool.outcomes[i], tool.outcomes[j]
            told |= {*self._tells(at, pairs.answers, of, partial(in_pairs, one=a, two=b))}
        yield from sorted(told, key=str)

    def _short(self, tool: Tool, known: list[Known]) -> Iterator[Mistake]:
        """Whether each outcome that has `short` can be told so."""
        for i, o in enumerate(tool.outcomes):
            if o.short:
                mine = [k | self._fields(tool, o, k) for k in known]
                yield from self._answers(("outcomes", i, "short"), o.short, mine, may=mine)

    def _which(self) -> Iterator[Mistake]:
        which = self.s.which
        if which is None:
            return
        for i, case in enumerate(which.cases):
            asking = [t for t in self.s.tools if case.argument in leaves(t.tree)]
            if {t.name for t in asking} & {*self.broken}:
                continue
            if not any(case.argument in slots(said(q)) for t in asking for q in t.questions):
                yield ("which", "cases", i, "argument"), f"no question says {{{case.argument}}} itself"
                continue
            gen = self.s.gen(case.argument)
            listed = [*examples(self.s, gen)] if gen.one_of or gen.ways or gen.like else None
            for n, value in enumerate(case.means):
                if not self._takes(case.argument, asking, value):
                    yield ("which", "cases", i, "means", n), f"the tool's schema does not allow {value!r}"
                elif listed is not None and value not in listed:
                    what = f"{value!r} is none of values.{case.argument}"
                    yield ("which", "cases", i, "means", n), what + meant(value, map(str, listed))
        may = [frozenset({"said", "options"} | self.s.values.keys())]
        yield from self._answers(("which", "ask"), which.ask, [frozenset({"said", "options"})], may=may)
        yield from self._asked(("which", "replies"), which.replies, {"chosen"})

    def _takes(self, argument: str, tools: list[Tool], value: str) -> bool:
        schemas = [_at_leaf(t.schema, t.tree, argument) for t in tools]
        return not any(refused(schema, value) for schema in schemas if schema is not None)

    def _chain(self, chain: Chain) -> Iterator[Mistake]:
        tools = {t.name: t for t in self.s.tools}
        for key in ("first", "then"):
            if (name := getattr(chain, key)) not in tools:
                yield (key,), f"no tool {name!r}" + meant(name, tools)
        if not {chain.first, chain.then} <= tools.keys() - {*self.broken}:
            return
        first, then = tools[chain.first], tools[chain.then]
        wrong = False
        for slot, name in chain.give.items():
            if slot not in leaves(then.tree):
                wrong = True
                yield (
                    ("give", slot),
                    f"{chain.then} has no argument {slot!r}" + meant(slot, leaves(then.tree)),
                )
            if not any(name in leaves(o.tree) for o in first.outcomes):
                wrong, fields = True, {n for o in first.outcomes for n in leaves(o.tree)}
                yield ("give", slot), f"{chain.first} never returns {name!r}" + meant(name, fields)
        wanted = {*required(first.schema, first.tree), *required(then.schema, then.tree)} - chain.give.keys()
        yield from self._asked(("questions",), chain.questions, wanted)
        for i, text in enumerate(map(said, chain.questions)):
            for slot in sorted(self.needs(text) & chain.give.keys()):
                yield ("questions", i), f"says {{{slot}}}, which the first call is to find"
        if wrong:  # what comes of the second call cannot be known
            return
        asked = [self.surely(said(q)) for q in chain.questions]
        for where, what in self._told(first, asked, every=False):
            yield (
                ("questions",),
                f"after them, {chain.first} cannot be told: {'.'.join(map(str, where))}: {what}",
            )
        known = []
        for a, b in product(first.outcomes, then.outcomes):
            one = self._fields(first, a, frozenset())
            if set(chain.give.values()) <= one:
                two = {f"{n}_2" if n in one else n for n in self._fields(then, b, frozenset(chain.give))}
                known += [k | one | two for k in asked]
        may = [k | set(leaves(first.tree)) | set(leaves(then.tree)) for k in known]
        yield from self._answers(("answers",), chain.answers, known, may=may)
        ever = frozenset().union(*known)
        yield from self._fields_asked(("questions",), chain.asks, chain.questions, ever)
        cases = product(known, {frozenset(chain.asked(q)) for q in chain.questions})
        yield from self._tells(("answers",), chain.answers, cases, lambda says: NOTHING)


def _at_leaf(schema: Any, tree: Any, name: str) -> Any:
    """The schema of the place where a tree has `name`."""
    if tree == name:
        return schema
    if isinstance(tree, dict):
        inner = ((schema.get("properties", {}).get(k, {}), v) for k, v in tree.items())
    elif isinstance(tree, list):
        inner = ((schema.get("items", {}), v) for v in tree)
    else:
        return None
    return next((found for part, v in inner if (found := _at_leaf(part, v, name)) is not None), None)
