"""Verbs about what there is: list, doctor, schema."""

from __future__ import annotations

from pathlib import Path

import click

from runner import errors
from runner.cli.common import command, emit, settings_of
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
@command
def doctor(workspace: Path, as_json: bool) -> None:
    """Say what is installed, what hardware there is, and which settings are in force."""
    from runner import doctor as doctors

    facts = doctors.doctor(workspace, settings_of(()))
    if as_json:
        emit(facts)
    else:
        click.echo(safe(doctors.text(facts)))


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
