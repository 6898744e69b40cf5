"""One line of what the doctor says, and the exit code of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from runner import errors

State = Literal["ok", "warn", "missing"]
Area = Literal["machine", "installed", "store", "terminal", "tokens", "recipe"]


class Finding(Struct, frozen=True):
    """`said` is what was found, `do` what to do about it: empty where nothing has to be done."""

    area: Area
    name: str
    state: State
    said: str
    do: str = ""


def code(some: Iterable[Finding]) -> int:
    """3 where something that the recipe needs is missing, else 0."""
    return 3 if any(f.state == "missing" for f in some) else errors.OK
