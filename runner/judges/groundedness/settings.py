"""What is known of a value before it is looked at: its day, hours, place and units, as the call and its keys say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.judges.groundedness.days import Day, Hours
from runner.judges.groundedness.fields import PLAIN, field_of, words_of
from runner.judges.groundedness.times import moment
from runner.judges.groundedness.units import SYSTEMS, UNITS, unit_named

PLACES = frozenset(
    "city cities place places location locations town towns station village region country state county area where "
    "municipality admin1 address district harbour harbor port destination".split()
)
TITLES = frozenset({"name", "title", "event", "subject", "appointment", "meeting", "task"})
Named = tuple[str, str]
"""What kind of name, and the name: a place is no rival of a title."""


@dataclass(frozen=True)
class Setting:
    """What is known of a value before it is looked at."""

    day: Day | None = None
    hours: Hours | None = None
    places: frozenset[Named] = frozenset()
    now: bool = False
    units: Mapping[str, str] = field(default_factory=dict)  # by measure, by quantity, or by "key NAME"


def arguments_of(call: str) -> dict[str, Any]:
    """A call's arguments; none where they are no object of JSON."""
    try:
        value = json.loads(call)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def setting_of(arguments: Mapping[str, Any]) -> tuple[Setting, frozenset[str]]:
    """What a call's arguments say of its result; and all places that they name."""
    units: dict[str, str] = {}
    places: set[Named] = set()
    days: list[Day] = []
    for key, value in arguments.items():
        words = set(words_of(key))
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str):
                continue
            day, _ = moment(one)
            if words & {"unit", "units"} or unit_named(one) or one.lower() in SYSTEMS:
                units |= system(one, words)
            elif day is not None:
                days.append(day)
            elif words & (PLACES | TITLES) or (re.match(r"[A-ZÀ-Þ]", one) and not words & PLAIN):
                kind = "where" if words & PLACES else "title" if words & TITLES else f"argument {key}"
                places.add((kind, one.casefold()))
                if "," in one:  # "Oslo, Norway"
                    places.add((kind, one.partition(",")[0].strip().casefold()))
    day = days[0] if len(days) == 1 else None
    several = any(isinstance(v, list) for v in arguments.values())
    mine: frozenset[Named] = frozenset() if several else frozenset(places)
    return Setting(day, None, mine, False, units), frozenset(name for _, name in places)


def mapped(units: Mapping[str, Any]) -> dict[str, str]:
    """{"temperature_2m": "°C"} → units by key, and by what they measure."""
    out: dict[str, str] = {}
    for key, name in units.items():
        unit = unit_named(name) if isinstance(name, str) else None
        if unit:
            out[f"key {key}"] = unit
            if unit != "°" and (quantity := field_of([key]).quantity):
                out.setdefault(quantity, unit)
            if unit != "°" and UNITS[unit].measures not in ("length", "duration"):
                out.setdefault(UNITS[unit].measures, unit)
    return out


def system(name: str, words: set[str]) -> dict[str, str]:
    """Units by what they measure, of a whole system ("metric") or of one unit under a key of such words."""
    if (unit := unit_named(name)) is not None:
        if unit == "°":
            return {}
        measure = UNITS[unit].measures
        if measure == "length":
            return {"precipitation": unit} if words & {"precipitation", "rain", "precip"} else {}
        return {measure: unit}
    return dict(SYSTEMS.get(name.strip().lower(), {}))
