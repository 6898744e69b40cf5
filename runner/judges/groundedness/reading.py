"""Read a text: its numbers, each with the day, hour, place and quantity that it is said of.

A text is cut into sentences, these into clauses. A number belongs to what its own clause names; else to what was named
last before it in the sentence, or next; else to what the sentences before named. Lists are paired: "Monday, Tuesday
and Wednesday will see 20, 22 and 19".
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from runner.judges.groundedness.binding import (
    Group,
    Run,
    before_at,
    bind,
    end_of,
    grouped,
    outside,
    runs_of,
    spanned,
    told_of,
)
from runner.judges.groundedness.days import Day, Hours
from runner.judges.groundedness.fields import Cue, ranked, read_cues
from runner.judges.groundedness.numbers import Number, read_numbers
from runner.judges.groundedness.times import Mention, read_times
from runner.judges.groundedness.units import measures

_ENDS = re.compile(r"(?<=[.!?…])[\"”’)*]*\s+(?=[\"“(*\[]*[A-Z0-9À-Þ—-])|\s*\n+\s*")
_SHORT = re.compile(
    r"(?:\b(?:St|Ste|Mt|Ft|Mr|Mrs|Ms|Dr|Capt|Prof|Gen|No|approx|ca|vs|e\.g|i\.e|in|(?<![°º˚\d])(?<![°º˚\d]\s)[A-Z])|\b[ap]\.m|\bU\.S)\.$"
)
_NUMBERED = re.compile(r"\s*[(*#-]*\s*\d{1,2}[.)]")  # "1." begins an item of a list
_CUTS = re.compile(
    r"[,;:)|]|\s[–—-]+\s|—|(?<=\s)/(?=\s)|\b(?:and|but|while|whereas|whilst|then|with|than|although|though|before|after|"
    r"versus|vs\.?|against|as|because|since|however|followed\s+by)\b",
    re.IGNORECASE,
)
_PAIRED = re.compile(
    r"\s*[(/,=≈~]?\s*(?:or|i\.e\.,?|that\s+is,?|which\s+is|equal\s+to|about|roughly|around|some|≈|~|=)?\s*(?:about|around)?\s*"
)
_COUNTED = re.compile(
    r"[\s-]*(?:more\s+|full\s+|whole\s+|other\s+|different\s+|of\s+(?:them|these|those|the)\b\s*)?(?:days?|nights?|hours?|weeks?"
    r"|months?|years?|cities|towns?|places?|locations?|results?|readings?|times?|things?|people|steps?|options?|layers?"
    r"|sentences?|words?|city|spots?|stations?|out\s+of|in\s+(?:\d+|ten|five|three))\b",
    re.IGNORECASE,
)
_VALUED = re.compile(
    r"\b(?:of|at|to|reach(?:es|ing)?|hits?|hitting|around|about|near|nearly|is|are|be|was|between|from|below|above|and|or|than|"
    r"only|just|stands|reads|minus|through)\s+(?:a\s+)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    start: int
    end: int
    name: str


@dataclass(frozen=True)
class Claim:
    """A number as an answer says it. Days, hours and places are alternatives, any of which will do; None: no word on
    it. `counted`: it counts things ("3 days"), `idle`: a small word that is no figure ("one of those")."""

    number: Number
    sentence: str
    after: str = ""
    before: str = ""
    days: tuple[Day, ...] | None = None
    hours: tuple[Hours, ...] | None = None
    places: frozenset[str] | None = None
    quantities: frozenset[str] = frozenset()
    aspects: frozenset[str] = frozenset()
    counted: bool = False
    idle: bool = False
    end: str = ""  # which end of a range it is: "min" or "max"
    far: bool = False  # what it is called stands in another clause
    behind: bool = False  # what it is called stands after it, or after the list that it is in


@dataclass(frozen=True)
class Clock:
    """A day or an hour that a text names; an hour with the days and the quantities (sunrise …) that it is said of."""

    mention: Mention
    days: tuple[Day, ...] | None = None
    quantities: frozenset[str] = frozenset()
    places: frozenset[str] | None = None


@dataclass(frozen=True)
class Said:
    """A text, read."""

    text: str
    claims: tuple[Claim, ...]
    clocks: tuple[Clock, ...]


def alone(claim: Claim) -> Claim:
    """A number of a list as one of another kind than those after it: the low of "low 2, 90% chance of rain"."""
    number = replace(claim.number, unit=None, lent=False)
    return replace(claim, number=number, quantities=frozenset() if claim.behind else claim.quantities)


def paired(between: str) -> bool:
    """Whether the text between two numbers tells the second as the first in another unit."""
    return bool(_PAIRED.fullmatch(between))


def sentences(text: str) -> list[tuple[int, str]]:
    """Where each sentence or line begins, and its text."""
    out: list[tuple[int, str]] = []
    start = 0
    for m in _ENDS.finditer(text):
        ended = text[start : m.start()]
        if "\n" not in m.group() and (_SHORT.search(ended[-12:]) or _NUMBERED.fullmatch(ended)):
            continue
        out.append((start, text[start : m.start()]))
        start = m.end()
    out.append((start, text[start:]))
    return [(at, s) for at, s in out if s.strip()]


def places_in(text: str, names: Iterable[str]) -> list[Place]:
    """Where a text names known places; the longest name counts."""
    found: list[Place] = []
    for name in sorted(names, key=lambda n: (-len(n), n)):
        if not name.strip():
            continue
        for m in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
            if len(name) <= 3 and not m.group().isupper():
                continue  # "at" is no AT
            if not any(f.start < m.end() and m.start() < f.end for f in found):
                found.append(Place(m.start(), m.end(), name.casefold()))
    return sorted(found, key=lambda p: p.start)


def read(
    text: str,
    places: Iterable[str] = (),
    own: dict[str, re.Pattern[str]] | None = None,
    codes: re.Pattern[str] | None = None,
) -> Said:
    """A text's numbers with what they are said of. `own`: the cues of quantities that only this world knows; `codes`:
    what holds digits and is no number, such as the "BA 117" of a flight."""
    names = sorted(set(places))
    claims: list[Claim] = []
    clocks: list[Clock] = []
    days: tuple[Day, ...] | None = None
    hours: tuple[Hours, ...] | None = None
    where: frozenset[str] | None = None
    for _, sentence in sentences(text):
        mentions = read_times(sentence)
        masked = [(m.start, m.end) for m in mentions]
        masked += [m.span() for m in codes.finditer(sentence)] if codes else []
        numbers = read_numbers(sentence, masked)
        day_groups = grouped(sentence, [m for m in mentions if m.days])
        hour_groups = spanned(sentence, grouped(sentence, [m for m in mentions if m.hours]))
        place_groups = grouped(sentence, places_in(sentence, names))
        runs = runs_of(sentence, numbers)
        whole = [(g.start, g.end) for g in (*day_groups, *hour_groups)]
        whole += [(p.start, p.end) for p in place_groups]
        whole += [(numbers[r.items[0]].start, numbers[r.items[-1]].end) for r in runs]
        run_of = {i: run for run in runs for i in run.items}
        cuts = outside([m.start() for m in _CUTS.finditer(sentence)], whole)
        by_day = bind(numbers, runs, day_groups, cuts, sentence)
        by_hour = bind(numbers, runs, hour_groups, cuts, sentence)
        by_place = bind(numbers, runs, place_groups, cuts, sentence)
        found = read_cues(sentence, own or {})
        # A colon parts days from one another, but "High: 24" is one.
        cues = _cued(sentence, numbers, runs, [c for c in cuts if sentence[c] != ":"], found)
        clocks += _clocks(
            sentence,
            mentions,
            day_groups,
            place_groups,
            cuts,
            [c for c in found if "clock" in c.measures],
            days,
            where,
        )
        for i, number in enumerate(numbers):
            before = before_at(sentence, number.start)
            after = sentence[number.end :]
            claim = Claim(
                number,
                sentence,
                after[:60],
                before,
                _days(by_day[i]) if by_day[i] else days,
                tuple(m.hours for m in by_hour[i] if m.hours) if by_hour[i] else hours,
                frozenset(p.name for p in by_place[i]) if by_place[i] else where,
                cues[i][0],
                cues[i][1],
                end=end_of(numbers, run_of[i], i),
                far=cues[i][2],
                behind=cues[i][3],
                counted=number.unit is None and bool(_COUNTED.match(after)),
            )
            if number.word and number.unit is None and not number.decade and abs(number.value) < 13:
                one = number.value == 1
                things = not one and any(p.match(after.lstrip()) for p in (own or {}).values())
                idle = one or claim.counted or not _VALUED.search(before) or _noun(after)
                claim = replace(claim, idle=idle and (claim.counted or not things))
            claims.append(claim)
        if told := told_of(sentence, day_groups):
            days = _days([m for g in told for m in g.items])
        if hour_groups:
            hours = tuple(m.hours for g in hour_groups for m in g.items if m.hours)
        elif day_groups:
            hours = None
        if place_groups:
            where = frozenset(p.name for g in place_groups for p in g.items)
    return Said(text, tuple(claims), tuple(clocks))


def _clocks(
    sentence: str,
    mentions: Sequence[Mention],
    day_groups: Sequence[Group[Mention]],
    place_groups: Sequence[Group[Place]],
    cuts: Sequence[int],
    cues: Sequence[Cue],
    carried: tuple[Day, ...] | None,
    where: frozenset[str] | None,
) -> list[Clock]:
    out = [Clock(m) for m in mentions if not (m.hours and m.hours.exact) or m.days]
    hours = [m for m in mentions if m.hours and m.hours.exact and not m.days]
    spans = [Number(m.start, m.end, m.text, 0.0) for m in hours]
    runs = [Run((i,)) for i in range(len(spans))]
    by_day = bind(spans, runs, day_groups, cuts, sentence)
    by_place = bind(spans, runs, place_groups, cuts, sentence)
    named = _cued(sentence, spans, runs, cuts, cues)
    for i, m in enumerate(hours):
        places = frozenset(p.name for p in by_place[i]) if by_place[i] else where
        out.append(Clock(m, _days(by_day[i]) if by_day[i] else carried, named[i][0], places))
    return out


def _noun(after: str) -> bool:
    """Whether a word follows that a small number may count: "to two friends"."""
    return bool(
        re.match(
            r"\s+(?!(?:in|on|at|by|and|or|to|for|tomorrow|today|tonight|degrees?|this|with|over)\b)[a-z]",
            after,
        )
    )


def _days(mentions: Sequence[Mention]) -> tuple[Day, ...]:
    return tuple(d for m in mentions for d in m.days)


def _cued(
    text: str,
    numbers: Sequence[Number],
    runs: Sequence[Run],
    cuts: Sequence[int],
    cues: Sequence[Cue],
) -> list[tuple[frozenset[str], frozenset[str], bool, bool]]:
    """For each number its quantities and aspects, whether another clause names them, and whether after it."""
    out: list[tuple[frozenset[str], frozenset[str], bool, bool]] = []
    run_of = {i: run.items for run in runs for i in run.items}
    for i, n in enumerate(numbers):
        run = run_of[i]
        fits = [c for c in cues if not n.unit or not c.measures or c.measures & _broad(n.unit)]
        first, last = numbers[run[0]], numbers[run[-1]]
        left = numbers[run[0] - 1].end if run[0] else 0
        right = numbers[run[-1] + 1].start if run[-1] + 1 < len(numbers) else len(text)
        clause = bisect_right(cuts, n.start)
        before = [c for c in fits if left <= c.start and c.end <= first.start]
        mine = [c for c in before if bisect_right(cuts, c.start) == clause]
        behind = not mine
        if not mine:
            mine = [
                c
                for c in fits
                if last.end <= c.start < right
                and not c.ahead
                and bisect_right(cuts, c.start) == clause
                and len(text[last.end : c.start].split()) <= 4
            ]
        if not mine and i and paired(text[numbers[i - 1].end : n.start]):
            out.append(out[i - 1])
            continue
        far = not mine
        mine = mine or before
        aspects = [c.aspect for c in mine if c.aspect]
        if len(run) > 1 and len(aspects) == len(run):  # "high and low: 24 and 13"
            aspects = [aspects[run.index(i)]]
        named = frozenset(ranked({c.quantity for c in mine if c.quantity}))
        out.append((named, frozenset(aspects), far, behind and not far))
    return out


def _broad(unit: str) -> frozenset[str]:
    return measures(unit)
