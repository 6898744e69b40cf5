"""Form 1 of a tool set: every tool takes one argument, the topic that a conversation is about.

The form that came first. Form 2 (`form`) says all that this one does; this one stays because measured trainings
depend, byte for byte, on what is drawn from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from msgspec import Meta, Struct

from runner.toolset.schemas import refused, unsound
from runner.toolset.words import (
    VOICES,
    Definition,
    Direct,
    Mistake,
    Name,
    Text,
    Texts,
    Voices,
    Where,
    slots,
)

RANKS = {"more", "less"}


class Range(Struct, frozen=True, forbid_unknown_fields=True):
    """Whole numbers from `min` to `max`, both included, `step` apart."""

    min: int
    max: int
    step: Annotated[int, Meta(ge=1)] = 1


class Outcome(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of result. Fields are drawn within a kind, so that no sky is clear with 90 %
    rain."""

    fields: dict[Name, Range | Texts]
    remarks: Voices | None = None


class Pairs(Struct, frozen=True, forbid_unknown_fields=True):
    """Questions about two places; `compare` is the number that orders them as {more} and {less}."""

    compare: str
    questions: Texts
    answers: Voices


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool, what it may return, and what people ask it. `open_questions` leave the place out."""

    definition: Definition
    outcomes: Annotated[list[Outcome], Meta(min_length=1)]
    questions: Texts
    answers: Voices
    open_questions: list[Text] = []
    pairs: Pairs | None = None
    weight: Annotated[int, Meta(ge=1)] = 1

    @property
    def name(self) -> str:
        return self.definition.function.name

    @property
    def arguments(self) -> list[str]:
        return list(self.definition.function.parameters.get("properties", {}))


class Unknown(Struct, frozen=True, forbid_unknown_fields=True):
    starts: Texts
    ends: Texts


class Topic(Struct, frozen=True, forbid_unknown_fields=True):
    """The argument that every tool takes and every conversation is about; `error` answers unknown
    ones."""

    argument: Name
    error: Text
    values: Annotated[list[Text], Meta(min_length=3)]
    unknown: Unknown


class TopicSet(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    toolset: Literal[1]
    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")]
    description: Text
    license: Text
    topic: Topic
    tools: Annotated[list[Tool], Meta(min_length=1)]
    ask: Voices
    replies: Texts
    unknown: Voices
    direct: Annotated[list[Direct], Meta(min_length=1)]
    options: dict[Name, Annotated[dict[Text, Texts], Meta(min_length=1)]] = {}
    openers: list[Text] = []


def mistakes(s: TopicSet) -> Iterator[Mistake]:
    """What types cannot say: slots that nothing fills, arguments that nothing gives, kinds that
    differ."""
    topic = {s.topic.argument}
    yield from _repeated(("topic", "values"), s.topic.values)
    made_up = {a + b for a in s.topic.unknown.starts for b in s.topic.unknown.ends}
    for i, value in enumerate(s.topic.values):
        if value in made_up:
            yield ("topic", "values", i), f"{value!r} is also an unknown one"
    yield from _slots(("ask",), s.ask, set())
    yield from _slots(("replies",), s.replies, topic, topic)
    yield from _slots(("unknown",), s.unknown, topic, topic)
    yield from _slots(("openers",), s.openers, set())
    for i, d in enumerate(s.direct):
        yield from _slots(("direct", i, "asks"), d.asks, topic)
        asked = topic.intersection(*(slots(a) for a in d.asks))
        yield from _slots(("direct", i), Voices(d.persona, d.plain), asked)
    yield from _repeated(("tools",), [t.name for t in s.tools])
    for i, tool in enumerate(s.tools):
        for where, what in _tool_mistakes(s, tool):
            yield ("tools", i, *where), what


def _tool_mistakes(s: TopicSet, tool: Tool) -> Iterator[Mistake]:
    topic, schema = s.topic.argument, tool.definition.function.parameters
    at: Where = ("definition", "function", "parameters")
    if why := unsound(schema):
        yield at, why
        return
    if schema.get("type") != "object" or topic not in schema.get("required", []):
        yield at, f"must be an object that requires {topic!r}, the topic's argument"
    options = [a for a in tool.arguments if a != topic]
    for a in options:
        if a not in s.options:
            yield (*at, "properties", a), f"nothing gives {a!r}: neither topic nor option"
        for value in s.options.get(a, {}):
            if refused(schema["properties"][a], value):
                yield (*at, "properties", a), f"does not allow {value!r}, which options.{a} gives"
    fields = set(tool.outcomes[0].fields)
    for i, outcome in enumerate(tool.outcomes):
        if set(outcome.fields) != fields:
            yield (
                ("outcomes", i),
                f"every outcome needs the same fields: {', '.join(sorted(fields))}",
            )
        for key, draw in outcome.fields.items():
            if isinstance(draw, Range) and draw.min > draw.max:
                yield ("outcomes", i, "fields", key), f"min {draw.min} is above max {draw.max}"
        if outcome.remarks:
            yield from _slots(("outcomes", i, "remarks"), outcome.remarks, set())
    said = {topic, *options}
    yield from _slots(("questions",), tool.questions, said, {topic})
    yield from _slots(("open_questions",), tool.open_questions, set(options))
    yield from _slots(("answers",), tool.answers, said | fields, set(), fields)
    if not tool.pairs:
        return
    if not all(isinstance(o.fields.get(tool.pairs.compare), Range) for o in tool.outcomes):
        yield ("pairs", "compare"), f"{tool.pairs.compare!r} is not a number in every outcome"
    both = {topic, f"{topic}_2"}
    carried = fields | {f"{f}_2" for f in fields}
    yield from _slots(("pairs", "questions"), tool.pairs.questions, said | both, both)
    known = said | both | carried | RANKS
    yield from _slots(("pairs", "answers"), tool.pairs.answers, known, both, carried)
    for voice in VOICES:
        if all(slots(t) & RANKS for t in tool.pairs.answers.of(voice)):
            yield ("pairs", "answers", voice), "needs one without {more} and {less}, for ties"


def _slots(
    path: Where,
    texts: list[str] | Voices,
    known: set[str],
    needed: AbstractSet[str] = frozenset(),
    fields: AbstractSet[str] = frozenset(),
) -> Iterator[Mistake]:
    """Check the slots of templates; with `fields`, each must carry two of them (or the only
    one)."""
    if isinstance(texts, Voices):
        for voice in VOICES:
            yield from _slots((*path, voice), texts.of(voice), known, needed, fields)
        return
    for i, text in enumerate(texts):
        found = slots(text)
        for slot in sorted(found - known):
            yield (*path, i), f"nothing fills {{{slot}}}"
        for slot in sorted(needed - found):
            yield (*path, i), f"needs {{{slot}}}"
        if len(found & fields) < min(2, len(fields)):
            yield (*path, i), f"must carry at least two of {', '.join(sorted(fields))}"


def _repeated(path: Where, texts: list[str]) -> Iterator[Mistake]:
    for i, text in enumerate(texts):
        if text in texts[:i]:
            yield (*path, i), f"{text!r} stands here twice"
