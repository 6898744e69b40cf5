"""Filter `tags`: by the tags that a source or a row gave a record.

Rows may bring tags of their own, so `recipe check` cannot know a misspelt one: with `missing: drop` (the default
where `keep` names the tag) every record is then dropped, and the run says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner.record import Record
from runner.registry import filter

Values = Annotated[list[str], Meta(min_length=1, max_length=1000)]
Tags = Annotated[dict[str, Values], Meta(max_length=100)]


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    keep, drop = options["keep"], options["drop"]
    if not keep and not drop:
        yield (), "says nothing to do: give keep or drop"
    for tag in keep.keys() & drop.keys():
        both = sorted(set(keep[tag]) & set(drop[tag]))
        if both:
            yield ("drop", tag), f"{both[0][:60]!r} is to be kept as well"


@filter("tags", version=1, check=_wrong)
def tags(
    record: Record,
    *,
    keep: Annotated[
        Tags,
        Meta(
            description="Keep records whose tag has one of these values.",
            examples=[{"tone": ["humorous", "plain"]}],
        ),
    ] = {},  # noqa: B006
    drop: Annotated[
        Tags,
        Meta(description="Drop records whose tag has one of these values.", examples=[{"domain": ["news"]}]),
    ] = {},  # noqa: B006
    missing: Annotated[
        Literal["keep", "drop"], Meta(description="What becomes of records without a tag that `keep` names.")
    ] = "drop",
) -> bool | str:
    """Keep or drop records by their tags. All of `keep` must hold, and none of `drop`."""
    for tag, values in keep.items():
        value = record.tags.get(tag)
        if value is None:
            if missing == "drop":
                return f"no tag {tag[:40]!r}"
        elif value not in values:
            return f"tag {tag[:40]!r} is none of those kept"
    for tag, values in drop.items():
        if record.tags.get(tag) in values:
            return f"tag {tag[:40]!r} is {record.tags[tag][:40]!r}"
    return True
