"""Verbs about what came of a run: export, and push to a hub, which is an act of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from runner import errors
from runner.cli.common import TRUST_STORE, command, emit, settings_of, shown
from runner.errors import safe

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
    "kind",
    type=click.Choice(["bf16", "f16", "q8_0"]),
    default="bf16",
    help="Of a GGUF file: its weights. Default: bf16.",
)
@TRUST_STORE
@command
def export(run_name: str, to: Path, form: Any, kind: str, workspace: Path, as_json: bool) -> None:
    """Write a run's result as a folder of its own: the adapter, the merged model, or a GGUF file; or, as `run`, the
    recipe with its lock and all that it reads, for another team to run.

    Each has its model card and licence notes. The folder is whole or not there, and never takes the place of one that
    was not exported from here.
    """
    from runner import results

    if form == "run":
        _whole(run_name, to, workspace, as_json)
        return
    run = results.find(run_name, workspace)
    form = form or ("merged" if run.facts.full else "adapter")

    def tell(what: str) -> None:
        if not as_json:
            click.echo(safe(what), err=True)

    done = results.export(run, to, form, kind, tell)
    if as_json:
        files = [{"name": name, "bytes": many} for name, many in done.files]
        emit({"run": run.name, "as": form, "folder": str(done.folder), "files": files, "proof": done.proof})
        return
    _list(done.files)
    click.echo(safe(f"{form}: {shown(done.folder)}"))


def _whole(run_name: str, to: Path, workspace: Path, as_json: bool) -> None:
    from runner.results.finished import finished
    from runner.results.whole import export_run

    done = export_run(finished(run_name, workspace), to, settings_of(()))
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
    from runner import results
    from runner.store import Store

    run = results.find(run_name, workspace)
    form = form or ("merged" if run.facts.full else "adapter")
    against = results.objections(run.facts)
    if against and not licence_ok:
        what = f"not pushed: {'; '.join(against)}. If you may all the same, say --licence-ok"
        raise errors.UsageError(what)
    if not yes and (as_json or not _asks()):
        raise errors.UsageError("a push needs your yes: say --yes, or run it in a terminal")
    target = results.target(to, settings_of(()), private)
    with tempfile.TemporaryDirectory(prefix="push-", dir=Store(workspace).folder()) as scratch:
        done = results.export(run, Path(scratch) / "result", form)
        (done.folder / "export.json").unlink()
        parcel = results.parcel(done.folder, run.facts, form)
        if not as_json:
            _list(parcel.files)
            for said in against:
                click.echo(safe(f"licences: {said}"), err=True)
            click.echo(safe(f"to: {target.said}"))
            click.echo(safe(f"licence: {parcel.licence}"))
        if not yes and not _agreed():
            raise errors.UsageError("nothing was pushed")
        url = results.send(parcel, target, f"{run.name}, {form}")
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
    from runner.results.folder import size

    width = max(len(name) for name, _ in files)
    for name, many in files:
        click.echo(safe(f"  {name:<{width}}  {size(many)}"))
