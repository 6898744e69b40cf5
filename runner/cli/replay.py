"""Verbs about what a recipe's outcome hangs on: lock and replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from runner import api, errors
from runner.cli.common import ALLOW, PROFILE, RECIPE, TRUST, command, emit, shown
from runner.cli.telling import described
from runner.errors import safe

DIFFERS = 1


@click.command()
@RECIPE
@click.option("--check", is_flag=True, help="Write nothing; say what is not as it was locked (exit code 2).")
@TRUST
@PROFILE
@command
def lock(recipe: Path, check: bool, trust: Any, profile: Any, workspace: Path, as_json: bool) -> int:
    """Write NAME.lock beside a recipe: all that its outcome hangs on, by content and version.

    `recipe run --locked` then refuses to run on anything else. What is still to be fetched cannot be locked.
    """
    if check:
        held = api.locks.check_lock(recipe, profile=profile, workspace=workspace, trust=trust)
        if not as_json:
            held.raise_()
            click.echo(safe(f"{shown(held.path)}: all is as it was locked"))
            return errors.OK
        code = errors.RecipeError.exit_code if held.drift else errors.OK
        drift = [msgspec.to_builtins(d) for d in held.drift]
        wrong = []
        try:
            held.raise_()
        except errors.RecipeError as e:  # what a run would say
            wrong = described(e)
        emit({"ok": not code, "exit": code, "errors": wrong, "lock": str(held.path), "drift": drift})
        return code
    done = api.locks.lock(recipe, profile=profile, workspace=workspace, trust=trust)
    if as_json:
        counts = {"files": done.files, "items": done.items, "packages": done.packages}
        emit({"lock": str(done.path), "changed": done.changed} | counts)
        return errors.OK
    said = f"{done.files} files, {done.items:,} fetched items, {done.packages} packages"
    click.echo(safe(f"{shown(done.path)}: {'written' if done.changed else 'as it was'} ({said})"))
    return errors.OK


@click.command()
@click.argument("run_name", metavar="RUN")
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Compare with the run, byte for byte (default); or only make its data again, and say where they are.",
)
@click.option(
    "--verdict", is_flag=True, help="Judge again what was trained, too, and compare within the error."
)
@ALLOW
@TRUST
@command
def replay(
    run_name: str,
    verify: bool,
    verdict: bool,
    allow: tuple[str, ...],
    trust: Any,
    workspace: Path,
    as_json: bool,
) -> int:
    """Make the data of a finished run again from its raw inputs, and compare; exit code 1 where something differs.

    Nothing is taken from the store but what was fetched, and what stands for inputs.
    """
    done = api.locks.replay(
        run_name,
        compare=verify,
        verdict=verdict,
        progress=not as_json,
        allow=allow,
        workspace=workspace,
        trust=trust,
    )
    code = errors.OK if done.same else DIFFERS
    if as_json:
        emit(
            {
                "ok": not code,
                "exit": code,
                "run": run_name,
                "inputs": [msgspec.to_builtins(d) for d in done.inputs],
                "versions": [msgspec.to_builtins(d) for d in done.versions],
                "data": [msgspec.to_builtins(s) for s in done.data],
                "metrics": [msgspec.to_builtins(s) for s in done.metrics],
                "first": done.first or None,
                "kept": str(done.kept) if done.kept else None,
            }
        )
        return code
    for one in done.versions:
        click.echo(safe(f"another version: {one.name}: {one}"), err=True)
    for one in done.inputs:
        click.echo(safe(f"differs: {one.name}: {one}"), err=True)
    if done.inputs:
        click.echo("nothing was made again: the inputs are not those of the run", err=True)
        return code
    for same in (*done.data, *done.metrics):
        line = f"{'same' if same.same else 'DIFFERS':<8} {same.name}"
        click.echo(safe(line if same.same else f"{line}: was {same.was}, is {same.now}"), err=not same.same)
    if done.first and code:
        click.echo(safe(f"the first step that differs: {done.first}"), err=True)
    if done.kept:
        click.echo(safe(f"made again in {shown(done.kept)}"), err=bool(code))
    return code
