"""Whether whatever is drawn, something can be said; and nothing that nobody told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import product
from typing import Any

from runner.toolset.checkvalues import examples, gen_mistakes, no_digits
from runner.toolset.form import Chain, Outcome, Tool, ToolSet, as_gen
from runner.toolset.phrases import Phrases
from runner.toolset.values import DROPPED, leaves, required, shape
from runner.toolset.words import VOICES, Mistake, Voice, Voices, Where, slots

Known = frozenset[str]


class Texts:
    """Checks that whatever is drawn, something can be said."""

    def __init__(self, s: ToolSet) -> None:
        self.s = s
        self.says: dict[Voice, Phrases] = {v: Phrases(s, v) for v in VOICES}
        self.arguments = {name for t in s.tools for name in leaves(t.tree)}

    def needs(self, text: str) -> Known:
        return frozenset().union(*(p.needs(text) for p in self.says.values()))

    def surely(self, text: str) -> Known:
        return frozenset.intersection(*(p.surely(text) for p in self.says.values()))

    def mistakes(self) -> Iterator[Mistake]:
        s = self.s
        for i, tool in enumerate(s.tools):
            for where, what in self._tool(tool):
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
                yield ("ask", slot), "no tool has such an argument"
            may = [frozenset(self.arguments | s.values.keys())]
            yield from self._answers(("ask", slot, "ask"), ask.ask, [frozenset()], may=may)
            yield from self._asked(("ask", slot, "replies"), ask.replies, {slot})
        yield from self._which()
        for i, chain in enumerate(s.chains):
            for where, what in self._chain(chain):
                yield ("chains", i, *where), what

    def _asked(self, at: Where, texts: Iterable[str], needed: Collection[str] = ()) -> Iterator[Mistake]:
        """Texts of people: every slot is a value, and those needed are said in any wording."""
        for i, text in enumerate(texts):
            extra = {n for n in self.needs(text) if n.endswith("_2") and n[:-2] in needed}
            for slot in sorted(self.needs(text) - self.s.values.keys() - set(needed) - extra):
                yield (*at, i), f"nothing fills {{{slot}}}"
            for slot in sorted(set(needed) - self.surely(text)):
                yield (*at, i), f"needs {{{slot}}}"

    def _answers(
        self,
        at: Where,
        answers: Voices,
        known: Iterable[Known],
        *,
        may: Iterable[Known] | None = None,
        fields: Known = frozenset(),
    ) -> Iterator[Mistake]:
        """Texts of the assistant: for each of `known`, one can be said; each can be said with some of `may`, holds no
        digits, and carries one of `fields` where there are any."""
        known = sorted(set(known), key=sorted)
        may = known if may is None else list(may)
        for voice in VOICES:
            says, texts = self.says[voice], answers.of(voice)
            yield from no_digits((*at, voice), texts)
            for i, text in enumerate(texts):
                if not any(says.needs(text) <= m for m in may):
                    least = min((sorted(says.needs(text) - m) for m in may), key=len, default=["?"])
                    yield (*at, voice, i), f"can never be said: nothing fills {{{'}, {'.join(least)}}}"
                elif fields and not says.needs(text) & fields:
                    yield (*at, voice, i), f"must carry at least one of {', '.join(sorted(fields))}"
            for k in known:
                if not any(says.needs(t) <= k for t in texts):
                    told = ", ".join(sorted(k)) or "nothing"
                    yield (*at, voice), f"has no text where only this is known: {told}"
                    break

    def _outcomes(self, tool: Tool) -> Iterator[Mistake]:
        names = leaves(tool.tree)
        for i, o in enumerate(tool.outcomes):
            seen = list(names)
            for name, written in o.draw.items():
                yield from gen_mistakes(("outcomes", i, "draw", name), as_gen(written), self.s, seen)
                seen.append(name)
                if name in self.s.phrases:
                    yield ("outcomes", i, "draw", name), f"{name!r} is also a pool of phrases"
            for name in leaves(o.tree):
                if not isinstance(name, str) or name not in (*names, *o.draw):
                    yield ("outcomes", i, "result"), f"{name!r} is neither drawn nor an argument"
            for name in o.when:
                if name not in names:
                    yield ("outcomes", i, "when", name), "is no argument of the tool"
        by = sorted({n for o in tool.outcomes for n in o.when if n in names})
        wanted = set(required(tool.schema, tool.tree))
        pools = [[*examples(self.s, self.s.gen(n)), *(() if n in wanted else (None,))] for n in by]
        for combination in product(*pools):
            case = dict(zip(by, combination, strict=True))
            if not any(all(case[n] in ok for n, ok in o.when.items()) for o in tool.outcomes):
                yield ("outcomes",), f"none is for {case}"
                return

    def _fields(self, tool: Tool, outcome: Outcome, said: Known) -> Known:
        """The fields that a result surely has."""
        return frozenset(n for n in leaves(outcome.tree) if n in outcome.draw or n in said)

    def _told(self, tool: Tool, said: Iterable[Known], *, every: bool = True) -> Iterator[Mistake]:
        """Whether each outcome can be told after each of `said`."""
        for i, o in enumerate(tool.outcomes):
            known = [k | self._fields(tool, o, k) for k in said]
            at: Where = ("outcomes", i, "answers") if o.answers else ("answers",)
            fields = frozenset(o.draw) - frozenset(leaves(tool.tree))
            may = [k | fields | set(leaves(tool.tree)) for k in known]
            if not every or not o.answers:  # the tool's own texts may be for another outcome
                may.append(may[0].union(*(self._fields(tool, x, frozenset()) for x in tool.outcomes)))
            answers = o.answers or tool.answers
            if answers is None:
                yield ("outcomes", i), "needs `answers`, as the tool has none"
                continue
            yield from self._answers(at, answers, known, may=may, fields=fields if every else Known())
            if o.remarks and every:
                none = [frozenset[str]()]
                yield from self._answers(("outcomes", i, "remarks"), o.remarks, none, may=may)

    def _tool(self, tool: Tool) -> Iterator[Mistake]:
        told = [*self._outcomes(tool)]
        yield from told
        names, wanted = set(leaves(tool.tree)), required(tool.schema, tool.tree)
        yield from self._asked(("questions",), tool.questions, wanted)
        yield from self._asked(("open_questions",), tool.open_questions)
        yield from self._asked(("follow_ups",), tool.follow_ups)
        for i, text in enumerate(tool.questions):
            whole = self.surely(text) >= set(wanted)
            if whole and (why := self._refused(tool, self.surely(text))):
                yield ("questions", i), f"makes a call that the schema refuses: {why}"
        for i, text in enumerate(tool.open_questions):
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
        for i, text in enumerate(tool.follow_ups):
            if not self.surely(text) & names:
                yield ("follow_ups", i), f"must say at least one of {', '.join(sorted(names))}"
        if told:
            return
        said = [self.surely(q) for q in tool.questions]
        said += [self.surely(q) | set(wanted) for q in tool.open_questions]
        yield from self._told(tool, said)
        if tool.unknown:
            slot = tool.unknown.argument
            yield from gen_mistakes(("unknown", "values"), tool.unknown.gen, self.s)
            if slot not in names or not any(slot in self.surely(q) for q in tool.questions):
                yield ("unknown", "argument"), f"no question surely says {slot!r}"
            if "unknown" not in self.s.failures:
                yield ("unknown",), "the set needs the failure `unknown`"
        yield from self._pairs(tool)

    def _refused(self, tool: Tool, said: Known) -> str:
        """What the schema has against a call with the arguments that are said; "" for nothing."""
        from jsonschema import Draft202012Validator

        call = shape(
            tool.tree, lambda n: next(iter(examples(self.s, self.s.gen(n))), None) if n in said else DROPPED
        )
        errors = Draft202012Validator(tool.schema).iter_errors({} if call is DROPPED else call)
        return next((e.message for e in errors), "")

    def _pairs(self, tool: Tool) -> Iterator[Mistake]:
        pairs = tool.pairs
        if pairs is None:
            return
        names, other = leaves(tool.tree), f"{pairs.differ}_2"
        if pairs.differ not in names:
            yield ("pairs", "differ"), f"is none of {', '.join(names)}"
            return
        wanted = {*required(tool.schema, tool.tree), pairs.differ}
        for i, text in enumerate(pairs.questions):
            for slot in sorted(self.needs(text) - self.s.values.keys() - {other}):
                yield ("pairs", "questions", i), f"nothing fills {{{slot}}}"
            for slot in sorted({*wanted, other} - self.surely(text)):
                yield ("pairs", "questions", i), f"needs {{{slot}}}"
        fields = [self._fields(tool, o, frozenset()) for o in tool.outcomes]
        if pairs.compare is not None and not all(
            as_gen(o.draw[pairs.compare]).between if pairs.compare in o.draw else None for o in tool.outcomes
        ):
            yield ("pairs", "compare"), f"{pairs.compare!r} is not a number in every outcome"
        said = [self.surely(q) | self.says["plain"].surely(q) for q in pairs.questions]
        both = {(a, frozenset(f"{n}_2" for n in b)) for a, b in product(fields, fields)}
        known = [k | a | b for k, (a, b) in product(said, both)]
        ranks = {"more", "less"} if pairs.compare is not None else set[str]()
        may = [k | ranks for k in known]
        yield from self._answers(("pairs", "answers"), pairs.answers, known, may=may)

    def _which(self) -> Iterator[Mistake]:
        which = self.s.which
        if which is None:
            return
        for i, case in enumerate(which.cases):
            asking = [t for t in self.s.tools if case.argument in leaves(t.tree)]
            if not any(case.argument in slots(q) for t in asking for q in t.questions):
                yield ("which", "cases", i, "argument"), f"no question says {{{case.argument}}} itself"
            elif case.means != [v for v in case.means if self._takes(case.argument, asking, v)]:
                yield ("which", "cases", i, "means"), "the tool's schema does not allow one of these"
        may = [frozenset({"said", "options"} | self.s.values.keys())]
        yield from self._answers(("which", "ask"), which.ask, [frozenset({"said", "options"})], may=may)
        for i, text in enumerate(which.replies):
            for slot in sorted(self.needs(text) - self.s.values.keys() - {"chosen"}):
                yield ("which", "replies", i), f"nothing fills {{{slot}}}"
            if "chosen" not in self.surely(text):
                yield ("which", "replies", i), "needs {chosen}"

    def _takes(self, argument: str, tools: list[Tool], value: str) -> bool:
        from jsonschema import Draft202012Validator

        schemas = [_at_leaf(t.schema, t.tree, argument) for t in tools]
        return all(Draft202012Validator(schema).is_valid(value) for schema in schemas if schema is not None)

    def _chain(self, chain: Chain) -> Iterator[Mistake]:
        tools = {t.name: t for t in self.s.tools}
        for key in ("first", "then"):
            if getattr(chain, key) not in tools:
                yield (key,), f"no tool {getattr(chain, key)!r}"
        if not {chain.first, chain.then} <= tools.keys():
            return
        first, then = tools[chain.first], tools[chain.then]
        for slot, name in chain.give.items():
            if slot not in leaves(then.tree):
                yield ("give", slot), f"{chain.then} has no argument {slot!r}"
            if not any(name in o.draw for o in first.outcomes):
                yield ("give", slot), f"{chain.first} never returns {name!r}"
        wanted = {*required(first.schema, first.tree), *required(then.schema, then.tree)} - chain.give.keys()
        yield from self._asked(("questions",), chain.questions, wanted)
        for i, text in enumerate(chain.questions):
            for slot in sorted(self.needs(text) & chain.give.keys()):
                yield ("questions", i), f"says {{{slot}}}, which the first call is to find"
        said = [self.surely(q) for q in chain.questions]
        for where, what in self._told(first, said, every=False):
            yield (
                ("questions",),
                f"after them, {chain.first} cannot be told: {'.'.join(map(str, where))}: {what}",
            )
        known = []
        for a, b in product(first.outcomes, then.outcomes):
            one = self._fields(first, a, frozenset())
            if set(chain.give.values()) <= one:
                two = {f"{n}_2" if n in one else n for n in self._fields(then, b, frozenset(chain.give))}
                known += [k | one | two for k in said]
        may = [k | set(leaves(first.tree)) | set(leaves(then.tree)) for k in known]
        yield from self._answers(("answers",), chain.answers, known, may=may)


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
