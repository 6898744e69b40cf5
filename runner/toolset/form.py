"""Form 2 of a tool set: tools with any arguments, and what people say. How values are drawn stands in `gen`, how calls
become requests to a service in `requests`.

Slots: a template's {name} is, in this order, an argument or field that the conversation has by then, a text of the
pool `phrases.name` (which may hold slots itself), or, where people speak, a fresh value of `values.name`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from runner.toolset.gen import Gen, Scalar, as_gen
from runner.toolset.requests import Asked
from runner.toolset.words import Definition, Direct, Name, Text, Texts, Voices

Weight = Annotated[int, Meta(ge=1, le=1000)]
# JSON with the names of drawn values where the values go: {"place": {"shelf": "shelf"}, "tags": ["genre"]}.
Tree = Any


class Outcome(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of result: what is drawn, and the JSON that it becomes (`result`; all of `draw` where that is not
    said). An argument of the same name goes before a drawn value. `when` keeps it to calls with those arguments.
    Whoever answers, remarks are said only where all values are such as `draw` has them."""

    draw: dict[Name, Gen | Texts]
    result: dict[str, Tree] | None = None
    answers: Voices | None = None  # instead of the tool's
    tells: list[
        Name
    ] = []  # fields that each of those answers tells in words of its own: "is out", `available`
    short: Voices | None = None  # the result in a few words: the slot {short} of `pairs`
    remarks: Voices | None = None
    when: dict[Name, list[Scalar]] = {}
    weight: Weight = 1

    @property
    def tree(self) -> dict[str, Tree]:
        return {name: name for name in self.draw} if self.result is None else self.result


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """Something people say, and the fields that it asks for: an answer tells all of them that the result has."""

    say: Text
    asks: list[Name]


Questions = list[Text | Question]
SomeQuestions = Annotated[Questions, Meta(min_length=1)]


def said(question: str | Question) -> str:
    """The template of something people say."""
    return question.say if isinstance(question, Question) else question


class Pairs(Struct, frozen=True, forbid_unknown_fields=True):
    """Questions that take two calls of one tool, which differ in `differ`; {x_2} is the second's x. `compare` is the
    number that orders the two as {more} and {less}; where both have the same, neither says anything."""

    differ: Name
    questions: SomeQuestions
    answers: Voices
    compare: Name | None = None
    asks: list[Name] | None = (
        None  # what a question asks for that does not say so; {more} where there is `compare`
    )

    def asked(self, question: str | Question) -> list[str]:
        if isinstance(question, Question):
            return question.asks
        return (["more"] if self.compare else []) if self.asks is None else self.asks


class Unknown(Struct, frozen=True, forbid_unknown_fields=True):
    """Values of `argument` that the tool does not know; it answers with the failure `unknown`."""

    argument: Name
    values: Gen | Texts

    @property
    def gen(self) -> Gen:
        return as_gen(self.values)


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool, what it may return, and what people ask it.

    `arguments` is the call's JSON with names of values where these go; without it each argument of the schema is
    the value of its name. A question decides the call: what it says goes in, what it does not say stays out.
    `open_questions` leave out a required argument. `follow_ups` say what changes against the call before; what that
    asked for, they ask for, too. Arguments in `retell` only change how a result is told, or how much of it.
    """

    definition: Definition
    outcomes: Annotated[list[Outcome], Meta(min_length=1)]
    questions: SomeQuestions
    answers: Voices | None = None  # what every outcome without answers of its own is told with
    arguments: dict[str, Tree] | None = None
    open_questions: Questions = []
    follow_ups: Questions = []
    asks: list[Name] = []  # what a question asks for that does not say so
    retell: list[Name] = []
    pairs: Pairs | None = None
    unknown: Unknown | None = None
    own: bool = False  # drawn from the set even where a service answers the other tools: a user's calendar
    weight: Weight = 1

    @property
    def name(self) -> str:
        return self.definition.function.name

    @property
    def schema(self) -> dict[str, Any]:
        return self.definition.function.parameters

    @property
    def tree(self) -> dict[str, Tree]:
        if self.arguments is not None:
            return self.arguments
        return {name: name for name in self.schema.get("properties", {})}

    def asked(self, question: str | Question) -> list[str]:
        return question.asks if isinstance(question, Question) else self.asks


class Ask(Struct, frozen=True, forbid_unknown_fields=True):
    """How the assistant asks for an argument, and what people reply (with the argument's slot)."""

    ask: Voices
    replies: Texts


class Chain(Struct, frozen=True, forbid_unknown_fields=True):
    """Questions whose second call needs the first's answer: `give` names, per value of the second call, the
    field of the first result that it comes from."""

    first: Name
    then: Name
    give: Annotated[dict[Name, Name], Meta(min_length=1)]
    questions: SomeQuestions
    answers: Voices
    asks: list[Name] = []  # what a question asks for that does not say so

    def asked(self, question: str | Question) -> list[str]:
        return question.asks if isinstance(question, Question) else self.asks


class Ambiguous(Struct, frozen=True, forbid_unknown_fields=True):
    """Something people say for a value that may mean several."""

    argument: Name
    said: Text
    means: Annotated[list[Text], Meta(min_length=2)]


class Which(Struct, frozen=True, forbid_unknown_fields=True):
    """How the assistant asks which is meant ({said}, {options}), and the replies ({chosen})."""

    ask: Voices
    replies: Texts
    cases: Annotated[list[Ambiguous], Meta(min_length=1)]


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """What a tool returns instead of a result, and how that is told. With `retry` the assistant calls once more
    before it tells."""

    result: Annotated[dict[str, Any], Meta(min_length=1)]
    answers: Voices
    retry: bool = False


class ToolSet(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    toolset: Literal[2]
    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$")]
    description: Text
    license: Text
    values: dict[Name, Gen | Texts]
    tools: Annotated[list[Tool], Meta(min_length=1)]
    group_by: Name | None = None
    phrases: dict[Name, Voices | Texts] = {}
    openers: list[Text] = []
    closers: list[Text] = []
    ask: dict[Name, Ask] = {}
    which: Which | None = None
    failures: dict[Name, Failure] = {}
    chains: list[Chain] = []
    direct: list[Direct] = []
    refusals: list[Direct] = []
    irrelevant: Voices | None = None
    distractors: list[Definition] = []
    services: dict[str, dict[Name, Asked]] = {}
    tables: dict[Name, dict[str, Text]] = {}

    def tool(self, name: str) -> Tool:
        return next(t for t in self.tools if t.name == name)

    def gen(self, name: str) -> Gen:
        return as_gen(self.values[name])
