"""What a number is a number of: the quantities that results and answers name, and highs and lows of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.judges.groundedness.units import unit_named


class Quantity(NamedTuple):
    """`keys`: words of a result's key, all of a group, that name it; `text`: how people do."""

    measures: frozenset[str]
    keys: tuple[frozenset[str], ...]
    text: re.Pattern[str]


def _q(measures: str, keys: str, text: str) -> Quantity:
    groups = tuple(frozenset(group.split("+")) for group in keys.split())
    return Quantity(frozenset(measures.split()), groups, re.compile(rf"\b(?:{text})", re.IGNORECASE))


# In the order in which they win: an apparent temperature is told by both its words, and is no temperature.
QUANTITIES: dict[str, Quantity] = {
    "apparent": _q("temperature", "apparent feels feel feelslike real+feel realfeel windchill chill heat+index",
                   r"feel(?:s|ing)?(?:\s+(?:more|rather|much))?[\s-]+like|apparent|real[\s-]?feel|wind[\s-]?chill|heat\s+index"),
    "dew point": _q("temperature", "dew dewpoint", r"dew[\s-]?point"),
    "gusts": _q("speed", "gust gusts windgust windgusts", r"gust"),
    "direction": _q("direction degrees", "direction winddirection bearing heading wind+deg wind+dir wind+degree",
                    r"direction|bearing|heading"),
    "chance": _q("share", "probability chance pop prob likelihood odds pct+rain rain+percent",
                 r"chances?\b|probabilit|likel(?:y|ihood)|odds|risk|possibility"),
    "humidity": _q("share", "humidity rh", r"humidity|humid\b|moisture"),
    "clouds": _q("share", "cloud clouds cloudcover cloudiness", r"cloud[\s-]*(?:cover|iness)|overcast|clouds?\b"),
    "snow": _q("length", "snow snowfall", r"snow"),
    "precipitation": _q("length share", "precip precipitation rain rainfall showers qpf drizzle",
                        r"rain|precip|shower|drizzle|sleet|downpour|fall\s+of\b"),
    "visibility": _q("length", "visibility vis", r"visib"),
    "level": _q("length", "level stage river tide depth", r"level|stage\b|river|tide|depth"),
    "waves": _q("length", "wave waves swell surf", r"waves?\b|swell|surf\b|seas\b"),
    "pressure": _q("pressure", "pressure baro barometer msl", r"pressure|barometer"),
    "wind": _q("speed", "wind windspeed", r"wind|breez|blow"),
    "uv": _q("", "uv uvi", r"UV\b|ultra-?violet"),
    "sunrise": _q("clock", "sunrise", r"sun\s?rise|sun\s+(?:rises|comes\s+up|will\s+rise|is\s+up)|dawn"),
    "sunset": _q("clock", "sunset", r"sun\s?set|sun\s+(?:sets|goes\s+down|will\s+set|is\s+down)|dusk"),
    "sunshine": _q("duration", "sunshine daylight", r"sunshine|daylight|day\s+length"),
    "temperature": _q("temperature", "temp temperature temps temperatures temperature2m t2m tmax tmin tempmax tempmin",
                      r"temperatures?|temps?\b|thermometer|mercury"),
}  # fmt: skip
# Tells nothing that a unit would fit: places on the map, codes, the service's own figures.
PLAIN = frozenset(
    "id ids lat lon lng latitude longitude code weathercode status generationtime offset population postcodes postcode "
    "zip elevation version timestamp dt icon cod".split()
)
MAX, MIN, MEAN = "max", "min", "mean"
_ASPECT_KEYS = {
    **dict.fromkeys("max maximum high highs hi highest peak tmax maxtemp tempmax".split(), MAX),
    **dict.fromkeys("min minimum low lows lo lowest tmin mintemp tempmin".split(), MIN),
    **dict.fromkeys("mean avg average".split(), MEAN),
}
_ASPECT_TEXT = re.compile(
    r"\b(?:(?P<max>highs?|maxim(?:um|a)|max|peak(?:s|ing|ed)?|top(?:s|ping|ped)?(?:\s+out)?|warmest|hottest|highest|"
    r"as\s+high\s+as|up\s+to|daytime)|(?P<min>lows?|minim(?:um|a)|min|lowest|coldest|coolest|as\s+low\s+as|down\s+to|"
    r"dip(?:s|ping)?|bottom(?:s|ing)?(?:\s+out)?|overnight)|(?P<mean>averag(?:e|es|ing)|mean))\b(?!-?lying|\s*-?\d0s\b)",
    re.IGNORECASE,
)
_AHEAD = re.compile(r"as\s|up\s|down\s|top|peak(?:s|ing|ed)|dip|bottom", re.IGNORECASE)
CODE = re.compile(r"([A-Z]{1,4})[ -]?(\d{1,6})")
"""Text of a result that is no number though it holds one: a flight, a gate, a room."""
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+[A-Za-z]*")


@dataclass(frozen=True)
class Field:
    """What a fact of a result is: the words of its key, and what they name."""

    words: tuple[str, ...] = ()
    quantity: str | None = None
    aspect: str | None = None
    plain: bool = False


@dataclass(frozen=True)
class Cue:
    """Where a text names quantities or aspects."""

    start: int
    end: int
    quantity: str | None = None
    aspect: str | None = None
    measures: frozenset[str] = field(default_factory=frozenset)
    ahead: bool = False  # it names what follows alone: "up to 23"


def words_of(key: str) -> list[str]:
    """The words of a key: maxTempC, max_temp_c and "Max temp (C)" have the same."""
    return [w.lower() for w in _SPLIT.findall(key)]


def field_of(path: list[str]) -> Field:
    """What the value at a path of a result is. The key nearest to the value names most; those above help."""
    words = words_of(path[-1]) if path else []
    quantity = _named(set(words))
    aspect = next((a for w in words if (a := _ASPECT_KEYS.get(w))), None)
    outer: list[str] = []
    for key in reversed(path[:-1]):
        more = words_of(key)
        outer += more
        if quantity is None:  # {"wind": {"speed": 4}}, {"temp": {"max": 24}}
            quantity = _named(set(words) | set(more))
        if aspect is None:
            aspect = next((a for w in more if (a := _ASPECT_KEYS.get(w))), None)
    if quantity is None and "gauge" in words + outer:  # of a river, unless it measures in mm
        quantity = "precipitation" if "mm" in words else "level"
    if (
        quantity is None
        and aspect is not None
        and set(words) <= {*_ASPECT_KEYS, "c", "f", "celsius", "fahrenheit"}
    ):
        quantity = "temperature"  # a bare "high" or "low" of a day is
    plain = bool(words) and (words[-1] in PLAIN or words[0] in PLAIN) and quantity is None
    return Field(tuple(words + outer), quantity, aspect, plain)


def _named(words: set[str]) -> str | None:
    return next((n for n, q in QUANTITIES.items() if any(group <= words for group in q.keys)), None)


def read_cues(text: str, own: dict[str, re.Pattern[str]]) -> list[Cue]:
    """All cues of a text, in order; `own` holds those quantities that only this result's keys name."""
    found = [
        Cue(m.start(), m.end(), name, None, q.measures)
        for name, q in QUANTITIES.items()
        for m in q.text.finditer(text)
    ]
    found += [Cue(m.start(), m.end(), name) for name, p in own.items() for m in p.finditer(text)]
    for m in _ASPECT_TEXT.finditer(text):
        ahead = bool(_AHEAD.match(m.group()))
        found.append(Cue(m.start(), m.end(), None, m.lastgroup, ahead=ahead))
    return sorted(found, key=lambda c: c.start)


def own_cue(words: tuple[str, ...]) -> tuple[str, re.Pattern[str]] | None:
    """A quantity that no table knows, by the first word of its key: `fine_euros` is told by "fine"."""
    named = next((w for w in words if len(w) > 3 and w.isalpha() and not unit_named(w)), None)
    if named is None:
        return None
    stem = named[:-1] if named.endswith("s") and not named.endswith("ss") else named
    return f"key {stem}", re.compile(rf"\b{re.escape(stem)}(?:s|es)?\b", re.IGNORECASE)


def plural(noun: str) -> re.Pattern[str]:
    """How a text names several things, of the last word of a list's key: "flights" or "flight", "cities"."""
    stem = noun[:-3] if noun.endswith("ies") else noun[:-1] if noun.endswith(("s", "y")) else noun
    return re.compile(rf"\b{re.escape(stem)}(?:s|es|ies|y)?\b", re.IGNORECASE)


OUTRANKED = {
    "temperature": ("apparent", "dew point"),
    "wind": ("gusts", "direction"),
    "precipitation": ("snow", "chance"),
}


def ranked(quantities: set[str]) -> set[str]:
    """Without those that others, named beside them, are told by: the wind of wind gusts."""
    return {q for q in quantities if not any(o in quantities for o in OUTRANKED.get(q, ()))}
