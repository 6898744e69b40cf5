"""The command line: parses arguments, prints, exits; decides nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner import errors
from runner.errors import safe

if TYPE_CHECKING:
    from runner.fetching import Item
    from runner.load import Loaded
    from runner.settings import Settings
    from runner.steps import Plan
    from runner.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def emit(data: Any) -> None:
    """Print JSON, and nothing else, on stdout."""
    click.echo(json.dumps(data, indent=1))


class _Terminated(BaseException):
    """SIGTERM, as an exception: running jobs are ended on its way up."""


def _stop(number: int, frame: object) -> None:
    raise _Terminated


def _shown(path: Path) -> str:
    """A path as the user would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def command(function: F) -> F:
    """Words errors and sets exit codes; adds the options that every verb takes."""

    @click.option(
        "--workspace",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        help="Folder of data, runs and the store. Default: the current one.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else.")
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        as_json = kwargs["as_json"]
        signal.signal(signal.SIGTERM, _stop)
        try:
            code = function(*args, **kwargs) or errors.OK
        except (KeyboardInterrupt, _Terminated) as e:
            click.echo("interrupted; run it again to go on from here", err=True)
            code = errors.INTERRUPTED if isinstance(e, KeyboardInterrupt) else errors.TERMINATED
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = errors.OK
        except errors.MirepoixError as e:
            code = e.exit_code
            if as_json:
                emit({"ok": False, "exit": code, "errors": _described(e)})
            else:
                placed = isinstance(e, errors.RecipeError | errors.NeedsTrust)
                click.echo(safe(str(e) if placed else f"error: {e}"), err=True)
        except OSError as e:
            code = 3
            what = f"{e.strerror or e}" + (f": {e.filename}" if e.filename else "")
            if as_json:
                emit({"ok": False, "exit": code, "errors": [{"what": what}]})
            else:
                click.echo(safe(f"error: {what}"), err=True)
        sys.exit(code)

    return wrapped  # type: ignore[return-value]


def _described(error: errors.MirepoixError) -> list[dict[str, Any]]:
    if isinstance(error, errors.RecipeError):
        return [
            {"file": p.file, "line": p.line, "column": p.column, "where": p.where, "what": p.what}
            for p in error.problems
        ]
    return [{"what": str(error)}]


RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
TRUST = click.option(
    "--trust",
    type=click.Choice(["paths"]),
    multiple=True,
    help="Allow what a recipe may not do by itself: `paths` outside the workspace.",
)
ALLOW = click.option(
    "--allow",
    metavar="HOST:PORT",
    multiple=True,
    help="Allow fetching from an address that is not a public one, such as 127.0.0.1:8765.",
)
PROFILE = click.option(
    "--profile", type=click.Choice(["cpu", "gpu"]), help="Hardware to compile for. Default: what is here."
)


def _load(recipe: Path, workspace: Path, trust: tuple[str, ...]) -> tuple[Loaded, Workspace]:
    from runner import library
    from runner.load import load_recipe
    from runner.workspace import Workspace

    if not workspace.is_dir():
        raise errors.UsageError(f"no folder {str(workspace)!r} to work in")
    try:
        there = recipe.exists()
    except OSError:  # longer than a name can be
        there = False
    if not there:
        shipped = library.find(f"recipes/{recipe}") or library.find(str(recipe))
        if shipped is None or not shipped.is_file():
            raise errors.UsageError(f"no recipe {str(recipe)[:200]!r}")
        recipe = shipped
    # Jobs run in the workspace: a relative path would mean another place to them.
    place = Workspace(workspace.resolve(), frozenset(trust))
    return load_recipe(recipe, place), place


def _settings(allow: tuple[str, ...]) -> Settings:
    from runner import settings

    found = settings.load(allow=allow)
    if any(found.origin[name] != "default" for name in ("allow", "pace", "at_once", "proxy")):
        from runner.net.guard import check

        check(found)  # even where nothing is fetched; the defaults need no look
    return found


def _plan(recipe: Path, workspace: Path, trust: tuple[str, ...], profile: Any) -> Plan:
    from runner.plan import plan

    loaded, place = _load(recipe, workspace, trust)
    return plan(loaded, place, profile)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mirepoix", prog_name="recipe")
def main() -> None:
    """One YAML recipe: from text sources to a fine-tuned, judged adapter."""


@main.command()
@click.argument("recipes", type=click.Path(path_type=Path), nargs=-1, required=True)
@TRUST
@command
def check(recipes: tuple[Path, ...], trust: tuple[str, ...], workspace: Path, as_json: bool) -> int:
    """Check recipes; report every error at its file, line and column."""
    from runner.licences import licences, terms

    code, found = errors.OK, []
    mixed: dict[str, dict[str, list[str]]] = {}
    for recipe in recipes:
        try:
            loaded, place = _load(recipe, workspace, trust)
        except errors.MirepoixError as e:
            code = max(code, e.exit_code)
            found += _described(e)
            if not as_json:
                click.echo(safe(str(e)), err=True)
        else:
            mixed[str(recipe)] = licences(loaded.recipe, place)
            if not as_json:
                click.echo(safe(f"{recipe}: ok ({loaded.recipe.name})"))
                for name, what in mixed[str(recipe)].items():
                    click.echo(safe(f"  {name}: {', '.join(what)}"))
                for said in terms(mixed[str(recipe)]):
                    click.echo(safe(f"  {said}"))
    if as_json:
        asked = {name: terms(under) for name, under in mixed.items()}
        emit({"ok": not code, "exit": code, "errors": found, "licences": mixed, "terms": asked})
    return code


def _fetched(items: tuple[Item, ...]) -> str:
    failed = sum(bool(i.error) and not i.left_out for i in items)
    return f"{len(items)} items" + (f", {failed} not had: --refresh failed asks again" if failed else "")


@main.command()
@RECIPE
@TRUST
@PROFILE
@command
def plan(recipe: Path, trust: tuple[str, ...], profile: Any, workspace: Path, as_json: bool) -> None:
    """Say which steps would run, which are made already, and why."""
    from runner.run import before
    from runner.status import status
    from runner.store import Store

    planned = _plan(recipe, workspace, trust, profile)
    rows = status(planned, Store(workspace), before(planned))
    fetches = [
        {"fetch": f.source.name, "run": f.items is None, "items": len(f.items or ())} for f in planned.fetches
    ]
    if as_json:
        steps = [
            {"step": s.name, "stage": s.stage, "fingerprint": s.fingerprint, "run": not made, "why": why}
            for s, made, why in rows
        ]
        whole = {"recipe": planned.loaded.recipe.name, "profile": planned.profile}
        emit(whole | {"fetches": fetches, "steps": steps})
        return
    click.echo(f"{planned.loaded.recipe.name} on {planned.profile}")
    width = max(map(len, [s.name for s in planned.steps] + [f.name for f in planned.fetches]))
    for f in planned.fetches:
        todo, said = ("run ", "not fetched yet") if f.items is None else ("skip", _fetched(f.items))
        click.echo(safe(f"  {todo}  {f.name:<{width}}  {said}"))
    for s, made, why in rows:
        click.echo(safe(f"  {'skip' if made else 'run '}  {s.name:<{width}}  {why}".rstrip()))
    click.echo(f"{sum(not made for _, made, _ in rows)} of {len(rows)} steps to run")


@main.command("compile")
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

    names = compile_to(_plan(recipe, workspace, trust, profile), out)
    if as_json:
        emit({"out": str(out), "files": names})
    else:
        click.echo("\n".join(str(out / n) for n in names))


@main.command()
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
@ALLOW
@TRUST
@PROFILE
@command
def run(
    recipe: Path,
    to: Any,
    refresh: Any,
    allow: tuple[str, ...],
    trust: tuple[str, ...],
    profile: Any,
    workspace: Path,
    as_json: bool,
) -> int:
    """Run a recipe: prepare, train, evaluate, report. What is made already is not made again."""
    from runner import run as runs
    from runner.progress import Display, silent

    planned = _plan(recipe, workspace, trust, profile)
    if to in ("train", "evaluate") and planned.loaded.recipe.model is None:
        what = (
            f"--to {to}: the recipe names no model, so there is nothing to {to}; --to prepare makes its data"
        )
        raise errors.UsageError(what)
    settings = _settings(allow)
    with silent() if as_json else Display(planned) as tell:
        outcome = runs.run(planned, to=to, tell=tell, refresh=refresh or "none", settings=settings)
    code = errors.GATE_FAILED if outcome.failed_gates else errors.OK
    if as_json:
        emit(
            {
                "ok": not code,
                "exit": code,
                "run": str(outcome.folder),
                "executed": outcome.executed,
                "kept": outcome.kept,
                "failed_gates": outcome.failed_gates,
                "report": str(outcome.report) if outcome.report else None,
                "paid": outcome.paid,
            }
        )
        return code
    for why in outcome.failed_gates:
        click.echo(safe(f"gate failed: {why}"), err=True)
    click.echo(f"{outcome.executed} steps executed, {outcome.kept} kept: {_shown(outcome.folder)}")
    if outcome.report:
        click.echo(f"report: {_shown(outcome.report)}")
    return code


PARTS = ("sources", "drops", "row", "near")


@main.command()
@click.argument("what", nargs=-1, metavar="[RECIPE] [sources | drops | row ID | near ID]")
@click.option("--rows", type=click.IntRange(1, 1000), default=5, help="How many records of each source.")
@ALLOW
@TRUST
@command
def show(
    what: tuple[str, ...],
    rows: int,
    allow: tuple[str, ...],
    trust: tuple[str, ...],
    workspace: Path,
    as_json: bool,
) -> int:
    """Print the effective recipe, `extends` merged, and which file set each key.

    With `sources`: the first records of each source, fetching no more than they need. Of what was run: `drops`, which
    rows were dropped and why; `row ID`, a row's whole way; `near ID`, what it repeats. Without a recipe: of the last
    run.
    """
    recipe, part, id = _asked(what, workspace)
    if part == "sources":
        return _show_sources(recipe, rows, allow, trust, workspace, as_json)
    if part is not None:
        _show_rows(recipe, part, id, trust, workspace, as_json)
        return errors.OK
    from runner.yaml12 import dump

    loaded, _ = _load(recipe, workspace, trust)
    if as_json:
        emit({"recipe": loaded.document.data, "who": loaded.who})
        return errors.OK
    click.echo(safe(dump(loaded.document.data)), nl=False)
    click.echo("\n# who set each key")
    width = max(map(len, loaded.who))
    for key, place in loaded.who.items():
        click.echo(safe(f"# {key:<{width}}  {place}"))
    return errors.OK


def _asked(what: tuple[str, ...], workspace: Path) -> tuple[Path, str | None, str]:
    """The recipe, the part and the row that the words after `show` mean."""
    words = list(what)
    named = bool(words) and (words[0] not in PARTS or Path(words[0]).exists())
    recipe = Path(words.pop(0)) if named else None
    part = words.pop(0) if words else None
    if part is not None and part not in PARTS:
        from runner.wording import nearest

        raise errors.UsageError(f"nothing called {part!r} to show{nearest(part, PARTS)}")
    if len(words) != (part in ("row", "near")):
        after = "the ID of a row" if part in ("row", "near") else "nothing"
        raise errors.UsageError(f"show {part or 'RECIPE'} takes {after} after it")
    if recipe is None:
        if part in (None, "sources"):
            raise errors.UsageError("name a recipe: recipe show RECIPE" + (f" {part}" if part else ""))
        from runner.lookup import latest

        recipe = latest(workspace)
    return recipe, part, words[0] if words else ""


def _show_sources(
    recipe: Path, rows: int, allow: tuple[str, ...], trust: tuple[str, ...], workspace: Path, as_json: bool
) -> int:
    from runner.preview import preview, text

    shown, code = [], errors.OK
    for one in preview(_plan(recipe, workspace, trust, None), _settings(allow), rows):
        code = code if one["records"] else errors.StepError.exit_code
        shown.append(one)
        if not as_json:
            click.echo(safe(text(one)))
    if as_json:
        emit({"sources": shown})
    return code


def _show_rows(
    recipe: Path, part: str, id: str, trust: tuple[str, ...], workspace: Path, as_json: bool
) -> None:
    from runner import lookup, lookuptext

    look = lookup.Lookup(_plan(recipe, workspace, trust, None))
    found: Any = look.drops() if part == "drops" else look.row(id) if part == "row" else look.near(id)
    if as_json:
        emit({"run": look.name, part: found})
        return
    say: Callable[[Any], str] = getattr(lookuptext, part)
    click.echo(safe(say(found)))


KINDS = ["sources", "filters", "judges", "suites", "models", "runs"]


@main.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@command
def list_(kind: str, workspace: Path, as_json: bool) -> None:
    """List sources, filters, judges, suites, models or runs."""
    from runner.catalogue import catalogue

    rows = catalogue(kind, workspace)
    if as_json:
        emit({kind: rows})
        return
    for row in rows:
        click.echo(safe(f"{row['name']:<24}  {row['about']}".rstrip()))


@main.command()
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
        data = json.loads(path.read_bytes())
        lines = [f"{g['verdict']:<4}  {g['gate']}  {g['why']}".rstrip() for g in data["gates"]]
    except (ValueError, KeyError, TypeError):
        raise errors.UsageError(f"{path} is no report; run the recipe again") from None
    if as_json:
        emit(data)
        return
    for line in lines:
        click.echo(safe(line))
    click.echo(f"report: {path.with_suffix('.html')}")


@main.command()
@command
def doctor(workspace: Path, as_json: bool) -> None:
    """Say what is installed, what hardware there is, and which settings are in force."""
    from runner import doctor as doctors

    facts = doctors.doctor(workspace, _settings(()))
    if as_json:
        emit(facts)
    else:
        click.echo(safe(doctors.text(facts)))


@main.command()
@click.option("--write", is_flag=True, help="Write schemas/*.json of this checkout.")
@click.argument("name", required=False, default="recipe")
@command
def schema(name: str, write: bool, workspace: Path, as_json: bool) -> None:
    """Print a JSON Schema: recipe, suite, record, probe or manifest."""
    from runner import library
    from runner.schema import all_schemas, text
    from runner.wording import nearest

    schemas = all_schemas()
    if write:
        for file, body in schemas.items():
            (library.shelf("schemas") / file).write_text(text(body), encoding="utf-8")
        click.echo(f"{len(schemas)} schemas written to {library.shelf('schemas')}")
        return
    file = f"{name}.schema.json"
    if file not in schemas:
        known = [k.removesuffix(".schema.json") for k in schemas]
        raise errors.UsageError(f"no schema {name!r}{nearest(name, known)}")
    click.echo(text(schemas[file]), nl=False)
