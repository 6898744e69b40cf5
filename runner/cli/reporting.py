"""The verb report: what a run came to, or all runs in a browser."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from runner import api, ending, errors
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
    path, data = api.reports.report(run_name, workspace)
    if as_json:
        emit(data)
        return errors.OK
    for gate in data["gates"]:
        click.echo(safe(f"{gate['verdict']:<12}  {gate['gate']}  {gate['why']}".rstrip()))
    click.echo(f"report: {path.with_suffix('.html')}")
    return errors.OK


def _serve(run_name: str | None, port: int, workspace: Path, as_json: bool) -> int:
    try:
        with api.reports.serving(workspace, port, run_name) as there:
            url = there.url + (f"runs/{run_name}" if run_name else "")
            if as_json:
                click.echo(json.dumps({"url": url, "port": there.port, "runs": api.reports.names(workspace)}))
            else:
                click.echo(safe(f"{url} shows the runs of {workspace.resolve()}; Ctrl-C ends it"))
            while True:
                time.sleep(0.2)
    except (KeyboardInterrupt, ending.Ended) as e:
        ending.say("ended")
        return ending.code(e)
