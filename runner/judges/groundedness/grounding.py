"""Does what an answer says follow from what was told?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from runner.judges.groundedness.days import Day, Hours, agree
from runner.judges.groundedness.facts import Fact
from runner.judges.groundedness.figures import Figures
from runner.judges.groundedness.following import Derived, compared, near, repeats
from runner.judges.groundedness.names import invented
from runner.judges.groundedness.numbers import Number
from runner.judges.groundedness.reading import Claim, Clock, alone, read
from runner.judges.groundedness.telling import Told, coming
from runner.judges.groundedness.times import read_times
from runner.judges.groundedness.units import converted, otherwise, said_as
from runner.judges.groundedness.wording import complement, gone, is_change, of_no_rain, of_speech

_FREEZING = re.compile(
    r"\s*(?:degrees?\s*(?:Celsius|C|Fahrenheit|F)?\s*)?(below|above)\s+freezing", re.IGNORECASE
)
_GLASS = re.compile(r"\bpressure|\bbarometer|\bmercury|\bglass\b", re.IGNORECASE)


MANY = 100
"""So many people, or steps, are no rows that were counted, but a number of the result."""
_COUNTS = frozenset("count counts total number found matches quantity qty num".split())
_ADJECTIVE = r"(?!(?:of|on|in|for|from|to|at|and|or|per|by|with|left)\b)[a-z-]*[a-rt-z]"
_THERE_ARE = re.compile(
    r"\b(?:there(?:['’]s|\s+(?:are|is|were|was))|(?:I|we)\s+(?:found|see|have|got)|(?:I|we)['’]ve\s+(?:found|got))\s+"
    r"(?:only\s+|just\s+|exactly\s+)?$",
    re.IGNORECASE,
)
_IN_ALL = re.compile(
    r"\s*(?:[.:;!]|$|,\s*(?:the|with|one|all|both|and)\b|\s(?:in\s+all|in\s+total|altogether|listed|on\s+(?:the|your)\s+\w+)\b)",
    re.IGNORECASE,
)


@dataclass
class Findings:
    """`faults`: what does not follow, an atom each with the reason; `used`: facts that the answer tells and nobody but
    a tool said."""

    faults: list[str] = field(default_factory=list)
    used: list[Fact] = field(default_factory=list)
    atoms: int = 0


class Check:
    """One answer against one world."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.figures = Figures(told)
        self.derived = Derived(self.figures.worth, self.figures.on)
        days = [f.day for f in told.facts if f.day] + [d for t in told.times for d in t.days]
        days += [d for f in told.facts if f.text for t in read_times(f.text) for d in t.days]
        days += [*(told.asked_days or ()), Day(offset=0)]
        # Only such as have a date: a Saturday does not make each Saturday of the year known.
        self.days = [d for d in (coming(x, told.today).known(told.today) for x in days) if d.dom is not None]

    def answer(self, text: str, common: frozenset[str], known: frozenset[str]) -> Findings:
        """What of an answer does not follow. `known` and `common` words as for names.invented."""
        found = Findings()
        text = re.sub(r" ?\n[ \n]*", "\n", re.sub(r"[^\S\n]+", " ", text))
        said = read(text, self.told.places, self.told.own, self.told.codes)
        failed: list[tuple[int, str]] = []
        good: dict[int, Claim] = {}
        for i, claim in enumerate(said.claims):
            if (miscounted := self._rows(claim)) is not None:
                if miscounted:
                    failed.append((i, miscounted))
                continue
            if claim.idle or of_speech(claim, [*self.told.own.values(), *self.told.counts]):
                continue
            found.atoms += 1
            facts, fault = self.number(claim)
            if fault:
                failed.append((i, fault))
            else:
                good[i] = claim
                found.used += facts
        for i, fault in failed:
            if not repeats(said, i, good):
                found.faults.append(f"{said.claims[i].number.shown}: {fault}")
        for clock in said.clocks:
            facts, fault = self.time(clock)
            found.atoms += 1
            found.used += facts
            if fault:
                found.faults.append(f"{clock.mention.text.strip()}: {fault}")
        for name in invented(text, known, common):
            found.atoms += 1
            found.faults.append(f"{name}: no such name in the tool's result or the conversation")
        found.used += self._quoted(text)
        return found

    # -- numbers ----------------------------------------------------------------------------------

    def number(self, claim: Claim) -> tuple[list[Fact], str]:
        """The facts that a number tells, or why it tells none. No facts and no fault: people said it."""
        facts, fault = self._number(claim)
        if fault and claim.number.lent:
            other = self._number(alone(claim))
            if not other[1]:
                return other
        vague = claim.number.unit is None and claim.quantities <= {"precipitation", "snow", "clouds"}
        if fault and claim.quantities and (claim.far or vague):
            # What another clause names may belong to something else; so may the showers of "showers at 14".
            return self._number(replace(claim, quantities=frozenset(), aspects=frozenset()))
        return facts, fault

    def _number(self, claim: Claim) -> tuple[list[Fact], str]:
        n = self._asked(claim)
        if claim.counted or n.number.unit == "h":
            allowed = self.told.sizes | {x.value for x in self.told.numbers}
            if n.number.value in allowed or 0 <= n.number.value <= max(self.told.sizes, default=1):
                return [], ""
            if claim.counted and n.number.value < MANY:
                return [], "counts more than there is"
        able = list(self.figures.measurable(n))
        by_value = [f for f in able if self._equal(n, f, said_as)]
        if compared(n):  # no number of the result itself, unless that is a change
            by_value = [f for f in by_value if is_change(f)]
            if not by_value:
                follows = self.derived.follows(n)
                return [], "" if follows else "no such difference in the tool's result"
        by_value = by_value or [f for f in able if self._equal(n, f, otherwise)]
        kept, why = by_value, ""
        for test, reason in self.figures.tests(n):
            left = [f for f in kept if test(f)]
            if not left and kept:
                why = reason
            kept = left
        if kept:
            return ([] if self._people(n.number, strict=True) else kept), ""
        if self._people(n.number) or self.derived.follows(n):
            return [], ""
        return [], why or "not in the tool's result"

    def _rows(self, claim: Claim) -> str | None:
        """What is wrong with a number of rows, or empty: "three flights", where two are listed. Fewer may be some of
        them, unless it is told what there is in all. None where no rows are counted."""
        n = claim.number
        if n.unit is not None or n.decimals or n.value < 0:
            return None
        for noun, sizes in self.told.counts.items():
            named = re.match(rf"\s+(?:{_ADJECTIVE}\s+){{0,2}}?{noun.pattern}", claim.after, re.IGNORECASE)
            if not named:
                continue
            if n.value in sizes or self._people(n) or self._counted(n.value, noun):
                return ""
            if n.value > max(sizes):
                return "counts more than there is"
            if _THERE_ARE.search(claim.before) and _IN_ALL.match(claim.after, named.end()):
                return "counts fewer than there are"
            return ""
        return None

    def _counted(self, value: float, noun: re.Pattern[str]) -> bool:
        """Whether a result itself gives this count of its rows, or they add up to it by their quantities."""
        amounts: dict[tuple[str, ...], float] = {}
        for f in self.figures.all:
            if not set(f.field.words) & _COUNTS and not any(noun.fullmatch(w) for w in f.field.words[:1]):
                continue
            if f.value == value:
                return True
            amounts[f.path] = amounts.get(f.path, 0.0) + (f.value or 0.0)
        return value in amounts.values()

    def _asked(self, claim: Claim) -> Claim:
        """The claim, with what the question names where the answer does not."""
        below = _FREEZING.match(claim.after)
        if below:
            value = -claim.number.value if below.group(1).lower() == "below" else claim.number.value
            value += 32 if claim.number.unit == "°F" else 0
            claim = replace(claim, number=replace(claim.number, value=value))
        claim = self._meant(claim)
        days, hours = claim.days, claim.hours
        asked = self.told.asked_days
        if hours is None and (days is None or self._same(days, asked)):
            hours = self.told.asked_hours
        return replace(
            claim,
            days=asked if days is None else days,
            hours=hours,
            places=self.told.asked_places if claim.places is None else claim.places,
        )

    def _meant(self, claim: Claim) -> Claim:
        """The claim with the unit that its words mean here: pounds of money, inches of mercury."""
        n, unit = claim.number, None
        if n.unit == "lb" and "pounds" in self.figures.measured and "mass" not in self.figures.measured:
            unit = "£" if "pound" in n.text.lower() else None
        if n.unit == "in" and "pressure" in self.figures.measured and 25 <= n.value <= 33:
            unit = "inHg" if _GLASS.search(claim.before) or _GLASS.search(claim.after) else None
        return replace(claim, number=replace(n, unit=unit)) if unit else claim

    def _same(self, days: Sequence[Day], asked: Sequence[Day] | None) -> bool:
        """Whether a question's hour is meant as well: not where the answer speaks of now, or of another day."""
        if any(d.now for d in days):
            return False
        return not asked or any(agree(d, a, self.told.today) is not False for d in days for a in asked)

    def _equal(self, claim: Claim, f: Fact, ways: Callable[..., Iterator[float]]) -> bool:
        number = claim.number
        meant = complement(f) if of_no_rain(claim) else gone(claim, f)
        if meant is None or meant.value is None:
            return False
        return any(near(number, v, f.measure) for v in ways(meant.value, f.unit, number.unit, f.measure))

    def _people(self, number: Number, strict: bool = False) -> bool:
        """Whether user or system said this number, of the same kind."""
        if number.unit is None and len(number.text) > 2 and number.text in self.told.figures:
            return True  # a number by which something is called
        for x in self.told.numbers:
            if number.unit and x.unit and number.unit != x.unit and "°" not in (number.unit, x.unit):
                new = converted(x.value, x.unit, number.unit)
                if new is not None and near(number, new):
                    return True
            elif x.value == number.value and (x.unit or not number.unit or not strict):
                return True
        return False

    # -- times, texts -----------------------------------------------------------------------------

    def time(self, clock: Clock) -> tuple[list[Fact], str]:
        """The facts that a day or an hour tells, and what is wrong with it, or empty."""
        mention = clock.mention
        if mention.hours and mention.hours.exact and mention.kind != "period":
            return self._hour(clock)
        dates = [d for d in mention.days if d.dom is not None]
        if not dates or any(agree(d, k, self.told.today) for d in dates for k in self.days):
            return [], ""
        return [], "no such day in the tool's result or the conversation"

    def _there(self, clock: Clock, f: Fact) -> bool:
        """Whether a fact is not that of another row than the one that a time is told of."""
        where = clock.places if clock.places is not None else self.told.asked_places
        return not where or not self.figures.elsewhere(f, where)

    def _hour(self, clock: Clock) -> tuple[list[Fact], str]:
        hours = clock.mention.hours
        assert hours is not None
        if not (hours.first % 60 or ":" in clock.mention.text):  # "6 am" may be 5:48
            hours = Hours(hours.first - 30, hours.last + 30, True, hours.other)
        everywhere = [f for f in self.told.facts if f.clock is not None]
        told = [f for f in everywhere if self._there(clock, f)]
        days = clock.days if clock.days is not None else self.told.asked_days
        named = [f for f in told if f.field.quantity in clock.quantities]
        if clock.quantities and named:
            kept = [f for f in named if hours.meets(Hours(f.clock or 0, f.clock or 0))]
            if not kept:
                return [], "not in the tool's result"
            kept = [f for f in kept if not days or f.day is None or self.figures.on(days, f)]
            return kept, "" if kept else "that is another day's"
        kept = [f for f in told if hours.meets(Hours(f.clock or 0, f.clock or 0))]
        others = [f.hours for f in self.told.facts if f.hours and self._there(clock, f)]
        others += [t.hours for t in self.told.times if t.hours and t.hours.exact]
        if kept or any(hours.meets(h) for h in others):
            return kept, ""
        if any(hours.meets(Hours(f.clock or 0, f.clock or 0)) for f in everywhere):
            return [], "that is another place's"
        return [], "no such time in the tool's result or the conversation"

    def _quoted(self, text: str) -> list[Fact]:
        """Texts of a result that the answer says and nobody else did."""
        flat = text.casefold()
        out: list[Fact] = []
        for f in self.told.facts:
            word = f.text.strip().casefold().replace("_", " ")
            number = f.value is not None or f.clock is not None or f.field.plain
            if not number and len(word) > 2 and word not in self.told.spoken and _stands(word, flat):
                out.append(f)
        return out


def _stands(word: str, text: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(word)}", text))


def told_by(field_name: str, facts: Iterable[Fact]) -> bool:
    """Whether one of these facts is the field that a probe names, by its key or its path."""
    wanted = field_name.casefold()
    return any(
        f.path and (f.path[-1].casefold() == wanted or ".".join(f.path).casefold().endswith(wanted))
        for f in facts
    )
