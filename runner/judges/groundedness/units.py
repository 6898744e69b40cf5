"""Units of measure: how they are written, what they measure, how they convert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Unit(NamedTuple):
    """`base = value · times + plus`, in the base unit of what it measures."""

    measures: str
    times: float = 1.0
    plus: float = 0.0


UNITS: dict[str, Unit] = {
    "°C": Unit("temperature"),
    "°F": Unit("temperature", 5 / 9, -160 / 9),
    "K": Unit("temperature", 1, -273.15),
    "km/h": Unit("speed", 1 / 3.6),
    "mph": Unit("speed", 0.44704),
    "m/s": Unit("speed"),
    "kn": Unit("speed", 1852 / 3600),
    "ft/s": Unit("speed", 0.3048),
    "mm": Unit("length", 0.001),
    "cm": Unit("length", 0.01),
    "m": Unit("length"),
    "km": Unit("length", 1000),
    "in": Unit("length", 0.0254),
    "ft": Unit("length", 0.3048),
    "yd": Unit("length", 0.9144),
    "mi": Unit("length", 1609.344),
    "nmi": Unit("length", 1852),
    "hPa": Unit("pressure"),
    "kPa": Unit("pressure", 10),
    "Pa": Unit("pressure", 0.01),
    "inHg": Unit("pressure", 33.8639),
    "mmHg": Unit("pressure", 1.333224),
    "atm": Unit("pressure", 1013.25),
    "bar": Unit("pressure", 1000),
    "psi": Unit("pressure", 68.9476),
    "%": Unit("share"),
    "s": Unit("duration"),
    "min": Unit("duration", 60),
    "h": Unit("duration", 3600),
    "kg": Unit("mass"),
    "g": Unit("mass", 0.001),
    "lb": Unit("mass", 0.45359237),
    "oz": Unit("mass", 0.028349523),
    "l": Unit("volume"),
    "ml": Unit("volume", 0.001),
    "gal": Unit("volume", 3.785411784),
    "$": Unit("dollars"),
    "€": Unit("euros"),
    "£": Unit("pounds"),
    "°": Unit("degrees"),
}
"""`°` alone is told of temperatures and of directions."""

_AN_HOUR = r"(?:of\s+\w+\s+)?(?:per|an|a|each|every|to\s+the|by\s+the)\s+hour"
SPELT: dict[str, str] = {
    "°C": r"(?:°|º|˚|deg(?:ree)?s?\b\.?)\s*(?:C\b|Celsius\b|centigrade\b)|Celsius\b|centigrade\b|℃|C\b(?!')",
    "°F": r"(?:°|º|˚|deg(?:ree)?s?\b\.?)\s*(?:F\b|Fahrenheit\b)|Fahrenheit\b|℉|F\b(?!')",
    "K": r"(?:degrees\s+)?kelvins?\b|K\b",
    "km/h": r"km/h(?:r|our)?\b|kph\b|kmh\b|km\s?h(?:-1|⁻¹)|kilomet(?:re|er)s?\s+" + _AN_HOUR,
    "mph": r"mph\b|mi/h\b|mp/h\b|miles?\s+" + _AN_HOUR,
    "m/s": r"m/s(?:ec)?\b|mps\b|m\s?s(?:-1|⁻¹)|met(?:re|er)s?\s+(?:per|a|each)\s+second",
    "ft/s": r"ft/s\b|feet\s+per\s+second",
    "kn": r"knots?\b|kn\b|kts?\b",
    "inHg": r"inHg\b|in\.?\s?Hg\b|inches\s+of\s+mercury",
    "mmHg": r"mmHg\b|mm\s?Hg\b|millimet(?:re|er)s\s+of\s+mercury",
    "hPa": r"hPa\b|hectopascals?\b|mbar\b|millibars?\b|mb\b",
    "kPa": r"kPa\b|kilopascals?\b",
    "Pa": r"Pa\b|pascals?\b",
    "atm": r"atm\b|atmospheres\b",
    "bar": r"bars?\b",
    "psi": r"psi\b",
    "mm": r"mm\b|millimet(?:re|er)s?\b",
    "cm": r"cm\b|centimet(?:re|er)s?\b",
    "km": r"km\b|kilomet(?:re|er)s?\b",
    "nmi": r"nautical\s+miles?\b|nmi\b",
    "mi": r"miles?\b|mi\b",
    "ft": r"feet\b|foot\b|ft\b",
    "yd": r"yards?\b|yd\b",
    "in": r"inch(?:es)?\b|in\.?(?=\s+of\b|\s*[)/,;]|\s*$)|″",
    "m": r"met(?:re|er)s?\b|m\b(?!')",
    "%": r"%|per\s?cent\b|percentage\b",
    "min": r"minutes?\b|mins\b|min\b(?!\s*[:\d-])",
    "h": r"hours?\b|hrs?\b|h\b",
    "s": r"seconds?\b|secs?\b|s\b(?<=\ds|\ss)",
    "kg": r"kg\b|kilos?\b|kilograms?\b",
    "g": r"g\b|grams?\b",
    "lb": r"lbs?\b|pounds?\b",
    "oz": r"oz\b|ounces?\b",
    "ml": r"ml\b|millilit(?:re|er)s?\b",
    "l": r"l\b|L\b|lit(?:re|er)s?\b",
    "gal": r"gal\b|gallons?\b",
    "$": r"dollars?\b|USD\b",
    "€": r"euros?\b|EUR\b|€",
    "£": r"GBP\b",
    "°": r"°|º|˚|deg(?:ree)?s?\b",
}
# Letters whose case decides what they are (C, F, K, m …) keep it; words may be capitalised.
_CASED = re.compile(r"^[A-Za-z]$|^Pa$")
_AFTER = re.compile(
    r"\s*-?\s*(?:(?:an?|of\s+an?)\s+)?(?:"
    + "|".join(f"(?P<u{i}>{p})" for i, p in enumerate(SPELT.values()))
    + ")",
    re.IGNORECASE,
)
_NAMES = list(SPELT)
_KEYS = {
    "c": "°C", "celsius": "°C", "degc": "°C", "centigrade": "°C", "f": "°F", "fahrenheit": "°F", "degf": "°F",
    "k": "K", "kelvin": "K", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "mph": "mph", "mps": "m/s", "ms": "m/s",
    "kn": "kn", "kt": "kn", "kts": "kn", "knots": "kn", "mm": "mm", "cm": "cm", "km": "km", "in": "in",
    "inch": "in", "inches": "in", "mi": "mi", "miles": "mi", "ft": "ft", "feet": "ft", "mb": "hPa", "mbar": "hPa",
    "hpa": "hPa", "kpa": "kPa", "inhg": "inHg", "mmhg": "mmHg", "pct": "%", "percent": "%", "percentage": "%",
    "seconds": "s", "secs": "s", "minutes": "min", "hours": "h", "meters": "m", "metres": "m", "m": "m",
    "usd": "$", "dollars": "$", "eur": "€", "euro": "€", "euros": "€",
    "gbp": "£", "kg": "kg", "deg": "°", "degrees": "°",
}  # fmt: skip


def unit_after(text: str, at: int) -> tuple[str, int] | None:
    """The unit written at a place of a text, and where it ends."""
    found = _AFTER.match(text, at)
    if not found or found.lastgroup is None:
        return None
    name = _NAMES[int(found.lastgroup[1:])]
    word = found.group(found.lastgroup)
    between = text[at : found.start(found.lastgroup)]
    if _CASED.match(word):  # "5 f", "3 M" and "20 c" are no units, "5 m" and "20 C" are
        lower = name in ("m", "s", "h", "g", "l") and word != "L"
        if word != (word.lower() if lower else word[0].upper() + word[1:]):
            return None
        if word in "sgl" and not between.strip() and between:
            return None  # "4 s", "2 g" stand rarely for units in prose; "4s" is a decade or a plural
    if "-" in between and len(word) < 2:
        return None  # "7-C"
    return name, found.end()


def unit_named(text: str) -> str | None:
    """The unit that a field of a result names, such as "celsius", "km/h" or "°C"."""
    word = text.strip()
    if word.lower() in _KEYS:
        return _KEYS[word.lower()]
    found = unit_after(word, 0)
    return found[0] if found and found[1] == len(word) else None


_LONG = frozenset(
    "feet miles inches celsius fahrenheit kelvin percent knots mph kph metres meters mm km hpa usd euros".split()
)


def unit_of_key(words: list[str]) -> str | None:
    """The unit in a key's words: temp_c, wind_kph, feet; of "temperature_2m" none."""
    if not words or words[-1] in ("deg", "degrees"):
        return None
    pair = "".join(words[-2:])
    if len(words) > 1 and pair in ("mph", "inhg", "mmhg", "kmh"):
        return _KEYS[pair]
    return _KEYS.get(words[-1]) if len(words) > 1 or words[-1] in _LONG else None


def measures(unit: str | None) -> frozenset[str]:
    """What a number with this unit may measure; empty: anything."""
    if unit is None:
        return frozenset()
    if unit == "°":
        return frozenset({"temperature", "direction"})
    return frozenset({UNITS[unit].measures})


def converted(value: float, unit: str, wanted: str) -> float | None:
    """A value in another unit; None where one cannot be had from the other."""
    a, b = UNITS[unit], UNITS[wanted]
    if a.measures != b.measures:
        return None
    if unit == wanted:
        return value
    return (value * a.times + a.plus - b.plus) / b.times


def scaled(value: float, unit: str, wanted: str) -> float | None:
    """A *difference* in another unit."""
    a, b = UNITS[unit], UNITS[wanted]
    return value * a.times / b.times if a.measures == b.measures else None


DEFAULT: dict[str, tuple[str, ...]] = {
    "temperature": ("°C",),
    "length": ("mm", "km"),
    "pressure": ("hPa",),
    "share": ("%",),
}
"""What a result means that names no unit, beside whatever unit the answer names."""
SYSTEMS: dict[str, dict[str, str]] = {
    "metric": {"temperature": "°C", "precipitation": "mm"},
    "imperial": {"temperature": "°F", "speed": "mph", "precipitation": "in"},
    "us": {"temperature": "°F", "speed": "mph", "precipitation": "in"},
    "standard": {"temperature": "K", "speed": "m/s"},
}


def said_as(value: float, unit: str | None, wanted: str | None, measure: str | None) -> Iterator[float]:
    """The numbers by which a value may be told in the wanted unit (None: the answer names none)."""
    if wanted is None or wanted == "°":
        yield value
        if unit == "%" and wanted is None and abs(value) <= 100:
            yield value / 100
        return
    if unit is None:
        yield value
        if wanted == "%" and 0 <= value <= 1:
            yield value * 100
    for source in (unit,) if unit else DEFAULT.get(measure or "", ()):
        new = converted(value, source, wanted)
        if new is not None:
            yield new


def otherwise(value: float, unit: str | None, wanted: str | None, measure: str | None) -> Iterator[float]:
    """The same where a number names no unit and means another than the result does: "75 degrees" for 24 °C."""
    if measure == "temperature" and wanted in (None, "°"):
        source = unit or "°C"
        new = converted(value, source, "°C" if source == "°F" else "°F")
        if new is not None:
            yield new
