"""Form 2 of a tool set: tools with any arguments, how their values are drawn, and what people say.

Slots: a template's {name} is, in this order, an argument or field that the conversation has by then, a text of the
pool `phrases.name` (which may hold slots itself), or, where people speak, a fresh value of `values.name`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, field

from runner.toolset.words import Definition, Direct, Name, Text, Texts, Voices

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Scalar = str | int | float | bool | None
Number = int | float
Count = Annotated[int, Meta(ge=1, le=100)]
Weight = Annotated[int, Meta(ge=1, le=1000)]
# JSON with the names of drawn values where the values go: {"place": {"shelf": "shelf"}, "tags": ["genre"]}.
Tree = Any


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """Base: unknown keys are refused."""


class Scale(Part, frozen=True):
    """A number told in another measure: multiplied, then added to."""

    times: Annotated[float, Meta(gt=0)] = 1.0
    plus: float = 0.0


class Between(Part, frozen=True):
    """Numbers from `min` to `max`, `step` apart; whole ones where all three are. `above` names a number drawn
    before, which is added. `told` says how an argument of the call has the number told, by the argument's value:
    {unit: {fahrenheit: {times: 1.8, plus: 32}}}; an argument that a call leaves out leaves it as it was drawn."""

    min: Number
    max: Number
    step: Number = 1
    above: Name | None = None
    told: dict[Name, dict[str, Scale]] = {}

    def scale(self, given: Callable[[str], Any]) -> Scale:
        """How the number is told, `given` being what the call has for an argument."""
        for name, scales in self.told.items():
            if (scale := scales.get(str(given(name)))) is not None:
                return scale
        return Scale()

    def measured(self, number: Number, scale: Scale) -> Number:
        """A drawn number as it is told: whole where the drawn ones are, else to the hundredth."""
        if scale == Scale():
            return number
        whole = all(isinstance(n, int) for n in (self.min, self.max, self.step))
        return round(number * scale.times + scale.plus, None if whole else 2)


class Dates(Part, frozen=True):
    """ISO dates from `first` to `last`. `say` has slots iso, year, month (its name), day and weekday."""

    first: Day
    last: Day
    say: Texts = field(default_factory=lambda: ["{iso}"])


class Rows(Part, frozen=True):
    """A list of objects, `count` of them (a number, or the argument that says it). In answers it reads as its rows
    in one form of `say`, with `joined_by` between."""

    count: Count | Name
    draw: dict[Name, Gen | Texts]
    say: Texts
    joined_by: str = "; "


class Gen(Part, frozen=True):
    """How a value is drawn: exactly one of these. A bare list is short for `one_of`."""

    one_of: Annotated[list[Scalar], Meta(min_length=1)] | None = None
    between: Between | None = None
    ways: Annotated[list[list[Scalar]], Meta(min_length=1)] | None = None  # [value, said, or said …]
    joined: Texts | None = None  # templates of other values
    dates: Dates | None = None
    like: Name | None = None  # as that value is drawn, and different from it
    following: Texts | None = None  # as one_of; in rows, one after the other
    always: Any = UNSET  # that value
    rows: Rows | None = None


class Outcome(Part, frozen=True):
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


class Question(Part, frozen=True):
    """Something people say, and the fields that it asks for: an answer tells all of them that the result has."""

    say: Text
    asks: list[Name]


Questions = list[Text | Question]
SomeQuestions = Annotated[Questions, Meta(min_length=1)]


def said(question: str | Question) -> str:
    """The template of something people say."""
    return question.say if isinstance(question, Question) else question


class Pairs(Part, frozen=True):
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


class Unknown(Part, frozen=True):
    """Values of `argument` that the tool does not know; it answers with the failure `unknown`."""

    argument: Name
    values: Gen | Texts

    @property
    def gen(self) -> Gen:
        return as_gen(self.values)


class Tool(Part, frozen=True):
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


class Ask(Part, frozen=True):
    """How the assistant asks for an argument, and what people reply (with the argument's slot)."""

    ask: Voices
    replies: Texts


class Chain(Part, frozen=True):
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


class Ambiguous(Part, frozen=True):
    """Something people say for a value that may mean several."""

    argument: Name
    said: Text
    means: Annotated[list[Text], Meta(min_length=2)]


class Which(Part, frozen=True):
    """How the assistant asks which is meant ({said}, {options}), and the replies ({chosen})."""

    ask: Voices
    replies: Texts
    cases: Annotated[list[Ambiguous], Meta(min_length=1)]


class Failure(Part, frozen=True):
    """What a tool returns instead of a result, and how that is told. With `retry` the assistant calls once more
    before it tells."""

    result: Annotated[dict[str, Any], Meta(min_length=1)]
    answers: Voices
    retry: bool = False


class Take(Part, frozen=True):
    """A field out of a service's JSON. `path` is like `daily.sunrise[0]`, with `[*]` for all items of a list, of
    which `pick` takes one; then it is multiplied (`times`), rounded, put into the words of a `table` for codes, or,
    with `to: weekday`, named as a date's day."""

    path: Annotated[str, Meta(pattern=r"^([A-Za-z_]\w*|\[(\d+|\*)\])(\.[A-Za-z_]\w*|\[(\d+|\*)\])*$")]
    times: float = 1.0
    round: Annotated[int, Meta(ge=0, le=6)] | None = None
    table: Name | None = None
    to: Literal["weekday"] | None = None
    pick: Literal["first", "max", "min"] | None = None


class TakeRows(Part, frozen=True):
    """A list of rows: every field's path is of a list, which `every` items become one row of, with `pick`; no more
    rows than the argument `most` says."""

    fields: Annotated[dict[Name, Take], Meta(min_length=1)]
    every: Count = 1
    most: Name | None = None


class Step(Part, frozen=True):
    """One request, to an address of the user's settings. Slots in `query` are arguments and what earlier steps
    took; `translate` puts other words for a value. Where a value is null, or the answer has nothing at the start of
    a path or in its list, the call fails with the set's failure `otherwise`. Without it a null is `no_data`, and an
    answer that lacks what is taken from it is a broken one: it is refused, and asked for again."""

    at: str
    path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$")]
    query: dict[str, str]
    take: dict[Name, Take] = {}
    rows: dict[Name, TakeRows] = {}
    translate: dict[Name, dict[str, str]] = {}
    otherwise: Name | None = None


class Asked(Part, frozen=True):
    """How calls of one tool become requests. `defaults` are values for arguments that a call leaves out."""

    steps: Annotated[list[Step], Meta(min_length=1, max_length=4)]
    defaults: dict[Name, Scalar] = {}


class ToolSet(Part, frozen=True):
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


def as_gen(written: Gen | list[str]) -> Gen:
    """A generator, of which a bare list is the short form."""
    return Gen(one_of=list(written)) if isinstance(written, list) else written
