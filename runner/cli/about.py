"""Verbs about what there is: list, doctor, schema."""

from __future__ import annotations

from pathlib import Path

import click

from runner import errors
from runner.cli import completing
from runner.cli.common import TRUST, command, emit, settings_of
from runner.errors import safe

KINDS = ["sources", "filters", "judges", "suites", "models", "runs", "store"]


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", required=False, shell_complete=completing.of_kind)
@click.option("--full", is_flag=True, help="Each with all that can be said of it: options, limits, defaults.")
@command
def list_(kind: str, name: str | None, full: bool, workspace: Path, as_json: bool) -> None:
    """List sources, filters, judges, suites, models or runs; or what the store holds, in bytes on the disk.

    With a NAME, all that can be said of that one: its options with limits, defaults, meaning and an example.
    """
    from runner import listing
    from runner.catalogue import catalogue

    if name is not None:
        rows = [listing.described(kind, name, workspace)]
    else:
        rows = listing.everything(kind, workspace) if full or as_json else catalogue(kind, workspace)
    if as_json:
        emit({kind: rows})
    elif name is not None or full:
        for n, row in enumerate(rows):
            click.echo(safe("\n".join([*([""] if n else []), *listing.text(kind, row)])))
    else:
        width = max([24, *(len(row["name"]) for row in rows)])
        for row in rows:
            click.echo(safe(f"{row['name']:<{width}}  {row['about']}".rstrip()))


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path), required=False)
@click.option("--online", is_flag=True, help="Try whether the hosts answer that the recipe will ask.")
@TRUST
@command
def doctor(recipe: Path | None, online: bool, trust: tuple[str, ...], workspace: Path, as_json: bool) -> int:
    """Say how this machine is: hardware, what is installed, the store, settings; and what RECIPE lacks here.

    Of tokens and keys only whether they are set. Exit code 3 where something is missing that the recipe needs.
    """
    from runner import doctor as doctors

    facts = doctors.doctor(workspace, settings_of(()), recipe, online=online, trust=trust)
    if as_json:
        emit(facts)
    else:
        click.echo(safe(doctors.text(facts)))
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
    from runner import library, reference
    from runner.schema import all_schemas, text
    from runner.wording import nearest

    schemas = all_schemas()
    if write:
        for file, body in schemas.items():
            (library.shelf("schemas") / file).write_text(text(body), encoding="utf-8")
        click.echo(f"{len(schemas)} schemas written to {library.shelf('schemas')}")
        if (docs := library.shelf("schemas").parent / "docs").is_dir():
            written = reference.write(docs / "reference", _all_verbs())
            click.echo(f"{written} pages written to {docs / 'reference'}")
        return
    file = f"{name}.schema.json"
    if file not in schemas:
        known = [k.removesuffix(".schema.json") for k in schemas]
        raise errors.UsageError(f"no schema {name!r}{nearest(name, known)}")
    click.echo(text(schemas[file]), nl=False)


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
