"""A new recipe, written from wishes. The functions are those of `runner.beginning`."""

from __future__ import annotations

from runner.api.common import Name, folder_of
from runner.beginning import SETS, Wishes, bases, begin, model_named, offered, suggested
from runner.workspace import Workspace

__all__ = [
    "SETS", "Wishes", "Workspace", "bases", "begin", "model_named", "offered", "place", "suggested",
]  # fmt: skip


def place(workspace: Name) -> Workspace:
    """The folder that a recipe is written into. Raises UsageError where it is none."""
    return Workspace(folder_of(workspace).resolve())
