"""The numbers that the world has told, and which of them a claim can be about: by kind, place, day, hour and name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from runner.judges.groundedness.days import Day, Hours, agree
from runner.judges.groundedness.facts import Fact
from runner.judges.groundedness.fields import QUANTITIES
from runner.judges.groundedness.reading import Claim
from runner.judges.groundedness.telling import Told
from runner.judges.groundedness.units import measures

_OTHER_END = "that is the other end of the range"


class Figures:
    """The facts of a world that are numbers."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.all = [f for f in told.facts if f.value is not None]
        self.worth = [f for f in self.all if not f.field.plain]  # no ids, no coordinates
        self.measured = {f.measure for f in self.worth if f.measure}
        self.places = {f.places for f in told.facts}
        self.named = {f.field.quantity for f in self.all}
        self.present = {f.field.quantity for f in self.all if f.now}
        self.hourly = {f.field.quantity for f in self.all if f.hours is not None}
        self.ends: dict[tuple[object, ...], set[str | None]] = {}
        for f in self.all:
            self.ends.setdefault((f.day, f.places, f.field.quantity), set()).add(f.field.aspect)

    def measurable(self, claim: Claim) -> Iterator[Fact]:
        """Facts of a kind that the number can be: by its unit, or by what it is called."""
        wanted = set(measures(claim.number.unit)) if claim.number.unit else set()
        if "direction" in wanted:
            wanted.add("degrees")
        if not wanted:
            wanted = {m for q in claim.quantities if q in QUANTITIES for m in QUANTITIES[q].measures}
        for f in self.all:
            if f.field.plain:
                if claim.number.unit == f.unit and all(q.startswith("key ") for q in claim.quantities):
                    yield f
            elif not wanted or wanted & _kinds(f) or not (_kinds(f) or wanted & self.measured):
                yield f

    def tests(self, claim: Claim) -> Iterator[tuple[Callable[[Fact], bool], str]]:
        """What a fact must pass that a claim is about, and what is wrong with one that does not."""
        if claim.places:
            where = claim.places
            kinds = self._kinds_of(where)
            yield (lambda f: not _elsewhere(f, kinds, where)), "that is another place's"
        if claim.days:
            days = claim.days
            yield (lambda f: f.day is None or self.on(days, f)), "that is another day's"
        if claim.hours:
            hours = claim.hours
            yield (lambda f: self._at(hours, claim, f)), "that is another hour's"
        if claim.quantities:
            said = claim.quantities
            yield (lambda f: self._named(said, f)), "that is the number of something else"
        if claim.aspects and len(claim.aspects) == 1:
            aspects = claim.aspects
            yield (
                (
                    lambda f: (
                        f.field.aspect is None or f.field.aspect in aspects or f.field.quantity == "chance"
                    )
                ),
                _OTHER_END,
            )
        if claim.end and not claim.aspects and claim.days and len(claim.days) == 1 and not claim.days[0].any:
            end = claim.end
            yield (lambda f: f.field.aspect in (None, end) or not self._both_ends(f)), _OTHER_END

    def _kinds_of(self, where: frozenset[str]) -> set[str]:
        return {kind for some in self.places for kind, name in some if name in where}

    def elsewhere(self, f: Fact, where: frozenset[str]) -> bool:
        """Whether a fact is that of another place, title or row than these."""
        return _elsewhere(f, self._kinds_of(where), where)

    def _both_ends(self, f: Fact) -> bool:
        """Whether a fact's day has a highest and a lowest of it."""
        return {"max", "min"} <= self.ends[f.day, f.places, f.field.quantity]

    def on(self, days: Sequence[Day], f: Fact) -> bool:
        """Whether a fact that has a day may be that of one of these."""
        assert f.day is not None
        for day in days:
            if day.now and not f.now and f.field.quantity in self.present:
                continue
            if agree(day, f.day, self.told.today) is not False:
                return True
        return False

    def _at(self, hours: Sequence[Hours], claim: Claim, f: Fact) -> bool:
        if f.hours is not None:
            return any(h.meets(f.hours) for h in hours)
        exact = any(h.exact for h in hours)
        return not exact or bool(claim.aspects) or f.field.quantity not in self.hourly

    def _named(self, said: frozenset[str], f: Fact) -> bool:
        q = f.field.quantity
        if f.field.plain:
            return True
        if q in said or q is None:
            own = {s for s in said if s.startswith("key ")}
            return q in said or not own or any(s[4:] in w for s in own for w in f.field.words)
        family = {"temperature", "apparent", "dew point"}
        if q in family and said <= family:
            return not said & self.named
        if {q} | said <= {"precipitation", "snow", "chance"}:
            return not said & self.named
        return {q} | said <= {"wind", "gusts"} and not said & self.named


def _elsewhere(f: Fact, kinds: set[str], where: frozenset[str]) -> bool:
    """Whether a fact is that of another place (or title) of the same kind."""
    names = {name for kind, name in f.places if kind in kinds}
    return bool(names) and not names & where


def _kinds(f: Fact) -> frozenset[str]:
    """What a fact may measure; empty where nothing tells."""
    if f.measure:
        return frozenset({f.measure})
    return QUANTITIES[f.field.quantity].measures if f.field.quantity in QUANTITIES else frozenset()
