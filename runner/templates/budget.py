"""What one rendering of a chat template may cost, counted in units: characters gone through, and steps at their price.

A unit is some nanoseconds of work and at most some bytes of memory. Each rendering begins with BASE units, far more
than any template needs for a short conversation; one that spends them gets EACH more for every character that it was
given, MOST at most. So a hostile template costs about a second, not for ever, and long records cost what they must.
"""

from __future__ import annotations

from typing import Any

BASE = 5_000_000
EACH = 1_000
MOST = 500_000_000
OUTPUT = 500_000  # characters that a rendering may come to
OUTPUT_EACH = 20  # more of them for each character that it was given
NODE = 8  # units for an expression or a statement of a loop's body, each time
BRANCH = 24  # a branch of more nodes is paid for where it is taken, one of fewer wherever it might be
ITEM = 16  # units for an element of a list or a map
DEPTH = 100  # lists in lists
TEXT = 500_000  # characters of a template
NODES = 20_000  # expressions and statements of a template

SPENT = "takes too much work or memory: loops, calls or texts that it makes grow out of all proportion"


class TooMuch(Exception):
    """A template asks for more than it may. `str()` goes on after "the template"."""


class Purse:
    """The units that the rendering under way has left."""

    __slots__ = ("_given", "left")

    def __init__(self) -> None:
        self.left = BASE
        self._given: Any = None

    def fill(self, given: Any) -> None:
        """For a rendering of `given`: what the template gets to say."""
        self.left, self._given = BASE, given

    def pay(self, units: int) -> None:
        """Raises TooMuch where they are spent."""
        self.left -= units
        if self.left < 0:
            self._more()

    def _more(self) -> None:
        given, self._given = self._given, None
        if given is not None:
            self.left += min(MOST, EACH * extent(given))
        if self.left < 0:
            raise TooMuch(SPENT)


purse = Purse()
"""One for the process: renderings hold a lock."""


def extent(given: Any) -> int:
    """Characters of what came out of JSON, with ITEM for each of its elements."""
    total, waiting = 0, [given]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            total += ITEM * len(value)
            waiting += value.keys()
            waiting += value.values()
        elif isinstance(value, list | tuple):
            total += ITEM * len(value)
            waiting += value
    return total
