"""What follows from a difference: the steps that run anew, what is fetched anew, and the forecast of either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner.diffing.sides import Side
from runner.forecast import cpu, forecast
from runner.forecast.cpu import Tell
from runner.status import why
from runner.store import Store


@dataclass(frozen=True)
class Anew:
    """A step of the second side that the first one's artifact cannot stand for; `made`: this workspace has it."""

    step: str
    stage: str
    why: str
    made: bool


@dataclass(frozen=True)
class Steps:
    """All steps of the second side, and those that only the first one has."""

    anew: tuple[Anew, ...]
    stay: tuple[str, ...]
    gone: tuple[str, ...]
    fetches: tuple[str, ...]
    """Sources that ask the network for something else."""


def steps(a: Side, b: Side) -> Steps:
    store = Store(b.plan.workspace.root, shown=True)
    old, before = a.steps, {s.name: s.ingredients for s in a.plan.steps}
    anew, stay, changed = [], [], set[str]()
    for step in b.plan.steps:
        if old.get(step.name) == step.fingerprint:
            stay.append(step.name)
            continue
        changed.add(step.name)
        told = why(step, before[step.name], changed) if step.name in before else "new"
        made = store.get(step.fingerprint, verify=False) is not None
        anew.append(Anew(step.name, step.stage, told, made))
    here = {s.name for s in b.plan.steps}
    fetches = [name for name, asked in b.requests.items() if a.requests.get(name) != asked]
    return Steps(tuple(anew), tuple(stay), tuple(n for n in old if n not in here), tuple(fetches))


@dataclass(frozen=True)
class Row:
    """One figure of both forecasts; None where it is not known. `unit` is rows, tokens, steps, bytes, seconds, US$."""

    name: str
    unit: str
    a: float | None
    b: float | None

    @property
    def change(self) -> float | None:
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class Forecasts:
    """`a` and `b` as `recipe plan --json` gives them, None for a recipe without a model."""

    a: dict[str, Any] | None
    b: dict[str, Any] | None

    @property
    def fits(self) -> tuple[tuple[str, bool, bool], ...]:
        """Machines that one of the two fits and the other does not: which one, and whether each does."""
        one, two = ({m["name"]: m["fits"] for m in (f["machines"] if f else ())} for f in (self.a, self.b))
        both = [(name, one[name], two[name]) for name in one if name in two]
        return tuple((n, a, b) for n, a, b in both if a != b and None not in (a, b))

    @property
    def rows(self) -> tuple[Row, ...]:
        """The figures that at least one side knows, the same ones of both beside each other."""
        out = []
        for name, unit, keys in _FIGURES:
            out.append(Row(name, unit, _at(self.a, keys), _at(self.b, keys)))
        machines = [{m["name"]: m for m in (f["machines"] if f else ())} for f in (self.a, self.b)]
        for name in dict.fromkeys([*machines[0], *machines[1]]):
            for what, unit in (("seconds", "seconds"), ("cost_usd", "US$")):
                row = [m.get(name, {}).get(what) for m in machines]
                out.append(Row(f"on {name}", unit, row[0], row[1]))
        return tuple(row for row in out if row.a is not None or row.b is not None)


_FIGURES = (
    ("rows trained", "rows", ("rows", "train")),
    ("rows held out", "rows", ("rows", "validation")),
    ("tokens trained", "tokens", ("tokens", "train")),
    ("epochs", "epochs", ("epochs",)),
    ("steps", "steps", ("steps",)),
    ("parameters trained", "parameters", ("trainable_parameters",)),
    ("memory at its peak", "bytes", ("memory", "bytes")),
    ("disk", "bytes", ("disk", "bytes")),
)


def _at(said: dict[str, Any] | None, keys: tuple[str, ...]) -> float | None:
    value: Any = said
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, int | float) else None


def forecasts(a: Side, b: Side, gpu: str | None, tell: Tell) -> Forecasts:
    with cpu.shared():
        found = [forecast(side.plan, gpu, tell) for side in (a, b)]
    return Forecasts(*(f.data() if f else None for f in found))
