"""Whether the numbers that an answer states come from somewhere: a tool's result, an argument, the user's words.

Numbers are compared as values: 1,250 is 1250; 72 is grounded by 71.6 (rounded), 71.6 °F by 22 °C (other unit), 3 by
"three" or by a list of three results, 2:20 pm by 14:20, August 7 by 2026-08-07. A sum or a mean of results is not.
Times (14:20) and dates (2026-08-07) are compared whole. An answer that lists many numbers may say none of them more
often than all that came before does: else one of them stands in another's place.
"""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from runner.record import Record

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_MARKER = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]", re.MULTILINE)  # of a list: 1. … 2. …
_ABOUT = re.compile(
    r"(?:about|around|nearly|almost|roughly|approximately|approx\.?|some|over|under|above|below|near|close to|more than"
    r"|less than|up to|~|≈)\s*[$€£]?$",
    re.IGNORECASE,
)
_BELOW = re.compile(
    r"below|minus|negative|under zero|down|fell|fallen|drop|colder|lost|south|west", re.IGNORECASE
)
_SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9}
_SCALE = re.compile(r"\s?(thousand|million|billion)\b|(k|bn|m)\b", re.IGNORECASE)
_PERCENT = re.compile(r"\s?(?:%|per ?cent)", re.IGNORECASE)
_WHOLE = re.compile(
    r"\b(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2}):(\d{1,2})(?::\d{2})?)\b(?:\s?([ap])\.?m\b)?", re.IGNORECASE
)
_MANY = 6  # numbers in an answer that lists results
_CLOCK = re.compile(r"\b(\d{1,2}):\d{2}|\b(\d{1,2})\s?[ap]\.?m\b", re.IGNORECASE)

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"
]  # fmt: skip
_TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_ORDINALS = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"
]  # fmt: skip
_WORDS: dict[str, tuple[float, ...]] = {w: (n,) for n, w in enumerate(_ONES)}
_WORDS |= {w: (n,) for w, n in _TENS.items()}
_WORDS |= {f"{t}-{o}": (n + i,) for t, n in _TENS.items() for i, o in enumerate(_ONES[1:10], 1)}
_WORDS |= {w: (n,) for n, w in enumerate(_ORDINALS, 1)}
_WORDS |= {
    "once": (1,), "twice": (2,), "pair": (2,), "couple": (2,), "both": (2,), "dozen": (12,), "half": (0.5, 30),
    "quarter": (0.25, 15), "hundred": (100,), "thousand": (1000,), "million": (1e6,), "week": (1, 7),
    "fortnight": (2, 14), "weekend": (2,), "hour": (1, 60), "day": (1,), "today": (1,), "tomorrow": (1,),
    "noon": (12,), "midnight": (12, 0), "year": (1, 12, 365),
}  # fmt: skip
_MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december"
]  # fmt: skip
_WORDS |= {name: (n,) for n, month in enumerate(_MONTHS, 1) for name in (month, month[:3])}
_WORDS["second"] = (2,)
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)?")

# A unit as an answer names it behind a number; what says that another was meant; how to come from that to this.
Convert = Callable[[float], float]
_UNITS: tuple[tuple[re.Pattern[str], re.Pattern[str], tuple[Convert, ...]], ...] = tuple(
    (re.compile(rf"\s?(?:{unit})\b", re.IGNORECASE), re.compile(other, re.IGNORECASE), convert)
    for unit, other, convert in (
        (r"°?\s?F|degrees? f(?:ahrenheit)?", r"celsius|centigrade|°\s?C\b|metric", (lambda g: g * 9 / 5 + 32,)),
        (r"°?\s?C|degrees? c(?:elsius|entigrade)?", r"fahrenheit|°\s?F\b|imperial", (lambda g: (g - 32) * 5 / 9,)),
        (r"mph|miles (?:per|an) hour", r"km/?h|kph|m/s|met[er]", (lambda g: g / 1.609344, lambda g: g * 2.2369)),
        (r"km/?h|kph|kilomet(?:er|re)s (?:per|an) hour", r"mph|mile|m/s", (lambda g: g * 1.609344, lambda g: g * 3.6)),
        (r"miles?|mi", r"km|kilomet|metre|meter", (lambda g: g / 1.609344, lambda g: g / 1609.344)),
        (r"km|kilomet(?:er|re)s?", r"mile|\bmi\b|metre|meter|_m\b", (lambda g: g * 1.609344, lambda g: g / 1000)),
        (r"inch(?:es)?|in", r"\bmm\b|_mm|millimet|\bcm\b|_cm|centimet", (lambda g: g / 25.4, lambda g: g / 2.54)),
        (r"mm|millimet(?:er|re)s?", r"inch|_in\b|cm", (lambda g: g * 25.4, lambda g: g * 10)),
        (r"feet|foot|ft", r"metre|meter|\bm\b|_m\b", (lambda g: g * 3.28084,)),
        (r"met(?:er|re)s?|m", r"feet|foot|\bft\b|_ft|km", (lambda g: g / 3.28084, lambda g: g * 1000)),
        (r"pounds?|lbs?", r"\bkg\b|kilogram", (lambda g: g * 2.204623,)),
        (r"kg|kilograms?|kilos?", r"pound|\blbs?\b|gram", (lambda g: g / 2.204623, lambda g: g / 1000)),
        (r"hours?", r"minute|\bmin|second|\bsec", (lambda g: g / 60, lambda g: g / 3600)),
        (r"minutes?|mins?", r"second|\bsec|hour", (lambda g: g / 60, lambda g: g * 60)),
    )
)  # fmt: skip


class Number(NamedTuple):
    """A number that a text states: its value, how many decimals it shows, and where it ends."""

    value: float
    decimals: int
    start: int
    end: int


def numbers(text: str) -> Iterator[Number]:
    """The numbers in digits. A hyphen before one is a minus unless something stands directly before it."""
    for match in _NUMBER.finditer(text):
        start = match.start()
        digits = match[0].replace(",", "")
        if len(digits) > 40:
            continue
        value = float(digits)
        sign = text[max(0, start - 2) : start]
        if sign[-1:] in ("-", "−") and not sign[:-1].isalnum() and sign[:-1] not in (")", "]", "/"):
            value = -value
        yield Number(value, len(digits.partition(".")[2]), start, match.end())


def _spelt(text: str) -> Iterator[float]:
    """What words may stand for a number: three, twenty-one, twice, August, a fortnight; and times of day otherwise."""
    before = 0.0
    for match in _WORD.finditer(text.lower()):
        values = _WORDS.get(match[0], ())
        yield from values
        if values and before in _TENS.values() and 0 < values[0] < 10:
            yield before + values[0]
        if values and values[0] >= 100 and before:
            yield before * values[0]
        before = values[0] if values else 0.0
    for match in _CLOCK.finditer(text):
        hour = int(match[1] or match[2])
        yield from (hour + 12, hour - 12, 12 if hour == 0 else hour)


def _counted(value: Any) -> Iterator[float]:
    """How long the lists of a result are."""
    if isinstance(value, list):
        yield len(value)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _counted(inner)


def _wholes(text: str) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Dates, as (year, month, day), and times, as (hour of twelve, minute); where each stands."""
    for match in _WHOLE.finditer(text):
        if match[1]:
            yield (int(match[1]), int(match[2]), int(match[3])), match.start(), match.end()
        else:
            yield (int(match[4]) % 12, int(match[5])), match.start(), match.end()


class _Grounds:
    """All that was said and returned so far."""

    def __init__(self) -> None:
        self.values: Counter[float] = Counter()
        self.wholes: set[tuple[int, ...]] = set()
        self.texts: list[str] = []
        self.kept: dict[str | int, list[float]] = {}

    def add(self, text: str, *, result: bool = False) -> None:
        self.texts.append(text)
        self.kept.clear()
        self.values.update(float(n.value) for n in numbers(text))
        self.wholes.update(w for w, _, _ in _wholes(text))
        self.values.update(map(float, _spelt(text)))
        if result:
            try:
                self.values.update(map(float, _counted(json.loads(text))))
            except (ValueError, RecursionError):
                return

    def hold(self, number: Number, text: str) -> bool:
        stated, half = number.value, 0.5 * 10.0**-number.decimals + 1e-9
        before, after = text[max(0, number.start - 25) : number.start], text[number.end : number.end + 26]
        if stated in self.values or self._any(self._parts(), stated - half, stated + half):
            return True
        if -stated in self.values and _BELOW.search(before + after):
            return True
        if _ABOUT.search(before) and self._any(
            self._sorted(), stated - _step(stated) / 2, stated + _step(stated) / 2
        ):
            return True
        scale = _SCALE.match(after)
        by = _SCALES[(scale[1] or scale[2]).lower()] if scale else 0.01 if _PERCENT.match(after) else 0.0
        if by and self._any(self._sorted(), (stated - half) * by, (stated + half) * by):
            return True
        for n, (unit, other, ways) in enumerate(_UNITS):
            if unit.match(after) and any(other.search(t) for t in self.texts):
                slack = max(half, 0.01 * abs(stated))
                made = self._made(n, lambda ways=ways: (way(v) for v in self.values for way in ways))  # type: ignore[misc]
                return self._any(made, stated - slack, stated + slack)
        return False

    def _sorted(self) -> list[float]:
        return self._made("all", lambda: self.values)

    def _parts(self) -> list[float]:
        """Values that are no whole numbers: only those are rounded without a word."""
        return self._made("parts", lambda: (v for v in self.values if not v.is_integer()))

    def _made(self, key: str | int, values: Callable[[], Iterable[float]]) -> list[float]:
        if key not in self.kept:
            self.kept[key] = sorted(values())
        return self.kept[key]

    @staticmethod
    def _any(values: list[float], low: float, high: float) -> bool:
        at = bisect.bisect_left(values, low)
        return at < len(values) and values[at] <= high


def _step(stated: float) -> float:
    """About 70 is said of 68, about 1,200 of 1,234: how much the last place that is no zero is worth."""
    step, whole = 1.0, abs(stated)
    while whole and step < 1e15 and whole % (step * 10) == 0:
        step *= 10
    return step


def _unsaid(text: str, grounds: _Grounds) -> str | None:
    """The first number of an answer that the grounds do not hold."""
    text = _MARKER.sub(lambda found: " " * len(found[0]), text)
    wholes = list(_wholes(text))
    for value, start, end in wholes:
        if value not in grounds.wholes and any(len(w) == len(value) for w in grounds.wholes):
            return text[start:end]
    stated = list(numbers(text))
    for number in stated:
        if not grounds.hold(number, text):
            return text[number.start : number.end]
    alone = [n for n in stated if not any(start <= n.start < end for _, start, end in wholes)]
    if len(alone) >= _MANY:
        said = Counter(n.value for n in alone)
        for number in alone:
            if 1 < said[number.value] > grounds.values[number.value] > 0:
                return text[number.start : number.end]
    return None


def ungrounded(record: Record) -> str | None:
    """The first number of an answer, after a tool's first result, that nothing before it says; None if all are said."""
    grounds = _Grounds()
    asked = False
    for m in record.messages:
        said = m.content or ""
        if m.role == "assistant" and asked and said and (number := _unsaid(said, grounds)):
            return number
        if m.role != "assistant" or not asked:
            grounds.add(said, result=m.role == "tool")
        for call in m.tool_calls:
            grounds.add(call.function.arguments)
        asked = asked or m.role == "tool"
    return None
