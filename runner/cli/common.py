"""What all verbs share: options, errors in words, exit codes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from runner import api, ending, errors
from runner.api.common import settings_of as settings_of
from runner.api.common import shown as shown
from runner.api.common import unworded
from runner.cli.telling import covered as covered
from runner.cli.telling import described, said
from runner.errors import safe

_TRUSTED = "mirepoix.trust"
F = TypeVar("F", bound=Callable[..., Any])


def emit(data: Any) -> None:
    """Print JSON, and nothing else, on stdout. No secret stands in it."""
    click.echo(covered(json.dumps(data, indent=1)))


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
            _tell(kwargs["as_json"], errors.MirepoixError(unworded(e)), code)
        sys.exit(_written(code))

    def worded(*args: Any, **kwargs: Any) -> int:
        as_json = kwargs["as_json"]
        try:
            if "store" in (*kwargs.get("trust", ()), *click.get_current_context().meta.get(_TRUSTED, ())):
                api.common.trust_store(kwargs["workspace"])
            code: int = function(*args, **kwargs) or errors.OK
        except BrokenPipeError:
            # Whoever read us has gone. What was to come is not done, so this is no success.
            code = 128 + signal.SIGPIPE
        except errors.MirepoixError as e:
            code = e.exit_code
            _tell(as_json, e, code)
        except (OSError, MemoryError, RuntimeError, ImportError) as e:
            what = unworded(e)
            if not what:
                raise  # a defect of ours
            code = 3
            _tell(as_json, errors.MirepoixError(what), code)
        for forgotten in api.common.forgotten():
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
    except MemoryError:  # to say it in full takes some, too
        what = unworded(MemoryError())
        plain = (
            f'{{"ok": false, "exit": {code}, "errors": [{{"what": "{what}"}}]}}'
            if as_json
            else f"error: {what}"
        )
        os.write(1 if as_json else 2, plain.encode() + b"\n")
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
