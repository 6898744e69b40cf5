"""Pools of phrases: slots that give way to one of several texts, which may have slots themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from runner.toolset.dice import Dice
from runner.toolset.form import ToolSet
from runner.toolset.words import SLOT, Voice, Voices, slots


@dataclass(frozen=True)
class Phrases:
    """The set's pools in one voice."""

    set: ToolSet
    voice: Voice
    _needs: dict[str, frozenset[str]] = field(default_factory=dict)

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
        found: set[str] = set()
        for name in slots(template):
            pool = self.pool(name) if name in self.set.phrases else None
            found |= {name} if pool is None else frozenset.intersection(*(self.surely(t) for t in pool))
        return frozenset(found)

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
