"""Finder of the files that come with mirepoix: schemas, recipes, datasets and evals.

In a checkout they stand in the four top-level folders; in a wheel they are packed under `runner/_data/`.
Nothing else in the code may guess where shipped files are.
"""

from __future__ import annotations

from pathlib import Path

KINDS = ("schemas", "recipes", "datasets", "evals")


def shelf(kind: str) -> Path:
    """The folder that holds shipped files of `kind`, one of KINDS."""
    if kind not in KINDS:
        raise ValueError(f"no shelf named {kind!r}")
    here = Path(__file__).resolve().parent
    packed = here / "_data" / kind
    return packed if packed.is_dir() else here.parent / kind


def recipe(name: Path) -> Path | None:
    """What a recipe's name means: what is there, else the shipped file, with or without `recipes/`; None where it is
    nothing."""
    try:
        there = name.exists()
    except OSError:  # longer than a name can be
        there = False
    if there:
        return name
    shipped = find(f"recipes/{name}") or find(str(name))
    return shipped if shipped and shipped.is_file() else None


def find(name: str) -> Path | None:
    """The shipped file or folder called `name` ("recipes/base/x.yaml"), or None where there is none.

    A name that climbs out of its shelf finds nothing.
    """
    kind, _, rest = name.partition("/")
    if kind not in KINDS or not rest:
        return None
    root = shelf(kind).resolve()
    try:
        path = (root / rest).resolve()
        return path if path.is_relative_to(root) and path.exists() else None
    except (OSError, ValueError):  # longer than a name can be, or with a NUL in it
        return None
