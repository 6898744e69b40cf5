"""What types cannot say of a form-2 set: slots that nothing fills, calls that a schema refuses, texts that invent.

The rule behind most of it: whatever is drawn, each voice has something to say in every conversation.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.toolset.checkservice import service_mistakes
from runner.toolset.checkshapes import Shapes
from runner.toolset.checkvalues import circles, gen_mistakes, no_schema, phrase_mistakes, schema_mistakes
from runner.toolset.form import ToolSet
from runner.toolset.gen import as_gen
from runner.toolset.values import NEIGHBOURS
from runner.toolset.words import Mistake


def mistakes(s: ToolSet) -> Iterator[Mistake]:
    """All that is wrong. With circles, texts and calls are not looked at, which would run in them; nor are the texts of
    a tool whose calls cannot be made."""
    circular = [*circles(s)]
    yield from circular
    for name, written in s.values.items():
        yield from gen_mistakes(("values", name), as_gen(written), s)
    yield from phrase_mistakes(s)
    if s.group_by is not None:
        of = as_gen(s.values[s.group_by]).one_of if s.group_by in s.values else None
        if of is None or len(of) < NEIGHBOURS:
            yield ("group_by",), f"must name values that are a list of at least {NEIGHBOURS}"
    broken = set()
    for i, tool in enumerate(s.tools if not circular else ()):
        for where, what in schema_mistakes(s, tool):
            broken.add(tool.name)
            yield ("tools", i, *where), what
    names = [t.name for t in s.tools] + [d.function.name for d in s.distractors]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield (
                ("tools", i) if i < len(s.tools) else ("distractors", i - len(s.tools)),
                f"{name!r} is there twice",
            )
    for i, d in enumerate(s.distractors):
        if told := no_schema(d):
            yield ("distractors", i, "function", "parameters"), told
    if not circular:
        yield from Shapes(s, broken).mistakes()
        yield from service_mistakes(s, broken)
