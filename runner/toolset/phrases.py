"""Pools of phrases: slots that give way to one of several texts, which may have slots themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from runner.toolset.dice import Dice
from runner.toolset.form import Outcome, ToolSet
from runner.toolset.words import SLOT, Voice, Voices, slots

RANKS = frozenset({"more", "less"})
NOTHING: Mapping[str, frozenset[str]] = {}


@dataclass(frozen=True)
class Phrases:
    """The set's pools in one voice."""

    set: ToolSet
    voice: Voice
    _needs: dict[str, frozenset[str]] = field(default_factory=dict)
    _surely: dict[str, frozenset[str]] = field(default_factory=dict)

    def pool(self, name: str) -> list[str]:
        pool = self.set.phrases[name]
        return pool.of(self.voice) if isinstance(pool, Voices) else pool

    def needs(self, template: str) -> frozenset[str]:
        """The values without which some wording of a template could not be said."""
        if template not in self._needs:
            found: set[str] = set()
            for name in slots(template):
                pool = self.pool(name) if name in self.set.phrases else None
                found |= {name} if pool is None else {n for text in pool for n in self.needs(text)}
            self._needs[template] = frozenset(found)
        return self._needs[template]

    def surely(self, template: str) -> frozenset[str]:
        """The values that every wording of a template says."""
        if template not in self._surely:
            found: set[str] = set()
            for name in slots(template):
                pool = self.pool(name) if name in self.set.phrases else None
                found |= {name} if pool is None else frozenset.intersection(*(self.surely(t) for t in pool))
            self._surely[template] = frozenset(found)
        return self._surely[template]

    def tells(self, template: str, told: Mapping[str, frozenset[str]] = NOTHING) -> frozenset[str]:
        """The facts that a template surely tells: its values, and what `told` says of single slots. Who is told which
        has more knows which has less."""
        found = self.surely(template)
        found = found.union(told.get("", ()), *(told[slot] for slot in found if slot in told))
        return found | RANKS if found & RANKS else found

    def answering(
        self,
        texts: Iterable[str],
        known: Set[str],
        asks: Iterable[str],
        told: Mapping[str, frozenset[str]] = NOTHING,
    ) -> list[str]:
        """The texts that can be said where `known` is, and tell what is known of `asks`. The loader has seen to it
        that there is one."""
        able = [t for t in texts if self.needs(t) <= known]
        wanted = known & frozenset(asks)
        return [t for t in able if wanted <= self.tells(t, told)]

    def of_outcome(self, outcome: Outcome) -> dict[str, frozenset[str]]:
        """What is told besides values where an outcome is: by its own answers (""), and by the slot {short}."""
        own = frozenset(outcome.tells)
        found = {"": own} if outcome.answers else {}
        if outcome.short:
            short = map(self.surely, outcome.short.of(self.voice))
            found["short"] = own | frozenset.intersection(*short)
        return found

    def expand(self, template: str, die: Dice) -> str:
        """The template with every pool's slot replaced, down to slots of values. The loader has refused circles."""

        def one(match: re.Match[str]) -> str:
            name = match[1][:1].lower() + match[1][1:]
            if name not in self.set.phrases:
                return match[0]
            inner = Dice(f"{die.key}/{name}@{match.start()}")
            text = self.expand(inner.pick(self.pool(name), "phrase"), inner)
            if match[1][:1].isupper():  # the capital belongs to whatever comes first
                start = 1 if text.startswith("{") else 0
                text = text[:start] + text[start : start + 1].upper() + text[start + 1 :]
            return text

        return SLOT.sub(one, template)


def in_pairs(phrases: Phrases, one: Outcome, two: Outcome) -> dict[str, frozenset[str]]:
    """What is told besides values, slot by slot, where two outcomes are told together."""
    found = {}
    if one.short:
        found["short"] = phrases.of_outcome(one)["short"]
    if two.short:
        found["short_2"] = frozenset(f"{name}_2" for name in phrases.of_outcome(two)["short"])
    return found
