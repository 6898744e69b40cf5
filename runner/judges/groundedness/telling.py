"""All that has been told before an answer: results of tools, and what user and system said."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from runner.judges.groundedness.binding import grouped, spanned
from runner.judges.groundedness.days import Day, Hours
from runner.judges.groundedness.facts import Fact
from runner.judges.groundedness.fields import CODE, QUANTITIES, own_cue, plural
from runner.judges.groundedness.numbers import Number
from runner.judges.groundedness.reading import places_in, read, sentences
from runner.judges.groundedness.settings import Setting, arguments_of, setting_of
from runner.judges.groundedness.times import Mention, moment, read_times
from runner.judges.groundedness.walk import Walk
from runner.record import Message, Probe

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_FAILED = re.compile(
    r"\s*(?:(?:internal\s+)?(?:server\s+)?error|exception|traceback|timed?\s?-?out|timeout|unknown|not\s+found|no\s+(?:data|results?|"
    r"such)|unavailable|service\s+unavailable|failed|failure|bad\s+request|forbidden|unauthori[sz]ed|too\s+many\s+requests|"
    r"null|none)\b",
    re.IGNORECASE,
)
_TODAY = re.compile(
    r"\b(?:today(?:['’]s\s+date)?|current\s+date|date|it)\s*(?:is|:|=)?\s*(?:now\s+)?$", re.IGNORECASE
)


@dataclass(frozen=True)
class Told:
    """`facts` are the tools'; `numbers`, `times` and `days` user's and system's. `words`: every word that stands
    anywhere, plain; `spoken`: what user and system said, `figures` the numbers in it and in codes; `codes`: where a
    text says a code. `asked`: what the last question names. `sizes`: of the results' lists; `counts`: how a text names
    their rows ("flights"), and how many there are. `failed`: the tools gave nothing but errors."""

    facts: tuple[Fact, ...]
    numbers: tuple[Number, ...]
    times: tuple[Mention, ...]
    words: frozenset[str]
    spoken: str
    figures: frozenset[str]
    places: frozenset[str]
    own: dict[str, re.Pattern[str]]
    codes: re.Pattern[str] | None
    today: date | None
    asked_days: tuple[Day, ...] | None
    asked_hours: tuple[Hours, ...] | None
    asked_places: frozenset[str] | None
    sizes: frozenset[int]
    counts: dict[re.Pattern[str], frozenset[int]]
    results: int
    failed: bool


def plain(word: str) -> str:
    """Without case, accents and possessive."""
    flat = unicodedata.normalize("NFKD", word.casefold())
    flat = "".join(c for c in flat if not unicodedata.combining(c)).replace("’", "'")
    return flat[:-2] if flat.endswith("'s") else flat.rstrip("'")


def words_in(text: str) -> set[str]:
    found = {plain(w) for w in WORD.findall(text)}
    return found | {part for w in found for part in re.split(r"'", w)}


def failure(value: Any) -> bool:
    """Whether a tool's result is none: an error, nothing, or an empty list of things."""
    if value is None or value == "" or value == [] or value == {}:
        return True
    if isinstance(value, str):
        return bool(_FAILED.match(value)) and not re.search(r"\d\s*(?:°|%|km|mm)", value)
    if isinstance(value, dict):
        keys = {k.lower() for k in value}
        if any(
            value.get(k)
            for k in value
            if k.lower() in ("error", "errors", "exception", "fault", "error_message")
        ):
            return True
        if keys & {"ok", "success"} and any(
            value[k] is False for k in value if k.lower() in ("ok", "success")
        ):
            return True
        if str(value.get("status", "")).lower() in ("error", "failed", "failure", "not_found", "unavailable"):
            return True
        kept = [v for k, v in value.items() if not k.lower().startswith("generationtime")]
        return not kept or all(v in (None, [], {}, "") for v in kept)
    return False


def told(probe: Probe, system: str | None = None) -> Told:
    """All that a probe's messages tell, and the recipe's system text where the probe has none of its own."""
    messages = list(probe.messages)
    if system and (not messages or messages[0].role != "system"):
        messages.insert(0, Message("system", system))
    people = [m.content or "" for m in messages if m.role in ("user", "system")]
    settings: dict[str, tuple[Setting, frozenset[str]]] = {}
    argued: list[Day] = []
    values: list[Any] = []
    known: set[str] = set()
    for m in messages:
        for call in m.tool_calls:
            arguments = arguments_of(call.function.arguments)
            settings[call.id] = setting_of(arguments)
            known |= settings[call.id][1]
            values += arguments.values()
            argued += [d for v in arguments.values() if isinstance(v, str) and (d := moment(v)[0])]
    facts: list[Fact] = []
    sizes: set[int] = set()
    lists: dict[str, list[int]] = {}
    failed: list[bool] = []
    default = _default_units(probe)
    for m in messages:
        if m.role != "tool":
            continue
        value = _json(m.content or "")
        failed.append(failure(value))
        setting, _ = settings.get(m.tool_call_id or "", (Setting(), frozenset()))
        walk = Walk(frozenset(known))
        walk.value(value, (), replace(setting, units={**default, **setting.units}))
        if failed[-1]:  # what an error says stands there, but it tells no weather
            walk.facts = [replace(f, field=replace(f.field, plain=True)) for f in walk.facts]
        facts += walk.facts
        sizes |= walk.sizes
        for noun, many in walk.lists.items():
            lists.setdefault(noun, []).extend(many)
    places = frozenset(known | {name for f in facts for _, name in f.places})
    last = next((m.content or "" for m in reversed(messages) if m.role == "user"), "")
    asked = read_times(last)
    days = tuple(d for t in asked for d in t.days)
    spans = spanned(last, grouped(last, [t for t in asked if t.hours]))
    hours = tuple(m.hours for g in spans for m in g.items if m.hours)
    hours = tuple(h for h in hours if h.exact) or hours
    named = frozenset(p.name for p in places_in(last, places))
    own = dict(
        c for f in facts if f.value is not None and not f.field.quantity and (c := own_cue(f.field.words))
    )
    today = _today(people, facts, argued, last)
    facts = [replace(f, day=f.day and coming(f.day, today)) for f in facts]
    texts = [*people, *(_unescaped(m.content or "") for m in messages if m.role in ("tool", "assistant"))]
    texts += [_unescaped(c.function.arguments) for m in messages for c in m.tool_calls]
    texts += [json.dumps(t, ensure_ascii=False) for t in probe.tools]
    whole = " ".join(texts)
    spoken = " ".join(people)
    may_be_codes = [f.text for f in facts] + [str(v) for v in values]
    return Told(
        facts=tuple(facts),
        numbers=tuple(c.number for t in people for c in read(t).claims if _free(c.number, c.after)),
        times=tuple(t for p in people for _, s in sentences(p) for t in read_times(s)),
        words=frozenset(words_in(whole.replace("_", " ").replace("\\n", " "))),
        spoken=spoken.casefold(),
        figures=frozenset(re.findall(r"\d+(?:\.\d+)?", spoken))
        | {code[2] for t in may_be_codes if (code := CODE.fullmatch(t.strip()))},
        places=places,
        own=own,
        codes=codes_of(may_be_codes),
        today=today,
        asked_days=None if not days or any(d.any for d in days) else days,
        asked_hours=hours or None,
        asked_places=named or None,
        sizes=frozenset(sizes),
        counts={plural(noun): frozenset([*many, sum(many)]) for noun, many in lists.items()},
        results=len(failed),
        failed=bool(failed) and all(failed),
    )


def codes_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Where a text says one of those of these that are codes ("BA 117", or BA117), whose digits are no numbers."""
    codes = {tuple(m.groups()) for t in texts if (m := CODE.fullmatch(t.strip()))}
    said = "|".join(
        f"{re.escape(a)}[ -]?{re.escape(b)}" for a, b in sorted(codes, key=lambda c: (-len(c[1]), c))
    )
    return re.compile(rf"(?<!\w)(?:{said})(?![\w%°]|[.,]\d)") if codes else None


def _free(number: Number, after: str) -> bool:
    """Whether a number of the user's may be told back: with a unit, or alone; not "3 sentences"."""
    return number.unit is not None or not re.match(
        r"[\s-]*(?!(?:in|on|at|by|and|or|tomorrow|today|tonight|this|next)\b)[A-Za-z]", after
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _unescaped(text: str) -> str:
    """JSON with its letters as they are read (a library may have written é as \\u00e9), other text as it is."""
    value = _json(text) if "\\u" in text else text
    return text if value is text else json.dumps(value, ensure_ascii=False)


def _default_units(probe: Probe) -> dict[str, str]:
    """The units that the tools' own words give where a call names none: the only one they speak of, or the default."""
    words = json.dumps(probe.tools, ensure_ascii=False).lower()
    out: dict[str, str] = {}
    for measure, units in _UNIT_WORDS.items():
        named = {unit for unit, pattern in units.items() if re.search(pattern, words)}
        default = {
            unit
            for unit, p in units.items()
            if re.search(rf"(?:{p})\W+(?:if not|by default|is the default)|default[^.]{{0,30}}(?:{p})", words)
        }
        if len(default or named) == 1:
            (out[measure],) = default or named
    return out


_UNIT_WORDS = {
    "temperature": {"°C": "celsius|°c", "°F": "fahrenheit|°f"},
    "speed": {
        "km/h": r"km/h|kph|kilomet(?:re|er)s per hour",
        "mph": r"\bmph\b|miles per hour",
        "m/s": r"m/s|met(?:re|er)s per second",
    },
}


def _today(people: Sequence[str], facts: Sequence[Fact], argued: Sequence[Day], question: str) -> date | None:
    """Today's date: as somebody says it, or by what the results hold for now, or by how they begin."""
    dated: set[date] = set()
    weekday: int | None = None
    for text in people:
        for mention in read_times(text):
            day = mention.days[0] if len(mention.days) == 1 else None
            if day is None:
                continue
            if day.date and day.offset is not None:
                return day.date - timedelta(days=day.offset)
            said = _TODAY.search(text[: mention.start])
            if day.date and said:
                return day.date
            if day.weekday is not None and (day.offset == 0 or said):
                weekday = day.weekday
            if day.date:
                dated.add(day.date)
    if len(dated) == 1 and weekday is None and not _relative(question):
        pass
    now = [f.day.date for f in facts if f.now and f.day and f.day.date]
    if now:
        return now[0]
    series = sorted({d for f in facts if f.day and (d := f.day.date)})
    if weekday is not None:
        return next((d for d in series if d.weekday() == weekday), date(2001, 1, 1 + weekday))
    offsets = _relative(question)
    calls = sorted({d for a in argued if (d := a.date)})
    if offsets and calls:  # asked for tomorrow, called for the third: today is the second
        return calls[0] - timedelta(days=min(offsets))
    if offsets and len(series) == 1 and len(set(offsets)) == 1:
        return series[0] - timedelta(days=offsets[0])
    if len(dated) == 1 and not offsets and not series:
        return next(iter(dated))
    return series[0] if series else None


def coming(day: Day, today: date | None) -> Day:
    """A row that only says "Wednesday" is that of the coming one."""
    if today is None or day.weekday is None or day.dom is not None or day.offset is not None:
        return day
    return replace(day, offset=(day.weekday - today.weekday()) % 7)


def _relative(question: str) -> list[int]:
    return [d.offset for t in read_times(question) for d in t.days if d.offset is not None and d.date is None]


def quantities_of(facts: Iterable[Fact]) -> set[str]:
    return {f.field.quantity for f in facts if f.field.quantity in QUANTITIES and f.field.quantity}
