"""Verbs about packs: recipes for others, with all small files that they read."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from runner import api, errors
from runner.cli.common import ALLOW, RECIPE, TRUST, TRUST_STORE, command, emit, shown
from runner.cli.results import push_run
from runner.errors import safe

if TYPE_CHECKING:
    from runner.api.packs import Opened, Pack

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
    trust: Any,
    workspace: Path,
    as_json: bool,
) -> None:
    """Pack a recipe for others: with what it extends, the small files that it reads, its suites, its lock and a card.

    One OCI image layout; the same files make the same pack, to the byte, named by its digest. Nothing hidden goes
    along, no pickle, no code, no link, nothing that holds a secret of yours.
    """
    asked = _passphrase if sys.stdin.isatty() and not as_json else None
    with api.packs.packed(
        recipe, workspace, adapter=adapter, sign=sign, key=key, passphrase=asked, trust=trust
    ) as made:
        target = out or Path(f"{made.config.name}.oci.tar")
        api.packs.write(made, target)
        if as_json:
            emit({"pack": str(target), **_said(made)})
            return
        _list(made)
        click.echo(safe(f"pack: {shown(target)}"))
        click.echo(made.digest)


@click.command()
@click.argument("what", metavar="PACK|RECIPE|RUN")
@click.option(
    "--to", required=True, metavar="oci://HOST/NAME:TAG|FOLDER|FILE|URL|hub:OWNER/NAME", help="Where to."
)
@click.option(
    "--as",
    "form",
    type=click.Choice(("adapter", "merged")),
    help="Of a run: what to push to a hub. Default: adapter, or merged where all of the model was trained.",
)
@click.option("--private", is_flag=True, help="Of a run: make a new repository private.")
@click.option("--yes", is_flag=True, help="Of a run: push without asking.")
@click.option(
    "--licence-ok",
    is_flag=True,
    help="Push although licences forbid it, or of a run are not known: you know better.",
)
@ALLOW
@TRUST
@command
def push(
    what: str,
    to: str,
    form: Any,
    private: bool,
    yes: bool,
    licence_ok: bool,
    allow: tuple[str, ...],
    trust: Any,
    workspace: Path,
    as_json: bool,
) -> None:
    """Push a pack, or a recipe packed on the way, to a registry, a folder, a file, or what fsspec opens (s3://…); or a
    run's adapter or merged model to a hub.

    A registry's login is Docker's (`docker login`), which is shown to that registry alone. A hub's token is HF_TOKEN,
    or that of `hf auth login`; HF_ENDPOINT, or the setting hub_url, says which hub. What would go there is shown
    first, with its licence.
    """
    if to.startswith("hub:"):
        push_run(what, to, form, private, yes, licence_ok, workspace, as_json)
        return
    if form or private:
        raise errors.UsageError("--as and --private are of a run that goes to a hub: --to hub:OWNER/NAME")
    with api.packs.parcel(what, workspace, to=to, allow=allow, trust=trust) as made:
        if made.objections and not licence_ok:
            said = "; ".join(made.objections)
            raise errors.UsageError(f"not pushed: {said}. If you may all the same, say --licence-ok")
        if not as_json:
            _list(made)
        place = api.packs.push(made, to, allow=allow)
        if as_json:
            emit({"pushed": place, **_said(made)})
            return
        click.echo(safe(f"pushed: {place}"))
        click.echo(made.digest)


@click.command()
@click.argument("ref", metavar="REF")
@click.option(
    "--to", type=click.Path(path_type=Path), help="Folder to write; a new one. Without it nothing is written."
)
@click.option(
    "--keep", is_flag=True, help="Keep it in the workspace's store, so that recipes there can extend it."
)
@ALLOW
@TRUST_STORE
@command
def pull(
    ref: str, to: Path | None, keep: bool, allow: tuple[str, ...], workspace: Path, as_json: bool
) -> None:
    """Show what a packed recipe would do, and with --to write its files into a folder. Nothing of it is run.

    REF is oci://HOST/NAME:TAG or oci://HOST/NAME@sha256:…, a pack's file or folder, or an address that fsspec opens.
    All of it is checked before the folder is there: digests, sizes, names, and the recipe as `recipe check` does.
    """
    import msgspec

    seen: list[Opened] = []

    def show(pack: Opened) -> None:
        seen.append(pack)
        if not as_json:
            for line in api.packs.lines(pack):
                click.echo(safe(line.replace("\n", " ")))  # what a recipe says is no line of ours

    def tell(said: str) -> None:
        if not as_json:
            click.echo(safe(said), err=True)

    wrote = api.packs.pull(ref, to, workspace, keep=keep, allow=allow, show=show, tell=tell)
    pack = seen[0]
    if as_json:
        said = msgspec.to_builtins(pack.shown)
        done = {"folder": str(to) if to else None, "written": wrote, "kept": keep}
        emit({"pack": said, "pinned": pack.pinned or None, **done})
        return
    if pack.pinned and pack.pinned != ref:
        click.echo(safe(f"pinned: {pack.pinned}"))
    if keep:
        click.echo(safe(f"kept: a recipe may extend {pack.pinned or 'oci://HOST/NAME@' + pack.shown.digest}"))
    elif to is None:
        click.echo("nothing was written: --to FOLDER takes it in")
    if to is None:
        return
    how = "written" if wrote else "there already, just as it was packed"
    go_on = f"cd {quote(shown(to))} && recipe check {quote(pack.config.recipe)}"  # a stranger chose that name
    click.echo(safe(f"{shown(to)}: {how}; go on: {go_on}"))


def _passphrase() -> str:
    try:
        return str(click.prompt("Passphrase of the key", hide_input=True, err=True))
    except click.Abort:
        raise errors.UsageError("nothing was packed") from None


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
    width = max(len(f.name) for f in made.contents.files)
    for file in made.contents.files:
        click.echo(safe(f"  {file.name:<{width}}  {api.common.size(file.size)}"))
    for name, sha256 in made.config.left_out.items():
        click.echo(safe(f"too large to go along; its card says so: {name} (sha256 {sha256})"))
    if made.signed_by:
        click.echo(f"signed by the key {made.signed_by[:16]}…")
