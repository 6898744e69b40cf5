"""Verbs about what there is: list, doctor, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner import api, errors
from runner.cli import completing
from runner.cli.common import TRUST, command, emit
from runner.errors import safe

KINDS = ["sources", "filters", "judges", "suites", "models", "runs", "store"]


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", required=False, shell_complete=completing.of_kind)
@click.option("--full", is_flag=True, help="Each with all that can be said of it: options, limits, defaults.")
@command
def list_(kind: Any, name: str | None, full: bool, workspace: Path, as_json: bool) -> None:
    """List sources, filters, judges, suites, models or runs; or what the store holds, in bytes on the disk.

    With a NAME, all that can be said of that one: its options with limits, defaults, meaning and an example.
    """
    if name is not None:
        rows = [api.shelf.one(kind, name, workspace)]
    else:
        rows = api.shelf.catalogue(kind, workspace, full=full or as_json)
    if as_json:
        emit({kind: rows})
    elif name is not None or full:
        for n, row in enumerate(rows):
            click.echo(safe("\n".join([*([""] if n else []), *api.shelf.text(kind, row)])))
    else:
        width = max([24, *(len(row["name"]) for row in rows)])
        for row in rows:
            click.echo(safe(f"{row['name']:<{width}}  {row['about']}".rstrip()))


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path), required=False)
@click.option("--online", is_flag=True, help="Try whether the hosts answer that the recipe will ask.")
@TRUST
@command
def doctor(recipe: Path | None, online: bool, trust: Any, workspace: Path, as_json: bool) -> int:
    """Say how this machine is: hardware, what is installed, the store, settings; and what RECIPE lacks here.

    Of tokens and keys only whether they are set. Exit code 3 where something is missing that the recipe needs.
    """
    facts = api.shelf.doctor(workspace, recipe, online=online, trust=trust)
    if as_json:
        emit(facts)
    else:
        click.echo(safe(api.shelf.doctor_text(facts)))
    code: int = facts["exit"]
    return code


def _all_verbs() -> click.Group:
    group = click.get_current_context().find_root().command
    assert isinstance(group, click.Group)
    return group


@click.command()
@click.option("--write", is_flag=True, help="Write schemas/*.json and docs/reference/*.md of this checkout.")
@click.argument("name", required=False, default="recipe")
@command
def schema(name: str, write: bool, workspace: Path, as_json: bool) -> None:
    """Print a JSON Schema: recipe, suite, record, probe or manifest."""
    if not write:
        click.echo(api.shelf.schema(name), nl=False)
        return
    many, where = api.shelf.write_schemas()
    click.echo(f"{many} schemas written to {where}")
    if written := api.shelf.write_reference(_all_verbs()):
        click.echo(f"{written[0]} pages written to {written[1]}")


@click.command()
@click.argument("shell", type=click.Choice(completing.SHELLS))
@command
def completion(shell: str, workspace: Path, as_json: bool) -> None:
    """Print what a shell has to run so that Tab completes verbs, options, runs, suites, models and recipes.

    \b
    bash  put  eval "$(recipe completion bash)"  into ~/.bashrc
    zsh   put  eval "$(recipe completion zsh)"  into ~/.zshrc, after compinit
    fish  recipe completion fish > ~/.config/fish/completions/recipe.fish
    """
    said, how = completing.script(_all_verbs(), shell)
    if as_json:
        emit({"ok": True, "exit": errors.OK, "shell": shell, "script": said, "how": how})
    else:
        click.echo(said)
