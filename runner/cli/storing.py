"""The verb gc: what the store holds and nobody needs."""

from __future__ import annotations

from pathlib import Path

import click

from runner import api, errors
from runner.cli.common import TRUST_STORE, command, emit
from runner.errors import safe


@click.command()
@click.option("--dry-run", "dry", is_flag=True, help="Remove nothing; say what would go, and what there is.")
@click.option(
    "--older",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    default=0,
    help="Only what nobody has used for so many days. Default: 0.",
)
@TRUST_STORE
@command
def gc(dry: bool, older: float, workspace: Path, as_json: bool) -> None:
    """Remove what no run of this workspace needs from its store.

    What a folder below runs/ was made of stays, and what runs that are at work or were killed need; so does what they
    fetched. Remove runs/NAME first, and what only that run needed goes. May be used while others run.
    """
    done = api.stores.collect(workspace, days=older, dry=dry)
    found, held, freed = done.waste, done.held, done.freed
    if as_json:
        rows = [
            {"kind": w.kind, "name": w.name, "step": w.step, "bytes": w.size, "days": round(w.days, 3)}
            for w in found
        ]
        left = {kind: {"count": count, "bytes": size} for kind, (count, size) in held.items()}
        emit({"ok": True, "exit": errors.OK, "dry_run": dry, "removed": rows, "bytes": freed, "store": left})
        return
    for w in found:
        what = f"{w.kind:<10}  {w.name[:12]:<12}  {w.step:<20}"
        click.echo(safe(f"  {what}  {api.common.size(w.size):>12}  {w.days:,.1f} days"))
    for kind, (count, size) in held.items() if dry else ():
        click.echo(safe(f"  there is  {kind:<12}  {count:>8,}  {api.common.size(size):>12}"))
    said = "would be removed" if dry else "removed"
    click.echo(f"{len(found)} {said}, {api.common.size(freed)}")
