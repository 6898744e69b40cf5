"""Source `tools`: tool-calling conversations drawn from a tool set (datasets/tools/NAME.yaml).

Every draw is a hash of the seed, the set's name, what is drawn and for which record: no generator
state, so record 7 is the same whether 8 or 8000 are asked for, and on every Python. Templates and
places are *dealt* (each once before any comes again), so a few hundred conversations already hold
every place and phrasing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from runner.errors import Problem, RecipeError
from runner.record import FunctionCall, Message, Record, ToolCall
from runner.registry import SourceContext, ToolSetName, source
from runner.toolset import Range, Tool, ToolSet, Voice, fill, load_toolset, slots

Shape = Literal["one_call", "two_calls", "follow_ups", "missing_argument", "unknown_place", "no_call"]
WEIGHTS: dict[Shape, float] = {
    "one_call": 0.4,
    "two_calls": 0.1,
    "follow_ups": 0.15,
    "missing_argument": 0.1,
    "unknown_place": 0.1,
    "no_call": 0.15,
}
T = TypeVar("T")
# Places that may be compared with one another, and so share a group: were any two to meet in a
# pair, no split could keep a place on one side only.
NEIGHBOURS = 3


@source("tools", version=1)
def tools(
    context: SourceContext,
    *,
    set: ToolSetName,
    conversations: Annotated[int, Meta(ge=1, le=1_000_000, description="How many to draw.")],
    api: Annotated[
        Literal["offline"],
        Meta(description="Who answers the calls: `offline` draws results from the tool set itself."),
    ] = "offline",
    voice: Annotated[
        Voice, Meta(description="Whose words the assistant uses: the set's persona, or plain ones.")
    ] = "persona",
    shapes: Annotated[
        dict[Shape, Annotated[float, Meta(ge=0)]] | None,
        Meta(
            description="Share of each shape; they sum to 1, and those not named are left out.",
            extra={"sum": 1},
            extra_json_schema={"propertyNames": {"enum": list(WEIGHTS)}},
        ),
    ] = None,
) -> Iterator[Record]:
    """Conversations that call tools, drawn from a tool set: one call, two in a row, follow-up questions,
    a missing argument that the assistant asks for, a place that the tool does not know, and questions
    that need no tool."""
    file = context.files["set"][0]
    toolset = load_toolset(file.path, file.name)
    weights = _weights(toolset, shapes, file.name)
    definitions = [msgspec.to_builtins(t.definition) for t in toolset.tools]
    drawn: Counter[Shape] = Counter()
    for i in range(conversations):
        die = _Dice(f"{context.seed}/{toolset.name}/{i}")
        shape = die.weighted(weights, "shape")
        talk = _Talk(toolset, voice, shape, drawn[shape], context.seed, die)
        drawn[shape] += 1
        group = getattr(talk, shape)()
        yield Record(
            messages=talk.messages,
            tools=definitions,
            tags={"shape": shape},
            meta={
                "id": f"{context.name}/{i + 1:06d}",
                "source": context.name,
                "group": group,
                "license": toolset.license,
                "origin": f"tools/{toolset.name}",
                "sha256": file.sha256,
            },
        )


def _weights(toolset: ToolSet, asked: dict[Shape, float] | None, name: str) -> dict[Shape, float]:
    able: dict[Shape, bool] = dict.fromkeys(WEIGHTS, True)
    able["two_calls"] = any(t.pairs for t in toolset.tools)
    able["missing_argument"] = any(t.open_questions for t in toolset.tools)
    for shape, weight in (asked or {}).items():
        if weight and not able[shape]:
            raise RecipeError([Problem(name, 0, 0, "", f"has no text for the shape {shape!r}")])
    weights = {s: w for s, w in (WEIGHTS if asked is None else asked).items() if w and able[s]}
    if not weights:
        raise RecipeError([Problem(name, 0, 0, "shapes", "no shape has a weight above 0")])
    return weights


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


@lru_cache(maxsize=4096)
def _order(key: str, size: int) -> list[int]:
    return sorted(range(size), key=lambda n: _number(f"{key}/{n}"))


@dataclass(frozen=True)
class _Dice:
    """Draws for one record; `what` names the draw, so adding one later changes no other."""

    key: str

    def pick(self, pool: Sequence[T], what: str) -> T:
        return pool[_number(f"{self.key}/{what}") % len(pool)]

    def chance(self, one_in: int, what: str) -> bool:
        return _number(f"{self.key}/{what}") % one_in == 0

    def weighted(self, weights: dict[T, float], what: str) -> T:
        point = _number(f"{self.key}/{what}") / 2**64 * sum(weights.values())
        for choice, weight in weights.items():
            point -= weight
            if point < 0:
                return choice
        return choice  # rounding left a crumb


@dataclass
class _Talk:
    """One conversation being written. Each method named for a shape writes it and returns its
    group."""

    set: ToolSet
    voice: Voice
    shape: Shape
    nth: int  # how many of this shape came before
    seed: int
    die: _Dice
    turn: str = ""  # names the question of a conversation that has several
    messages: list[Message] = field(default_factory=list)

    def one_call(self) -> str:
        tool, place = self._tool(), self._deal(self.set.topic.values, "place")
        question = self._deal(tool.questions, f"question/{tool.name}")
        self._single(tool, place, question)
        return self._neighbours(place)[0]

    def two_calls(self) -> str:
        tool = self._tool(lambda t: t.pairs is not None)
        assert tool.pairs is not None
        topic = self.set.topic.argument
        place = self._deal(self.set.topic.values, "place")
        other = self.die.pick([p for p in self._neighbours(place) if p != place], "other")
        question = self._deal(tool.pairs.questions, f"pair/{tool.name}")
        options, words = self._options(tool, question)
        both = {topic: place, f"{topic}_2": other}
        self._user(fill(question, words | both))
        first = self._call(tool, {topic: place, **options})
        second = self._call(tool, {topic: other, **options})
        facts = options | both | first | {f"{k}_2": v for k, v in second.items()}
        answers, a, b = (
            tool.pairs.answers.of(self.voice),
            *(r[tool.pairs.compare] for r in (first, second)),
        )
        if a == b:
            answers = [t for t in answers if not slots(t) & {"more", "less"}]
        facts |= {"more": place, "less": other} if a > b else {"more": other, "less": place}
        self._say(fill(self._deal(answers, f"pair answer/{tool.name}/{len(answers)}"), facts))
        return self._neighbours(place)[0]

    def follow_ups(self) -> str:
        first = self._deal(self.set.topic.values, "place")
        around, whole = self._neighbours(first), self.die
        start = around.index(first)
        for n, place in enumerate(around[start:] + around[:start]):
            self.turn, self.die = f"/{n}", _Dice(f"{whole.key}/{n}")
            tool = self._tool()
            self._single(tool, place, self._deal(tool.questions, f"question/{tool.name}"))
        return around[0]

    def missing_argument(self) -> str:
        tool = self._tool(lambda t: bool(t.open_questions))
        place = self._deal(self.set.topic.values, "place")
        question = self._deal(tool.open_questions, f"open/{tool.name}")
        self._single(tool, place, question, asked=True)
        return self._neighbours(place)[0]

    def unknown_place(self) -> str:
        tool, topic, unknown = self._tool(), self.set.topic, self.set.topic.unknown
        place = self._deal([a + b for a in unknown.starts for b in unknown.ends], "unknown")
        question = self._deal(tool.questions, f"question/{tool.name}")
        options, words = self._options(tool, question)
        self._user(fill(question, {topic.argument: place} | words))
        self._call(tool, {topic.argument: place, **options}, known=False)
        self._say(
            fill(
                self._deal(self.set.unknown.of(self.voice), "unknown answer"),
                {topic.argument: place},
            )
        )
        return place

    def no_call(self) -> str:
        topic = self.set.topic.argument
        ask, entry = self._deal([(ask, d) for d in self.set.direct for ask in d.asks], "direct")
        place = self._deal(self.set.topic.values, "place")
        answer = self.die.pick(entry.persona if self.voice == "persona" else entry.plain, "answer")
        # No opener: "We have a bet on. Goodbye." is nothing that anybody says.
        self.messages.append(Message("user", fill(ask, {topic: place})))
        self._say(fill(answer, {topic: place}))
        return self._neighbours(place)[0] if topic in slots(ask) else entry.asks[0]

    def _single(self, tool: Tool, place: str, question: str, asked: bool = False) -> None:
        topic = self.set.topic.argument
        options, words = self._options(tool, question)
        self._user(fill(question, {topic: place} | words))
        if asked:
            self._say(self._deal(self.set.ask.of(self.voice), "ask"))
            reply = self._deal(self.set.replies, "reply")
            self.messages.append(Message("user", fill(reply, {topic: place})))
        result = self._call(tool, {topic: place, **options})
        answer = self._deal(tool.answers.of(self.voice), f"answer/{tool.name}")
        remarks = self._outcome(tool, {topic: place, **options}).remarks
        if remarks and self.die.chance(2, "remark"):
            answer += " " + self.die.pick(remarks.of(self.voice), "which remark")
        self._say(fill(answer, options | {topic: place} | result))

    def _deal(self, pool: Sequence[T], what: str) -> T:
        """As cards are dealt: within a shape, all of the pool comes once before any of it comes
        again."""
        cycle, position = divmod(self.nth, len(pool))
        key = f"{self.seed}/{self.set.name}/{self.shape}/{what}{self.turn}/{cycle}"
        return pool[_order(key, len(pool))[position]]

    def _tool(self, able: Any = lambda tool: True) -> Tool:
        weights = {t.name: float(t.weight) for t in self.set.tools if able(t)}
        name = self.die.weighted(weights, "tool")
        return next(t for t in self.set.tools if t.name == name)

    def _neighbours(self, place: str) -> list[str]:
        places = self.set.topic.values
        # The last few that make no full set join the one before, so that nobody is left alone.
        start = min(places.index(place) // NEIGHBOURS, len(places) // NEIGHBOURS - 1) * NEIGHBOURS
        end = start + NEIGHBOURS
        return places[start:] if len(places) - end < NEIGHBOURS else places[start:end]

    def _options(self, tool: Tool, question: str) -> tuple[dict[str, str], dict[str, str]]:
        """Values of the tool's options, and the words that the question has for them."""
        values, words = {}, {}
        for name in tool.arguments:
            if name not in self.set.options:
                continue
            ways = self.set.options[name]
            said = name in slots(question)
            values[name] = self.die.pick(list(ways), f"option/{name}") if said else next(iter(ways))
            words[name] = self.die.pick(ways[values[name]], f"words/{name}")
        return values, words

    def _user(self, text: str) -> None:
        if self.set.openers and self.die.chance(4, "opener"):
            text = f"{self.die.pick(self.set.openers, 'which opener')} {text}"
        self.messages.append(Message("user", text))

    def _say(self, text: str) -> None:
        self.messages.append(Message("assistant", text))

    def _call(self, tool: Tool, arguments: dict[str, str], known: bool = True) -> dict[str, Any]:
        """Write the call and its answer; returns what the tool said."""
        ordered = {a: arguments[a] for a in tool.arguments}
        call_id = f"call_{1 + sum(m.role == 'tool' for m in self.messages)}"
        call = ToolCall(call_id, FunctionCall(tool.name, _compact(ordered)))
        result = self._result(tool, ordered) if known else {"error": self.set.topic.error}
        self.messages.append(Message("assistant", tool_calls=[call]))
        self.messages.append(Message("tool", _compact(result), tool_call_id=call_id))
        return result

    def _world(self, tool: Tool, arguments: dict[str, str]) -> _Dice:
        """Dice that know the call and not the record: a place has one weather a day, whoever
        asks."""
        ordered = {a: arguments[a] for a in tool.arguments}
        return _Dice(f"{self.seed}/{self.set.name}/{tool.name}/{_compact(ordered)}")

    def _outcome(self, tool: Tool, arguments: dict[str, str]) -> Any:
        return self._world(tool, arguments).pick(tool.outcomes, "outcome")

    def _result(self, tool: Tool, arguments: dict[str, str]) -> dict[str, Any]:
        world = self._world(tool, arguments)
        result: dict[str, Any] = {}
        for name, draw in self._outcome(tool, arguments).fields.items():
            pool = range(draw.min, draw.max + 1, draw.step) if isinstance(draw, Range) else draw
            result[name] = world.pick(pool, name)
        return result


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
