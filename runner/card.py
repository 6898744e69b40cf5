"""The data card of a run: which sources, under which licences, how many rows, what was lost and why, what was paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from runner.fetching import Item, paid
from runner.ledger import Tally
from runner.markdown import plain
from runner.recipe import Recipe

UNKNOWN = "not stated"
ORIGINS = 40  # a card names so many origins of a source; the ledger has them all


def text(
    tally: Tally,
    summary: dict[str, Any],
    recipe: Recipe,
    fetched: Mapping[str, Iterable[Item]] = MappingProxyType({}),
) -> str:
    """The card in Markdown; the same ledger, and the same items `fetched` by each source, give the same bytes."""
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
    used = Counter[tuple[str, str, str]]()
    for (licence, source, by), n in tally.used.items():
        used[licence or UNKNOWN, source, by] += n
    lines += [
        f"| {plain(licence)} | {plain(source)} | {plain(by)} | {n:,} |"
        for (licence, source, by), n in sorted(used.items())
    ]
    lines += ["", "## Sources", ""]
    for spec in recipe.sources:
        counts = {fate: tally.rows[spec.name, fate] for fate in ("trained", "validation", "dropped")}
        lines.append(
            f"- **{spec.name}** (`{spec.plugin}`): {sum(counts.values()):,} rows in, {counts['trained']:,} trained, "
            f"{counts['validation']:,} validation, {counts['dropped']:,} dropped"
        )
        if spent := paid(fetched.get(spec.name, ())):
            lines.append(f"  - paid for a model's answers, also for those that were no good: {spent}")
        if n := sum(bool(i.doubt) for i in fetched.get(spec.name, ())):
            lines.append(
                f"  - {n:,} fetched items may be cut off: their servers did not announce where they end"
            )
        told = sorted((what, n) for (name, what), n in tally.remarks.items() if name == spec.name)
        lines += [f"  - {n:,} used rows: {plain(what)}" for what, n in told[:ORIGINS]]
        origins = sorted(tally.origins.get(spec.name, ()))
        lines += [f"  - {plain(o)}" for o in origins[:ORIGINS]]
        if len(origins) > ORIGINS:
            lines.append(f"  - … and {len(origins) - ORIGINS:,} more")
    dropped = Counter[tuple[str, str]]()
    for x in rows["by_reason"]:
        dropped[x["by"], x["reason"]] += x["rows"]
    if dropped:
        lines += ["", "## Dropped", "", "| by | reason | rows |", "|---|---|---|"]
        lines += [f"| {plain(by)} | {plain(why)} | {n:,} |" for (by, why), n in sorted(dropped.items())]
    lines += ["", "## Mix", "", f"| {summary['mix']['by']} | asked | got | records |", "|---|---|---|---|"]
    for share in summary["mix"]["shares"]:
        asked = "" if share["asked"] is None else f"{share['asked']:.1%}"
        lines.append(f"| {plain(share['name'])} | {asked} | {share['got']:.1%} | {share['records']:,} |")
    return "\n".join(lines) + "\n"
