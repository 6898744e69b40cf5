"""Verbs about what a recipe's outcome hangs on: lock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from runner import errors
from runner.cli.common import PROFILE, RECIPE, TRUST, command, emit, load, shown
from runner.errors import safe


@click.command()
@RECIPE
@click.option("--check", is_flag=True, help="Write nothing; say what is not as it was locked (exit code 2).")
@TRUST
@PROFILE
@command
def lock(
    recipe: Path, check: bool, trust: tuple[str, ...], profile: Any, workspace: Path, as_json: bool
) -> int:
    """Write NAME.lock beside a recipe: all that its outcome hangs on, by content and version.

    `recipe run --locked` then refuses to run on anything else. What is still to be fetched cannot be locked.
    """
    from runner import locking
    from runner.plan import plan
    from runner.store import Store

    path, again = locking.beside(recipe, workspace), f"recipe lock {recipe}"
    known = locking.read(path, again) if check else None
    loaded, place = load(recipe, workspace, trust)
    planned = plan(locking.pinned(loaded, known) if known else loaded, place, profile)
    store = Store(place.root)
    if known:
        found = locking.drifts(known, planned, store)
        if found and not as_json:
            raise locking.Drifted(found, planned, shown(path), again)
        if as_json:
            code = errors.RecipeError.exit_code if found else errors.OK
            emit(
                {
                    "ok": not code,
                    "exit": code,
                    "lock": str(path),
                    "drift": [msgspec.to_builtins(d) for d in found],
                }
            )
            return code
        click.echo(safe(f"{shown(path)}: all is as it was locked"))
        return errors.OK
    if missing := locking.unknown(planned, store):
        what = f"not known yet: {', '.join(missing)}; fetch that first: recipe run {recipe} --to prepare"
        raise errors.UsageError(what)
    made = locking.facts(planned, store)
    changed = locking.write(path, made, place.root)
    files = sum(len(part.files) for part in made.stages.values())
    items = sum(len(f.items) for f in made.fetched.values())
    packages = {n for part in made.stages.values() for n in part.packages}
    if as_json:
        emit(
            {"lock": str(path), "changed": changed, "files": files, "items": items, "packages": len(packages)}
        )
        return errors.OK
    said = f"{files} files, {items:,} fetched items, {len(packages)} packages"
    click.echo(safe(f"{shown(path)}: {'written' if changed else 'as it was'} ({said})"))
    return errors.OK
