"""Licence notes: under which terms the base model and the rows that were used are, and who must be named."""

from __future__ import annotations

from runner.licences import UNKNOWN
from runner.markdown import paragraph, plain, table
from runner.modelcard.facts import Facts


def rights(facts: Facts, most: int | None = None) -> list[str]:
    """The table of licences, sources and attributions; with `most`, no more lines than that."""
    rows = facts.rights[:most]
    lines = table(
        ("licence", "source", "attribution", "rows used"),
        ((plain(r.licence or UNKNOWN), plain(r.source), plain(r.attribution), f"{r.rows:,}") for r in rows),
    )
    if len(facts.rights) > len(rows):
        lines += ["", f"… and {len(facts.rights) - len(rows):,} more; LICENCES.md has them all."]
    return lines


def notes(facts: Facts) -> str:
    """LICENCES.md."""
    base = facts.base.license or UNKNOWN
    lines = [
        "# Licences",
        "",
        f"- Base model {plain(facts.base.hub or facts.base.name)}: {plain(base)}",
        "",
        "## Data",
        "",
        "Rows that were trained or held out, by the licence that they or their source state.",
        "",
        *rights(facts),
    ]
    if facts.terms:
        lines += ["", "## What they ask", "", *(f"- {paragraph(said)}" for said in facts.terms)]
    return "\n".join(lines) + "\n"
