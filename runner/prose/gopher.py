"""What the filters that take Gopher's rules share (Rae et al. 2021)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

FromWords = Annotated[
    int,
    Meta(
        ge=1,
        le=100_000,
        description="Answers of fewer words are not judged. Gopher's documents have at least 50.",
    ),
]
