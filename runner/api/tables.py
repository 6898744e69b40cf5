"""Results as a notebook shows them: small tables. All texts are escaped: recipes and runs may be a stranger's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from runner.errors import safe

LONGEST = 200
"""Rows of a table that a notebook shows; the rest is counted."""


def table(head: Sequence[str], rows: Sequence[Iterable[object]], title: str = "") -> str:
    """An HTML table; each cell as text."""
    top = "".join(_cell("th", name) for name in head)
    body = "".join(f"<tr>{''.join(_cell('td', x) for x in row)}</tr>" for row in rows[:LONGEST])
    more = f"<p>and {len(rows) - LONGEST:,} more</p>" if len(rows) > LONGEST else ""
    name = f"<p><b>{_text(title)}</b></p>" if title else ""
    return f"{name}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(tag: str, value: object) -> str:
    return f'<{tag} style="text-align: left">{_text(value)}</{tag}>'


def _text(value: object) -> str:
    return escape(safe(str(value)))


def number(value: float | None, low: float | None = None, high: float | None = None, sign: str = "") -> str:
    """`0.812 (0.681 … 0.898)`; "-" where there is none."""
    if value is None:
        return "-"
    limits = "" if low is None or high is None else f" ({low:{sign}.3f} … {high:{sign}.3f})"
    return f"{value:{sign}.3f}{limits}"
