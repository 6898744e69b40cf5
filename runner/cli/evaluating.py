"""The verb evaluate: a model that no recipe made, or a run's, on suites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner import api
from runner.cli.common import ALLOW, PROFILE, TRUST_STORE, command, emit, shown
from runner.errors import safe


@click.command()
@click.argument("model", metavar="MODEL")
@click.option(
    "--suite", "suites", metavar="NAME", multiple=True, required=True, help="A suite; several with several."
)
@click.option(
    "--engine",
    type=click.Choice(["transformers", "vllm"]),
    default="transformers",
    help="What answers the probes. Default: transformers.",
)
@click.option("--endpoint", metavar="NAME", help="MODEL is what this endpoint of your settings calls it.")
@click.option(
    "--system", metavar="TEXT", help="System message of probes that have none. Default: a run's own."
)
@click.option(
    "--name", metavar="RUN", help="The run's name. Default: made of MODEL's last part and a digest of it."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=17, show_default=True)
@ALLOW
@PROFILE
@TRUST_STORE
@command
def evaluate(
    model: str,
    suites: tuple[str, ...],
    engine: Any,
    endpoint: str | None,
    system: str | None,
    name: str | None,
    seed: int,
    allow: tuple[str, ...],
    profile: Any,
    workspace: Path,
    as_json: bool,
) -> int:
    """Judge MODEL on suites: a folder, a hub id that is here already, a run, or what an endpoint serves.

    A run's result is judged beside its base. Each metric is printed with its 95% interval; the report is a run of the
    workspace, which `recipe compare` takes too. What was answered before is not asked again.
    """
    done = api.evaluating.evaluate(
        model,
        suites,
        engine=engine,
        endpoint=endpoint,
        system=system,
        name=name,
        seed=seed,
        profile=profile,
        progress=not as_json,
        allow=allow,
        workspace=workspace,
    )
    report, code = str(done.report), done.exit
    if as_json:
        emit(
            {
                "ok": not code,
                "exit": code,
                "run": str(done.folder),
                "report": report,
                "suites": done.facts["suites"],
                "not_put": done.not_put,
            }
        )
        return code
    for line in lines([m for suite in done.facts["suites"] for m in suite["metrics"]]):
        click.echo(safe(line))
    click.echo(f"report: {shown(done.report) if done.report else '-'}")
    if done.not_put:
        click.echo(safe(f"error: artifact_store: {done.not_put}"), err=True)
    return code


def lines(metrics: list[dict[str, Any]]) -> list[str]:
    """Each metric of each arm on a line, with its interval, how many prompts it is of, and how many are missing."""
    rows = [(m["metric"], arm, cell) for m in metrics for arm, cell in m["arms"].items()]
    wide = max((len(name) for name, _, _ in rows), default=0)
    arms = max((len(arm) for _, arm, _ in rows), default=0)
    return [f"{name:<{wide}}  {arm:<{arms}}  {_cell(cell)}" for name, arm, cell in rows]


def _cell(cell: dict[str, Any]) -> str:
    value, low, high = (cell.get(key) for key in ("value", "low", "high"))
    if value is None:
        return f"nothing was scored ({cell.get('missing') or 0} missing)"
    spread = f" [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
    missing = f", {cell['missing']} missing" if cell.get("missing") else ""
    return f"{value:.4f}{spread}  n = {cell['n']}{missing}"
