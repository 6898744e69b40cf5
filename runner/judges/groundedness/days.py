"""Days and parts of days, as far as they are told, and whether two may be the same."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Day:
    """A day as far as it is told; `offset` counts from today, `index` from the first row of a series. `now`: this
    very moment; `any`: no day in particular ("each day", "this week")."""

    year: int | None = None
    month: int | None = None
    dom: int | None = None
    weekday: int | None = None
    offset: int | None = None
    index: int | None = None
    now: bool = False
    any: bool = False

    @property
    def date(self) -> dt.date | None:
        if self.year is None or self.month is None or self.dom is None:
            return None
        try:
            return dt.date(self.year, self.month, self.dom)
        except ValueError:
            return None

    def known(self, today: dt.date | None) -> Day:
        """The same day with all that follows from today's date."""
        day = self
        if day.now and day.offset is None:
            day = replace(day, offset=0)
        if today and day.offset is not None and day.dom is None:
            try:
                day = dated(today + dt.timedelta(days=day.offset), day)
            except OverflowError:
                return day
        if today and day.year is None and day.month and day.dom:
            day = replace(day, year=_near(today, day.month, day.dom))
        if when := day.date:
            day = replace(day, weekday=when.weekday() if day.weekday is None else day.weekday)
            if today and day.offset is None:
                day = replace(day, offset=(when - today).days)
        return day


def either(one: Day, two: Day) -> Day:
    """What the first says, and where it says nothing, the second."""
    said = {k: v for k, v in vars(one).items() if v is not None and v is not False}
    return replace(two, **said)


def both(one: Day | None, two: Day | None) -> Day | None:
    """A day that is named in two ways, as by a date and by a weekday; of two dates, or two weekdays, the second."""
    if one is None or two is None:
        return one or two
    return two if one.dom is not None and two.dom is not None else either(two, one)


def dated(when: dt.date, day: Day | None = None) -> Day:
    return replace(day or Day(), year=when.year, month=when.month, dom=when.day)


def _near(today: dt.date, month: int, dom: int) -> int:
    """The year that puts a day of the calendar nearest to today."""

    def far(year: int) -> int:
        try:
            return abs((dt.date(year, month, dom) - today).days)
        except ValueError:
            return 10**6

    return min((today.year - 1, today.year, today.year + 1), key=far)


def agree(said: Day, told: Day, today: dt.date | None) -> bool | None:
    """Whether both may be the same day; None where nothing can be compared."""
    if said.any or told.any:
        return None
    a, b = said.known(today), told.known(today)
    checks: list[bool] = []
    if a.month and b.month and a.dom and b.dom:
        checks.append((a.month, a.dom) == (b.month, b.dom) and (not a.year or not b.year or a.year == b.year))
    elif a.dom and b.dom:
        checks.append(a.dom == b.dom)
    if checks and said.weekday is None and told.weekday is not None:
        a = replace(a, weekday=None)  # the date is what was said; a row may have the wrong weekday beside it
    for one, two in ((a.weekday, b.weekday), (a.offset, b.offset), (a.index, b.index)):
        if one is not None and two is not None:
            checks.append(one == two)
    if not checks and a.offset is not None and b.now:
        checks.append(a.offset == 0)
    return all(checks) if checks else None


@dataclass(frozen=True)
class Hours:
    """A part of a day, in minutes since midnight; `exact`: a time by the clock. Of an hour told without am or pm there
    are two readings."""

    first: int
    last: int
    exact: bool = True
    other: Hours | None = None

    def meets(self, other: Hours) -> bool:
        """Whether both may be the same; two parts of a day must share more than an hour."""
        return any(
            min(a.last, b.last + turn) - max(a.first, b.first + turn)
            >= (61 if a.first < a.last and b.first < b.last else 0)
            for a in (self, self.other)
            for b in (other, other.other)
            for turn in (-1440, 0, 1440)
            if a and b
        )
