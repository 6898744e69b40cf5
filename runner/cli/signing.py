"""Verbs about who wrote a folder: sign, and verify."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from runner import errors
from runner.cli.common import command, emit, settings_of, shown
from runner.errors import safe

DIFFERS = 1
FOLDER = click.argument("folder", type=click.Path(path_type=Path))
PASSPHRASE = "MIREPOIX_SIGNING_PASSPHRASE"


@click.command()
@FOLDER
@click.option(
    "--key", type=click.Path(path_type=Path), help="Private key, in PEM. Default: the setting signing_key."
)
@command
def sign(folder: Path, key: Path | None, workspace: Path, as_json: bool) -> int:
    """Sign all files of a folder that was exported, with a key of yours: writes FOLDER/model.sig.

    A passphrase is asked for in a terminal, or is the setting signing_passphrase (MIREPOIX_SIGNING_PASSPHRASE). Nothing
    is sent anywhere.
    """
    from runner.results import signing

    settings = settings_of(())
    key = key or (Path(settings["signing_key"]).expanduser() if settings["signing_key"] else None)
    if key is None:
        raise errors.UsageError("whose signature? say --key KEY.pem, or set signing_key")

    def passphrase() -> str:
        said = settings["signing_passphrase"]
        if not said and (as_json or not sys.stdin.isatty()):
            raise errors.UsageError(f"the key has a passphrase: set {PASSPHRASE}, or sign in a terminal")
        try:
            return said or str(click.prompt("Passphrase of the key", hide_input=True, err=True))
        except click.Abort:
            raise errors.UsageError("nothing was signed") from None

    done = signing.sign(folder, key, passphrase)
    if as_json:
        emit({"folder": str(folder), "signature": signing.NAME, "key": done.key, "files": done.files})
        return errors.OK
    click.echo(
        safe(f"{shown(folder / signing.NAME)}: {_many(done.files)} signed by the key {done.key[:16]}…")
    )
    return errors.OK


@click.command()
@FOLDER
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, help="Public key of whoever signed it, in PEM."
)
@command
def verify(folder: Path, key: Path, workspace: Path, as_json: bool) -> int:
    """Whether a folder is, file by file, what the owner of a key signed; exit code 1 where it is not."""
    from runner.results import signing

    done = signing.verify(folder, key)
    code = errors.OK if done.holds else DIFFERS
    if as_json:
        faults = [msgspec.to_builtins(f) for f in done.faults]
        emit({"ok": done.holds, "exit": code, "key": done.key, "files": done.files, "faults": faults})
        return code
    for fault in done.faults:
        click.echo(safe(f"{fault.name} {fault.what}"), err=True)
    if done.holds:
        click.echo(safe(f"{shown(folder)}: {_many(done.files)} as signed by the key {done.key[:16]}…"))
    else:
        used = any(fault.name.startswith(".mirepoix/") for fault in done.faults)
        why = " (a run leaves files in its workspace: verify a folder before it is run in)" if used else ""
        click.echo(safe(f"{shown(folder)} is not what the key {done.key[:16]}… signed{why}"), err=True)
    return code


def _many(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"
