"""Two recipes by what they mean, and what follows from the difference."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from runner.api.common import Name, folder_of, settings_of, told, trust_store
from runner.api.plans import Profile
from runner.api.recipes import Trust

if TYPE_CHECKING:
    from runner.diffing import Diff
    from runner.diffing.text import Line as Line


@told
def diff(
    first: str,
    second: str | None = None,
    *,
    workspace: Name = ".",
    trust: Collection[Trust] = (),
    allow: Collection[str] = (),
    profile: Profile | None = None,
    gpu: str | None = None,
    tell: Callable[[str], None] = lambda said: None,
) -> Diff:
    """What changes from one recipe to another: `changes`, `files`, `drifts`, `steps` and `forecasts`; `same` says
    whether nothing does.

    A name is that of a recipe file, a revision of git (`REV:PATH`), a run, or a pack; one alone is compared with what
    was before it. `gpu` is forecast, else what is here. Raises RecipeError with the problems of both, UsageError,
    NeedsTrust.
    """
    from runner.diffing import diff as differences
    from runner.workspace import Workspace

    root = folder_of(workspace).resolve()
    if "store" in trust:
        trust_store(root)
    place = Workspace(root, frozenset(trust))
    return differences(first, second, place, settings=settings_of(allow), profile=profile, gpu=gpu, tell=tell)


def data(of: Diff) -> dict[str, object]:
    """A difference as plain data, what `recipe diff --json` prints."""
    from runner.diffing.asdata import data

    return data(of)


def lines(of: Diff) -> list[Line]:
    """A difference for people: lines of pieces, each a text and its style. What may steer a terminal is still in it."""
    from runner.diffing.text import lines

    return lines(of)
