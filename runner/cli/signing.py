"""Verbs about who wrote a folder: sign, and verify."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from runner import api, errors
from runner.cli.common import command, emit, shown
from runner.errors import safe

DIFFERS = 1
FOLDER = click.argument("folder", type=click.Path(path_type=Path))


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
    there_is_somebody = sys.stdin.isatty() and not as_json
    done = api.signing.sign(folder, key, _passphrase if there_is_somebody else None)
    name = api.signing.SIGNATURE
    if as_json:
        emit({"folder": str(folder), "signature": name, "key": done.key, "files": done.files})
        return errors.OK
    click.echo(safe(f"{shown(folder / name)}: {_many(done.files)} signed by the key {done.key[:16]}…"))
    return errors.OK


def _passphrase() -> str:
    try:
        return str(click.prompt("Passphrase of the key", hide_input=True, err=True))
    except click.Abort:
        raise errors.UsageError("nothing was signed") from None


@click.command()
@FOLDER
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, help="Public key of whoever signed it, in PEM."
)
@command
def verify(folder: Path, key: Path, workspace: Path, as_json: bool) -> int:
    """Whether a folder is, file by file, what the owner of a key signed; exit code 1 where it is not."""
    done = api.signing.verify(folder, key)
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
