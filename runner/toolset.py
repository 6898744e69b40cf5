"""Tool sets: the words and tools that the source `tools` draws its conversations from, as YAML
data.

A tool set holds text and numbers only. Its templates are filled by name ({city}), never by
`str.format`, whose attribute look-ups would let data reach into code; and its YAML may hold no
anchors, so a small file cannot unfold into a large one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runner.errors import Problem, RecipeError

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Name = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Texts = Annotated[list[Text], Meta(min_length=1)]
Voice = Literal["persona", "plain"]
Where = tuple[str | int, ...]
Mistake = tuple[Where, str]
VOICES: tuple[Voice, ...] = ("persona", "plain")
RANKS = {"more", "less"}
_SLOT = re.compile(r"\{(\w+)\}")


class Voices(Struct, frozen=True, forbid_unknown_fields=True):
    """The same thing said in the persona's voice and plainly."""

    persona: Texts
    plain: Texts

    def of(self, voice: Voice) -> list[str]:
        return self.persona if voice == "persona" else self.plain


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


class Function(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    description: str = ""
    parameters: dict[str, Any] = {}


class Definition(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool as chat templates know it (OpenAI's function schema)."""

    type: Literal["function"]
    function: Function


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


class Direct(Struct, frozen=True, forbid_unknown_fields=True):
    """A question that needs no tool, and its answer."""

    asks: Texts
    persona: Texts
    plain: Texts


class ToolSet(Struct, frozen=True, forbid_unknown_fields=True):
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


def slots(template: str) -> set[str]:
    """Names of the slots of a template; {City} is the slot `city`, capitalised."""
    return {n[:1].lower() + n[1:] for n in _SLOT.findall(template)}


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with its slots filled; a filled-in text is never filled again."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        text = str(values[name[:1].lower() + name[1:]])
        return text[:1].upper() + text[1:] if name[:1].isupper() else text

    return _SLOT.sub(value, template)


def load_toolset(path: Path, name: str) -> ToolSet:
    """Read and check a tool set; `name` is what errors call the file. All that is wrong is told at
    once."""
    import yaml  # type: ignore[import-untyped,unused-ignore]

    try:
        text = path.read_text(encoding="utf-8")
        _refuse_unfolding(yaml, text, name)
        loader = _loader(yaml)(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except (OSError, ValueError) as e:  # a date that is none is a ValueError, and so is bad UTF-8
        raise RecipeError([Problem(name, 0, 0, "", f"cannot be read: {e}")]) from e
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        what = getattr(e, "problem", None) or str(e)
        raise RecipeError([Problem(name, line, column, "", f"not YAML: {what}")]) from e
    wrong = [(where, f"{where[-1]!r} stands here twice") for where in _duplicates(node)]
    if not wrong:
        try:
            found = msgspec.convert(data, ToolSet)
        except msgspec.ValidationError as e:
            what, _, at = str(e).partition(" - at `")
            steps = re.findall(r"\.([A-Za-z_]\w*)|\[(\d+)\]", at)
            wrong = [(tuple(int(i) if i else k for k, i in steps), what)]
        else:
            wrong = list(_mistakes(found))
    if wrong:
        raise RecipeError([Problem(name, *_place(node, p), _dotted(p), what) for p, what in wrong])
    return found


def _refuse_unfolding(yaml: Any, text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, _loader(yaml)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        what = "YAML aliases are not allowed here" if isinstance(event, yaml.AliasEvent) else ""
        if depth > 30:  # the composer recurses, and the C one would take the process down
            what = "nested too deep"
        if what:
            mark = event.start_mark
            raise RecipeError([Problem(name, mark.line + 1, mark.column + 1, "", what)])


def _loader(yaml: Any) -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _duplicates(node: Any, path: Where = ()) -> Iterator[Where]:
    """Keys written twice: YAML readers keep the last and drop the first without a word."""
    if node is None or node.id == "scalar":
        return
    if node.id == "sequence":
        for i, item in enumerate(node.value):
            yield from _duplicates(item, (*path, i))
        return
    seen = set()
    for key, item in node.value:
        if str(key.value) in seen:
            yield (*path, str(key.value))
        seen.add(str(key.value))
        yield from _duplicates(item, (*path, str(key.value)))


def _place(node: Any, path: Where) -> tuple[int, int]:
    """Line and column of what `path` leads to, or of the nearest thing on the way that is there."""
    for step in path:
        if node is None or node.id == "scalar":
            break
        if node.id == "sequence":
            inner = node.value[step] if isinstance(step, int) and step < len(node.value) else None
        else:
            inner = next((v for k, v in node.value if k.value == str(step)), None)
        if inner is None:
            break
        node = inner
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (0, 0)


def _dotted(path: Where) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


def _mistakes(s: ToolSet) -> Iterator[Mistake]:
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


def _tool_mistakes(s: ToolSet, tool: Tool) -> Iterator[Mistake]:
    from jsonschema import (  # type: ignore[import-untyped,unused-ignore]
        Draft202012Validator,
        SchemaError,
    )

    topic, schema = s.topic.argument, tool.definition.function.parameters
    at: Where = ("definition", "function", "parameters")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as e:
        yield at, f"not a JSON Schema: {e.message}"
        return
    if schema.get("type") != "object" or topic not in schema.get("required", []):
        yield at, f"must be an object that requires {topic!r}, the topic's argument"
    options = [a for a in tool.arguments if a != topic]
    for a in options:
        if a not in s.options:
            yield (*at, "properties", a), f"nothing gives {a!r}: neither topic nor option"
        for value in s.options.get(a, {}):
            if not Draft202012Validator(schema["properties"][a]).is_valid(value):
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
