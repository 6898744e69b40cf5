"""Verbs about what there is: list, doctor, schema."""

from __future__ import annotations

from pathlib import Path

import click

from runner import errors
from runner.cli.common import TRUST, command, emit, settings_of
from runner.errors import safe

KINDS = ["sources", "filters", "judges", "suites", "models", "runs", "store"]


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@command
def list_(kind: str, workspace: Path, as_json: bool) -> None:
    """List sources, filters, judges, suites, models or runs; or what the store holds, in bytes on the disk."""
    from runner.catalogue import catalogue

    rows = catalogue(kind, workspace)
    if as_json:
        emit({kind: rows})
        return
    for row in rows:
        click.echo(safe(f"{row['name']:<24}  {row['about']}".rstrip()))


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
