"""Numbers that stand nowhere and follow all the same: rounded, told in another unit, or worked out."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache

from runner.judges.groundedness.days import Day
from runner.judges.groundedness.facts import Fact
from runner.judges.groundedness.numbers import Number
from runner.judges.groundedness.reading import Claim, Said, paired, places_in
from runner.judges.groundedness.times import read_times
from runner.judges.groundedness.units import UNITS, converted, said_as, scaled

_MORE = re.compile(
    r"\s*(?:degrees?\s*)?(?:warmer|cooler|colder|hotter|higher|lower|more|less|fewer|milder|faster|slower|stronger|weaker|"
    r"wetter|drier|dearer|cheaper|up\b(?!\s+to)|down\b(?!\s+to)|above\s+(?!zero|freez)|below\s+(?!zero|freez)|apart|of\s+difference|difference|"
    r"(?:degree\s+)?(?:rise|drop|jump|swing|fall|change|increase|decrease))",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\s*(?:degrees?\s*)?(?:warmer|cooler|colder|hotter|higher|lower|milder|faster|slower|stronger|weaker|wetter|drier)\b",
    re.IGNORECASE,
)
_BY = re.compile(
    r"(?:\b(?:difference|swing|gap|range|up|down|warmer|cooler|colder|hotter|higher|lower|(?:rise|drop|fall|climb|jump|dip|change|"
    r"increase|decrease|sink|rising|dropping|falling|climbing)(?:s|es|ed)?)\s+(?:of|by)|\bthan\s[^,;.]{1,30}\sby)\s+"
    r"(?:about\s+|around\s+|some\s+|only\s+|just\s+)?(?:a\s+)?$",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"\b(?:(?:(?:rise|drop|fall|climb|jump|dip|change|increase|decrease|sink|rising|dropping|falling|climbing)(?:s|es|ed)?|up|down|"
    r"warmer|cooler|colder|hotter|higher|lower)\s+by|(?:difference|swing|gap|jump|change|rise|increase|decrease)\s+of)\s+"
    r"(?:about\s+|around\s+|some\s+|only\s+|just\s+)?(?:a\s+)?$",
    re.IGNORECASE,
)
_THAN = re.compile(r"\bthan\s+(?:(?:on|in|at|for|it\s+(?:is|was)|that\s+of)\s+)*", re.IGNORECASE)
_THAN_AT = re.compile(_THAN.pattern + "$", re.IGNORECASE)
_UP = re.compile(r"warmer|hotter|higher|more|faster|stronger|wetter|dearer", re.IGNORECASE)
_DOWN = re.compile(r"cooler|colder|lower|less|fewer|slower|weaker|drier|cheaper", re.IGNORECASE)
_MEAN = re.compile(r"\baverag|\bmean\b|\bon\s+the\s+whole\b", re.IGNORECASE)
_SUM = re.compile(r"\b(?:total|altogether|in\s+all|combined|sum|adds?\s+up|accumulat)", re.IGNORECASE)
MOST_PAIRS = 20_000
"""No more pairs are looked at for one number: what has not been found among them does not follow."""
On = Callable[[Sequence[Day], Fact], bool]
"""Whether a fact may be that of one of some days."""


def near(number: Number, value: float, measure: str | None = None) -> bool:
    """Whether a number may be told so: equal when rounded as it is, or somewhat off where it says "about"."""
    off = abs(number.value - value)
    slack = 1e-9 * max(1.0, abs(value))
    if number.decade:
        return number.value - 0.5 <= value < number.value + 10
    if off <= 0.5 * 10.0 ** (_unsaid(number) - number.decimals) + slack:
        return True
    if not number.hedged or number.decimals > 1:
        return number.hedged and number.word and off <= 0.13
    if number.decimals == 0 and off < 1 and abs(value) >= 2:
        return True
    round_enough = measure == "temperature" or off <= 0.15 * abs(value)
    return round_enough and (
        (number.value % 5 == 0 and off <= 2.5 and abs(value) >= 5)
        or (number.value % 10 == 0 and off <= 5 and abs(value) >= 100)
        or (number.value % 100 == 0 and off <= 50 and abs(value) >= 1000)
    )


def _unsaid(number: Number) -> int:
    """How many digits of a large number are not said but only filled up: four of 140,000, none of 10,000 or 1,500."""
    digits = f"{abs(number.value):.0f}"
    zeros = len(digits) - len(digits.rstrip("0"))
    return zeros if len(digits) > 4 and len(digits) - zeros > 1 and number.decimals == 0 else 0


def compared(claim: Claim) -> bool:
    """Whether a number can only be a difference: "nine degrees cooler" are no nine degrees, nor is "falls by 9"."""
    return (claim.number.unit is not None and bool(_COMPARED.match(claim.after))) or bool(
        _CHANGED.search(claim.before)
    )


class Derived:
    """What can be worked out of facts; `on` says whether a fact may be that of one of some days. Facts are put in
    order once, since an answer may have a hundred numbers and a result a thousand."""

    def __init__(self, facts: Sequence[Fact], on: On) -> None:
        self.on = on
        self.places = {name for f in facts for _, name in f.places}
        self.cells: dict[tuple[str | None, str | None], list[Fact]] = {}
        self.series: dict[tuple[object, ...], list[Fact]] = {}
        for f in sorted(facts, key=lambda f: f.value or 0.0):
            self.cells.setdefault((f.measure, f.field.quantity), []).append(f)
            self.series.setdefault((f.field.quantity, f.field.aspect, f.path, f.places), []).append(f)
        self.fits: dict[tuple[Day, Day | None, bool, str | None], bool] = {}

    def follows(self, claim: Claim) -> bool:
        """Whether a number is a difference, a mean or a total of facts, where the answer says that it tells one."""
        if _MORE.match(claim.after) or _BY.search(claim.before):
            return self._difference(claim)
        around = f"{claim.before} {claim.after}"
        mean, total = bool(_MEAN.search(around)), bool(_SUM.search(around))
        if not mean and not total:
            return False
        n = claim.number
        for few in self.series.values():
            values = [f.value for f in few if f.value is not None]
            if len(values) < 2:
                continue
            made = [sum(values) / len(values)] if mean else []
            made += [sum(values)] if total else []
            for value in made:
                if any(
                    near(n, v, few[0].measure) for v in said_as(value, few[0].unit, n.unit, few[0].measure)
                ):
                    return True
        return False

    def _difference(self, claim: Claim) -> bool:
        n = claim.number
        days = days_of(claim.sentence)
        understood = claim.days if claim.days and len(claim.days) == 1 and not claim.days[0].any else None
        if len(days) == 1 and understood and understood != days and _than(claim.sentence, days):
            days = (*understood, *days)  # "four degrees warmer than Monday"
        ordered = self._order(claim, days)
        pairs = 0
        for (measure, _), all_facts in self.cells.items():
            unit = None if n.unit is None or n.unit == "°" else n.unit
            if unit and measure and UNITS[unit].measures != measure:
                continue
            rows = [(f, tuple(self._fits(day, f) for day in days)) for f in all_facts]
            if len(days) > 1:
                rows = [r for r in rows if any(r[1])]
            values = [f.value or 0.0 for f, _ in rows]
            for i, (a, fits) in enumerate(rows):
                for low, high in _windows(n, a):  # only those as far above as the number says
                    first = max(i + 1, bisect_left(values, values[i] + low - 1e-9))
                    for b, other in rows[first : bisect_right(values, values[i] + high + 1e-9)]:
                        pairs += 1
                        if pairs > MOST_PAIRS:
                            return False
                        if _comparable(a, b, fits, other) and ordered(a, b) and _apart(n, a, b):
                            return True
        return False

    def _order(self, claim: Claim, days: Sequence[Day]) -> Callable[[Fact, Fact], bool]:
        """Whether the lower of two facts is that of the day, or the place, which is told to be the lower."""
        mentions = [t for t in read_times(claim.sentence) if t.days]
        if order := direction(claim, [[t.start for t in mentions if t.days == (d,)] for d in days]):
            lower, higher = (days[i] for i in order)
            return lambda low, high: self._fits(lower, low) and self._fits(higher, high)
        found = places_in(claim.sentence, self.places)
        names = list(dict.fromkeys(p.name for p in found))
        if order := direction(claim, [[p.start for p in found if p.name == name] for name in names]):
            below, above = (names[i] for i in order)
            return lambda low, high: _called(low, below) and _called(high, above)
        return lambda low, high: True

    def _fits(self, day: Day, f: Fact) -> bool:
        key = (day, f.day, f.now, f.field.quantity)
        if key not in self.fits:
            self.fits[key] = f.day is None or self.on([day], f)
        return self.fits[key]


def _than(sentence: str, days: tuple[Day, ...]) -> bool:
    """Whether a sentence compares with these days."""
    return any(t.days == days and _THAN_AT.search(sentence[: t.start]) for t in read_times(sentence))


def _called(f: Fact, name: str) -> bool:
    return any(name == own for _, own in f.places)


@lru_cache(maxsize=512)
def days_of(sentence: str) -> tuple[Day, ...]:
    return tuple(dict.fromkeys(d for t in read_times(sentence) for d in t.days if not d.any))


def direction(claim: Claim, rivals: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """Which of two days or places is the lower and which the higher: "Tuesday is 3 degrees cooler than Monday" (0, 1).
    `rivals`: where the sentence names each. None where they are not two, or it does not say which."""
    thans = list(_THAN.finditer(claim.sentence))
    told = _MORE.match(claim.after) or _BY.search(claim.before)
    if len(rivals) != 2 or len(thans) != 1 or not told:
        return None
    up, down = bool(_UP.search(told.group())), bool(_DOWN.search(told.group()))
    after = [i for i, starts in enumerate(rivals) if thans[0].end() in starts]
    if up == down or len(after) != 1:
        return None
    return (after[0], 1 - after[0]) if up else (1 - after[0], after[0])


def _windows(n: Number, f: Fact) -> list[tuple[float, float]]:
    """How far above a fact another may be so that the number tells the difference; wider than `_apart` allows."""
    value, slack = abs(n.value), 1.0 if n.decimals == 0 else 0.1
    if n.unit in (None, "°") or f.unit is None:
        factors = [1.0] + ([1 / 1.8] if f.unit == "°C" else [1.8] if f.unit == "°F" else [])
    else:
        one = scaled(1.0, n.unit, f.unit)
        factors = [] if one is None else [one]
    return [((value - slack) * k, (value + slack) * k) for k in factors]


def _comparable(a: Fact, b: Fact, fits: Sequence[bool], other: Sequence[bool]) -> bool:
    """Whether a sentence may compare both: the same of two days or places, or the ends of a day. For each of its days,
    whether it is that of the one, and of the other."""
    same = (a.field.quantity, a.field.aspect) == (b.field.quantity, b.field.aspect)
    if same and (a.day, a.hours, a.places) == (b.day, b.hours, b.places):
        return False
    if not same and (len(fits) > 1 or a.day != b.day or {a.field.aspect, b.field.aspect} != {"max", "min"}):
        return False
    if len(fits) == 1:
        return fits[0] or other[0]
    return not fits or (any(fits) and any(other) and (not same or a.day == b.day or fits != other))


def _apart(n: Number, a: Fact, b: Fact) -> bool:
    assert a.value is not None and b.value is not None
    if a.unit != b.unit or (n.unit == "°" and a.measure != "temperature"):
        return False
    gap = abs(a.value - b.value)
    if n.unit in (None, "°") or a.unit is None:
        gaps = [gap] + ([gap * 1.8] if a.unit == "°C" else [gap / 1.8] if a.unit == "°F" else [])
    else:
        other = scaled(gap, a.unit, n.unit)
        gaps = [] if other is None else [other]
    # Both ends may have been rounded before they were subtracted.
    return any(abs(abs(n.value) - g) <= (1.0 if n.decimals == 0 else 0.1) + 1e-9 for g in gaps)


def repeats(said: Said, i: int, good: dict[int, Claim]) -> bool:
    """Whether a number is the one beside it in another unit: 21 °C (70 °F), where 21.4 is told."""
    claim = said.claims[i]
    for j, (a, b) in ((i - 1, (i - 1, i)), (i + 1, (i, i + 1))):
        if j not in good or said.claims[j].sentence != claim.sentence:
            continue
        first, second = said.claims[a].number, said.claims[b].number
        if not paired(claim.sentence[first.end : second.start]):
            continue
        source, wanted = good[j].number.unit, claim.number.unit
        if source == "°" and wanted in ("°C", "°F"):
            source = "°F" if wanted == "°C" else "°C"
        elif wanted == "°" and source in ("°C", "°F"):
            wanted = "°F" if source == "°C" else "°C"
        if source is None or wanted is None or source == wanted:
            continue
        value = converted(good[j].number.value, source, wanted)
        if value is not None and near(claim.number, value, UNITS[wanted].measures):
            return True
    return False
