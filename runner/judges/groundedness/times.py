"""Days and hours: how a text names them, and how a result does."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache

from runner.judges.groundedness.days import Day, Hours, dated, either
from runner.judges.groundedness.numbers import VALUES as NUMBERS

MONTHS = "january february march april may june july august september october november december".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MONTH = r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b\.?"  # noqa: E501
_UNITS = "first second third fourth fifth sixth seventh eighth ninth".split()
_TEENS = "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth".split()
ORDINALS = {w: i for i, w in enumerate(_UNITS + _TEENS, 1)} | {"twentieth": 20, "thirtieth": 30}
ORDINALS |= {f"twenty-{w}": 20 + i for i, w in enumerate(_UNITS, 1)} | {"thirty-first": 31}
_NTH = rf"(?:\d{{1,2}}(?:st|nd|rd|th)\b|(?:{'|'.join(sorted(ORDINALS, key=len, reverse=True))})\b)"
_COUNT = {w: i for i, w in enumerate("one two three four five six seven eight nine ten".split(), 1)}


PERIODS = {
    "dawn": (240, 480), "morning": (240, 720), "forenoon": (480, 720), "midday": (660, 840), "noon": (720, 720),
    "afternoon": (720, 1080), "dusk": (960, 1320), "evening": (1020, 1440), "night": (1140, 1860),
    "tonight": (1080, 1860), "overnight": (1200, 1920), "midnight": (1440, 1440), "nighttime": (1140, 1860),
}  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """Where a text names days (alternatives, or all of a list), hours, or both."""

    start: int
    end: int
    text: str
    days: tuple[Day, ...] = ()
    hours: Hours | None = None
    kind: str = ""


_RULES: list[tuple[str, re.Pattern[str]]] = [
    ("iso", re.compile(r"\b(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::\d{2})?(?:Z|[+-]\d{2}:?\d{2})?)?")),
    ("slashed", re.compile(r"\b(\d{1,2})[/.](\d{1,2})[/.](\d{4})\b")),
    ("date", re.compile(rf"\b({_MONTH})\s+(?:the\s+)?({_NTH}|\d{{1,2}}(?!\d|[:.]\d|\s*(?:°|º|%|degrees|mm\b|km)))"
                        r"(?:,?\s+(\d{4}))?\b")),
    ("etad", re.compile(rf"\b(?:the\s+)?({_NTH}|\d{{1,2}})\s+(?:of\s+)?({_MONTH})(?:,?\s+(\d{{4}}))?")),
    ("relative", re.compile(
        r"\b(?:(?P<two>(?:the\s+)?day\s+after\s+tomorrow|overmorrow)|(?P<one>tomorrow|to-morrow)|(?P<zero>today|to-day|"
        r"this\s+(?=morning|afternoon|evening|noon)|(?=tonight|to-night))|(?P<ago>the\s+day\s+before\s+yesterday)|"
        r"(?P<back>yesterday)|in\s+(?P<n>\d{1,2}|" + "|".join(_COUNT) + r")\s+days(?:'\s+time)?\b|"
        r"(?P<n2>\d{1,2}|" + "|".join(_COUNT) + r")\s+days\s+(?:from\s+now|hence))", re.IGNORECASE)),
    ("now", re.compile(
        r"\b(?:right\s+now|just\s+now|now|currently|current(?=\s+(?:temperature|weather|conditions?|wind|humidity|reading|observation))|at\s+(?:the|this)\s+(?:very\s+)?(?:moment|minute|"
        r"hour|instant|present)|at\s+present|presently|this\s+(?:minute|moment|instant))\b", re.IGNORECASE)),
    ("any", re.compile(
        r"\b(?:(?:the\s+)?(?:next|following)\s+day|the\s+day\s+after\b(?!\s+tomorrow)|(?:each|every|any)\s+(?:single\s+)?day"
        r"|all\s+week|(?:this|next|the|coming|whole|entire)\s+(?:coming\s+|whole\s+)?week\b(?!end)|(?:the\s+)?(?:next|coming"
        r"|following|whole)\s+(?:few|couple\s+of|several|\w+)?\s*days|throughout|over\s+the\s+(?:\w+\s+)?days)\b",
        re.IGNORECASE)),
    ("index", re.compile(rf"\b(?:day\s+(\d{{1,2}}|{'|'.join(_COUNT)})|(?:the\s+)?({'|'.join(_UNITS)})\s+day)\b", re.IGNORECASE)),  # noqa: E501
    ("weekday", re.compile(r"\b((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?)\b", re.IGNORECASE)),
    ("weekday", re.compile(r"(?<!the )\b(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?(?!\w)")),
    ("weekend", re.compile(r"\bweekend\b", re.IGNORECASE)),
    ("nth", re.compile(r"\b(?:on\s+)?the\s+(\d{1,2}(?:st|nd|rd|th)\b)(?!\s+(?:day|time|place|city|floor|street|century|"
                       r"hour|\w+est\b))", re.IGNORECASE)),
    ("nth", re.compile(rf"\bon\s+the\s+({_NTH})(?=\s*(?:[,.;:)]|$|(?:it|will|is|and|with|there|you|we|expect|the)\b))",
                       re.IGNORECASE)),
]  # fmt: skip
_CLOCK: list[tuple[str, re.Pattern[str]]] = [
    ("span", re.compile(r"\b(\d{1,2})(?::(\d{2}))?\s*(?:-|–|to|and|until|till)\s*(?=\d{1,2}(?::\d{2})?\s*[ap]\.?\s?m\b)", re.IGNORECASE)),  # noqa: E501
    ("ampm", re.compile(r"\b(\d{1,2})(?::(\d{2}))?(?::\d{2})?\s*([ap])(?:\.\s?m\.|\s?m\b)", re.IGNORECASE)),
    ("hhmm", re.compile(r"\b(\d{1,2}):(\d{2})(?::\d{2})?(?!\d)(?:\s*(?:hours|hrs|h)\b)?")),
    ("oclock", re.compile(rf"\b(\d{{1,2}}|{'|'.join(_COUNT)}|eleven|twelve)\s+o['’]?\s?clock\b", re.IGNORECASE)),
    ("inthe", re.compile(
        rf"(?<=\b(?:at|by)\s)(\d{{1,2}}|{'|'.join(_COUNT)}|eleven|twelve)\s+(?:in\s+the\s+(morning|afternoon|evening)|at\s+(night))",
        re.IGNORECASE)),
    # "From 18 at nine to 26 at three": a number has its own number of something, so the small one is an hour.
    ("bare", re.compile(
        rf"(?:\d|\b(?:{'|'.join(NUMBERS)}))(?:\s?°\s?[CF]?|\s?%|\s+degrees|\s+percent)?\s+(?:at|by|around)\s+({'|'.join(_COUNT)}|eleven|twelve)"
        r"(?=\s*(?:[,.;)]|$)|\s+(?:to|and|then|but|while)\b)", re.IGNORECASE)),
    ("period", re.compile(rf"\b(to-night|{'|'.join(PERIODS)})s?\b", re.IGNORECASE)),
]  # fmt: skip


def _count(word: str) -> int:
    return int(word) if word.isdigit() else (_COUNT | {"eleven": 11, "twelve": 12})[word.lower()]


def _nth(word: str) -> int:
    return int(m.group()) if (m := re.match(r"\d+", word)) else ORDINALS[re.sub(r"\s+", "-", word.lower())]


def _month(word: str) -> int:
    return next(i for i, m in enumerate(MONTHS, 1) if m.startswith(word.lower().rstrip(".")[:3]))


def _days(kind: str, m: re.Match[str]) -> tuple[Day, ...]:
    if kind == "iso":
        return (Day(int(m[1]), int(m[2]), int(m[3])),)
    if kind == "slashed":
        a, b, year = int(m[1]), int(m[2]), int(m[3])
        return tuple(Day(year, month, dom) for month, dom in {(a, b), (b, a)} if month <= 12)
    if kind == "date":
        return (Day(int(m[3]) if m[3] else None, _month(m[1]), _nth(m[2])),)
    if kind == "etad":
        return (Day(int(m[3]) if m[3] else None, _month(m[2]), _nth(m[1])),)
    if kind == "relative":
        fixed = {"two": 2, "one": 1, "zero": 0, "back": -1, "ago": -2}
        named = next((v for k, v in fixed.items() if m.group(k) is not None), None)
        return (Day(offset=named if named is not None else _count(m.group("n") or m.group("n2"))),)
    if kind == "now":
        return (Day(now=True),)
    if kind == "any":
        return (Day(any=True),)
    if kind == "index":
        return (Day(index=(_count(m[1]) if m[1] else _UNITS.index(m[2].lower()) + 1) - 1),)
    if kind == "weekday":
        return (Day(weekday=next(i for i, w in enumerate(WEEKDAYS) if w.startswith(m[1].lower()[:3]))),)
    if kind == "weekend":
        return (Day(weekday=5), Day(weekday=6))
    return (Day(dom=_nth(m[1])),)


def _hours(kind: str, m: re.Match[str]) -> Hours | None:
    if kind == "period":
        first, last = PERIODS[m[1].lower().replace("to-night", "tonight")]
        return Hours(first, last, first == last)
    if kind in ("ampm", "hhmm", "span"):
        hour, minute = int(m[1]), int(m[2] or 0)
        if minute > 59 or hour > 24 or (kind != "hhmm" and hour > 12):
            return None
        if kind == "ampm":
            hour = hour % 12 + (12 if m[3].lower() == "p" else 0)
        at = hour * 60 + minute
        half = Hours(at + 720, at + 720) if kind == "span" else None
        return Hours(at, at, True, half)
    hour = _count(m[1])
    if hour > 12:
        return None
    if kind == "inthe":
        late = (m[2] or m[3]).lower() in ("afternoon", "evening", "night")
        at = hour % 12 * 60 + (720 if late and (hour != 12 or not m[3]) else 0)
        return Hours(at, at)
    at = hour % 12 * 60
    return Hours(at, at, True, Hours(at + 720, at + 720))


@lru_cache(maxsize=512)
def read_times(text: str) -> tuple[Mention, ...]:
    """All mentions of days and of hours, in order. "Tuesday, 3 March" is one; an ISO time is a day and an hour."""
    found: list[Mention] = []
    for kind, rule in _RULES:
        for m in rule.finditer(text):
            if any(f.start < m.end() and m.start() < f.end for f in found):
                continue
            try:
                days = _days(kind, m)
            except (KeyError, StopIteration, ValueError):
                continue
            if kind in ("date", "etad", "nth", "slashed") and not all(1 <= (d.dom or 1) <= 31 for d in days):
                continue
            hours = None
            if kind == "iso" and m[4]:
                at = int(m[4]) * 60 + int(m[5])
                hours = Hours(at, at)
            found.append(Mention(m.start(), m.end(), m.group(), days, hours, kind))
    days_found = [f for f in found if f.end > f.start or f.kind == "relative"]
    clock: list[Mention] = []
    for kind, rule in _CLOCK:
        for m in rule.finditer(text):
            start, end = m.span(1) if kind == "bare" else m.span()
            if any(f.start < end and start < f.end for f in [*days_found, *clock]):
                continue
            if hours := _hours(kind, m):
                clock.append(Mention(start, end, text[start:end].strip(), (), hours, kind))
    whole = _merged(text, sorted(days_found, key=lambda f: f.start)) + clock
    return tuple(sorted(whole, key=lambda f: f.start))


_BETWEEN = re.compile(r"[\s,(]*(?:the\s+|that\s+is,?\s+|i\.e\.,?\s+)?")


def _merged(text: str, found: list[Mention]) -> list[Mention]:
    """Days named in two ways side by side are one day: "tomorrow (Tuesday)", "Tuesday, the 3rd of March"."""
    out: list[Mention] = []
    sorts: list[set[str]] = []
    for mention in found:
        sort = "date" if mention.kind in ("date", "etad", "iso", "slashed", "nth") else mention.kind
        last = out[-1] if out else None
        if (
            last
            and len(last.days) == len(mention.days) == 1
            and _BETWEEN.fullmatch(text[last.end : mention.start])
            and sorts[-1] | {sort} <= {"date", "weekday", "relative"}
            and sort not in sorts[-1]
        ):
            both = either(last.days[0], mention.days[0])
            hours = last.hours or mention.hours
            out[-1] = Mention(last.start, mention.end, text[last.start : mention.end], (both,), hours, "date")
            sorts[-1].add(sort)
            continue
        out.append(mention)
        sorts.append({sort})
    return out


def moment(value: object) -> tuple[Day | None, Hours | None]:
    """What day and hour a value of a result names: an ISO time, a date, "tomorrow", "Monday", "15:00", an epoch."""
    if isinstance(value, bool) or value is None:
        return None, None
    if isinstance(value, (int, float)):
        if not 6e8 < value < 5e9:
            return None, None
        when = dt.datetime.fromtimestamp(value, dt.UTC)
        return dated(when.date()), Hours(when.hour * 60 + when.minute, when.hour * 60 + when.minute)
    if not isinstance(value, str) or len(value) > 60:
        return None, None
    mentions = read_times(value)
    covered = sum(m.end - m.start for m in mentions)
    if not mentions or covered < 0.6 * len(value.strip()):
        return None, None
    day = next((m.days[0] for m in mentions if m.days), None)
    return day, next((m.hours for m in mentions if m.hours), None)
