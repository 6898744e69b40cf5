"""Answers whose order is known: what a judge is examined by before its scores count.

One line of a file is one prompt with two answers, of which one is plainly better by one rubric. Where grades are known
too, by the hand that wrote the answers, agreement with them can be told as a kappa.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from runner.errors import Problem, RecipeError

MOST_BYTES = 16 << 20
Grade = Annotated[int, Meta(ge=1, le=5)]
Words = Annotated[str, Meta(min_length=1, max_length=20_000)]


class KnownPair(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two answers to one prompt, the `better` and the `worse` by the rubric of that name, with grades if known."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    rubric: str
    prompt: Words
    better: Words
    worse: Words
    better_grade: Grade | None = None
    worse_grade: Grade | None = None

    def __post_init__(self) -> None:
        if self.better.split() == self.worse.split():
            raise ValueError("both answers are the same")
        if (self.better_grade is None) != (self.worse_grade is None):
            raise ValueError("give both grades or none")
        if self.better_grade is not None and self.better_grade <= (self.worse_grade or 0):
            raise ValueError(f"the better answer's grade, {self.better_grade}, is not the higher one")


def load(path: Path, name: str) -> list[KnownPair]:
    """The pairs of a file, in order. Raises RecipeError with every line that is none."""
    found: list[KnownPair] = []
    wrong: list[Problem] = []
    seen: set[str] = set()
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise RecipeError([Problem(name, 0, 0, "", f"has more than {MOST_BYTES:,} bytes")])
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            pair = msgspec.json.decode(line, type=KnownPair)
            if pair.id in seen:
                raise ValueError(f"the id {pair.id!r} is there twice")
        except ValueError as e:  # msgspec's errors are ValueErrors
            wrong.append(Problem(name, number, 1, "", f"not a pair of known order: {e}"))
            continue
        seen.add(pair.id)
        found.append(pair)
    if wrong:
        raise RecipeError(wrong)
    return found
