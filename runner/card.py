"""The data card of a run: which sources, under which licences, how many rows, what was dropped and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from runner.recipe import Recipe
from runner.record import Fate

UNKNOWN = "not stated"
ORIGINS = 40  # a card names so many origins of a source; the ledger has them all


def text(fates: Sequence[Fate], summary: dict[str, Any], recipe: Recipe) -> str:
    """The card in Markdown; the same ledger gives the same bytes."""
    rows = summary["rows"]
    lines = [
        "# Data card",
        "",
        f"{rows['in']:,} rows came in: {rows['trained']:,} are trained, {rows['validation']:,} held out for "
        f"validation, {rows['dropped']:,} dropped. `ledger.parquet` says of each what became of it.",
        "",
        "## Licences and attribution",
        "",
        "| licence | source | attribution | rows used |",
        "|---|---|---|---|",
    ]
    used = Counter(
        (f.license or UNKNOWN, f.source, f.attribution) for f in fates if f.fate in ("trained", "validation")
    )
    lines += [
        f"| {_plain(licence)} | {_plain(source)} | {_plain(by)} | {n:,} |"
        for (licence, source, by), n in sorted(used.items())
    ]
    lines += ["", "## Sources", ""]
    for source in recipe.sources:
        own = [f for f in fates if f.source == source.name]
        counts = Counter(f.fate for f in own)
        lines.append(
            f"- **{source.name}** (`{source.plugin}`): {len(own):,} rows in, {counts['trained']:,} trained, "
            f"{counts['validation']:,} validation, {counts['dropped']:,} dropped"
        )
        origins = sorted({_place(f.origin) for f in own if f.origin and f.fate != "dropped"})
        lines += [f"  - {_plain(o)}" for o in origins[:ORIGINS]]
        if len(origins) > ORIGINS:
            lines.append(f"  - … and {len(origins) - ORIGINS:,} more")
    dropped = Counter[tuple[str, str]]()
    for x in rows["by_reason"]:
        dropped[x["by"], x["reason"]] += x["rows"]
    if dropped:
        lines += ["", "## Dropped", "", "| by | reason | rows |", "|---|---|---|"]
        lines += [f"| {_plain(by)} | {_plain(why)} | {n:,} |" for (by, why), n in sorted(dropped.items())]
    lines += ["", "## Mix", "", f"| {summary['mix']['by']} | asked | got | records |", "|---|---|---|---|"]
    for share in summary["mix"]["shares"]:
        asked = "" if share["asked"] is None else f"{share['asked']:.1%}"
        lines.append(f"| {_plain(share['name'])} | {asked} | {share['got']:.1%} | {share['records']:,} |")
    return "\n".join(lines) + "\n"


def _place(origin: str) -> str:
    """Where a row is from without its number: `posts.csv:1027` is of `posts.csv`."""
    file, _, number = origin.rpartition(":")
    return file if number.isdigit() and file else origin


def _plain(value: str) -> str:
    """Text of recipes and data as one line that Markdown does not take for markup."""
    line = " ".join(value.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in line)
