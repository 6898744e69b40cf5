"""Finished runs: where they lie, what they came to, and every number with its interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct, ValidationError, convert, field

from runner.api.common import Name, folder_of, told
from runner.api.tables import number, table
from runner.errors import GATE_FAILED, INCONCLUSIVE, OK, StepError, UsageError


class Estimate(Struct, frozen=True):
    """One number of one arm: `value`, None where nothing was scored, and its 95% interval, `low` to `high`.

    `n` prompts were scored and `missing` could not be. `mde` is the smallest true difference that so many would show in
    four of five runs. `unit` is that of the metric: "share" (0 to 1), or what it counts; `better` is "higher", "lower"
    or None.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    missing: int = 0
    mde: float | None = None
    unit: str = ""
    better: str | None = None

    def __str__(self) -> str:
        return number(self.value, self.low, self.high)


class Difference(Struct, frozen=True):
    """What the tuned arm has more than another one, paired by prompt; `p` is that of no difference, as `test` says."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    missing: int = 0
    p: float | None = None
    test: str = ""
    mde: float | None = None

    def __str__(self) -> str:
        return number(self.value, self.low, self.high, "+")


class Gate(Struct, frozen=True):
    """One gate: `verdict` is pass, fail or inconclusive, by its interval; `counts` what the recipe makes of it. `why`
    says so in words where it is no pass."""

    gate: str
    verdict: str
    counts: str
    why: str = ""
    metric: str = ""
    value: float | None = None
    threshold: float | None = None
    low: float | None = None
    high: float | None = None


class _Metric(Struct):
    metric: str
    unit: str = ""
    better: str | None = None
    arms: dict[str, Estimate] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)


class _Suite(Struct):
    name: str
    metrics: list[_Metric] = field(default_factory=list)


class _Report(Struct):
    exit: str
    gates: list[Gate] = field(default_factory=list)
    suites: list[_Suite] = field(default_factory=list)


@dataclass(frozen=True)
class Data:
    """Files that a run leaves of its data. Those of a run that did not come so far are not there."""

    train: Path
    validation: Path
    ledger: Path
    """Parquet, a row for every input row: what became of it, by what, and why."""
    card: Path


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run: `folder` is `runs/NAME/` of its workspace, absolute.

    `report` is its page, None where the run did not come to its report. `executed` and `kept` count the steps that this
    call made, and that it took from the store; `paid` is what a model wrote for each source, in tokens and cost;
    `engine` says where work was done: "local", or "ray" and on what cluster, in words ("" of a run that was opened);
    `not_put` says what could not be put into the artifact store, and why ("" where nothing was left).
    """

    name: str
    workspace: Path
    folder: Path
    report: Path | None
    executed: int = 0
    kept: int = 0
    paid: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    engine: str = ""
    not_put: str = ""

    @property
    def data(self) -> Data:
        """Where its data lie."""
        at = self.folder
        return Data(
            at / "data/train.jsonl", at / "data/validation.jsonl", at / "ledger.parquet", at / "data-card.md"
        )

    @cached_property
    def facts(self) -> dict[str, Any]:
        """report.json, whole: its shape is that of docs/evaluation.md. {} where there is no report. Raises UsageError
        where it is none."""
        if self.report is None:
            return {}
        from runner import paths

        path = self.report.with_name("report.json")
        try:
            data = paths.read_json(path)
        except (OSError, ValueError):
            data = None
        if not isinstance(data, dict):
            raise UsageError(f"{path} is no report; run the recipe again")
        return data

    @cached_property
    def _known(self) -> _Report:
        try:
            return _Report("") if self.report is None else convert(self.facts, _Report, strict=False)
        except ValidationError as e:
            where = self.folder / "report.json"
            raise UsageError(f"{where} is no report of this version ({e}); run the recipe again") from None

    @property
    def verdict(self) -> str:
        """What the gates come to: pass, "gate failed", inconclusive, or "no gates"; "" before there is a report."""
        return self._known.exit

    @property
    def gates(self) -> list[Gate]:
        return self._known.gates

    @property
    def failed_gates(self) -> list[str]:
        """Why, of each gate that counts as failed."""
        return [g.why for g in self.gates if g.counts == "fail"]

    @property
    def inconclusive_gates(self) -> list[str]:
        """Why, of each gate that stays open."""
        return [g.why for g in self.gates if g.counts == "inconclusive"]

    @property
    def exit(self) -> int:
        """What `recipe run` exits with: 0, 1 where a gate failed, 3 where none did and something could not be put into
        the artifact store, 5 where all was and a gate is inconclusive."""
        if self.failed_gates:
            return GATE_FAILED
        if self.not_put:
            return StepError.exit_code
        return INCONCLUSIVE if self.inconclusive_gates else OK

    @cached_property
    def metrics(self) -> dict[str, dict[str, Estimate]]:
        """Arm → metric → number: `run.metrics["tuned"]["tool_use.valid_call"].value`."""
        out: dict[str, dict[str, Estimate]] = {}
        for m in self._metrics():
            for arm, one in m.arms.items():
                out.setdefault(arm, {})[m.metric] = _of(one, m)
        return out

    @cached_property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """Arm → metric → what the tuned model has more than that arm: `run.differences["base"][…]`."""
        out: dict[str, dict[str, Difference]] = {}
        for m in self._metrics():
            for arm, one in m.differences.items():
                out.setdefault(arm, {})[m.metric] = one
        return out

    def _metrics(self) -> list[_Metric]:
        return [m for suite in self._known.suites for m in suite.metrics]

    def rows(self) -> list[dict[str, Any]]:
        """Every number as a row of plain values, for a data frame: arm, metric, value, low, high, n, missing, unit."""
        keys = ("value", "low", "high", "n", "missing", "unit")
        return [
            {"arm": arm, "metric": name} | {key: getattr(one, key) for key in keys}
            for arm, metrics in self.metrics.items()
            for name, one in metrics.items()
        ]

    def __repr__(self) -> str:
        return f"<Run {self.name}: {self.verdict or 'no report yet'}>"

    def _repr_html_(self) -> str:
        arms = list(self.metrics)
        names = dict.fromkeys(name for arm in arms for name in self.metrics[arm])
        rows = [(name, *(self.metrics[arm].get(name, "") for arm in arms)) for name in names]
        gates = table(("gate", "verdict", "why"), [(g.gate, g.verdict, g.why) for g in self.gates])
        return table(("metric", *arms), rows, repr(self)[1:-1]) + (gates if self.gates else "")


def _of(one: Estimate, metric: _Metric) -> Estimate:
    return Estimate(one.value, one.low, one.high, one.n, one.missing, one.mde, metric.unit, metric.better)


@told
def open_run(name: str, workspace: Name = ".") -> Run:
    """A run of that name, as its folder says. Raises UsageError where there is none, with the nearest that is."""
    from runner.catalogue import run_folder

    root = folder_of(workspace)
    folder = run_folder(name, root.resolve())
    page = folder / "report.html"
    found = Run(name, root.resolve(), folder, page if (folder / "report.json").is_file() else None)
    _ = found.verdict  # a report that is none is told of now
    return found
