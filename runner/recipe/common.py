"""What the parts of a recipe share: names, texts, shares, and that unknown keys are refused."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_.-]*$",
        max_length=64,
        description="Lower-case letters, digits, dots, dashes and underscores.",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=20_000)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1, le=10_000_000_000)]


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=False):
    """Base of every part of a recipe: unknown keys are refused."""
