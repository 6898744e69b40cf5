"""Numbers that stand nowhere and follow all the same: rounded, told in another unit, or worked out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations

from runner.judges.groundedness.facts import Fact
from runner.judges.groundedness.numbers import Number
from runner.judges.groundedness.reading import Claim, Said, paired
from runner.judges.groundedness.times import Day, read_times
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
    r"\b(?:difference|rise|drop|jump|swing|fall|change|gap|range|increase|decrease|up|down|rises|drops|falls|warmer|cooler|"
    r"colder|hotter|higher|lower)\s+(?:of|by)\s+(?:about\s+|around\s+|some\s+|only\s+|just\s+)?(?:a\s+)?$",
    re.IGNORECASE,
)
_MEAN = re.compile(r"\baverag|\bmean\b|\bon\s+the\s+whole\b", re.IGNORECASE)
_SUM = re.compile(r"\b(?:total|altogether|in\s+all|combined|sum|adds?\s+up|accumulat)", re.IGNORECASE)
On = Callable[[Sequence[Day], Fact], bool]
"""Whether a fact may be that of one of some days."""


def near(number: Number, value: float, measure: str | None = None) -> bool:
    """Whether a number may be told so: equal when rounded as it is, or somewhat off where it says "about"."""
    off = abs(number.value - value)
    slack = 1e-9 * max(1.0, abs(value))
    if number.decade:
        return number.value - 0.5 <= value < number.value + 10
    if off <= 0.5 * 10**-number.decimals + slack:
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


def compared(claim: Claim) -> bool:
    """Whether a number can only be a difference: "nine degrees cooler" are no nine degrees."""
    return claim.number.unit is not None and bool(_COMPARED.match(claim.after))


def derived(claim: Claim, facts: Sequence[Fact], on: On) -> bool:
    """Whether a number is a difference, a mean or a total of facts, where the answer says that it tells one."""
    n = claim.number
    if _MORE.match(claim.after) or _BY.search(claim.before):
        days = list(dict.fromkeys(d for t in read_times(claim.sentence) for d in t.days if not d.any))
        return any(
            _apart(n, a, b)
            for a, b in combinations(facts, 2)
            if a.measure == b.measure and _comparable(a, b, days, on)
        )
    around = f"{claim.before} {claim.after}"
    mean, total = bool(_MEAN.search(around)), bool(_SUM.search(around))
    if not mean and not total:
        return False
    series: dict[tuple[object, ...], list[Fact]] = {}
    for f in facts:
        series.setdefault((f.field.quantity, f.field.aspect, f.path, f.places), []).append(f)
    for few in series.values():
        values = [f.value for f in few if f.value is not None]
        if len(values) < 2:
            continue
        made = [sum(values) / len(values)] if mean else []
        made += [sum(values)] if total else []
        for value in made:
            if any(near(n, v, few[0].measure) for v in said_as(value, few[0].unit, n.unit, few[0].measure)):
                return True
    return False


def _comparable(a: Fact, b: Fact, days: Sequence[Day], on: On) -> bool:
    """Whether a sentence with these days may compare both: the same of two days or places, or the ends of a day."""
    same = (a.field.quantity, a.field.aspect) == (b.field.quantity, b.field.aspect)
    if same and (a.day, a.hours, a.places) == (b.day, b.hours, b.places):
        return False
    if not same and (len(days) > 1 or a.day != b.day or {a.field.aspect, b.field.aspect} != {"max", "min"}):
        return False
    fits = [[f.day is None or on([day], f) for day in days] for f in (a, b)]
    if len(days) == 1:
        return fits[0][0] or fits[1][0]
    return not days or (all(any(row) for row in fits) and (not same or a.day == b.day or fits[0] != fits[1]))


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
