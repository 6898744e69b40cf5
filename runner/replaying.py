"""A run made again from its raw inputs, beside itself, and compared: the data by bytes, the verdict within its error.

It happens in a workspace of its own, `.mirepoix/replay/NAME/`: links to the inputs, the raw bytes that were fetched,
and no artifact of a step but those that stand for inputs, a base model and the data of lm-eval's tasks. So nothing is
taken from the store that is to be proved.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import lock as fetched_locks
from runner import locking, paths, run
from runner.errors import Locked, UsageError
from runner.locking import Drift
from runner.locking.drift import INPUTS
from runner.results.finished import DATA, Finished
from runner.runfolder import before
from runner.settings import Settings
from runner.stepping import Tell
from runner.steps import Plan, Step
from runner.store import Artifact, Store, digest, file_digest, place
from runner.workspace import Workspace

TAKEN = ("model", "task")
"""Kinds of steps whose artifacts are inputs: they are taken over, checked by their digests."""


@dataclass(frozen=True)
class Same:
    """One thing that was compared. `was` or `now` is None where it is not there."""

    name: str
    was: Any
    now: Any
    same: bool


@dataclass
class Replay:
    """`inputs` are those that are no longer what the run was made of: then nothing was made again. `versions` differ,
    too, but that alone is no failure. `first` is the first step whose files are others."""

    inputs: list[Drift] = field(default_factory=list)
    versions: list[Drift] = field(default_factory=list)
    data: list[Same] = field(default_factory=list)
    metrics: list[Same] = field(default_factory=list)
    first: str = ""
    kept: Path | None = None

    @property
    def same(self) -> bool:
        return not self.inputs and all(s.same for s in (*self.data, *self.metrics))


def replay(
    of: Finished,
    settings: Settings,
    *,
    verdict: bool = False,
    compare: bool = True,
    trust: frozenset[str] = frozenset(),
    shows: Callable[[Plan], Tell] = lambda plan: lambda event: None,
) -> Replay:
    """Make a run's data again, with `verdict` its evaluation, too (of the adapter that was trained).

    The workspace of the replay stays where something differs, or nothing was compared. Raises UsageError for what
    cannot be made again, Locked, and what a run raises.
    """
    store = Store(of.root)
    with store.trying(f"replay.{of.name}") as mine:
        if not mine:
            raise Locked(f"another replay of {of.name} is under way")
        scratch = store.folder("replay") / of.name
        paths.check(of.root, scratch)
        shutil.rmtree(scratch, ignore_errors=True)
        done = _replay(of, store, scratch, settings, verdict, compare, trust, shows)
        if done.same and compare:
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            done.kept = scratch
        return done


def _replay(
    of: Finished,
    store: Store,
    scratch: Path,
    settings: Settings,
    verdict: bool,
    compare: bool,
    trust: frozenset[str],
    shows: Callable[[Plan], Tell],
) -> Replay:
    done = Replay()
    gone = [] if "paths" in trust else list(locking.gone(of.lock, Workspace(of.root, frozenset({"paths"}))))
    if gone:
        done.inputs = gone
        return done
    here = of.plan(Workspace(of.root, trust))
    for drift in locking.drifts(of.lock, here, store):
        (done.inputs if drift.kind in INPUTS else done.versions).append(drift)
    if done.inputs:
        return done
    _bring(of, here, store, scratch)
    there = of.plan(Workspace(scratch, trust, frozenset({of.root})))
    if verdict:
        _trained(of, there, store, scratch)
    own = settings.without("artifact_store")  # it would be taken from there, and prove nothing
    run.run(there, to="report" if verdict else "prepare", tell=shows(there), settings=own)
    if compare:
        done.data = [_file(of.folder / n, scratch / "runs" / of.name / n, n) for n in DATA]
        done.first = _first(there, store, Store(scratch), before(here))
        if verdict:
            done.metrics = list(_metrics(of.folder, scratch / "runs" / of.name))
    return done


def _bring(of: Finished, here: Plan, store: Store, scratch: Path) -> None:
    """Make the workspace of the replay: links to files of the workspace, raw bytes, and what stands for inputs."""
    out = [n for n in locking.outside(here) if not Path(n).is_absolute()]
    if out:
        raise UsageError(
            f"{', '.join(out[:5])}: outside the workspace; only what lies in it can be read again under its name"
        )
    scratch.mkdir(parents=True)
    for name, path in locking.carried(here).items():
        if path.resolve() == (of.root / name).resolve() and not Path(name).is_absolute():
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path.resolve())
    mine = store.beget(scratch)
    for fetch in here.fetches:
        items = of.lock.fetched[fetch.source.name].items
        for item in items:
            if item.sha256:
                raw = fetched_locks.raw(store.root, item)
                if file_digest(raw) != item.sha256:
                    raise UsageError(
                        f"what {fetch.source.name} fetched is damaged ({item.key}); {of.again} --refresh"
                    )
                place(raw, fetched_locks.raw(mine.root, item))
        fetched_locks.write(mine.root, fetch.request, items)
    for step in here.steps:
        if step.kind in TAKEN:
            _take(step, store, mine)


def _take(step: Step, store: Store, mine: Store) -> Artifact | None:
    """Take over an artifact of the workspace, if it has it whole."""
    artifact = store.get(step.fingerprint)
    if artifact is not None:
        for name in (*artifact.manifest.files, "manifest.json"):
            place(artifact.path / name, mine.path(step.fingerprint) / name)
    return artifact


def _trained(of: Finished, there: Plan, store: Store, scratch: Path) -> None:
    """Take over what was trained: what a replay of the verdict asks."""
    if not (of.folder / "report.json").is_file():
        raise UsageError(
            f"the run {of.name!r} was not judged to its end, so there is no verdict to make again"
        )
    for step in there.steps:
        if step.stage == "train" and _take(step, store, Store(scratch)) is None:
            what = f"the store lacks {step.name} of {of.name!r} as this machine would make it"
            raise UsageError(f"{what} (are the versions those of the run?): {of.again}")


def _file(before: Path, now: Path, name: str) -> Same:
    was, found = (file_digest(p) if p.is_file() else None for p in (before, now))
    return Same(name, was, found, was is not None and was == found)


def _first(there: Plan, store: Store, mine: Store, last: dict[str, Any]) -> str:
    """The first step of prepare whose files are not those of the run, and which they are."""
    for step in there.steps:
        old = store.get(digest(last[step.name]), verify=False) if step.name in last else None
        new = mine.get(step.fingerprint, verify=False)
        if step.stage != "prepare" or old is None or new is None:
            continue
        a, b = old.manifest.files, new.manifest.files
        if differing := [n for n in sorted(a.keys() | b.keys()) if a.get(n) != b.get(n)]:
            return f"{step.name} ({', '.join(differing[:5])})"
    return ""


def _metrics(before: Path, now: Path) -> Iterator[Same]:
    """Each arm's number of each metric: the same where one of the two lies within the other's interval."""
    old, new = (_numbers(p / "report.json") for p in (before, now))
    for name in dict.fromkeys([*old, *new]):
        a, b = old.get(name), new.get(name)
        was, found = (None if x is None else x.get("value") for x in (a, b))
        yield Same(name, was, found, a is not None and b is not None and (_within(a, b) or _within(b, a)))


def _numbers(report: Path) -> dict[str, dict[str, Any]]:
    try:
        suites = json.loads(report.read_bytes())["suites"]
        return {
            f"{m['metric']} {arm}": x for s in suites for m in s["metrics"] for arm, x in m["arms"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{report} is no report; run the recipe again") from None


def _within(a: dict[str, Any], b: dict[str, Any]) -> bool:
    value = a.get("value")
    if value is None or value == b.get("value"):
        return bool(value == b.get("value"))
    low, high = b.get("low"), b.get("high")
    return low is not None and high is not None and bool(low <= value <= high)
