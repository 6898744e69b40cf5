"""Runs against each other, prompt by prompt, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import convert

from runner.api.common import Name, told
from runner.api.runs import Difference, Estimate, Run
from runner.api.tables import table
from runner.errors import UsageError


@dataclass(frozen=True)
class Compared:
    """One metric of two runs. `difference` is what the second has more than the first, paired by prompt.

    `verdict` is that of the second: better, worse, differs (where neither direction is better), "no clear difference",
    or "" where there is no interval. `part` is judge, lm-eval or perplexity.
    """

    suite: str
    part: str
    metric: str
    unit: str
    better: str | None
    first: Estimate
    second: Estimate
    difference: Difference
    verdict: str


@dataclass(frozen=True)
class Pair:
    """The first run and one other, as `RUN:ARM`. `apart` says of each part of a suite why it cannot be compared,
    `changed` has the prompts whose scores moved most, with both answers."""

    first: str
    second: str
    metrics: list[Compared]
    apart: list[str]
    notes: list[str]
    """What differs besides, and may change numbers a little; and what was forced."""
    changed: list[dict[str, Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """The first run with each other one. `data` is the same as plain data, what `recipe compare --json` prints."""

    pairs: list[Pair]
    data: dict[str, Any] = field(repr=False)

    def rows(self) -> list[dict[str, Any]]:
        """Every metric as a row of plain values, for a data frame."""
        return [
            {
                "first": pair.first,
                "second": pair.second,
                "suite": m.suite,
                "metric": m.metric,
                "first_value": m.first.value,
                "second_value": m.second.value,
                "difference": m.difference.value,
                "low": m.difference.low,
                "high": m.difference.high,
                "n": m.difference.n,
                "verdict": m.verdict,
            }
            for pair in self.pairs
            for m in pair.metrics
        ]

    def __repr__(self) -> str:
        said = ", ".join(f"{p.first} with {p.second}: {len(p.metrics)} metrics" for p in self.pairs)
        return f"<Comparison {said}>"

    def _repr_html_(self) -> str:
        head = ("metric", "first", "second", "difference", "n", "verdict")
        return "".join(
            table(
                head,
                [
                    (m.metric, m.first, m.second, m.difference, f"{m.difference.n:,}", m.verdict)
                    for m in p.metrics
                ],
                f"{p.first} with {p.second}",
            )
            for p in self.pairs
        )


@told
def compare(*runs: Run | str, force: bool = False, workspace: Name = ".") -> Comparison:
    """Compare two runs or more on the prompts that they share: the first with each other one.

    A run is a Run, or `NAME` or `NAME:ARM` in `workspace`; the arm is tuned where nothing is said. What differs
    between how two numbers came about is named; what is then not comparable is compared only with `force`.

    Raises UsageError where a run is not there, was not judged, or nothing can be compared.
    """
    from runner import comparing

    if len(runs) < 2:
        raise UsageError("name two runs or more: recipe compare RUN RUN (or RUN:base RUN)")
    sides = [
        comparing.find(one.name, one.workspace)
        if isinstance(one, Run)
        else comparing.find(one, Path(workspace))
        for one in runs
    ]
    found = comparing.compare(sides, force)
    pairs = [_pair(p) for p in found["pairs"]]
    if not any(p["suites"] for p in found["pairs"]):
        told = [one for p in pairs for one in p.apart]
        raise UsageError("\n".join(["nothing that can be compared", *map("  {}".format, told)]))
    return Comparison(pairs, found)


def _pair(found: dict[str, Any]) -> Pair:
    metrics, notes = [], []
    for suite in found["suites"]:
        for m in suite["metrics"]:
            unit, better = m["unit"], m["better"]
            first, second = (
                convert({**m["arms"][found[side]], "unit": unit, "better": better}, Estimate, strict=False)
                for side in ("first", "second")
            )
            difference = convert(m["difference"], Difference, strict=False)
            metrics.append(
                Compared(
                    suite["suite"],
                    suite["part"],
                    m["metric"],
                    unit,
                    better,
                    first,
                    second,
                    difference,
                    m["verdict"],
                )
            )
        notes += [f"{suite['suite']}: compared although this differs: {what}" for what in suite["forced"]]
    also = dict.fromkeys(what for suite in found["suites"] for what in suite["also_differs"])
    notes += [f"also differs: {what}" for what in also]
    return Pair(
        found["first"],
        found["second"],
        metrics,
        list(map(apart, found["not_comparable"])),
        notes,
        found["changed"],
    )


def apart(one: dict[str, Any]) -> str:
    """Why a part of a suite is not compared, on one line."""
    part = "" if one["part"] == "all" else f" ({one['part']})"
    return f"{one['suite']}{part}: {'; '.join(one['differs'])}"
