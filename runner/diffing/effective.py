"""A recipe as it takes effect: every default filled in, every number a number, and what set each value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from runner.load import Loaded
from runner.recipe import Recipe
from runner.suite import Suite
from runner.yaml12 import Path as Keys
from runner.yaml12 import Yaml

DEFAULT = "default"
PLAIN = (
    "dedup",
    "decontaminate",
    "mix",
    "split",
    "fail_if",
    "model",
    "adapter",
    "train",
    "axolotl",
    "compute",
    "track",
)
"""Parts that are maps through and through."""


@dataclass(frozen=True)
class Effective:
    """A recipe's values, and the documents that they stand in. `suites` are in the recipe's order; `documents` has the
    suites' own files by name, as far as they are there; else `kept` says what kept them."""

    recipe: Recipe
    document: Yaml
    suites: dict[str, Suite]
    documents: Mapping[str, Yaml] = field(default_factory=dict)
    kept: str = ""

    def part(self, name: str) -> Any:
        """One of PLAIN as plain data; None where the recipe has no such part."""
        return msgspec.to_builtins(getattr(self.recipe, name))

    def set_by(self, keys: Keys) -> str:
        """`file:line` of what set a key of the recipe, DEFAULT where nothing did."""
        return placed(self.document, keys)

    def suite_set_by(self, suite: str, keys: Keys) -> str:
        doc = self.documents.get(suite)
        return placed(doc, keys) if doc else self.kept


def effective(loaded: Loaded, documents: Mapping[str, Yaml], kept: str = "") -> Effective:
    suites = {s.common.name: s for s in loaded.suites}
    return Effective(loaded.recipe, loaded.document, suites, documents, kept)


def placed(doc: Yaml, keys: Keys) -> str:
    """`file:line` of the key, or of the `null` that took its whole part away."""
    for n in range(len(keys), 0, -1):
        at = doc.places.get(keys[:n])
        if at is not None:
            nulled = n == 1 and doc.data.get(keys[0]) is None
            return f"{at.file}:{at.line}" if n == len(keys) or nulled else DEFAULT
    return DEFAULT


def judged(suite: Suite) -> dict[str, Any]:
    """What a suite says, as plain data: its common keys but for its name, and its judge as a one-key map."""
    said: dict[str, Any] = msgspec.to_builtins(suite.common)
    said = {k: v for k, v in said.items() if k not in ("name", "suite")}
    return said | {"judge": {suite.judge.plugin: suite.judge.options} if suite.judge else None}
