"""Whether what a set says of services can be done: addresses, slots of requests, fields of results."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import UNSET

from runner.toolset.form import Tool, ToolSet
from runner.toolset.gen import as_gen
from runner.toolset.requests import Asked, Step, Take
from runner.toolset.service import NO_DATA, SERVICES
from runner.toolset.values import required
from runner.toolset.words import Mistake, Where, slots


def service_mistakes(s: ToolSet, broken: Collection[str] = ()) -> Iterator[Mistake]:
    """`broken` are tools whose calls cannot be made."""
    tools = {t.name: t for t in s.tools}
    for name, asked_of in s.services.items():
        if name not in SERVICES:
            yield ("services", name), f"no such service; there are {', '.join(SERVICES)}"
            continue
        for tool, asked in asked_of.items():
            at: Where = ("services", name, tool)
            if tool not in tools:
                yield at, f"no tool {tool!r}"
                continue
            if tool in broken:
                continue
            known = {*required(tools[tool].schema, tools[tool].tree), *asked.defaults}
            for i, step in enumerate(asked.steps):
                for where, what in _step(s, tools[tool], name, step, known):
                    yield (*at, "steps", i, *where), what
                known |= {*step.take, *step.rows}
            for what in _given(tools[tool], asked, known):
                yield at, what


def _step(s: ToolSet, tool: Tool, service: str, step: Step, known: set[str]) -> Iterator[Mistake]:
    if step.at not in SERVICES[service].addresses:
        yield ("at",), f"must be one of {', '.join(SERVICES[service].addresses)}"
    for key, text in step.query.items():
        for slot in sorted(slots(text) - known):
            yield ("query", key), f"nothing surely fills {{{slot}}} (optional arguments need `defaults`)"
    for name in step.translate:
        if name not in known:
            yield ("translate", name), "is not known by then"
    if (failure := step.otherwise or NO_DATA) not in s.failures:
        yield ("otherwise",), f"no failure {failure!r}"
    if step.otherwise == "unknown" and not tool.unknown:
        yield ("otherwise",), "the tool must say, as `unknown`, which argument may be unknown"
    for name, take in step.take.items():
        yield from _take(s, ("take", name), take)
    for name, rows in step.rows.items():
        if rows.most is not None and rows.most not in known:
            yield ("rows", name, "most"), f"no value {rows.most!r} is known by then"
        for field, take in rows.fields.items():
            yield from _take(s, ("rows", name, "fields", field), take)
            if "[*]" not in take.path:
                yield ("rows", name, "fields", field, "path"), "must hold [*], of which rows are made"


def _take(s: ToolSet, at: Where, take: Take) -> Iterator[Mistake]:
    if take.table is not None and take.table not in s.tables:
        yield (*at, "table"), f"no table {take.table!r}"


def _given(tool: Tool, asked: Asked, known: set[str]) -> Iterator[str]:
    """Fields that results have and the service's answers do not give."""
    rows = {name: r.fields for step in asked.steps for name, r in step.rows.items()}
    for outcome in tool.outcomes:
        for name, written in outcome.draw.items():
            gen = as_gen(written)
            if gen.always is not UNSET:
                continue
            if name not in known:
                yield f"takes no {name!r}, which the tool's results have"
            elif gen.rows is not None:
                for field in gen.rows.draw.keys() - rows.get(name, {}).keys():
                    yield f"takes no {field!r} for the rows of {name!r}"
