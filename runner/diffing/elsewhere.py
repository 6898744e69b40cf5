"""Names of files that lie in a scratch folder for the moment, as the user knows them: `HEAD:recipes/a.yaml`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from runner.diffing.sides import Side
from runner.errors import MirepoixError, NeedsTrust, RecipeError, UsageError
from runner.yaml12 import Yaml


def named(text: str, top: Path, home: str) -> str:
    """A text in which files of the folder `top` have the names that they have in `home`."""
    return text.replace(f"{top}/", f"{home}:").replace(str(top), home)


def renamed(error: MirepoixError, top: Path, home: str) -> MirepoixError:
    """An error of a recipe there, with those names."""
    if isinstance(error, RecipeError | NeedsTrust) and error.problems:
        told = [
            dataclasses.replace(p, file=named(p.file, top, home), what=named(p.what, top, home))
            for p in error.problems
        ]
        return type(error)(told)
    kind = type(error) if isinstance(error, UsageError | NeedsTrust) else UsageError
    return kind(named(str(error), top, home))


def under(side: Side, top: Path, home: str) -> Side:
    """A side with those names."""

    def doc(of: Yaml) -> Yaml:
        places = {k: p._replace(file=named(p.file, top, home)) for k, p in of.places.items()}
        return dataclasses.replace(of, file=named(of.file, top, home), places=places)

    values = dataclasses.replace(
        side.values,
        document=doc(side.values.document),
        documents={name: doc(one) for name, one in side.values.documents.items()},
    )
    return dataclasses.replace(side, values=values, home=home)
