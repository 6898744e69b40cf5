"""Text that is not ours in Markdown: as a line, a paragraph, code or a table, never as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from runner.errors import safe

_MARKUP = "\\`*_[]<>|#"
_BLOCK = re.compile(r"^(?:[-+=~]|\d+(?=[.)]))")  # what would begin a list, a rule or a heading


def plain(value: str) -> str:
    """One line that Markdown does not take for markup."""
    line = safe(" ".join(value.split()))
    return "".join(f"\\{c}" if c in _MARKUP else c for c in line)


def paragraph(value: str) -> str:
    """Text as one paragraph, whatever it begins with."""
    line = plain(value)
    found = _BLOCK.match(line)
    if not found:
        return line
    at = 0 if found[0] in "-+=~" else found.end()
    return f"{line[:at]}\\{line[at:]}"


def code(value: str) -> str:
    """One line as inline code. Inside a table's cell, `|` still parts cells: use `plain` there."""
    line = safe(" ".join(value.split()))
    ticks = "`" * (_longest(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def fenced(text: str, language: str = "") -> list[str]:
    """Lines as a block of code that nothing in them can end."""
    ticks = "`" * max(3, _longest(text) + 1)
    return [f"{ticks}{language}", *(safe(line) for line in text.rstrip("\n").split("\n")), ticks]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table. Cells are written as they are: make them `plain` first."""
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
