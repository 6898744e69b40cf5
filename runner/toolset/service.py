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

from runner.toolset.form import ToolSet
from runner.toolset.requests import Asked, Step, Take, TakeRows
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
    """An answer that is not what the service promises; `str()` says why. Nothing in it is believed."""


class Lacks(Exception):
    """What the service says in so many words: it has nothing. The name of the failure that the tool answers with."""


NO_DATA = "no_data"
"""The failure of a step that names none."""

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
            taken: dict[str, Any] = {n: _field(toolset, step, take, answer) for n, take in step.take.items()}
            for name, rows in step.rows.items():
                taken[name] = _rows(toolset, step, rows, answer, known)
            if any(_holds_null(value) for value in taken.values()):
                raise Lacks(step.otherwise or NO_DATA)
            known |= taken
    except Lacks as e:
        return str(e)
    return {k: v for k, v in known.items() if k not in arguments}


def _holds_null(taken: Any) -> bool:
    rows = taken if isinstance(taken, list) else [{"": taken}]
    return any(value is None for row in rows for value in row.values())


def target(step: Step, known: Mapping[str, Any]) -> str:
    """Path and query of a request; every value is percent-encoded, so none can be more than a value."""
    words = {
        name: step.translate[name].get(str(value), str(value)) if name in step.translate else value
        for name, value in known.items()
    }
    query = [(key, fill(text, words)) for key, text in step.query.items()]
    return step.path + ("?" + urlencode(query, quote_via=quote, safe="") if query else "")


def _field(toolset: ToolSet, step: Step, take: Take, answer: Any) -> Any:
    value = _follow(step, take.path, answer)
    return _worded(toolset, take, value if take.pick is None else _pick(take, value, take.pick))


def _rows(
    toolset: ToolSet, step: Step, rows: TakeRows, answer: Any, known: Mapping[str, Any]
) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]] = {}
    most = int(known[rows.most]) if rows.most is not None else None
    for name, take in rows.fields.items():
        column = _follow(step, take.path, answer)
        chunks = [column[i : i + rows.every] for i in range(0, len(column), rows.every)]
        picked = [_pick(take, chunk, take.pick or "first") for chunk in islice(chunks, most)]
        columns[name] = [_worded(toolset, take, value) for value in picked]
    counts = set(map(len, columns.values()))
    if len(counts) > 1:
        raise Unusable("its answer has lists of different lengths")
    if (count := counts.pop()) < (most or 1):
        if not count and step.otherwise:
            raise Lacks(step.otherwise)
        raise Unusable(f"its answer has {count} rows where {most or 1} were asked for")
    return [{name: column[n] for name, column in columns.items()} for n in range(count)]


def _follow(step: Step, path: str, value: Any, at: int = 0) -> Any:
    """What a path leads to, from its part `at` on; `[*]` spreads over a list. Raises Unusable where it leads nowhere.

    Only at its start, or at the place of a list that is too short, a step may say what that means: a geocoder
    without results knows no such place. Further in, half an answer is a broken one.
    """
    parts = re.findall(r"\w+|\*", path)
    for n in range(at, len(parts)):
        key = parts[n]
        if n == 1 and value is None and step.otherwise:
            raise Lacks(step.otherwise)
        in_list = key == "*" or key.isdigit()
        if not isinstance(value, list if in_list else dict):
            raise Unusable(f"its answer has no {'list' if in_list else 'object'} on the way to {path}")
        if key == "*":
            return [_follow(step, path, one, n + 1) for one in value]
        if int(key) >= len(value) if in_list else key not in value:
            if step.otherwise and (in_list or n == 0):
                raise Lacks(step.otherwise)
            raise Unusable(f"its answer has no {path}")
        value = value[int(key)] if in_list else value[key]
    return value


def _pick(take: Take, values: Any, how: str) -> Any:
    if not isinstance(values, list):
        raise Unusable(f"its answer has no list at {take.path}")
    there = [v for v in values if _there(v)]
    if how == "first":
        return there[0] if there else None
    if not all(map(_number, there)):
        raise Unusable(f"its answer has other things than numbers at {take.path}")
    return (max if how == "max" else min)(there, default=None)


def _there(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _worded(toolset: ToolSet, take: Take, value: Any) -> Any:
    """A taken value as the tool tells it, None for null. Raises Unusable for one that means nothing."""
    if not _there(value):
        return None
    wrong = Unusable(f"its answer has {json.dumps(value)[:60]} at {take.path}")
    if isinstance(value, dict | list):
        raise wrong
    if take.round is not None or take.times != 1:
        if not _number(value):
            raise wrong
        try:
            value = value * take.times if take.times != 1 else value
            value = round(value, take.round or None) if take.round is not None else value
        except OverflowError:
            raise wrong from None
    if take.table is not None:
        whole = isinstance(value, float) and value == int(value)
        value = toolset.tables[take.table].get(str(int(value) if whole else value))
    if take.to == "weekday":
        try:
            value = WEEKDAYS[date.fromisoformat(str(value)[:10]).weekday()]
        except ValueError:
            value = None
    if not _there(value):
        raise wrong
    return value
