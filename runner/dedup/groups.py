"""Rows joined into groups: union-find over an array, many pairs at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]


class Groups:
    """At first each row is a group of its own. The root of a group is its lowest row. 4 bytes a row."""

    def __init__(self, rows: int) -> None:
        self.parent = np.arange(rows, dtype=np.uint32)

    def roots(self, rows: Rows) -> Rows:
        """The root of each of `rows`."""
        found = self.parent[rows]
        while True:
            above = self.parent[found]
            if (above == found).all():
                return found
            found = above

    def join(self, one: Rows, other: Rows) -> None:
        """Make one group of the groups of each pair."""
        ends = (one, other)
        one, other = self.roots(one), self.roots(other)
        while len(one):  # every round hooks each root onto the lowest that it touches
            np.minimum.at(self.parent, np.maximum(one, other), np.minimum(one, other))
            one, other = self.roots(one), self.roots(other)
            apart = one != other
            one, other = one[apart], other[apart]
        for rows in ends:  # so that no chain grows long
            self.parent[rows] = self.roots(rows)

    def members(self) -> Rows:
        """All rows that share a group with another, ascending."""
        hooked = np.flatnonzero(self.parent != np.arange(len(self.parent), dtype=np.uint32))
        return np.union1d(hooked, self.roots(hooked))
