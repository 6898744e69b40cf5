"""To what a number belongs: the days, hours and places that its sentence names."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from runner.judges.groundedness.days import Hours
from runner.judges.groundedness.numbers import VALUES, Number, joined
from runner.judges.groundedness.times import Mention

_THAN = re.compile(
    r"\b(?:than|unlike|compared\s+(?:to|with)|versus|vs\.?|against|instead\s+of|(?:down|up)\s+from)\s+(?:on\s+|in\s+|the\s+|about\s+)*$",
    re.IGNORECASE,
)
_WORD = "|".join(VALUES)
_FIGURE = (
    rf"(?:[-−]?\d[\d.,]*(?:\s?(?:°\s?[CF]?|%))?|(?:{_WORD})(?:-(?:{_WORD}))?|degrees|percent|per\s+cent)"
)
_THAN_SOME = re.compile(
    r"\b(?:than|unlike|compared\s+(?:to|with)|comparison\s+(?:to|with)|versus|vs\.?|against|instead\s+of|after|from)\s+"
    rf"(?:(?:the|a|an|about|around|only|some|just|its|highs?|lows?|of)\s+)*{_FIGURE}(?:\s+{_FIGURE})*\s+(?:(?:on|in|for|of|at)\s+(?:the\s+)?)?$",
    re.IGNORECASE,
)
_AND_SOME = re.compile(
    rf"\s*(?:,|and|or)\s+{_FIGURE}(?:\s+{_FIGURE})*\s+(?:on|in|for|of|at)\s+(?:the\s+)?", re.IGNORECASE
)
_TO_ANOTHER = re.compile(r",?\s*to\s+(?:about\s+|around\s+|a\s+high\s+of\s+)?")
_WHICH = re.compile(r",\s*(?:which|who|where)\b", re.IGNORECASE)
_LISTED = re.compile(r"\s*(?:,?\s*(?:and|or|&)|,|/)\s*(?:on\s+|in\s+|for\s+|the\s+)*")
_TO = re.compile(r"\s*(?:(?:up\s+|down\s+)?to|through|-|–|—)\s*|\s*and\s*")
_AND = re.compile(r"\s*and\s*")
_BETWEEN = re.compile(r"\bbetween\s+(?:the\s+)?$", re.IGNORECASE)
_RANGED = re.compile(r"\s*(?:to|through|thru|until|till|-|–|—)\s*")


class Spanned(Protocol):
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


T = TypeVar("T", bound=Spanned)


@dataclass(frozen=True)
class Group(Generic[T]):
    """Mentions that stand side by side as one list, or one range."""

    start: int
    end: int
    items: tuple[T, ...]
    ranged: bool = False


def outside(places: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
    """Those places, in order, that stand in none of the spans."""
    out: list[int] = []
    end, rest = -1, iter(sorted(spans))
    span = next(rest, None)
    for place in places:
        while span and span[0] <= place:
            end, span = max(end, span[1]), next(rest, None)
        if place >= end:
            out.append(place)
    return out


def before_at(text: str, at: int) -> str:
    """The end of what stands before a place: enough to see a word or two, however long the text is."""
    return text[max(0, at - 60) : at]


def grouped(text: str, mentions: Sequence[T]) -> list[Group[T]]:
    out: list[Group[T]] = []
    for m in mentions:
        if out:
            between, last = text[out[-1].end : m.start], out[-1]
            pair = len(last.items) == 1 and _AND.fullmatch(between)
            if _RANGED.fullmatch(between) or (pair and _BETWEEN.search(before_at(text, last.start))):
                out[-1] = Group(last.start, m.end, (*last.items, m), True)
                continue
            if _LISTED.fullmatch(between) and not last.ranged:
                out[-1] = Group(last.start, m.end, (*last.items, m))
                continue
        out.append(Group(m.start, m.end, (m,)))
    return out


def spanned(text: str, groups: Sequence[Group[Mention]]) -> list[Group[Mention]]:
    """Groups of hours, where those from one hour to another are all that lie between: "between noon and 6 pm"."""
    out: list[Group[Mention]] = []
    for g in groups:
        last = out[-1] if out else None
        if last and last.end == g.start and last.items[-1].kind == "span":  # "1 to 6 pm" stands as two
            ranged = "and" not in last.items[-1].text or bool(_BETWEEN.search(before_at(text, last.start)))
            out[-1] = Group(last.start, g.end, (*last.items, *g.items), ranged)
        else:
            out.append(g)
    return [_whole(g) for g in out]


def _whole(group: Group[Mention]) -> Group[Mention]:
    """A range of hours as one part of a day: of the readings of both ends, those that lie nearest to each other."""
    first, last = group.items[0].hours, group.items[-1].hours
    if not group.ranged or len(group.items) != 2 or not first or not last:
        return group
    spans = []
    for a in (first, first.other):
        for b in (last, last.other):
            if a and b:
                end = b.last if b.last > a.first else b.last + 1440
                spans.append(Hours(a.first, end, False))
    spans.sort(key=lambda h: h.last - h.first)
    short = [h for h in spans if h.last - h.first == spans[0].last - spans[0].first]
    hours = replace(short[0], other=short[1] if len(short) > 1 else None)
    mention = replace(group.items[0], end=group.end, hours=hours, kind="period")
    return Group(group.start, group.end, (mention,))


@dataclass(frozen=True)
class Run:
    """Indexes of numbers of one unit that stand in one list, or in a range."""

    items: tuple[int, ...]
    ranged: bool = False


def runs_of(text: str, numbers: Sequence[Number]) -> list[Run]:
    out: list[list[int]] = []
    for i, n in enumerate(numbers):
        if i and n.unit == numbers[i - 1].unit and joined(text[numbers[i - 1].end : n.start]):
            out[-1].append(i)
        else:
            out.append([i])
    return [Run(tuple(run), _is_range(text, numbers, run)) for run in out]


def _is_range(text: str, numbers: Sequence[Number], run: Sequence[int]) -> bool:
    """ "From 3 up to 14", "between 3 and 14", "3–14"."""
    if len(run) != 2:
        return False
    first, second = numbers[run[0]], numbers[run[1]]
    between = text[first.end : second.start]
    return bool(_TO.fullmatch(between)) and (
        "and" not in between or bool(re.search(r"\bbetween\s+$", before_at(text, first.start), re.IGNORECASE))
    )


def end_of(numbers: Sequence[Number], run: Run, i: int) -> str:
    """Which end of a range a number is."""
    if not run.ranged:
        return ""
    first, second = (numbers[k].value for k in run.items)
    return "min" if (i == run.items[0]) == (first <= second) else "max"


def told_of(text: str, groups: Sequence[Group[T]]) -> list[Group[T]]:
    """Those days or places that are not only what others are compared with: "than on Monday", "up from 27 on Monday",
    "against 27 on Monday and 22 on Wednesday"."""
    out: list[Group[T]] = []
    end = -1  # of the last that was compared with
    for g in groups:
        before = before_at(text, g.start)
        goes_on = end >= 0 and _AND_SOME.fullmatch(text[end : g.start])
        if goes_on or _THAN.search(before) or _THAN_SOME.search(before):
            end = g.end
        else:
            out.append(g)
            end = -1
    return out


def bind(
    numbers: Sequence[Spanned],
    runs: Sequence[Run],
    groups: Sequence[Group[T]],
    cuts: Sequence[int],
    text: str = "",
) -> list[list[T]]:
    """For each number the mentions that it belongs to; none where the sentence, `text`, has none. "Respectively", a
    list of numbers goes with as many mentions before it. A day that is only compared with ("than today"), or stands in
    a clause aside (", which …"), is none for numbers of other clauses; a number that is compared with ("instead of
    21") may be any day's."""
    out: list[list[T]] = [[] for _ in numbers]
    if not groups:
        return out
    homes = [bisect_right(cuts, g.start) for g in groups]
    clauses = [bisect_right(cuts, n.start) for n in numbers]
    rest = told_of(text, groups)
    plain = [
        g
        for g, home in zip(groups, homes, strict=True)
        if g in rest and not (home and _WHICH.match(text, cuts[home - 1]))
    ]
    for run in runs:
        n, clause = numbers[run.items[0]], clauses[run.items[0]]
        inside = [g for g, home in zip(groups, homes, strict=True) if home == clause]
        last = next((g for g in reversed(inside) if g.end <= n.start), None)
        if last and last not in rest and _TO_ANOTHER.fullmatch(text[last.end : n.start]):
            inside = [g for g in inside if g is not last]  # "from 27 on Monday to 31"
        around = inside or plain or rest
        if not around:
            continue
        before = [g for g in around if g.end <= n.start]
        after = [g for g in around if g.start >= n.end]
        ahead = (
            next(m for m, c in zip(numbers, clauses, strict=True) if not inside or c == clause).end
            <= around[0].start
        )
        group = before[-1] if before else around[0]
        if len(inside) > 1 and ahead and after:  # "21 in Cardiff stand against 14 in Glasgow"
            group = after[0]
        listed = len(run.items) > 1 and not run.ranged
        earlier = [m for g in groups if g.end <= n.start for m in g.items]
        if not inside and len(groups) > 1 and _THAN.search(before_at(text, n.start)):
            for i in run.items:
                out[i] = [m for g in groups for m in g.items]
        elif "respectively" in text and listed and len(earlier) >= len(run.items):
            for i, m in zip(run.items, earlier[-len(run.items) :], strict=True):
                out[i] = [m]
        elif listed and len(group.items) == len(run.items) and not group.ranged:
            for i, m in zip(run.items, group.items, strict=True):
                out[i] = [m]
        else:
            may = list(group.items)
            if not inside and listed and len(may) == 1 and earlier:
                may = earlier  # any of them
            elif not inside and before and after and ahead:
                may += after[0].items  # the sentence names its days after its numbers: either
            for i in run.items:
                out[i] = [] if group.ranged else list(may)  # "from Monday to Friday": any day of them
            if listed and inside and not before and earlier:  # "at noon 2 mm, and 3 mm at six"
                for i in run.items[:-1]:
                    out[i] += earlier
    return out
