"""Conversations of form 1: what stands here decides bytes that measured trainings depend on.

Templates and places are *dealt* (each once before any comes again), so a few hundred conversations already hold
every place and phrasing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runner.record import FunctionCall, Message, ToolCall
from runner.toolset.dice import Dice, deal
from runner.toolset.topic import Range, Tool, TopicSet
from runner.toolset.words import Voice, compact, fill, slots

T = TypeVar("T")
# Places that may be compared with one another, and so share a group: were any two to meet in a
# pair, no split could keep a place on one side only.
NEIGHBOURS = 3
WEIGHTS = {
    "one_call": 0.4,
    "two_calls": 0.1,
    "follow_ups": 0.15,
    "missing_argument": 0.1,
    "unknown_place": 0.1,
    "no_call": 0.15,
}


def able(toolset: TopicSet) -> set[str]:
    """The shapes that the set has texts for."""
    lacks = set()
    if not any(t.pairs for t in toolset.tools):
        lacks.add("two_calls")
    if not any(t.open_questions for t in toolset.tools):
        lacks.add("missing_argument")
    return set(WEIGHTS) - lacks


@dataclass
class TopicTalk:
    """One conversation being written. Each method named for a shape writes it and returns its
    group."""

    set: TopicSet
    voice: Voice
    shape: str
    nth: int  # how many of this shape came before
    seed: int
    die: Dice
    again: int = 0  # how often it was drawn before, and came out like an earlier one
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
            self.turn, self.die = f"/{n}", Dice(f"{whole.key}/{n}")
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
        pool = [(ask, d) for d in self.set.direct for ask in d.asks]
        if self.again:  # what names no place has been said
            pool = [(ask, d) for ask, d in pool if topic in slots(ask)] or pool
        ask, entry = self._deal(pool, "direct")
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
        if self.again:  # the same cards would make the same conversation
            return self.die.pick(pool, f"deal/{what}{self.turn}")
        return deal(pool, f"{self.seed}/{self.set.name}/{self.shape}/{what}{self.turn}", self.nth)

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
        call = ToolCall(call_id, FunctionCall(tool.name, compact(ordered)))
        result = self._result(tool, ordered) if known else {"error": self.set.topic.error}
        self.messages.append(Message("assistant", tool_calls=[call]))
        self.messages.append(Message("tool", compact(result), tool_call_id=call_id))
        return result

    def _world(self, tool: Tool, arguments: dict[str, str]) -> Dice:
        """Dice that know the call and not the record: a place has one weather a day, whoever
        asks."""
        ordered = {a: arguments[a] for a in tool.arguments}
        return Dice(f"{self.seed}/{self.set.name}/{tool.name}/{compact(ordered)}")

    def _outcome(self, tool: Tool, arguments: dict[str, str]) -> Any:
        return self._world(tool, arguments).pick(tool.outcomes, "outcome")

    def _result(self, tool: Tool, arguments: dict[str, str]) -> dict[str, Any]:
        world = self._world(tool, arguments)
        result: dict[str, Any] = {}
        for name, draw in self._outcome(tool, arguments).fields.items():
            pool = range(draw.min, draw.max + 1, draw.step) if isinstance(draw, Range) else draw
            result[name] = world.pick(pool, name)
        return result
