"""What all verbs share: options, errors in words, exit codes, loading a recipe."""

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
from runner.trouble import os_error

if TYPE_CHECKING:
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


def shown(path: Path) -> str:
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
                emit({"ok": False, "exit": code, "errors": described(e)})
            else:
                placed = isinstance(e, errors.RecipeError | errors.NeedsTrust)
                click.echo(safe(str(e) if placed else f"error: {e}"), err=True)
        except OSError as e:
            code, what = 3, os_error(e)
            if as_json:
                emit({"ok": False, "exit": code, "errors": [{"what": what}]})
            else:
                click.echo(safe(f"error: {what}"), err=True)
        sys.exit(code)

    return wrapped  # type: ignore[return-value]


def described(error: errors.MirepoixError) -> list[dict[str, Any]]:
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


def load(recipe: Path, workspace: Path, trust: tuple[str, ...]) -> tuple[Loaded, Workspace]:
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


def settings_of(allow: tuple[str, ...]) -> Settings:
    from runner import settings

    found = settings.load(allow=allow)
    if any(found.origin[name] != "default" for name in ("allow", "pace", "at_once", "proxy")):
        from runner.net.guard import check

        check(found)  # even where nothing is fetched; the defaults need no look
    return found


def planned_of(recipe: Path, workspace: Path, trust: tuple[str, ...], profile: Any) -> Plan:
    from runner.plan import plan

    loaded, place = load(recipe, workspace, trust)
    return plan(loaded, place, profile)
