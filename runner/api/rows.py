"""Rows: the first ones of each source, what became of those of a run, and what a thing of a run came of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runner.api.common import Name, settings_of, told
from runner.api.recipes import Recipe, Trust, loaded

if TYPE_CHECKING:
    from runner.lookup import Lookup

Part = Literal["drops", "row", "near", "render"]


@told
def preview(
    recipe: Recipe | Name,
    count: int = 5,
    *,
    allow: Collection[str] = (),
    workspace: Name = ".",
    trust: Collection[Trust] = (),
) -> Iterator[dict[str, Any]]:
    """The first `count` records of each source, fetching no more than they need, one source after the other: `source`,
    `records`, `rejected` rows before them, `error` (None, or why there are none)."""
    from runner.plan import plan
    from runner.preview import preview as first

    known = loaded(recipe, workspace, trust)
    return first(plan(known.loaded, known.place), settings_of(allow), count)


def preview_text(found: dict[str, Any]) -> str:
    """One source's preview in words."""
    from runner.preview import text

    return text(found)


@told
def latest(workspace: Name = ".") -> Path:
    """The recipe of the run that was laid out last. Raises UsageError where there is none."""
    from runner.lookup import latest as last

    return last(Path(workspace))


@told
def look(recipe: Recipe | Name, *, workspace: Name = ".", trust: Collection[Trust] = ()) -> Lookup:
    """The rows of a recipe that was prepared, for `found`. Raises UsageError where it was not."""
    from runner.lookup import Lookup
    from runner.plan import plan

    known = loaded(recipe, workspace, trust)
    return Lookup(plan(known.loaded, known.place))


@told
def found(of: Lookup, part: Part, id: str = "") -> Any:
    """What became of rows, as plain data: `drops` by source and reason; of a row its whole way (`row`), what it is
    `near` to, it as the model sees it (`render`). Raises UsageError where there is no such row."""
    if part == "drops":
        return of.drops()
    if part == "row":
        return of.row(id)
    if part == "near":
        return of.near(id)
    from runner.rendered import rendered

    return rendered(of, id)


def text(part: Part, found: Any, paint: Callable[[str], str] | None = None) -> str:
    """The same in words. `paint` colours what is trained of a row that is rendered."""
    from runner import lookuptext

    if part == "render" and paint is not None:
        return lookuptext.render(found, paint)
    said: str = getattr(lookuptext, part)(found)
    return said


@told
def why(run: str, what: str, workspace: Name = ".") -> dict[str, Any]:
    """Which steps, inputs and versions a thing of a run came of: a metric, an answer, a row or a file. Plain data."""
    from runner import provenance

    return provenance.why(run, what, Path(workspace))


def why_text(found: dict[str, Any]) -> str:
    """The same in words."""
    from runner import provenance

    return provenance.text(found)
