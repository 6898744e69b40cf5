"""Filter `words`: by length."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from runner import textscan
from runner.record import Record
from runner.registry import filter

Count = Annotated[int, Meta(ge=0, le=10_000_000)]


@filter("words", version=1)
def words(
    record: Record,
    *,
    min: Annotated[Count, Meta(description="Fewest words kept.", examples=[20])] = 0,
    max: Annotated[
        Count | None, Meta(description="Most words kept. Default: no limit.", examples=[1200])
    ] = None,
) -> bool | str:
    """Keep records in which user and assistant say so many words between them."""
    said = [m.content for m in record.messages if m.content and m.role in ("user", "assistant")]
    enough = min if max is None else max
    count = sum([textscan.words(text, enough) for text in said])
    if count < min:
        return "too few words"
    if max is not None and count > max:
        return "too many words"
    return True
