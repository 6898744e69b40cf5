"""The reference part of the documentation, docs/reference/: written from the types that check recipes, never by hand.

`recipe schema --write` writes it, and a test compares the bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["pages", "write"]


def pages(verbs: click.Group) -> dict[str, str]:
    """File name → text of each page of docs/reference/. `verbs` is the command line's own group."""
    from runner.reference import commands, plugged, settings, tables

    return {
        "recipe.md": tables.recipe(),
        "sources.md": plugged.sources(),
        "filters.md": plugged.filters(),
        "suites.md": plugged.suites(),
        "commands.md": commands.page(verbs),
        "settings.md": settings.page(),
    }


def write(folder: Path, verbs: click.Group) -> int:
    """Write all pages into a folder; how many there are."""
    folder.mkdir(exist_ok=True)
    made = pages(verbs)
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return len(made)
