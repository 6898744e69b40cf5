"""Filter `tokens`: by length in the model's own tokens."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.errors import StepError
from runner.record import Record
from runner.registry import filter

Count = Annotated[int, Meta(ge=0, le=100_000_000)]


@filter("tokens", version=1, needs=("tokens",))
def tokens(
    record: Record,
    *,
    min: Annotated[Count, Meta(description="Fewest tokens kept.", examples=[16])] = 0,
    max: Annotated[
        Count | None,
        Meta(
            description="Most tokens kept. Default: no limit but the model's own, `max_length`.",
            examples=[2048],
        ),
    ] = None,
) -> bool | str:
    """Keep records of so many tokens, as the model's tokenizer and template render the whole conversation.

    System text, tools, calls and results count too: it is the length that is trained on.
    """
    try:
        count = int(record.meta["tokens"])
    except (KeyError, ValueError):
        raise StepError("tokens", f"the tokens of record {record.id!r} were not counted") from None
    if count < min:
        return "too few tokens"
    if max is not None and count > max:
        return "too many tokens"
    return True
