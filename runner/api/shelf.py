"""What there is: plug-ins, suites, models, runs, schemas, and how this machine is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from runner.api.common import Name, folder_of, settings_of, told
from runner.api.recipes import Trust
from runner.errors import UsageError

Kind = Literal["sources", "filters", "judges", "suites", "models", "runs", "store"]


@told
def catalogue(kind: Kind, workspace: Name = ".", *, full: bool = False) -> list[dict[str, Any]]:
    """Rows of `name` and `about`; `full` with all that can be said of each: options, limits, defaults, an example."""
    folder = folder_of(workspace)
    if full:
        from runner import listing

        return listing.everything(kind, folder)
    from runner.catalogue import catalogue as rows

    return rows(kind, folder)


@told
def one(kind: Kind, name: str, workspace: Name = ".") -> dict[str, Any]:
    """One of these, with all that can be said of it. Raises UsageError, with the nearest name, where there is none."""
    from runner import listing

    return listing.described(kind, name, Path(workspace))


def text(kind: Kind, row: dict[str, Any]) -> list[str]:
    """A full row in lines."""
    from runner import listing

    return listing.text(kind, row)


@told
def doctor(
    workspace: Name = ".",
    recipe: Name | None = None,
    *,
    online: bool = False,
    trust: Collection[Trust] = (),
) -> dict[str, Any]:
    """How this machine is: hardware, what is installed, the store, settings; and what a recipe lacks here. Of secrets
    only whether they are set. `exit` is 3 where something is missing that the recipe needs."""
    from runner import doctor as doctors

    path = None if recipe is None else Path(recipe)
    return doctors.doctor(Path(workspace), settings_of(), path, online=online, trust=tuple(trust))


def doctor_text(facts: dict[str, Any]) -> str:
    """The same in words."""
    from runner import doctor as doctors

    return doctors.text(facts)


def runs(workspace: Name = ".") -> list[str]:
    """Names of all runs of a workspace; none where there is no such folder."""
    return sorted(p.name for p in (Path(workspace) / "runs").glob("*") if p.is_dir())


def tool_sets(workspace: Name = ".") -> list[str]:
    """Names of all tool sets that there are: those that come along, and the workspace's own."""
    from runner.beginning import tool_sets as names
    from runner.workspace import Workspace

    return names(Workspace(Path(workspace)))


def begins_a_file(text: str) -> bool:
    """Whether a file or folder of the current folder has a name, or a path, that begins so; of other folders never."""
    from glob import escape

    return not text.startswith("/") and any(Path().glob(f"{escape(text)}*"))


def suites(workspace: Name = ".") -> list[str]:
    """Names of all suites that there are."""
    from runner.load import suite_names
    from runner.workspace import Workspace

    return suite_names(Workspace(Path(workspace)))


def shipped(below: str = "") -> list[str]:
    """Recipes that come along, by their names in `recipes/`; with `below`, those of that folder."""
    from runner import library

    shelf = library.shelf("recipes")
    return sorted(p.relative_to(shelf).as_posix() for p in (shelf / below).glob("*.yaml"))


@told
def schema(name: str) -> str:
    """A JSON Schema, as text: recipe, suite, record, probe, manifest. Raises UsageError where there is none."""
    from runner.schema import all_schemas, text
    from runner.wording import nearest

    schemas, file = all_schemas(), f"{name}.schema.json"
    if file not in schemas:
        known = [k.removesuffix(".schema.json") for k in schemas]
        raise UsageError(f"no schema {name!r}{nearest(name, known)}")
    return text(schemas[file])


def write_schemas() -> tuple[int, Path]:
    """Write schemas/*.json of this checkout: how many, and where."""
    from runner import library
    from runner.schema import all_schemas, text

    shelf = library.shelf("schemas")
    for file, body in (schemas := all_schemas()).items():
        (shelf / file).write_text(text(body), encoding="utf-8")
    return len(schemas), shelf


def write_reference(verbs: Any) -> tuple[int, Path] | None:
    """Write docs/reference/*.md of this checkout, of the schemas and of `verbs`, a click group: how many pages, and
    where; None for what is no checkout."""
    from runner import library, reference

    if not (docs := library.shelf("schemas").parent / "docs").is_dir():
        return None
    return reference.write(docs / "reference", verbs), docs / "reference"
