"""Which licences a recipe mixes, as far as it can be said before any row is read."""

from __future__ import annotations

from runner.recipe import Recipe
from runner.registry import plugins

UNKNOWN = "no licence stated"


def licences(recipe: Recipe) -> dict[str, list[str]]:
    """Licence → what is under it: the names of sources, and the base model.

    What the recipe says counts first; else what the kind of source usually is. The data card of a run says what each
    row was found to be under.
    """
    found: dict[str, list[str]] = {}
    for source in recipe.sources:
        licence = source.common.license or plugins("source")[source.plugin].license or UNKNOWN
        found.setdefault(licence, []).append(source.name)
    if recipe.model:
        found.setdefault(recipe.model.license or UNKNOWN, []).append(f"{recipe.model.base} (model)")
    return found
