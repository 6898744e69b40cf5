"""Who takes part in conversations of form 2, and which shapes they can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from runner.toolset.form import Question, Tool, ToolSet, said
from runner.toolset.phrases import Phrases
from runner.toolset.values import leaves
from runner.toolset.words import Voice, slots
from runner.toolset.world import World

WEIGHTS = {
    "one_call": 0.26,
    "two_calls": 0.06,
    "chained_calls": 0.08,
    "parallel_calls": 0.06,
    "follow_ups": 0.1,
    "missing_argument": 0.08,
    "ambiguous_argument": 0.05,
    "unknown_value": 0.06,
    "tool_error": 0.08,
    "refusal": 0.04,
    "irrelevant_tools": 0.05,
    "no_call": 0.08,
}


@dataclass(frozen=True)
class Cast:
    """Who takes part: the set, the tools of it that can be called, whose words, who answers."""

    set: ToolSet
    tools: Sequence[Tool]
    voice: Voice
    seed: int
    world: World
    phrases: Phrases
    served: bool = False
    """Whether a service answers, and so decides which values are unknown (but for the set's own tools)."""

    @cached_property
    def able(self) -> frozenset[str]:
        """The shapes that the set has texts for."""
        s = self.set
        has = {
            "one_call": True,
            "two_calls": any(t.pairs for t in self.tools),
            "chained_calls": bool(self.chains),
            "parallel_calls": any(t.pairs for t in self.tools),
            "follow_ups": True,
            "missing_argument": any(t.open_questions for t in self.tools),
            "ambiguous_argument": bool(s.which and any(self.asking(c.argument) for c in s.which.cases)),
            "unknown_value": any(t.unknown for t in self.tools),
            "tool_error": bool(self.failures),
            "refusal": bool(s.refusals),
            "irrelevant_tools": bool(s.irrelevant and s.distractors),
            "no_call": bool(s.direct),
        }
        return frozenset(shape for shape, there in has.items() if there)

    @cached_property
    def failures(self) -> list[str]:
        return [name for name in self.set.failures if name != "unknown"]

    @cached_property
    def chains(self) -> list[int]:
        names = {t.name for t in self.tools}
        return [i for i, c in enumerate(self.set.chains) if {c.first, c.then} <= names]

    def asking(self, argument: str) -> list[tuple[Tool, str | Question]]:
        """Questions that say an argument, with their tools."""
        return [
            (t, q)
            for t in self.tools
            if argument in leaves(t.tree)
            for q in t.questions
            if argument in slots(said(q))
        ]
