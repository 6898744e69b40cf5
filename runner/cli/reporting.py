"""The verb report: what a run came to."""

from __future__ import annotations

from pathlib import Path

import click

from runner import errors, paths
from runner.cli.common import command, emit
from runner.errors import safe


@click.command()
@click.argument("run_name", metavar="RUN")
@command
def report(run_name: str, workspace: Path, as_json: bool) -> None:
    """Say where a run's report is, and its verdict."""
    path = workspace / "runs" / run_name / "report.json"
    if not path.is_file() or Path(run_name).name != run_name:
        from runner.catalogue import catalogue
        from runner.wording import nearest

        known = [r["name"] for r in catalogue("runs", workspace)]
        raise errors.UsageError(f"no report of a run {run_name!r}{nearest(run_name, known)}")
    try:
        data = paths.read_json(path)
        lines = [f"{g['verdict']:<12}  {g['gate']}  {g['why']}".rstrip() for g in data["gates"]]
    except (ValueError, KeyError, TypeError):
        raise errors.UsageError(f"{path} is no report; run the recipe again") from None
    if as_json:
        emit(data)
        return
    for line in lines:
        click.echo(safe(line))
    click.echo(f"report: {path.with_suffix('.html')}")
