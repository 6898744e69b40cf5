"""Verbs about what came of a run: export, and push to a hub, which is an act of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import api
from runner.cli.common import TRUST_STORE, command, emit, shown
from runner.errors import safe

if TYPE_CHECKING:
    from runner.api.results import Parcel, Target

FORMS = ("adapter", "merged", "gguf", "run")
RUN = click.argument("run_name", metavar="RUN")


@click.command()
@RUN
@click.option("--to", type=click.Path(path_type=Path), required=True, help="Folder to write; a new one.")
@click.option(
    "--as",
    "form",
    type=click.Choice(FORMS),
    help="What to write. Default: adapter, or merged where all of the model was trained.",
)
@click.option(
    "--type",
    "weights",
    type=click.Choice(["bf16", "f16", "q8_0"]),
    default="bf16",
    help="Of a GGUF file: its weights. Default: bf16.",
)
@TRUST_STORE
@command
def export(run_name: str, to: Path, form: Any, weights: Any, workspace: Path, as_json: bool) -> None:
    """Write a run's result as a folder of its own: the adapter, the merged model, or a GGUF file; or, as `run`, the
    recipe with its lock and all that it reads, for another team to run.

    Each has its model card and licence notes. The folder is whole or not there, and never takes the place of one that
    was not exported from here.
    """
    if form == "run":
        _whole(run_name, to, workspace, as_json)
        return
    run = api.results.trained(run_name, workspace)
    form = form or api.results.form_of(run)

    def tell(what: str) -> None:
        if not as_json:
            click.echo(safe(what), err=True)

    done = api.results.export(run, to, form, weights, tell)
    if as_json:
        files = [{"name": name, "bytes": many} for name, many in done.files]
        emit({"run": run.name, "as": form, "folder": str(done.folder), "files": files, "proof": done.proof})
        return
    _list(done.files)
    click.echo(safe(f"{form}: {shown(done.folder)}"))


def _whole(run_name: str, to: Path, workspace: Path, as_json: bool) -> None:
    done = api.results.export_run(run_name, to, workspace)
    if as_json:
        files = [{"name": name, "bytes": many} for name, many in done.files]
        left = [{"name": name, "sha256": sha256} for name, sha256 in done.left_out]
        emit({"run": run_name, "as": "run", "folder": str(done.folder), "files": files, "left_out": left})
        return
    _list(done.files)
    for name, sha256 in done.left_out:
        click.echo(safe(f"too large to go along; put it there yourself: {name} (sha256 {sha256})"))
    click.echo(safe(f"run: {shown(done.folder)}"))


def push_run(
    run_name: str,
    to: str,
    form: Any,
    private: bool,
    yes: bool,
    licence_ok: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Push a run's adapter or merged model to a hub, after showing what would go where, under which licence: the part
    of the verb `push` that is about runs (packing.py has the other)."""

    def agreed(parcel: Parcel, target: Target, objections: list[str]) -> bool:
        if not as_json:
            _list(parcel.files)
            for said in objections:
                click.echo(safe(f"licences: {said}"), err=True)
            click.echo(safe(f"to: {target.said}"))
            click.echo(safe(f"licence: {parcel.licence}"))
        return yes or _agreed()

    run = api.results.trained(run_name, workspace)
    form = form or api.results.form_of(run)
    can_agree = yes or (not as_json and _asks())
    url, parcel, target = api.results.push(
        run, to, form, private=private, licence_ok=licence_ok, agreed=agreed if can_agree else None
    )
    if as_json:
        files = [{"name": name, "bytes": many} for name, many in parcel.files]
        emit({"run": run.name, "as": form, "repository": target.repository, "url": url, "files": files})
        return
    click.echo(safe(f"pushed: {url}"))


def _asks() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def _agreed() -> bool:
    try:
        return click.confirm("Push?")
    except click.Abort:
        return False


def _list(files: list[tuple[str, int]]) -> None:
    width = max(len(name) for name, _ in files)
    for name, many in files:
        click.echo(safe(f"  {name:<{width}}  {api.common.size(many)}"))
