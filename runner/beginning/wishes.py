"""What the user wants of a new recipe: the answers to the questions, or the flags."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from runner.recipe import Name

Profile = Literal["auto", "cpu", "gpu"]


class Wishes(Struct, frozen=True, kw_only=True):
    """All that `begin` takes. Names of files are as a recipe has them: relative to the workspace, or globs.

    `system` is the assistant's part in words; `suites` are None where those that fit are to be chosen, and `held_out`
    names texts that training must not see, in place of a part of `files`.
    """

    path: Path
    name: Name
    files: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    base: str = "base/smollm2-135m.yaml"
    profile: Profile = "auto"
    system: str = ""
    license: str = ""
    suites: tuple[str, ...] | None = None
    held_out: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether it names nothing to learn from."""
        return not (self.files or self.authors or self.pages or self.tools)
