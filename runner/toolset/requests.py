"""How calls become requests to a service, and its answers fields, as a tool set writes it (form 2)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from runner.toolset.gen import Count, Scalar
from runner.toolset.words import Name


class Take(Struct, frozen=True, forbid_unknown_fields=True):
    """A field out of a service's JSON. `path` is like `daily.sunrise[0]`, with `[*]` for all items of a list, of
    which `pick` takes one; then it is multiplied (`times`), rounded, put into the words of a `table` for codes, or,
    with `to: weekday`, named as a date's day."""

    path: Annotated[str, Meta(pattern=r"^([A-Za-z_]\w*|\[(\d+|\*)\])(\.[A-Za-z_]\w*|\[(\d+|\*)\])*$")]
    times: float = 1.0
    round: Annotated[int, Meta(ge=0, le=6)] | None = None
    table: Name | None = None
    to: Literal["weekday"] | None = None
    pick: Literal["first", "max", "min"] | None = None


class TakeRows(Struct, frozen=True, forbid_unknown_fields=True):
    """A list of rows: every field's path is of a list, which `every` items become one row of, with `pick`; no more
    rows than the argument `most` says."""

    fields: Annotated[dict[Name, Take], Meta(min_length=1)]
    every: Count = 1
    most: Name | None = None


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """One request, to an address of the user's settings. Slots in `query` are arguments and what earlier steps
    took; `translate` puts other words for a value. Where a value is null, or the answer has nothing at the start of
    a path or in its list, the call fails with the set's failure `otherwise`. Without it a null is `no_data`, and an
    answer that lacks what is taken from it is a broken one: it is refused, and asked for again."""

    at: str
    path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$")]
    query: dict[str, str]
    take: dict[Name, Take] = {}
    rows: dict[Name, TakeRows] = {}
    translate: dict[Name, dict[str, str]] = {}
    otherwise: Name | None = None


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """How calls of one tool become requests. `defaults` are values for arguments that a call leaves out."""

    steps: Annotated[list[Step], Meta(min_length=1, max_length=4)]
    defaults: dict[Name, Scalar] = {}
