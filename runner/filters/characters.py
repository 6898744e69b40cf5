"""Filter `characters`: by length, for languages without spaces between words and for texts of one long word."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner.record import Record
from runner.registry import filter

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]


@filter("characters", version=1)
def characters(
    record: Record,
    *,
    min: Annotated[Count, Meta(description="Fewest characters kept.", examples=[200])] = 0,
    max: Annotated[
        Count | None, Meta(description="Most characters kept. Default: no limit.", examples=[20_000])
    ] = None,
) -> bool | str:
    """Keep records in which user and assistant say so many characters between them, spaces counted.

    Characters are Unicode's code points. There are no limits until the recipe sets some: what is short for an
    essay is long for an answer.
    """
    count = len(record.text)
    if count < min:
        return "too few characters"
    if max is not None and count > max:
        return "too many characters"
    return True
