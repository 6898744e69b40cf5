"""How a named service answers in a tool's place: calls become requests, JSON becomes fields of a result.

Which services there are, where they live (the user's settings) and which secret they take is code; which path is
asked with what, and what is taken from the answer, is data of the tool set. So a set can send no request to an
address of its own, nor learn a key.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode

from runner.toolset.form import Asked, Step, Take, TakeRows, ToolSet
from runner.toolset.values import WEEKDAYS
from runner.toolset.words import fill


@dataclass(frozen=True)
class Service:
    """`addresses` are settings; `private` maps query parameters to the settings that hold their secrets."""

    addresses: tuple[str, ...]
    license: str
    attribution: str
    private: Mapping[str, str] = field(default_factory=dict)


SERVICES: dict[str, Service] = {
    "open-meteo": Service(
        ("open_meteo_url", "open_meteo_geocoding_url"),
        "CC-BY-4.0",
        "Weather data by Open-Meteo.com; places by GeoNames",
    ),
    "openweathermap": Service(
        ("openweathermap_url",),
        "CC-BY-SA-4.0",
        "Weather data provided by OpenWeather",
        {"appid": "openweathermap_key"},
    ),
}


class Unusable(Exception):
    """An answer of which nothing can be read; `str()` says why."""


class Lacks(Exception):
    """An answer that does not hold what the tool needs; the name of the set's failure that the tool answers with."""


Request = Callable[[str, str], str]
"""(setting with the address, path and query) → the raw answer."""


def parse(raw: str) -> Any:
    """JSON as services write it: NaN, and the bare `nan` that one of them sends, are null."""
    try:
        try:
            return json.loads(raw, parse_constant=lambda _: None)
        except ValueError:
            bare = re.sub(r'"(?:[^"\\]|\\.)*"|-?\b(?:nan|inf)\b', _null, raw)
            return json.loads(bare, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as e:
        raise Unusable(f"its answer is not JSON: {e}") from None


def _null(token: re.Match[str]) -> str:
    return token[0] if token[0].startswith('"') else "null"


def result(
    toolset: ToolSet, asked: Asked, arguments: Mapping[str, Any], request: Request
) -> dict[str, Any] | str:
    """The fields that a call's answers hold, or the name of the failure that they amount to.

    `arguments` are values by slot. Raises Unusable, and whatever `request` raises.
    """
    known: dict[str, Any] = {**asked.defaults, **arguments}
    try:
        for step in asked.steps:
            answer = parse(request(step.at, target(step, known)))
            for name, take in step.take.items():
                known[name] = _field(toolset, step, take, answer)
            for name, rows in step.rows.items():
                known[name] = _rows(toolset, step, rows, answer, known)
    except Lacks as e:
        return str(e)
    return {k: v for k, v in known.items() if k not in arguments}


def target(step: Step, known: Mapping[str, Any]) -> str:
    """Path and query of a request; every value is percent-encoded, so none can be more than a value."""
    words = {
        name: step.translate[name].get(str(value), str(value)) if name in step.translate else value
        for name, value in known.items()
    }
    query = [(key, fill(text, words)) for key, text in step.query.items()]
    return step.path + ("?" + urlencode(query, quote_via=quote, safe="") if query else "")


def _field(toolset: ToolSet, step: Step, take: Take, answer: Any) -> Any:
    value = _follow(answer, take.path)
    if take.pick is not None:
        value = _pick(value, take.pick)
    return _worded(toolset, step, take, value)


def _rows(
    toolset: ToolSet, step: Step, rows: TakeRows, answer: Any, known: Mapping[str, Any]
) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]] = {}
    most = int(known[rows.most]) if rows.most is not None else None
    for name, take in rows.fields.items():
        column = _follow(answer, take.path)
        if not isinstance(column, list):
            raise Lacks(step.otherwise)
        chunks = [column[i : i + rows.every] for i in range(0, len(column), rows.every)]
        picked = [_pick(chunk, take.pick or "first") for chunk in islice(chunks, most)]
        columns[name] = [_worded(toolset, step, take, value) for value in picked]
    count = min(map(len, columns.values()))
    if count < (most or 1):
        raise Lacks(step.otherwise)
    return [{name: column[n] for name, column in columns.items()} for n in range(count)]


def _follow(value: Any, path: str) -> Any:
    """What a path leads to; None where it leads nowhere. `[*]` spreads over a list."""
    steps = re.findall(r"\w+|\*", path)
    for n, step in enumerate(steps):
        if step == "*":
            rest = ".".join(f"[{s}]" if s.isdigit() or s == "*" else s for s in steps[n + 1 :])
            return [_follow(v, rest) for v in value] if isinstance(value, list) else None
        if step.isdigit() and isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _pick(values: Any, how: str) -> Any:
    there = [v for v in values if _there(v)] if isinstance(values, list) else []
    if not there:
        return None
    if how == "first":
        return there[0]
    numbers = [v for v in there if isinstance(v, int | float) and not isinstance(v, bool)]
    return (max if how == "max" else min)(numbers, default=None)


def _there(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _worded(toolset: ToolSet, step: Step, take: Take, value: Any) -> Any:
    """A taken value as the tool tells it. Raises Lacks for one that is not there or means nothing."""
    if not _there(value) or isinstance(value, dict | list):
        raise Lacks(step.otherwise)
    if take.round is not None or take.times != 1:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Lacks(step.otherwise)
        value = value * take.times if take.times != 1 else value
        value = round(value, take.round or None) if take.round is not None else value
    if take.table is not None:
        whole = isinstance(value, float) and value == int(value)
        value = toolset.tables[take.table].get(str(int(value) if whole else value))
    if take.to == "weekday":
        try:
            value = WEEKDAYS[date.fromisoformat(str(value)[:10]).weekday()]
        except ValueError:
            value = None
    if value is None:
        raise Lacks(step.otherwise)
    return value
