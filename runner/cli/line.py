"""Verbs along the line: check, plan, compile, run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import errors
from runner.cli import telling
from runner.cli.common import (
    ALLOW,
    PROFILE,
    RECIPE,
    TRUST,
    command,
    emit,
    enough_memory,
    load,
    planned_of,
    settings_of,
    shown,
)
from runner.cli.telling import covered, described
from runner.errors import safe
from runner.saying import workflow_commands

if TYPE_CHECKING:
    from runner.fetching import Item
    from runner.steps import Plan


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
def check(
    recipes: tuple[Path, ...], form: str, trust: tuple[str, ...], workspace: Path, as_json: bool
) -> int:
    """Check recipes; report every error at its file, line and column."""
    import msgspec

    from runner.licences import licences, terms
    from runner.provable import unprovable
    from runner.unset import Unset, of_recipe

    failed: list[errors.MirepoixError] = []
    mixed: dict[str, dict[str, list[str]]] = {}
    unset: dict[str, list[Unset]] = {}
    warnings: list[errors.Problem] = []
    told: set[errors.Problem] = set()
    for recipe in recipes:
        try:
            loaded, place = load(recipe, workspace, trust)
        except errors.MirepoixError as e:
            failed.append(e)
            if as_json:
                continue
            e = telling.anew(e, recipe, told)
            if form == "github":
                click.echo(telling.annotated(e, recipe))
            else:
                click.echo(telling.words(e, ""), err=True, color=True)
            continue
        mixed[str(recipe)] = licences(loaded.recipe, place)
        unset[str(recipe)] = of_recipe(loaded)
        warned = unprovable(loaded, place)
        warnings += warned
        if as_json:
            continue
        if form == "github" and warned:
            click.echo(covered("\n".join(workflow_commands(warned, "warning"))))
        click.echo(safe(f"{recipe}: ok ({loaded.recipe.name})"))
        for name, what in mixed[str(recipe)].items():
            click.echo(safe(f"  {name}: {', '.join(what)}"))
        for said in terms(mixed[str(recipe)]):
            click.echo(safe(f"  {said}"))
        for one in unset[str(recipe)]:
            click.echo(safe(f"  not set here: {one.what}"))
        for said in map(str, warned if form == "text" else ()):
            click.echo(safe(f"  warning: {said}"))
    code = max((e.exit_code for e in failed), default=errors.OK)
    if as_json:
        asked = {name: terms(under) for name, under in mixed.items()}
        missing = {name: [msgspec.to_builtins(u) for u in some] for name, some in unset.items()}
        whole = {"ok": not code, "exit": code, "errors": [one for e in failed for one in described(e)]}
        more = {"unset": missing, "warnings": [telling.as_data(one) for one in warnings]}
        emit(whole | {"licences": mixed, "terms": asked} | more)
    elif failed:
        for said in filter(None, (telling.counted(failed), *{telling.unsayable(str(e)) for e in failed})):
            click.echo(said, err=True)
    return code


def _fetched(items: tuple[Item, ...]) -> str:
    failed = sum(bool(i.error) and not i.left_out for i in items)
    return f"{len(items)} items" + (f", {failed} not had: --refresh failed asks again" if failed else "")


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
def plan(
    recipe: Path, gpu: str | None, trust: tuple[str, ...], profile: Any, workspace: Path, as_json: bool
) -> None:
    """Say which steps would run, which are made already, and why; and what the training will take."""
    import msgspec

    from runner.forecast import forecast
    from runner.provable import unprovable
    from runner.runfolder import before
    from runner.sensitivity import lines as seen_lines
    from runner.sensitivity import sensitivity
    from runner.status import status
    from runner.store import Store
    from runner.unset import of_plan

    planned = planned_of(recipe, workspace, trust, profile)
    rows = status(planned, Store(workspace), before(planned))
    fetches = [
        {"fetch": f.source.name, "run": f.items is None, "items": len(f.items or ())} for f in planned.fetches
    ]
    unset = of_plan(planned, Store(workspace))
    warned = unprovable(planned.loaded, planned.workspace)
    if as_json:
        steps = [
            {"step": s.name, "stage": s.stage, "fingerprint": s.fingerprint, "run": not made, "why": why}
            for s, made, why in rows
        ]
        whole = {"recipe": planned.loaded.recipe.name, "profile": planned.profile}
        foreseen = forecast(planned, gpu)
        sees = [msgspec.to_builtins(s) for s in sensitivity(planned)]
        ahead = {"forecast": foreseen.data() if foreseen else None, "suites_see": sees}
        ahead["unset"] = [msgspec.to_builtins(u) for u in unset]
        ahead["warnings"] = [telling.as_data(one) for one in warned]
        emit(whole | {"fetches": fetches, "steps": steps} | ahead)
        return
    click.echo(f"{planned.loaded.recipe.name} on {planned.profile}")
    width = max(map(len, [s.name for s in planned.steps] + [f.name for f in planned.fetches]))
    for f in planned.fetches:
        todo, said = ("run ", "not fetched yet") if f.items is None else ("skip", _fetched(f.items))
        click.echo(safe(f"  {todo}  {f.name:<{width}}  {said}"))
    for s, made, why in rows:
        click.echo(safe(f"  {'skip' if made else 'run '}  {s.name:<{width}}  {why}".rstrip()))
    click.echo(f"{sum(not made for _, made, _ in rows)} of {len(rows)} steps to run")
    for one in unset:
        click.echo(safe(f"not set here, so that a run stops before its first step: {one.what}"))
    for line in seen_lines(sensitivity(planned)):
        click.echo(safe(line))
    for said in map(str, warned):
        click.echo(safe(f"warning: {said}"))
    if (foreseen := forecast(planned, gpu, lambda said: click.echo(said, err=True))) is not None:
        from runner.forecast.text import lines

        click.echo(safe("\n".join(lines(foreseen))))


@click.command("compile")
@RECIPE
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@TRUST
@PROFILE
@command
def compile_(
    recipe: Path, out: Path, trust: tuple[str, ...], profile: Any, workspace: Path, as_json: bool
) -> None:
    """Write what a recipe compiles to: `axolotl.yml`, and one file a data step."""
    from runner.compile import compile_to

    names = compile_to(planned_of(recipe, workspace, trust, profile), out)
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
@ALLOW
@TRUST
@PROFILE
@command
def run(
    recipe: Path,
    to: Any,
    refresh: Any,
    locked: bool,
    allow: tuple[str, ...],
    trust: tuple[str, ...],
    profile: Any,
    workspace: Path,
    as_json: bool,
) -> int:
    """Run a recipe: prepare, train, evaluate, report. What is made already is not made again."""
    from runner import run as runs
    from runner.progress import Display, silent

    if locked and refresh:
        raise errors.UsageError(
            "--locked takes what was locked, --refresh what there is now: say one of them"
        )
    planned, hold = _held(recipe, to, workspace, trust, profile) if locked else (None, {})
    planned = planned or planned_of(recipe, workspace, trust, profile)
    if to in ("train", "evaluate") and planned.loaded.recipe.model is None:
        what = (
            f"--to {to}: the recipe names no model, so there is nothing to {to}; --to prepare makes its data"
        )
        raise errors.UsageError(what)
    settings = settings_of(allow)
    enough_memory()
    with silent() if as_json else Display(planned) as tell:
        outcome = runs.run(planned, to=to, tell=tell, refresh=refresh or "none", settings=settings, **hold)
    code = errors.INCONCLUSIVE if outcome.inconclusive_gates else errors.OK
    code = errors.GATE_FAILED if outcome.failed_gates else code
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
    return code


def _held(
    recipe: Path, to: Any, workspace: Path, trust: tuple[str, ...], profile: Any
) -> tuple[Plan, dict[str, Any]]:
    """The plan at what its lock names, and how the run is held to that."""
    from runner import locking
    from runner.plan import plan as make_plan
    from runner.workspace import Workspace

    path = locking.beside(recipe, workspace)
    again = f"recipe lock {recipe}"
    lock = locking.read(path, again)
    try:
        loaded, place = load(recipe, workspace, trust)
    except errors.RecipeError as e:
        missing = list(locking.gone(lock, Workspace(workspace.resolve(), frozenset(trust))))
        if not missing:
            raise
        raise locking.Drifted(missing, None, shown(path), again, e.problems) from None
    planned = make_plan(locking.pinned(loaded, lock), place, profile)
    held = locking.Held(lock, shown(path), again, to, path.parent.absolute() / locking.RAW)
    return planned, {"hold": held}
