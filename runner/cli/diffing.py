"""The verb `diff`: two recipes by what they mean."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import errors
from runner.api import differing
from runner.cli.common import ALLOW, PROFILE, TRUST, command, emit
from runner.cli.telling import covered
from runner.errors import safe

if TYPE_CHECKING:
    from runner.api.differing import Line

DIFFERS = 1
COLOURS: dict[str, dict[str, Any]] = {
    "head": {"bold": True}, "added": {"fg": "green"}, "removed": {"fg": "red"}, "changed": {"fg": "yellow"},
    "moved": {"fg": "cyan"}, "dim": {"dim": True},
}  # fmt: skip


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option("--exit-code", is_flag=True, help="Exit code 1 where they differ in meaning; else it is 0.")
@click.option(
    "--gpu",
    type=click.Choice(["h100", "h200", "a100-80", "a100-40", "4090", "3090"]),
    help="Forecast this GPU. Default: the one that is here, else all of these.",
)
@ALLOW
@TRUST
@PROFILE
@command
def diff(
    first: str,
    second: str | None,
    exit_code: bool,
    gpu: str | None,
    allow: tuple[str, ...],
    trust: tuple[Any, ...],
    profile: Any,
    workspace: Path,
    as_json: bool,
) -> int:
    """Say what changes from recipe A to recipe B, in meaning: values, who set them, files, steps and forecast.

    A and B are each a recipe file, one at a revision of git (REV:PATH, or REV alone for the other's path), a run (NAME
    or runs/NAME), or a pack (a file, a folder, oci://…). A file alone is compared with git's HEAD, where that has it,
    else with its last run.
    """
    found = differing.diff(
        first,
        second,
        workspace=workspace,
        trust=trust,
        allow=allow,
        profile=profile,
        gpu=gpu,
        tell=lambda said: click.echo(said, err=True),
    )
    code = DIFFERS if exit_code and not found.same else errors.OK
    if as_json:
        emit(differing.data(found))
        return code
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in differing.lines(found):
        click.echo(_styled(line, coloured))
    return code


def _styled(line: Line, coloured: bool) -> str:
    """A line without what could steer a terminal, and then with its colours."""
    texts = [(safe(covered(piece.text)).replace("\n", "\\n"), COLOURS.get(piece.style, {})) for piece in line]
    return "".join(
        click.style(text, **style) if coloured and style else text for text, style in texts
    ).rstrip()
