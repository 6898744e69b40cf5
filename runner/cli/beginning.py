"""The verb `new`: a recipe from answers or flags."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from runner import api, ending, errors
from runner.cli.common import command, emit, shown
from runner.errors import safe

if TYPE_CHECKING:
    from runner.api.beginnings import Wishes

_FLAGS = (
    "say what to learn from: --from FILES (text, chat JSONL, CSV of posts), --author 'Twain, Mark', "
    "--pages URL or --tools SET; or run it in a terminal, where it asks"
)


@click.command()
@click.argument("name")
@click.argument("more", metavar="[FILE]...", nargs=-1)
@click.option(
    "--from",
    "files",
    metavar="FILE",
    multiple=True,
    help="Your own files: plain text, chat in JSON Lines, a CSV of posts. Several, or a pattern in quotes.",
)
@click.option(
    "--author", "authors", metavar="NAME", multiple=True, help="An author of Project Gutenberg's books."
)
@click.option("--pages", metavar="URL", multiple=True, help="A web page, or a sitemap (.xml).")
@click.option("--tools", metavar="SET", multiple=True, help="A tool set: conversations that call its tools.")
@click.option("--base", metavar="MODEL", help="One of `recipe list models`. Default: base/smollm2-135m.yaml.")
@click.option(
    "--profile", type=click.Choice(["auto", "cpu", "gpu"]), help="Hardware. Default: what is there."
)
@click.option("--system", metavar="TEXT", help="Who the assistant is, in words: the system message.")
@click.option("--license", metavar="LICENCE", help="The licence of your texts, such as CC0-1.0.")
@click.option(
    "--suite", "suites", metavar="NAME", multiple=True, help="A suite to judge by. Default: those that fit."
)
@click.option(
    "--held-out",
    metavar="FILE",
    multiple=True,
    help="Texts that training must not see, to judge by. Default: a tenth of your own files.",
)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@command
def new(
    name: str,
    more: tuple[str, ...],
    files: tuple[str, ...],
    yes: bool,
    workspace: Path,
    as_json: bool,
    **said: Any,
) -> None:
    """Write a new recipe, NAME.yaml, that passes `recipe check`: from your answers, or from flags.

    A tenth of your own texts is held out, so that the run ends with a verdict. Nothing that is there is written over.
    """
    place = api.beginnings.place(workspace)
    wishes = _wishes(name, (*files, *more), said)
    if not (yes or as_json) and sys.stdin.isatty() and sys.stdout.isatty():
        from runner.cli.asking import ask

        try:
            wishes = ask(wishes, place, {key for key, value in said.items() if value})
        except KeyboardInterrupt:
            ending.say("\ninterrupted; nothing was written")
            raise
    elif wishes.nothing:
        raise errors.UsageError(_FLAGS)
    done = api.beginnings.begin(wishes, place)
    written = [shown(p) for p in done.files]
    if as_json:
        emit(
            {
                "ok": True,
                "exit": 0,
                "recipe": written[0],
                "files": written,
                "notes": done.notes,
                "missing": done.missing,
            }
        )
        return
    for path in written:
        click.echo(safe(f"written: {path}"))
    for note in (*done.notes, *done.missing):
        click.echo(safe(f"note: {note}"))
    where = "" if workspace == Path() else f" --workspace {quote(str(workspace))}"
    one = f"{quote(written[0])}{where}"
    click.echo(safe(f"next: recipe plan {one}, then recipe run {one}"))


def _wishes(name: str, files: tuple[str, ...], said: dict[str, Any]) -> Wishes:
    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    stem = path.name.rpartition(".")[0]
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,54}", stem):
        plain = re.sub(r"[^a-z0-9_.-]+", "-", stem.lower()).strip("-.")[:55]
        hint = f" (such as {plain})" if plain else ""
        raise errors.UsageError(
            f"{stem[:80]!r} cannot name a recipe: small letters, digits, dots, dashes and underscores, 55 at most{hint}"
        )
    given = {key: value for key, value in said.items() if value}
    return api.beginnings.Wishes(path=path, name=stem, files=files, **given)
