"""The verb `compare`: runs of a workspace against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import api
from runner.api.common import one_line
from runner.cli.common import command, emit
from runner.errors import safe

if TYPE_CHECKING:
    from runner.api.comparisons import Pair
    from runner.api.runs import Difference, Estimate

PROMPT, ANSWER = 200, 300  # characters of each that are shown


@click.command()
@click.argument("runs", metavar="RUN[:ARM] RUN[:ARM]…", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Compare although templates, decoding, probes or judges differ.")
@command
def compare(runs: tuple[str, ...], force: bool, workspace: Path, as_json: bool) -> None:
    """Compare runs prompt by prompt, on the suites that they share: the first with each other one.

    An ARM is tuned (where nothing is said), base, or another one of the run's. What differs between two runs is named;
    where numbers then mean different things, they are not compared unless --force says so.
    """
    found = api.compare(*runs, force=force, workspace=workspace)
    if as_json:
        emit(found.data)
        return
    for pair in found.pairs:
        _show(pair)


def _show(pair: Pair) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:  # who reads it later has room enough
        console.width = 200
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("metric", pair.first, pair.second, "difference", "n", ""):
        numbers = name not in ("metric", "")
        table.add_column(Text(safe(name)), justify="right" if numbers else "left", overflow="fold")
    for m in pair.metrics:
        cells = [m.metric, _number(m.first), _number(m.second), _difference(m.difference)]
        cells += [f"{m.difference.n:,}{_lost(m.difference)}", m.verdict]
        style = {"better": "green", "worse": "red"}.get(m.verdict, "")
        texts = [Text(safe(c)) for c in cells]
        texts[-1].stylize(style)
        table.add_row(*texts)
    console.print(table)
    for note in pair.notes:
        click.echo(safe(note))
    for why in pair.apart:
        click.echo(safe(f"not compared: {why}"))
    if pair.changed:
        click.echo("\nchanged most:")
    for one in pair.changed:
        _show_prompt(one)
    click.echo()


def _show_prompt(one: dict[str, Any]) -> None:
    asked = [m.get("content") or "" for m in one["prompt"] if m.get("role") == "user"]
    click.echo(
        safe(
            f"\n{one['suite']}  {one['id']}  {one['change']:+.2f}  {one_line(asked[-1] if asked else '', PROMPT)}"
        )
    )
    for label, answer in one["answers"].items():
        marks = [f"{name} {value:.3g}" for name, value in one["scores"][label].items() if value is not None]
        why = next(iter(one["reasons"][label].values()), "")
        click.echo(safe(f"  {label}: {one_line(answer or '(no answer)', ANSWER)}"))
        click.echo(safe(f"    {', '.join(marks)}{f' ({why})' if why else ''}"))


def _number(cell: Estimate) -> str:
    return "-" if cell.value is None else f"{cell.value:.3f}"


def _difference(cell: Difference) -> str:
    if cell.value is None:
        return "-"
    limits = "" if cell.low is None else f" ({cell.low:+.3f} to {cell.high:+.3f})"
    return f"{cell.value:+.3f}{limits}"


def _lost(cell: Difference) -> str:
    return f", {cell.missing} missing" if cell.missing else ""
