"""Whether whatever is drawn, something can be said; and nothing that nobody told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from itertools import product

from runner.toolset.checkvalues import examples, gen_mistakes, no_digits
from runner.toolset.form import Outcome, Question, Tool, ToolSet, said
from runner.toolset.gen import as_gen
from runner.toolset.phrases import Phrases
from runner.toolset.values import leaves, required
from runner.toolset.words import VOICES, Mistake, Voice, Voices, Where

Known = frozenset[str]


def nearest(name: str, names: Iterable[str]) -> str:
    """The one of `names` that was surely meant; "" for none."""
    return next(iter(get_close_matches(name, sorted(set(names)), 1)), "")


def meant(name: str, names: Iterable[str]) -> str:
    """The end of a message about a name that is none of `names`."""
    return f"; did you mean {near!r}?" if (near := nearest(name, names)) else ""


class Texts:
    """Checks of texts, which the checks of a set's parts (checkshapes.py) are made of."""

    def __init__(self, s: ToolSet, broken: Collection[str] = ()) -> None:
        """`broken` are tools whose calls cannot be made: nothing can be said of them."""
        self.s, self.broken = s, broken
        self.says: dict[Voice, Phrases] = {v: Phrases(s, v) for v in VOICES}
        self.arguments = {n for t in s.tools for n in leaves(t.tree) if isinstance(n, str)}

    def needs(self, text: str) -> Known:
        return frozenset().union(*(p.needs(text) for p in self.says.values()))

    def surely(self, text: str) -> Known:
        return frozenset.intersection(*(p.surely(text) for p in self.says.values()))

    def _asked(
        self,
        at: Where,
        questions: Iterable[str | Question],
        needed: Collection[str] = (),
        more: Collection[str] = (),
    ) -> Iterator[Mistake]:
        """Texts of people: every slot is a value or one of `more`, and those needed are said in any wording."""
        for i, question in enumerate(questions):
            place = (*at, i, "say") if isinstance(question, Question) else (*at, i)
            text = said(question)
            known = {*self.s.values, *needed, *more}
            known |= {n for n in self.needs(text) if n.endswith("_2") and n[:-2] in needed}
            taken = set()
            for slot in sorted(self.needs(text) - known):
                near = nearest(slot, known)
                taken.add(near)
                yield place, f"nothing fills {{{slot}}}" + (f"; did you mean {{{near}}}?" if near else "")
            for slot in sorted(set(needed) - self.surely(text) - taken):
                yield place, f"needs {{{slot}}}"

    def _fields_asked(
        self,
        at: Where,
        asks: Iterable[str] | None,
        questions: Iterable[str | Question],
        fields: Collection[str],
    ) -> Iterator[Mistake]:
        """Whether what questions ask for is something that results have."""
        several = [((*at[:-1], "asks"), asks or ())] if at[-1] == "questions" else []
        several += [((*at, i, "asks"), q.asks) for i, q in enumerate(questions) if isinstance(q, Question)]
        for place, names in several:
            for i, name in enumerate(names):
                if name not in fields:
                    yield (*place, i), f"no result has {name!r}" + meant(name, fields)

    def _tells(
        self,
        at: Where,
        answers: Voices,
        cases: Iterable[tuple[Known, Known]],
        told: Callable[[Phrases], Mapping[str, Known]],
    ) -> Iterator[Mistake]:
        """Whether what is asked for is told wherever it is known; `cases` are (what is known, what is asked)."""
        cases = sorted(set(cases), key=lambda case: [*map(sorted, case)])
        for voice in VOICES:
            says, texts = self.says[voice], answers.of(voice)
            missing: set[tuple[str, ...]] = set()
            for known, asks in cases:
                able = [t for t in texts if says.needs(t) <= known]
                if able and not says.answering(texts, known, asks, told(says)):
                    ever = frozenset().union(*(says.tells(t, told(says)) for t in able))
                    wanted = known & asks
                    missing.add(tuple(sorted(wanted - ever or wanted)))
            for names in sorted(missing):
                which = ", ".join(n for n in names if n != "less")
                yield (*at, voice), f"no answer tells {which}, which a question asks for"

    def _answers(
        self,
        at: Where,
        answers: Voices,
        known: Iterable[Known],
        *,
        may: Iterable[Known] | None = None,
        fields: Known = frozenset(),
        only: str = "has no text where only this is known: ",
    ) -> Iterator[Mistake]:
        """Texts of the assistant: for each of `known`, one can be said; each can be said with some of `may`, holds no
        digits, and carries one of `fields` where there are any."""
        known = sorted(set(known), key=sorted)
        may = known if may is None else list(may)
        for voice in VOICES:
            says, texts = self.says[voice], answers.of(voice)
            yield from no_digits((*at, voice), texts)
            lost = False  # a text that nothing fills may be the very one that is missed
            for i, text in enumerate(texts):
                if not any(says.needs(text) <= m for m in may):
                    lost = True
                    least = min((sorted(says.needs(text) - m) for m in may), key=len)
                    near = nearest(least[0], frozenset().union(*may)) if len(least) == 1 else ""
                    yield (
                        (*at, voice, i),
                        f"can never be said: nothing fills {{{'}, {'.join(least)}}}"
                        + (f"; did you mean {{{near}}}?" if near else ""),
                    )
                elif fields and not says.needs(text) & fields:
                    yield (*at, voice, i), f"must carry at least one of {', '.join(sorted(fields))}"
            for k in known if not lost else ():
                if not any(says.needs(t) <= k for t in texts):
                    told = ", ".join(sorted(k)) or "nothing"
                    yield (*at, voice), only + told
                    break

    def _fields(self, tool: Tool, outcome: Outcome, said: Known) -> Known:
        """The fields that a result surely has."""
        return frozenset(n for n in leaves(outcome.tree) if n in outcome.draw or n in said)

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
                    what = f"{name!r} is neither drawn nor an argument"
                    yield ("outcomes", i, "result"), what + meant(name, (*names, *o.draw))
            for n, name in enumerate(o.tells):
                if name not in leaves(o.tree):
                    yield (
                        ("outcomes", i, "tells", n),
                        f"the result has no {name!r}" + meant(name, leaves(o.tree)),
                    )
                elif not o.answers:
                    yield ("outcomes", i, "tells"), "is for an outcome with `answers` of its own"
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

    def _told(
        self, tool: Tool, said: Iterable[Known], *, every: bool = True, asks: Iterable[Known] = ()
    ) -> Iterator[Mistake]:
        """Whether each outcome can be told after each of `said`, and what any of `asks` asks for."""
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
            cases = product(known, asks)
            yield from self._tells(at, answers, cases, partial(Phrases.of_outcome, outcome=o))
            if o.remarks and every:
                none = [frozenset[str]()]
                yield from self._answers(("outcomes", i, "remarks"), o.remarks, none, may=may)
