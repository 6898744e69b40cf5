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

from runner import ending, errors
from runner.cli.telling import covered as covered
from runner.cli.telling import described, said
from runner.errors import safe
from runner.trouble import no_memory, os_error

if TYPE_CHECKING:
    from runner.load import Loaded
    from runner.settings import Settings
    from runner.steps import Plan
    from runner.workspace import Workspace

_TRUSTED = "mirepoix.trust"
F = TypeVar("F", bound=Callable[..., Any])


def emit(data: Any) -> None:
    """Print JSON, and nothing else, on stdout. No secret stands in it."""
    click.echo(covered(json.dumps(data, indent=1)))


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
        try:
            with ending.listening():
                code = worded(*args, **kwargs)
        except (KeyboardInterrupt, ending.Ended) as e:
            ending.say()
            code = ending.code(e)
        except OSError as e:  # of `listening`: all others have been worded
            code = 3
            _tell(kwargs["as_json"], errors.MirepoixError(os_error(e)), code)
        sys.exit(_written(code))

    def worded(*args: Any, **kwargs: Any) -> int:
        as_json = kwargs["as_json"]
        try:
            if "store" in (*kwargs.get("trust", ()), *click.get_current_context().meta.get(_TRUSTED, ())):
                from runner.store import marks

                marks.trust(kwargs["workspace"] / ".mirepoix")
            code: int = function(*args, **kwargs) or errors.OK
        except BrokenPipeError:
            # Whoever read us has gone. What was to come is not done, so this is no success.
            code = 128 + signal.SIGPIPE
        except errors.MirepoixError as e:
            code = e.exit_code
            _tell(as_json, e, code)
        except (OSError, MemoryError, RuntimeError, ImportError) as e:
            what = no_memory(e) or (os_error(e) if isinstance(e, OSError) else "")
            if not what:
                raise  # a defect of ours
            code = 3
            _tell(as_json, errors.MirepoixError(what), code)
        if (known := sys.modules.get("runner.store.marks")) is not None:
            for forgotten in known.forgotten:
                _note(forgotten)
        return code

    return wrapped  # type: ignore[return-value]


def _tell(as_json: bool, error: errors.MirepoixError, code: int) -> None:
    """Say what went wrong; where that cannot be written either, the exit code has to say it."""
    try:
        if as_json:
            emit({"ok": False, "exit": code, "errors": described(error)})
        else:
            click.echo("\n".join(said(error)), err=True, color=True)
    except OSError:
        return


def _note(words: str) -> None:
    try:
        click.echo(safe(f"note: {words}"), err=True)
    except OSError:
        return


def _written(code: int) -> int:
    """The exit code once all that was said is written, or cannot be: Python would make 120 of it, or 1."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError as e:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            code = code if isinstance(e, BrokenPipeError) else code or 3
    return code


_IMPORT = """
import mmap, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (3, 3))
taken = mmap.mmap(-1, int(sys.argv[1]))
import numpy
"""


def enough_memory() -> None:
    """Raises MemoryError where a limit on our memory (`ulimit -v`) leaves numpy none.

    Its library of linear algebra would look for some without end, and hear no signal. Another process, as large as ours
    is by now, tries it, where there is a limit at all.
    """
    import resource
    import subprocess

    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    safe_path = os.environ | {"PYTHONSAFEPATH": "1"}
    pages = Path("/proc/self/statm")
    ours = int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 0
    argv = [sys.executable, "-c", _IMPORT, str(max(ours - (16 << 20), 1))]  # a bare Python has some itself
    try:
        done = subprocess.run(argv, env=safe_path, capture_output=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        raise MemoryError from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode < 0 or "MemoryError" in said or no_memory(ImportError(said)):
        raise MemoryError


RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
TRUST = click.option(
    "--trust",
    type=click.Choice(["paths", "store", "trackers"]),
    multiple=True,
    help="Allow what only you may: `paths` outside the workspace, `trackers` that a recipe sends to; and believe a "
    "`store` that you did not make (once for each).",
)
TRUST_STORE = click.option(
    "--trust",
    "trust_store",
    type=click.Choice(["store"]),
    multiple=True,
    expose_value=False,
    callback=lambda context, _, said: context.meta.__setitem__(_TRUSTED, said),
    help="Believe a `store` that you did not make (once for each).",
)
"""For verbs that load no recipe."""
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
