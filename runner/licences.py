"""Which licences a recipe mixes, as far as it can be said before any row is read."""

from __future__ import annotations

import re

from runner.recipe import Recipe, Source
from runner.registry import plugins
from runner.workspace import Workspace

UNKNOWN = "no licence stated"
_STATED = re.compile(rb"^license:[ \t]*[\"']?([^\"'#\r\n]*[^\"'#\r\n \t])", re.M)


def licences(recipe: Recipe, workspace: Workspace) -> dict[str, list[str]]:
    """Licence → what is under it: the names of sources, and the base model.

    What the recipe says counts first; else what the kind of source usually is. The data card of a run says what each
    row was found to be under.
    """
    found: dict[str, list[str]] = {}
    for source in recipe.sources:
        licence = source.common.license or _of_kind(source, workspace) or UNKNOWN
        found.setdefault(licence, []).append(source.name)
    if recipe.model:
        found.setdefault(recipe.model.license or UNKNOWN, []).append(f"{recipe.model.base} (model)")
    return found


def _of_kind(source: Source, workspace: Workspace) -> str:
    """What such sources are usually under; of a tool set what its file says, read without parsing all of it."""
    plugin = plugins("source")[source.plugin]
    for option, how in plugin.file_options.items():
        if how == "tool set" and isinstance(name := source.options[option], str):
            for path in workspace.named(how, name).values():
                if stated := _STATED.search(path.read_bytes()):
                    return stated[1].decode("utf-8", "replace")
    return plugin.license
