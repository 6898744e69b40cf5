"""The verb report: what a run came to, or all runs in a browser."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from runner import ending, errors, paths
from runner.cli.common import command, emit
from runner.errors import safe


@click.command()
@click.argument("run_name", metavar="[RUN]", required=False)
@click.option(
    "--serve", is_flag=True, help="Show all runs in a browser, on this machine only, while they go on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="With --serve: on 127.0.0.1. Default: a free one.",
)
@command
def report(run_name: str | None, serve: bool, port: int | None, workspace: Path, as_json: bool) -> int:
    """Say where a run's report is, and its verdict; or serve the reports of all runs.

    With --serve, all runs of the workspace are listed, compared and watched at an address of this machine, until
    Ctrl-C. With --json, one line says the address.
    """
    if serve:
        return _serve(run_name, port or 0, workspace, as_json)
    if port is not None:
        raise errors.UsageError("--port is for --serve")
    if run_name is None:
        raise errors.UsageError("name a run, or say --serve to see all in a browser")
    return _say(run_name, workspace, as_json)


def _say(run_name: str, workspace: Path, as_json: bool) -> int:
    path = workspace / "runs" / run_name / "report.json"
    if not path.is_file() or Path(run_name).name != run_name:
        raise _no_run(run_name, workspace)
    try:
        data = paths.read_json(path)
        lines = [f"{g['verdict']:<12}  {g['gate']}  {g['why']}".rstrip() for g in data["gates"]]
    except (ValueError, KeyError, TypeError):
        raise errors.UsageError(f"{path} is no report; run the recipe again") from None
    if as_json:
        emit(data)
        return errors.OK
    for line in lines:
        click.echo(safe(line))
    click.echo(f"report: {path.with_suffix('.html')}")
    return errors.OK


def _no_run(name: str, workspace: Path) -> errors.UsageError:
    from runner.catalogue import NO_REPORT, catalogue
    from runner.wording import nearest

    known = {r["name"]: r["about"] for r in catalogue("runs", workspace)}
    if name in known:
        what = f"the run {name!r} has no report yet: it was not run to its end"
        return errors.UsageError(f"{what}; recipe run, with its recipe, goes on with it")
    reported = [run for run, about in known.items() if about != NO_REPORT]
    return errors.UsageError(f"no report of a run {name!r}{nearest(name, reported or known)}")


def _serve(run_name: str | None, port: int, workspace: Path, as_json: bool) -> int:
    from runner.watching import runs
    from runner.watching.server import serving

    if run_name is not None and runs.find(workspace, run_name) is None:
        raise _no_run(run_name, workspace)
    try:
        with serving(workspace, port) as there:
            url = there.url + (f"runs/{run_name}" if run_name else "")
            if as_json:
                click.echo(json.dumps({"url": url, "port": there.port, "runs": runs.names(workspace)}))
            else:
                click.echo(safe(f"{url} shows the runs of {workspace.resolve()}; Ctrl-C ends it"))
            while True:
                time.sleep(0.2)
    except (KeyboardInterrupt, ending.Ended) as e:
        ending.say("ended")
        return ending.code(e)
