"""A document as plain data, and where each key and value of it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runner.errors import Problem
from runner.saying.lines import Lines

Path = tuple[str | int, ...]
_PLAIN = re.compile(r"[\w-]+\Z")


class Place(NamedTuple):
    """Where a key or value stands; line and column count from 1. `end`: the column after it, 0 if on another line."""

    file: str
    line: int
    column: int
    end: int = 0


@dataclass
class Yaml:
    """A document as plain data. `places` has, for each path, the place of its key (or list item)."""

    data: Any
    file: str
    places: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    texts: dict[str, Lines] = field(default_factory=dict)
    """The text of each file that places are in."""

    def problem(self, path: Path, what: str, *, at_value: bool = False) -> Problem:
        """A problem at `path`, or at the nearest parent whose place is known."""
        where, table = path, self.values if at_value else self.places
        while where and where not in table:
            where = where[:-1]
        place = table.get(where) or self.values.get(where) or Place(self.file, 1, 1)
        return self.placed(place, path, what)

    def own(self, *paths: Path) -> Path:
        """Of keys that do not go together, the first that stands in the recipe's own file: its writer can change it."""
        mine = (p for p in paths if p in self.places and self.places[p].file == self.file)
        return next(mine, paths[0])

    def placed(self, place: Place, path: Path, what: str) -> Problem:
        """A problem at a place, with the line it is on."""
        text = self.texts[place.file].at(place.line) if place.file in self.texts else None
        return Problem(place.file, place.line, place.column, dotted(path), what, place.end, text)


def dotted(path: Path) -> str:
    """`("filters", 2, "words")` → `filters[2].words`; keys that are no plain words are quoted."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
            continue
        plain = len(part) <= 64 and _PLAIN.match(part)
        out += ("." if out else "") + (part if plain else repr(part[:40] + "…" * (len(part) > 40)))
    return out
