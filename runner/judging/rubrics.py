"""Rubrics as data: `evals/rubrics/NAME.yaml`, one question about an answer, with what earns each grade from 1 to 5."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from runner.errors import Problem, RecipeError
from runner.store import digest
from runner.toolset.reading import convert
from runner.yaml12 import MAX_BYTES, decode, parse

GRADES = (1, 2, 3, 4, 5)
Words = Annotated[str, Meta(min_length=1, max_length=2000)]


class Rubric(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that an answer is judged by."""

    rubric: Annotated[Literal[1], Meta(description="Version of the rubric language.")]
    name: Annotated[
        str,
        Meta(
            pattern="^[a-z][a-z0-9-]{0,39}$",
            description="Names the metric; known-order pairs say which rubric they are for by it.",
        ),
    ]
    description: Annotated[
        str, Meta(max_length=2000, description="What it is for; judges do not see it.")
    ] = ""
    question: Annotated[Words, Meta(description="What is asked about an answer.")]
    better: Annotated[
        Words, Meta(description="Which of two answers is the better one; ends “The better answer is …”.")
    ]
    anchors: Annotated[
        list[Words],
        Meta(
            min_length=5,
            max_length=5,
            description="What earns 1, 2, 3, 4 and 5, in this order, so that a grade means something.",
        ),
    ]
    ignore: Annotated[
        list[Words], Meta(max_length=20, description="What must not count for or against an answer.")
    ] = []

    @property
    def metric(self) -> str:
        """The rubric's name as gates write it."""
        return self.name.replace("-", "_")

    @property
    def sha256(self) -> str:
        """Of what it says; its layout and comments decide nothing."""
        return digest(msgspec.to_builtins(self))


def load(path: Path, name: str) -> Rubric:
    """Read and check a rubric; `name` is what errors call the file. Raises RecipeError with all that is wrong."""
    with path.open("rb") as file:
        raw = file.read(4 * MAX_BYTES + 1)
    doc = parse(decode(raw, name), name)
    if not isinstance(doc.data, dict):
        raise RecipeError([Problem(name, 1, 1, "", "a rubric is a map of keys and values")])
    found, wrong = convert(doc.data, Rubric)
    if found is None:
        raise RecipeError([doc.problem(where, what, at_value=True) for where, what in wrong])
    return found
