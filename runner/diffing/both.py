"""Two sides, and all in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from runner import locking
from runner.diffing.ahead import Forecasts, Steps, forecasts, steps
from runner.diffing.changes import Change, changes
from runner.diffing.files import FileChange, files
from runner.diffing.named import Asked, Names
from runner.diffing.sides import Side, together
from runner.errors import MirepoixError
from runner.forecast.cpu import Tell
from runner.hardware import Profile
from runner.locking import Drift
from runner.settings import Settings
from runner.settings import load as load_settings
from runner.workspace import Workspace


@dataclass(frozen=True)
class Diff:
    """Two sides, and all in which they differ. `drifts` are versions, and what was fetched: of runs, or beside one."""

    a: Side
    b: Side
    changes: tuple[Change, ...]
    files: tuple[FileChange, ...]
    drifts: tuple[Drift, ...]
    steps: Steps
    forecasts: Forecasts

    @property
    def same(self) -> bool:
        return not (self.changes or self.files or self.drifts)


def diff(
    first: str,
    second: str | None,
    place: Workspace,
    *,
    settings: Settings | None = None,
    profile: Profile | None = None,
    gpu: str | None = None,
    tell: Tell = lambda _: None,
) -> Diff:
    """From `first` to `second`; of one name alone, from what was before it (`Names.before`) to it.

    Raises RecipeError with the problems of both sides, UsageError for what means nothing here, NeedsTrust.
    """
    with ExitStack() as stack:
        names = Names(place, profile, settings or load_settings(), stack)
        looked = names.look(first)
        if second is None:
            before = names.before(looked)
            one, two = (looked, before) if looked.revision else (before, looked)
        else:
            one, two = looked, names.look(second)
        a, b = _both(names, names.beside(one, two), names.beside(two, one))
        return _compared(a, b, gpu, tell)


def _both(names: Names, one: Asked, two: Asked) -> tuple[Side, Side]:
    made: list[Side] = []
    wrong: list[MirepoixError] = []
    for asked in (one, two):
        try:
            made.append(names.side(asked))
        except MirepoixError as e:
            wrong.append(e)
    if wrong:
        raise together(*wrong)
    return made[0], made[1]


def _compared(a: Side, b: Side, gpu: str | None, tell: Tell) -> Diff:
    found = changes(a.values, b.values)
    if not (a.planned and b.planned):
        nothing = Steps((), (), (), ()), Forecasts(None, None)
        return Diff(a, b, tuple(found), (), (), *nothing)
    read = files(a, b)
    drifts = _drifts(a, b, {c.key for c in found})
    some = found or read or drifts
    ahead = forecasts(a, b, gpu, tell) if some else Forecasts(None, None)
    return Diff(a, b, tuple(found), tuple(read), tuple(drifts), steps(a, b), ahead)


def _drifts(a: Side, b: Side, changed: set[str]) -> Sequence[Drift]:
    """What a lock knows beside recipe and files. Versions of what only one side uses follow from its recipe."""
    if a.lock is None or b.lock is None:
        return []
    out = []
    for one in locking.between(a.lock, b.lock):
        both = one.locked is not None and one.there is not None
        if one.kind in ("packages", "plugins", "steps", "tools", "datasets"):
            out += [one] if both else []
        elif one.kind == "fetched":
            source = one.name.partition(":")[0]
            out += [one] if a.requests.get(source) == b.requests.get(source) else []
        elif one.kind == "model" and not changed & {"model", "model.base", "model.revision"}:
            out.append(one)
    return out
