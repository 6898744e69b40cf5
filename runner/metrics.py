"""Scores of any number of arms → rows of the report: each arm's value with its interval, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from runner import stats
from runner.record import Score

TUNED = "tuned"
REACH = {"share": (0.0, 1.0), "score": (0.0, 1.0), "grade": (1.0, 5.0)}
"""Units that have a least and a most."""


@dataclass(frozen=True)
class Measured:
    """One metric of one suite. `scores` holds each arm's, in the order in which arms are shown; `families` the family
    of each sample that shares one with others. Of a number that is made of all samples at once there are no scores, but
    each arm's `wholes`."""

    name: str
    unit: str
    better: str | None
    scores: Mapping[str, Sequence[Score]]
    families: Mapping[str, str] = field(default_factory=dict)
    seed: int = 17
    wholes: Mapping[str, stats.Whole] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The arms, as they are shown."""
        return list(self.wholes or self.scores)

    @property
    def judged(self) -> str:
        """The arm that the others are compared with: the tuned one, or the last where none is called so."""
        return TUNED if TUNED in self.names or not self.names else self.names[-1]

    @cached_property
    def reach(self) -> tuple[float, float] | None:
        """The least and the most that a score can be: of shares and of scores 0 and 1, of grades 1 and 5, else what was
        seen. None if nothing was."""
        if self.unit in REACH:
            return REACH[self.unit]
        seen = [s.value for rows in self.scores.values() for s in rows if s.value is not None]
        return (min(seen), max(seen)) if seen else None

    @cached_property
    def arms(self) -> Mapping[str, stats.Arm | stats.Whole]:
        if self.wholes:
            return self.wholes
        every = sorted({s.id for rows in self.scores.values() for s in rows})
        return {
            a: stats.arm(rows, self.families, self.reach, every, self.unit in REACH)
            for a, rows in self.scores.items()
        }

    @cached_property
    def against(self) -> Mapping[str, stats.Pairs | stats.WholePairs]:
        """The judged arm minus each other one."""
        if self.wholes:
            mine_whole = self.wholes[self.judged]
            return {a: stats.WholePairs(w, mine_whole) for a, w in self.wholes.items() if a != self.judged}
        mine = self.scores.get(self.judged, ())
        return {
            a: stats.pairs(rows, mine, self.families, self.reach, self.seed, self.unit in REACH)
            for a, rows in self.scores.items()
            if a != self.judged
        }

    def row(self) -> dict[str, Any]:
        """The metric as plain data. `limits` are what a number would be if all that is missing were the worst, and the
        best, there is; `mde` is the smallest true difference that would show in four of five runs."""
        arms = {name: _arm(arm) for name, arm in self.arms.items()}
        differences = {name: _difference(pairs) for name, pairs in self.against.items()}
        nothing = msgspec.to_builtins(stats.estimate([]))
        return {
            "metric": self.name,
            "unit": self.unit,
            "better": self.better,
            "arms": arms,
            "differences": differences,
            "base": arms.get("base", nothing),
            "tuned": arms.get(TUNED, nothing),  # never another arm's number: cards publish it as the model's
            "difference": (differences if self.judged == TUNED else {}).get("base", nothing | {"p": None}),
        }


def _arm(arm: stats.Arm | stats.Whole) -> dict[str, Any]:
    spread = arm.spread
    found = stats.interval(spread) if spread else stats.Interval(arm.value, None, None, arm.n)
    out: dict[str, Any] = msgspec.to_builtins(found)
    if isinstance(arm, stats.Whole):
        out["stderr"] = arm.stderr
    out["mde"] = stats.detectable(spread.error) if spread else None
    return out | _lost(arm.missing, arm.limits)


def _difference(pairs: stats.Pairs | stats.WholePairs) -> dict[str, Any]:
    if isinstance(pairs, stats.WholePairs):
        difference, p = pairs.difference()
        row: dict[str, Any] = msgspec.to_builtins(difference)
        row |= {"p": p, "test": "bootstrap", "families": pairs.n, "missing": 0}
        row["mde"] = stats.detectable(pairs.spread.error) if pairs.spread else None
        return row | ({"why": pairs.why} if pairs.why else {})
    found = stats.compared(pairs)
    out: dict[str, Any] = msgspec.to_builtins(found.difference)
    out |= {"p": found.p_value, "test": found.test, "families": found.families}
    out |= {"wins": found.wins, "losses": found.losses, "ties": found.ties}
    out["mde"] = None if found.error is None else stats.detectable(found.error)
    return out | _lost(found.missing, found.limits)


def _lost(missing: int, limits: tuple[float, float] | None) -> dict[str, Any]:
    return {"missing": missing, "limits": list(limits)} if missing and limits else {"missing": missing}


def measured(
    name: str,
    unit: str,
    better: str | None,
    scores: Sequence[Score],
    metric: str,
    families: Mapping[str, str] | None = None,
    seed: int = 17,
) -> Measured:
    """One metric out of the scores of several, of all arms."""
    by_arm: dict[str, list[Score]] = {arm: [] for arm in dict.fromkeys(s.arm for s in scores)}
    for s in scores:
        if s.metric == metric:
            by_arm[s.arm].append(s)
    return Measured(name, unit, better, by_arm, families or {}, seed)


def compare(
    name: str,
    unit: str,
    better: str | None,
    scores: Sequence[Score],
    metric: str,
    families: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One metric of all arms with intervals, and the paired differences: a row of the report."""
    return measured(name, unit, better, scores, metric, families).row()
