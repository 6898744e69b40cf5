"""Reports of runs: one of them as data, and all of them in a browser."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.api.common import Name, told
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.watching.server import Serving


@told
def report(run: str, workspace: Name = ".") -> tuple[Path, dict[str, Any]]:
    """report.json of a run: where it is, and what it says, which has `gates`. Raises UsageError where there is none."""
    from runner import paths
    from runner.catalogue import is_run

    path = Path(workspace) / "runs" / run / "report.json"
    if not is_run(run, Path(workspace), holds=path.name):
        raise _none(run, workspace)
    try:
        data = paths.read_json(path)
        _ = [(gate["verdict"], gate["gate"], gate["why"]) for gate in data["gates"]]
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no report; run the recipe again") from None
    return path, data


def _none(name: str, workspace: Name) -> UsageError:
    from runner.catalogue import NO_REPORT, catalogue
    from runner.wording import nearest

    known = {r["name"]: r["about"] for r in catalogue("runs", Path(workspace))}
    if name in known:
        what = f"the run {name!r} has no report yet: it was not run to its end"
        return UsageError(f"{what}; recipe run, with its recipe, goes on with it")
    reported = [run for run, about in known.items() if about != NO_REPORT]
    return UsageError(f"no report of a run {name[:200]!r}{nearest(name[:200], reported or known)}")


def names(workspace: Name = ".") -> list[str]:
    """The runs of a workspace."""
    from runner.watching import runs

    return runs.names(Path(workspace))


@told
def serving(workspace: Name = ".", port: int = 0, run: str | None = None) -> AbstractContextManager[Serving]:
    """A server on 127.0.0.1 that shows all runs of a workspace for as long as the block lasts: `.url`, `.port`.

    Raises UsageError where the `run` that is meant is not there.
    """
    from runner.watching import runs
    from runner.watching.server import serving as there

    if run is not None and runs.find(Path(workspace), run) is None:
        raise _none(run, workspace)
    return there(Path(workspace), port)
