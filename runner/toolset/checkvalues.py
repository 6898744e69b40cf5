"""Whether values can be drawn, and whether the tools' schemas take them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from msgspec import UNSET

from runner.toolset.form import Tool, ToolSet
from runner.toolset.gen import Gen, as_gen
from runner.toolset.schemas import refused, unsound
from runner.toolset.values import leaves
from runner.toolset.words import VOICES, Definition, Mistake, Voices, Where, slots, unslotted

DATE_SLOTS = {"iso", "year", "month", "day", "weekday"}
WHOLE = ("year", "month", "day")
MANY = 1_000_000


def circles(s: ToolSet) -> Iterator[Mistake]:
    """Phrases and values that hold themselves; any deeper than ten are taken for such."""

    def deep(name: str, edges: Mapping[str, set[str]], level: int = 0) -> bool:
        return level > 10 or any(deep(n, edges, level + 1) for n in edges.get(name, ()) if n in edges)

    pools = {n: [*p.persona, *p.plain] if isinstance(p, Voices) else p for n, p in s.phrases.items()}
    gens = {n: as_gen(g) for n, g in s.values.items()}
    tables = {
        "phrases": {n: {x for t in pool for x in slots(t)} for n, pool in pools.items()},
        "values": {
            n: {x for t in g.joined or () for x in slots(t)} | {g.like or ""} for n, g in gens.items()
        },
    }
    for kind, edges in tables.items():
        for name in edges:
            if deep(name, edges):
                yield (kind, name), "holds itself, or is nested deeper than ten"


def gen_mistakes(at: Where, gen: Gen, s: ToolSet, known: Collection[str] | None = None) -> Iterator[Mistake]:
    """`known` are the values drawn before, in an outcome; None in `values`, where nothing is."""
    given = [f for f in gen.__struct_fields__ if getattr(gen, f) not in (None, UNSET)]
    if gen.always is None:
        given.append("always")
    if len(given) != 1:
        yield at, f"needs exactly one of {', '.join(gen.__struct_fields__)}; has {', '.join(given) or 'none'}"
        return
    if gen.one_of is not None:
        for i, value in enumerate(gen.one_of):
            if value in gen.one_of[:i]:
                yield (*at, i) if "one_of" not in given else at, f"{value!r} stands here twice"
    if (b := gen.between) is not None:
        if b.min > b.max:
            yield (*at, "between"), f"min {b.min} is above max {b.max}"
        elif b.step <= 0 or (b.max - b.min) / b.step > MANY:
            yield (*at, "between"), f"step must be above 0, and the values at most {MANY:,}"
        for name, scales in b.told.items():
            of = s.values.get(name)
            ways = [str(v) for v in examples(s, as_gen(of))] if of is not None else []
            if known is None:
                yield (*at, "between", "told"), "only results are told in another measure"
            elif name not in known or name not in s.values:
                yield (*at, "between", "told", name), "is no argument of the tool"
            for value in scales:
                if known is not None and ways and value not in ways:
                    what = f"values.{name} are never {value!r}, but {', '.join(ways)}"
                    yield (*at, "between", "told", name, value), what
        if b.above is not None and (known is None or b.above not in known):
            yield (*at, "between", "above"), f"no value {b.above!r} is drawn before it"
    for i, way in enumerate(gen.ways or ()):
        if len(way) < 2 or not all(isinstance(w, str) for w in way[1:]):
            yield (*at, "ways", i), "must be a value and at least one text for it"
    for i, text in enumerate(gen.joined or ()):
        for slot in sorted(slots(text) - s.values.keys()):
            yield (*at, "joined", i), f"no values {slot!r}"
    if gen.dates is not None:
        yield from _dates((*at, "dates"), gen.dates.first, gen.dates.last)
        for i, text in enumerate(gen.dates.say):
            for slot in sorted(slots(text) - DATE_SLOTS):
                yield (
                    (*at, "dates", "say", i),
                    f"nothing fills {{{slot}}}; there are {', '.join(sorted(DATE_SLOTS))}",
                )
            if "iso" not in slots(text) and (left := [n for n in WHOLE if n not in slots(text)]):
                what = f"leaves out {{{'}, {'.join(left)}}}: nobody could tell which date is meant"
                yield (*at, "dates", "say", i), what
    if gen.like is not None and gen.like not in s.values:
        yield (*at, "like"), f"no values {gen.like!r}"
    if (rows := gen.rows) is not None:
        if known is None:
            yield (*at, "rows"), "rows can only be results"
        elif isinstance(rows.count, str) and rows.count not in known:
            yield (*at, "rows", "count"), f"no value {rows.count!r} is drawn before it"
        seen: list[str] = []
        for name, written in rows.draw.items():
            yield from gen_mistakes((*at, "rows", "draw", name), as_gen(written), s, [*(known or ()), *seen])
            seen.append(name)
        for i, text in enumerate(rows.say):
            for slot in sorted(slots(text) - rows.draw.keys()):
                yield (*at, "rows", "say", i), f"nothing fills {{{slot}}}"


def _dates(at: Where, first: str, last: str) -> Iterator[Mistake]:
    try:
        if date.fromisoformat(first) > date.fromisoformat(last):
            yield at, f"{first} comes after {last}"
    except ValueError as e:
        yield at, f"no date: {e}"


def phrase_mistakes(s: ToolSet) -> Iterator[Mistake]:
    for name, pool in s.phrases.items():
        if name in s.values:
            yield ("phrases", name), f"{name!r} is also a value"
        if isinstance(pool, Voices):
            for voice in VOICES:
                yield from no_digits(("phrases", name, voice), pool.of(voice))


def no_digits(at: Where, texts: Iterable[str]) -> Iterator[Mistake]:
    for i, text in enumerate(texts):
        if any(c.isdigit() for c in unslotted(text)):
            yield (*at, i), "the assistant's numbers come from slots, not from its texts"


def no_schema(definition: Definition) -> str:
    schema = definition.function.parameters
    if why := unsound(schema):
        return why
    return "" if schema.get("type") == "object" else "must be of type object"


def schema_mistakes(s: ToolSet, tool: Tool) -> Iterator[Mistake]:
    at: Where = ("definition", "function", "parameters")
    if told := no_schema(tool.definition):
        yield at, told
        return
    here: Where = ("arguments",) if tool.arguments is not None else (*at, "properties")
    names = leaves(tool.tree)
    for name in names:
        if not isinstance(name, str) or name not in s.values:
            yield here, f"no values {name!r}"
        elif names.count(name) > 1:
            yield here, f"{name!r} stands here twice"
    for key in tool.schema.get("required", []):
        if key not in tool.tree:
            yield here, f"nothing gives the required {key!r}"
    if all(isinstance(n, str) and n in s.values for n in names):
        yield from _allowed(s, tool.schema, tool.tree, here)


def _allowed(s: ToolSet, schema: Any, tree: Any, at: Where) -> Iterator[Mistake]:
    """Every listed value, and the ends of every range, against the schema of its place."""
    if isinstance(tree, dict):
        inner = schema.get("properties", {}) if isinstance(schema, dict) else {}
        for key, value in tree.items():
            if key not in inner:
                yield (*at, key), "the schema has no such property"
            else:
                yield from _allowed(s, inner[key], value, (*at, key))
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from _allowed(s, schema.get("items", {}), value, (*at, i))
    else:
        for value in examples(s, s.gen(tree)):
            if refused(schema, value):
                yield at, f"the schema does not allow {value!r}, which values.{tree} gives"
                return


def examples(s: ToolSet, gen: Gen) -> list[Any]:
    if gen.like is not None and gen.like in s.values:
        return examples(s, s.gen(gen.like))
    if gen.between is not None:
        return [gen.between.min, gen.between.max]
    if gen.dates is not None:
        return [gen.dates.first]
    if gen.always is not UNSET:
        return [gen.always]
    return (
        gen.one_of
        or [w[0] for w in gen.ways or ()]
        or (["text"] if gen.joined else list(gen.following or ()))
    )
