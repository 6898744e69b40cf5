"""What one value of a result tells: a number with its unit, day, hours and place, or a number in a text of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.judges.groundedness.days import Day, Hours
from runner.judges.groundedness.fields import QUANTITIES, Field, words_of
from runner.judges.groundedness.reading import Claim
from runner.judges.groundedness.settings import Named, Setting
from runner.judges.groundedness.units import UNITS, unit_of_key


@dataclass(frozen=True)
class Fact:
    """One value of a result: a number, a time by the clock (`clock`, minutes) or a text."""

    path: tuple[str, ...]
    field: Field
    value: float | None = None
    text: str = ""
    clock: int | None = None
    unit: str | None = None
    measure: str | None = None
    day: Day | None = None
    hours: Hours | None = None
    places: frozenset[Named] = frozenset()
    now: bool = False


def figure(value: float, unit: str | None, path: tuple[str, ...], named: Field, s: Setting) -> Fact:
    """A number of a result. Its unit is the one that stands with it, in its key, or in its setting."""
    key = path[-1] if path else ""
    unit = unit or unit_of_key(words_of(key)) or s.units.get(f"key {key}")
    quantity = QUANTITIES.get(named.quantity or "")
    if unit is None and quantity:
        unit = s.units.get(named.quantity or "")
        unit = unit or next((s.units[m] for m in sorted(quantity.measures) if m in s.units), None)
    measure = UNITS[unit].measures if unit else None
    if quantity and quantity.measures and unit != "°" and measure not in quantity.measures:
        unit, measure = None, None
        if len(quantity.measures) == 1:
            (measure,) = quantity.measures
    if unit == "°":
        measure = "temperature" if quantity and "temperature" in quantity.measures else "degrees"
        unit = None if measure == "temperature" else unit
    return Fact(
        path, named, value, unit=unit, measure=measure, day=s.day, hours=s.hours, places=s.places, now=s.now
    )


def spoken(claim: Claim, path: tuple[str, ...], named: Field, s: Setting) -> Fact:
    """A number in a text of a result."""
    quantity = named.quantity or next(iter(sorted(claim.quantities)), None)
    aspect = named.aspect or (next(iter(claim.aspects)) if len(claim.aspects) == 1 else None)
    told = Field(named.words, quantity, aspect, named.plain)
    if claim.days is not None and len(claim.days) == 1:
        s = replace(s, day=claim.days[0])
    if claim.hours is not None and len(claim.hours) == 1:
        s = replace(s, hours=claim.hours[0])
    if claim.places:
        s = replace(s, places=frozenset(("where", p) for p in claim.places))
    return figure(claim.number.value, claim.number.unit, path, told, s)
