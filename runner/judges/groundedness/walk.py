"""What the world has told: every value of the tools' results, with the day, hour and place that it holds for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runner.judges.groundedness.days import Day, Hours, both
from runner.judges.groundedness.facts import Fact, figure, spoken
from runner.judges.groundedness.fields import CODE, QUANTITIES, field_of, words_of
from runner.judges.groundedness.reading import alone, read
from runner.judges.groundedness.settings import PLACES, TITLES, Named, Setting, mapped, system
from runner.judges.groundedness.times import moment
from runner.judges.groundedness.units import unit_named

_CALLED = frozenset(
    "flight train ferry bus ship boat line route airline carrier operator product item model brand author artist "
    "restaurant hotel shop museum room".split()
)
_WHEN = frozenset(
    "date day time datetime dt timestamp hour when for valid period weekday forecast at from label slot".split()
)
_NOW = frozenset("current currently now realtime observation observed live present".split())
_DAILY = frozenset("daily days day forecast week weekly outlook".split())
_HOURLY = frozenset("hourly hours hour".split())
DEEPEST = 40


class Walk:
    """Collects the facts of one result. `known` are places that the call or the user named."""

    def __init__(self, known: frozenset[str]) -> None:
        self.known = known
        self.facts: list[Fact] = []
        self.sizes: set[int] = set()
        self.lists: dict[str, list[int]] = {}

    def value(self, value: Any, path: tuple[str, ...], s: Setting) -> None:
        if len(path) > DEEPEST:
            return
        if isinstance(value, Mapping):
            self._object(value, path, s)
        elif isinstance(value, list):
            self._list(value, path, s)
        elif isinstance(value, str):
            self._text(value, path, s)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self.facts.append(figure(float(value), None, path, field_of(list(path)), s))

    def _object(self, value: Mapping[str, Any], path: tuple[str, ...], s: Setting) -> None:
        s = self._setting(value, s)
        if (keyed := self._keyed(value, s)) is not None:
            self.sizes.add(len(value))
            for key, inner in keyed:
                self.value(value[key], path, inner)
            return
        columns = {
            k: v for k, v in value.items() if isinstance(v, list) and v and not isinstance(v[0], (dict, list))
        }
        done = self._columns(columns, path, s) if len(columns) > 1 else set()
        for key, inner in value.items():
            if key in done or key.endswith("_units"):
                continue
            own = value.get(f"{key}_units")
            below = replace(s, units={**s.units, **mapped(own)}) if isinstance(own, Mapping) else s
            day, hours = _label(key) if isinstance(inner, (Mapping, list)) else (None, None)
            if day is not None or hours is not None:
                below = replace(below, day=day or below.day, hours=hours or below.hours)
            if set(words_of(key)) & _NOW and isinstance(inner, Mapping):
                below = replace(below, now=True, day=Day(now=True), hours=None)
            self.value(inner, (*path, key), below)

    def _setting(self, value: Mapping[str, Any], s: Setting) -> Setting:
        """The setting, with what an object's own fields say of the others."""
        places, hours, units = set(s.places), s.hours, dict(s.units)
        day: Day | None = None
        for key, inner in value.items():
            words = set(words_of(key))
            if (
                isinstance(inner, str)
                and words & (PLACES | TITLES)
                and len(inner) <= 80
                and moment(inner) == (None, None)
            ):
                places.add(("where" if words & PLACES else "title", inner.casefold()))
            elif words & (_WHEN | {"name", "title"}) and not isinstance(inner, (Mapping, list)):
                found, at = moment(inner)
                if (
                    "hour" in words
                    and isinstance(inner, int)
                    and not isinstance(inner, bool)
                    and 0 <= inner <= 24
                ):
                    found, at = None, Hours(inner * 60, inner * 60)
                if found is not None:
                    # {"date": "2024-06-10", "weekday": "Monday"}: an answer may name either.
                    day = both(day, replace(found, now=True) if s.now else found)
                if at is not None and not s.now:
                    hours = at
            elif words & {"unit", "units"}:
                if isinstance(inner, str):
                    units |= system(inner, words)
                elif isinstance(inner, Mapping):
                    units |= mapped(inner)
        return Setting(day or s.day, hours, frozenset(places), s.now, units)

    def _keyed(self, value: Mapping[str, Any], s: Setting) -> list[tuple[str, Setting]] | None:
        """Settings by key where an object's keys are days, hours or places."""
        if not value:
            return None
        out: list[tuple[str, Setting]] = []
        for key in value:
            day, hours = _label(key)
            if (day is None and hours is None) or set(words_of(key)) & _NOW:
                break
            out.append((key, replace(s, day=day or s.day, hours=hours or s.hours)))
        if len(out) == len(value):
            return out
        inner = list(value.values())
        if all(isinstance(v, (Mapping, list)) for v in inner) and all(k[:1].isupper() for k in value):
            alike = len(inner) > 1 and all(isinstance(v, Mapping) and set(v) == set(inner[0]) for v in inner)
            named = all(k.casefold() in self.known for k in value)
            if named or (alike and not any(field_of([k]).quantity for k in value)):
                return [(k, replace(s, places=frozenset({("where", k.casefold())}))) for k in value]
        if all(k.casefold() in self.known for k in value):
            return [(k, replace(s, places=frozenset({("where", k.casefold())}))) for k in value]
        return None

    def _columns(self, columns: Mapping[str, Sequence[Any]], path: tuple[str, ...], s: Setting) -> set[str]:
        """Lists of one length side by side: a table by columns. Returns the keys that it took."""
        length = len(next(iter(columns.values())))
        even = {k: v for k, v in columns.items() if len(v) == length}
        if len(even) < 2:
            return set()
        timed = [
            k
            for k, v in even.items()
            if all(moment(x) != (None, None) for x in v) and not field_of([k]).quantity
        ]
        at = timed[0] if timed else None
        named = next(
            (k for k in even if set(words_of(k)) & PLACES and all(isinstance(x, str) for x in even[k])), None
        )
        if at is None and named is None and length < 2:
            return set()
        self.sizes.add(length)
        moments = [moment(x) for x in even[at]] if at else [(None, None)] * length
        for key in timed[1:]:  # a column of weekdays beside one of dates
            more = [moment(x)[0] for x in even[key]]
            if all(
                a and b and (a.dom is None) != (b.dom is None)
                for (a, _), b in zip(moments, more, strict=True)
            ):
                moments = [(both(a, b), at) for (a, at), b in zip(moments, more, strict=True)]
        settings = self._rows(moments, path, s, named is None)
        if named:
            settings = [
                replace(r, places=r.places | {("where", str(p).casefold())})
                for r, p in zip(settings, even[named], strict=True)
            ]
        for key, values in even.items():
            if key != at:
                for value, row in zip(values, settings, strict=True):
                    self.value(value, (*path, key), row)
        return set(even)

    def _rows(
        self,
        moments: Sequence[tuple[Day | None, Hours | None]],
        path: tuple[str, ...],
        s: Setting,
        days: bool,
    ) -> list[Setting]:
        """A setting for each row of a series, by its time or else by its place in the series."""
        words = {w for key in path for w in words_of(key)}
        hours = [h for _, h in moments]
        flat = len(set(hours)) == 1 and (len(moments) > 1 or not words & _HOURLY)  # every day at 00:00: days
        out: list[Setting] = []
        for i, (day, at) in enumerate(moments):
            if (
                day is None
                and at is None
                and days
                and not words & _HOURLY
                and (words & _DAILY or len(moments) > 2)
            ):
                day = Day(index=i, offset=i)  # no dates at all: a series begins today
            elif day is not None and words & _DAILY and len(moments) > 1:
                day = replace(day, index=i) if flat else day
            out.append(replace(s, day=day or s.day, hours=None if flat else at or s.hours, now=False))
        return out

    def _list(self, value: list[Any], path: tuple[str, ...], s: Setting) -> None:
        self.sizes.add(len(value))
        rows = [v for v in value if isinstance(v, Mapping)]
        if rows and len(rows) == len(value):
            own = [self._setting(r, Setting()) for r in rows]
            dated = any(o.day or o.hours for o in own)
            placed = any(o.places for o in own)
            words = {w for key in path for w in words_of(key)}
            series = not dated and not placed and len(rows) > 1 and bool(words & _DAILY)
            called = _called(rows, not dated and not series, own)
            for noun in {*words_of(path[-1])[-1:]} if path else set(_CALLED & set(rows[0])):
                if noun.endswith("s") == bool(path) and noun not in _DAILY | _HOURLY:
                    self.lists.setdefault(noun, []).append(len(rows))
            for i, (row, mine) in enumerate(zip(rows, own, strict=True)):
                # What a row says of itself stands instead of what the call said: its own place, its own day.
                below = replace(s, places=(mine.places or s.places) | called[i])
                if series:
                    below = replace(below, day=Day(index=i, offset=i))
                elif dated and len(rows) > 1 and words & _DAILY and mine.day and mine.hours is None:
                    self._row(row, path, below, i)
                    continue
                self.value(row, path, below)
            return
        settings = (
            self._rows([(None, None)] * len(value), path, s, True) if len(value) > 1 else [s] * len(value)
        )
        for item, setting in zip(value, settings, strict=True):
            self.value(item, path, s if isinstance(item, str) else setting)

    def _row(self, row: Mapping[str, Any], path: tuple[str, ...], s: Setting, index: int) -> None:
        before = len(self.facts)
        self.value(row, path, s)
        self.facts[before:] = [
            replace(f, day=replace(f.day, index=index)) if f.day else f for f in self.facts[before:]
        ]

    def _text(self, value: str, path: tuple[str, ...], s: Setting) -> None:
        named = field_of(list(path))
        if unit_named(value) and set(words_of(path[-1]) if path else ()) & {"unit", "units"}:
            return
        day, hours = moment(value)
        if hours is not None and hours.exact:
            told = replace(s, day=day or s.day) if not s.now else s
            self.facts.append(
                Fact(
                    path,
                    named,
                    text=value,
                    clock=hours.first,
                    measure="clock",
                    day=told.day,
                    places=s.places,
                    now=s.now,
                )
            )
            return
        self.facts.append(Fact(path, named, text=value, day=s.day, hours=s.hours, places=s.places, now=s.now))
        if day is None and not CODE.fullmatch(value.strip()):
            for claim in read(value, self.known).claims:
                self.facts.append(spoken(claim, path, named, s))
                if claim.number.lent:
                    self.facts.append(spoken(alone(claim), path, named, s))


def _called(rows: Sequence[Mapping[str, Any]], loose: bool, own: Sequence[Setting]) -> list[frozenset[Named]]:
    """What else each row of a list is called by, so that another's number is not its own: codes that differ from row to
    row; where `loose`, also names under such keys as airline or author; and by their
    titles' plurals, or a word that no other row has in its title: "the kettles", "the dentist"."""
    out: list[set[Named]] = [set() for _ in rows]
    for key in rows[0] if len(rows) > 1 else ():
        values = [r.get(key) for r in rows]
        texts = [v.strip() for v in values if isinstance(v, str) and 0 < len(v.strip()) <= 40]
        if len(texts) < len(rows) or len(set(texts)) < 2 or field_of([key]).quantity:
            continue
        if all(CODE.fullmatch(t) for t in texts) or (loose and set(words_of(key)) & _CALLED):
            for row, text in zip(out, texts, strict=True):
                row.add((f"row {key}", text.casefold()))
    titles = [
        {n for n in row.places | names if n[0] not in ("where",) and not CODE.fullmatch(n[1].upper())}
        for row, names in zip(own, out, strict=True)
    ]
    for i, row in enumerate(out if len(rows) > 1 else ()):
        others = {w for k, some in enumerate(titles) if k != i for _, name in some for w in name.split()}
        for kind, name in titles[i]:
            words = [w for w in re.findall(r"[^\W\d_]{4,}", name) if w not in others and not _vague(w)]
            row |= {(kind, form) for w in (*words, name) for form in (w, f"{w}s", f"{w}es")}
    return [frozenset(row) for row in out]


_VAGUE = frozenset(
    "with from that this your their into over about after before under good great best three most more days week "
    "time only just book item high".split()
)


def _vague(word: str) -> bool:
    """Whether a word of a title would be read for it where it is none: "a good 300 pages", "the rain"."""
    return word in _VAGUE or any(q.text.match(word) for q in QUANTITIES.values())


def _label(key: str) -> tuple[Day | None, Hours | None]:
    """The day or the hours that a key is: "2026-03-02", "tomorrow", "day_after", "15:00", "evening"."""
    if key.isdigit():
        return None, None
    text = key.replace("_", " ").strip()
    return moment("day after tomorrow" if text.lower() == "day after" else text)
