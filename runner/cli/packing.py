"""Verbs about packs: recipes for others, with all small files that they read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import errors
from runner.cli.common import RECIPE, TRUST, command, emit, settings_of, shown
from runner.errors import safe

if TYPE_CHECKING:
    from runner.packs.packing import Pack

KEY = click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="Private key to sign with, in PEM. Default: the setting signing_key.",
)


@click.command()
@RECIPE
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="FILE.oci.tar, or a folder. Default: NAME.oci.tar in the current folder.",
)
@click.option("--adapter", metavar="RUN", default="", help="Take along the adapter that a run trained.")
@click.option("--sign", is_flag=True, help="Sign the pack, with a key as `recipe sign` takes one.")
@KEY
@TRUST
@command
def pack(
    recipe: Path,
    out: Path | None,
    adapter: str,
    sign: bool,
    key: Path | None,
    trust: tuple[str, ...],
    workspace: Path,
    as_json: bool,
) -> None:
    """Pack a recipe for others: with what it extends, the small files that it reads, its suites, its lock and a card.

    One OCI image layout; the same files make the same pack, to the byte, named by its digest. Nothing hidden goes
    along, no pickle, no code, no link, nothing that holds a secret of yours.
    """
    from runner.packs import packing

    settings = settings_of(())
    signer = packing.signer(key, settings, _passphrase(as_json)) if sign or key else None
    with packing.packed(
        recipe, workspace, settings, adapter=adapter, signer=signer, trust=frozenset(trust)
    ) as made:
        target = out or Path(f"{made.config.name}.oci.tar")
        packing.write(made, target)
        if as_json:
            emit({"pack": str(target), **_said(made)})
            return
        _list(made)
        click.echo(safe(f"pack: {shown(target)}"))
        click.echo(made.digest)


def _passphrase(as_json: bool) -> Callable[[], str]:
    def asked() -> str:
        if as_json or not sys.stdin.isatty():
            what = "the key has a passphrase: set MIREPOIX_SIGNING_PASSPHRASE, or sign in a terminal"
            raise errors.UsageError(what)
        try:
            return str(click.prompt("Passphrase of the key", hide_input=True, err=True))
        except click.Abort:
            raise errors.UsageError("nothing was packed") from None

    return asked


def _said(made: Pack) -> dict[str, Any]:
    return {
        "digest": made.digest,
        "name": made.config.name,
        "recipe": made.config.recipe,
        "files": {f.name: f.size for f in made.contents.files},
        "left_out": made.config.left_out,
        "signed_by": made.signed_by or None,
    }


def _list(made: Pack) -> None:
    from runner.results.folder import size

    width = max(len(f.name) for f in made.contents.files)
    for file in made.contents.files:
        click.echo(safe(f"  {file.name:<{width}}  {size(file.size)}"))
    for name, sha256 in made.config.left_out.items():
        click.echo(safe(f"too large to go along; its card says so: {name} (sha256 {sha256})"))
    if made.signed_by:
        click.echo(f"signed by the key {made.signed_by[:16]}…")
