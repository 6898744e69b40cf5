"""The frozen types of a recipe: what every key means, its limits and its default.

These types are the one truth: `schema.py` makes the JSON Schemas from them, `load.py` checks YAML against
those and returns a `Recipe`. Nothing here reads a file.
"""

from __future__ import annotations

from msgspec import Struct

from runner.recipe.arms import Arm
from runner.recipe.common import Count, Fraction, Name, Part, Text
from runner.recipe.data import (
    Budget,
    Chat,
    Decontaminate,
    Dedup,
    FailIf,
    Mix,
    Near,
    Passages,
    Prompts,
    Source,
    SourceCommon,
    Split,
    Use,
)
from runner.recipe.evaluation import GATE, Evaluate
from runner.recipe.overrides import Overrides
from runner.recipe.running import Compute, Track, Trackio, Wandb
from runner.recipe.training import Adapter, Model, Train

__all__ = [
    "GATE", "Adapter", "Arm", "Budget", "Chat", "Compute", "Count", "Decontaminate", "Dedup", "Evaluate",
    "FailIf", "Fraction", "Mix", "Model", "Name", "Near", "Overrides", "Part", "Passages", "Prompts",
    "Recipe", "Source", "SourceCommon", "Split", "Text", "Track", "Trackio", "Train", "Use", "Wandb",
]  # fmt: skip


class Recipe(Struct, frozen=True, kw_only=True):
    """A whole checked recipe."""

    name: str
    description: str
    seed: int
    sources: list[Source]
    filters: list[Use]
    dedup: Dedup
    decontaminate: Decontaminate
    mix: Mix | None
    split: Split
    fail_if: FailIf
    model: Model | None
    adapter: Adapter
    train: Train
    evaluate: Evaluate
    compute: Compute
    track: Track
    axolotl: Overrides
