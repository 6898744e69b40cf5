"""A file's text by line, as YAML counts lines and columns."""

from __future__ import annotations

import re
from functools import cached_property

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""Line ends of YAML 1.1, which is what PyYAML counts by."""


class Lines:
    """Lines of a text; split when the first is asked for, since most files have nothing wrong."""

    def __init__(self, text: str) -> None:
        self.whole = text

    @cached_property
    def _lines(self) -> list[str]:
        return _BREAK.split(self.whole)

    def at(self, number: int) -> str | None:
        """The line of that number, counted from 1; None where there is none."""
        return self._lines[number - 1] if 1 <= number <= len(self._lines) else None


def column_at(text: str, index: int) -> tuple[int, int]:
    """Line and column of a character, both counted from 1."""
    ends = [m.end() for m in _BREAK.finditer(text, 0, index)]
    return len(ends) + 1, index - (ends[-1] if ends else 0) + 1
