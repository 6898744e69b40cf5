"""Arms: what the tuned model is compared with. `base` and `tuned` are always there; a recipe may name more."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.recipe.common import Part, Text

ArmName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]*$",
        max_length=32,
        description="A small letter, then small letters, digits and underscores.",
    ),
]

EndpointName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]*$", max_length=32, description="The name of an endpoint in your settings."
    ),
]


class Arm(Part, frozen=True, kw_only=True):
    """The base model asked for the persona in words, or a model behind an endpoint of your settings."""

    system: Annotated[
        Text | None,
        Meta(
            description="System message in place of `evaluate.system`; a probe's own comes after it.",
            examples=["Answer as Mark Twain would."],
        ),
    ] = None
    endpoint: Annotated[
        EndpointName | None,
        Meta(
            description="The model that answers is this endpoint's. Where that is, only your settings say.",
            examples=["house"],
        ),
    ] = None
    model: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="What the endpoint calls the model.", examples=["big-one"]),
    ] = None
