"""What there is: plug-ins, suites, models, runs, and schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from runner.api.common import Name, told
from runner.errors import UsageError

Kind = Literal["sources", "filters", "judges", "suites", "models", "runs", "store"]


@told
def catalogue(kind: Kind, workspace: Name = ".") -> list[dict[str, Any]]:
    """Rows of `name`, `about` and, for plug-ins, the schema of their `options`."""
    from runner.catalogue import catalogue as rows

    return rows(kind, Path(workspace))


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
