"""Verbs along the line: check, plan, compile, run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import api, errors
from runner.cli import telling
from runner.cli.common import ALLOW, PROFILE, RECIPE, TRUST, command, emit, shown
from runner.cli.telling import covered, described
from runner.errors import safe
from runner.saying import workflow_commands

if TYPE_CHECKING:
    from runner.api import Recipe

FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github"]),
    default="text",
    help="`github`: errors and warnings as annotations of a workflow on GitHub.",
)


@click.command()
@click.argument("recipes", type=click.Path(path_type=Path), nargs=-1, required=True)
@FORMAT
@TRUST
@command
def check(recipes: tuple[Path, ...], form: str, trust: Any, workspace: Path, as_json: bool) -> int:
    """Check recipes; report every error at its file, line and column."""
    import msgspec

    failed: list[errors.MirepoixError] = []
    good: list[Recipe] = []
    said_of: set[errors.Problem] = set()
    for one in api.check(recipes, workspace, trust):
        if one.error is not None:
            failed.append(one.error)
            new = one.error if as_json else telling.anew(one.error, one.path, said_of)
            if form == "github" and not as_json:
                click.echo(telling.annotated(new, one.path))
            elif not as_json:
                click.echo(telling.words(new, ""), err=True, color=True)
        if (recipe := one.recipe) is None:
            continue
        good.append(recipe)
        told, unset, warned = recipe.licences, recipe.unset, recipe.warnings
        if as_json:
            continue
        if form == "github" and warned:
            click.echo(covered("\n".join(workflow_commands(warned, "warning"))))
        click.echo(safe(f"{recipe.path}: ok ({recipe.name})"))
        for name, what in told.items():
            click.echo(safe(f"  {name}: {', '.join(what)}"))
        for said in recipe.terms:
            click.echo(safe(f"  {said}"))
        for missing in unset:
            click.echo(safe(f"  not set here: {missing.what}"))
        for said in map(str, warned if form == "text" else ()):
            click.echo(safe(f"  warning: {said}"))
    code = max((e.exit_code for e in failed), default=errors.OK)
    if as_json:
        whole = {"ok": not code, "exit": code, "errors": [one for e in failed for one in described(e)]}
        whole["licences"] = {str(r.path): r.licences for r in good}
        whole["terms"] = {str(r.path): r.terms for r in good}
        whole["unset"] = {str(r.path): [msgspec.to_builtins(u) for u in r.unset] for r in good}
        emit(whole | {"warnings": [telling.as_data(one) for r in good for one in r.warnings]})
    elif failed:
        for said in filter(None, (telling.counted(failed), *{telling.unsayable(str(e)) for e in failed})):
            click.echo(said, err=True)
    return code


@click.command()
@RECIPE
@click.option(
    "--gpu",
    type=click.Choice(["h100", "h200", "a100-80", "a100-40", "4090", "3090"]),
    help="Forecast this GPU. Default: the one that is here, else all of these.",
)
@TRUST
@PROFILE
@command
def plan(recipe: Path, gpu: str | None, trust: Any, profile: Any, workspace: Path, as_json: bool) -> None:
    """Say which steps would run, which are made already, and why; and what the training will take."""
    planned = api.plan(
        recipe,
        profile=profile,
        gpu=gpu,
        workspace=workspace,
        trust=trust,
        tell=lambda said: None if as_json else click.echo(said, err=True),
    )
    if as_json:
        emit(planned.data())
        return
    for line in planned.lines():
        click.echo(line)
    if foreseen := planned.forecast_lines():
        click.echo("\n".join(foreseen))


@click.command("compile")
@RECIPE
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@TRUST
@PROFILE
@command
def compile_(recipe: Path, out: Path, trust: Any, profile: Any, workspace: Path, as_json: bool) -> None:
    """Write what a recipe compiles to: `axolotl.yml`, and one file a data step."""
    names = api.compile_to(recipe, out, profile=profile, workspace=workspace, trust=trust)
    if as_json:
        emit({"out": str(out), "files": names})
    else:
        click.echo("\n".join(str(out / n) for n in names))


@click.command()
@RECIPE
@click.option("--to", type=click.Choice(["prepare", "train", "evaluate", "report"]), default="report")
@click.option(
    "--refresh",
    type=click.Choice(["failed", "all"]),
    is_flag=False,
    flag_value="all",
    default=None,
    help="Ask again for what was fetched before, or for what could not be had (failed).",
)
@click.option("--locked", is_flag=True, help="Refuse to run what is not as its lock says (`recipe lock`).")
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), help="Where the work is done, whatever the recipe says."
)
@click.option(
    "--address", help="HOST:PORT of a Ray cluster that is there. Default: one is started for the run."
)
@ALLOW
@TRUST
@PROFILE
@command
def run(
    recipe: Path,
    to: Any,
    refresh: Any,
    locked: bool,
    engine: Any,
    address: str | None,
    allow: tuple[str, ...],
    trust: Any,
    profile: Any,
    workspace: Path,
    as_json: bool,
) -> int:
    """Run a recipe: prepare, train, evaluate, report. What is made already is not made again."""
    outcome = api.run(
        recipe,
        to=to,
        progress=not as_json,
        locked=locked,
        refresh=refresh or "none",
        allow=allow,
        profile=profile,
        workspace=workspace,
        trust=trust,
        engine=engine,
        address=address,
    )
    code = outcome.exit
    if as_json:
        emit(
            {
                "ok": not code,
                "exit": code,
                "run": str(outcome.folder),
                "executed": outcome.executed,
                "kept": outcome.kept,
                "failed_gates": outcome.failed_gates,
                "inconclusive_gates": outcome.inconclusive_gates,
                "report": str(outcome.report) if outcome.report else None,
                "paid": outcome.paid,
                "engine": outcome.engine,
                "not_put": outcome.not_put,
            }
        )
        return code
    for why in outcome.failed_gates:
        click.echo(safe(f"gate failed: {why}"), err=True)
    for why in outcome.inconclusive_gates:
        click.echo(safe(f"gate inconclusive: {why}"), err=True)
    click.echo(f"{outcome.executed} steps executed, {outcome.kept} kept: {shown(outcome.folder)}")
    if outcome.report:
        click.echo(f"report: {shown(outcome.report)}")
    if outcome.not_put:
        click.echo(safe(f"error: artifact_store: {outcome.not_put}"), err=True)
    return code
