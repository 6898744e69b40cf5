"""Verbs about what a recipe's outcome hangs on: lock and replay."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from runner import errors
from runner.cli.common import ALLOW, PROFILE, RECIPE, TRUST, command, emit, load, settings_of, shown
from runner.errors import safe

if TYPE_CHECKING:
    from runner.stepping import Tell
    from runner.steps import Plan

DIFFERS = 1


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
            raise locking.Drifted(found, planned, shown(path), again, undone="")
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
    trust: tuple[str, ...],
    workspace: Path,
    as_json: bool,
) -> int:
    """Make the data of a finished run again from its raw inputs, and compare; exit code 1 where something differs.

    Nothing is taken from the store but what was fetched, and what stands for inputs.
    """
    from runner.progress import Display, silent
    from runner.replaying import replay as again
    from runner.results.finished import finished

    if verdict and not verify:
        raise errors.UsageError("--verdict compares, --no-verify does not: say one of them")
    of = finished(run_name, workspace)
    with ExitStack() as stack:

        def shows(plan: Plan) -> Tell:
            return stack.enter_context(silent() if as_json else Display(plan))

        done = again(
            of, settings_of(allow), verdict=verdict, compare=verify, trust=frozenset(trust), shows=shows
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
