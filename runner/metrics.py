"""Scores of any number of arms → rows of the report: each arm's value with its interval, and paired differences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from runner import stats
from runner.record import Score

TUNED = "tuned"
REACH = {"share": (0.0, 1.0), "score": (0.0, 1.0), "grade": (1.0, 5.0)}
"""Units that have a least and a most."""
NUMBERLESS = frozenset(
    "acc_all bits_per_byte bleu brier_score bypass byte_perplexity chrf f1 mcc ter word_perplexity".split()
)
"""lm-eval's metrics that are no mean over documents: it keeps pairs of a document, not a number to be compared."""


@dataclass(frozen=True)
class Measured:
    """One metric of one suite. `scores` holds each arm's, in the order in which arms are shown; `families` the family
    of each sample that shares one with others."""

    name: str
    unit: str
    better: str | None
    scores: Mapping[str, Sequence[Score]]
    families: Mapping[str, str] = field(default_factory=dict)
    seed: int = 17

    @property
    def judged(self) -> str:
        """The arm that the others are compared with: the tuned one, or the last where none is called so."""
        return TUNED if TUNED in self.scores or not self.scores else list(self.scores)[-1]

    @cached_property
    def reach(self) -> tuple[float, float] | None:
        """The least and the most that a score can be: of shares and of scores 0 and 1, of grades 1 and 5, else what was
        seen. None if nothing was."""
        if self.unit in REACH:
            return REACH[self.unit]
        seen = [s.value for rows in self.scores.values() for s in rows if s.value is not None]
        return (min(seen), max(seen)) if seen else None

    @cached_property
    def arms(self) -> dict[str, stats.Arm]:
        every = sorted({s.id for rows in self.scores.values() for s in rows})
        return {
            a: stats.arm(rows, self.families, self.reach, every, self.unit in REACH)
            for a, rows in self.scores.items()
        }

    @cached_property
    def against(self) -> dict[str, stats.Pairs]:
        """The judged arm minus each other one."""
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
            "tuned": arms.get(self.judged, nothing),
            "difference": differences.get("base", nothing | {"p": None}),
        }


def _arm(arm: stats.Arm) -> dict[str, Any]:
    spread, values = arm.spread, list(arm.values.values())
    found = stats.interval(spread) if spread else stats.estimate(values)
    out: dict[str, Any] = msgspec.to_builtins(found)
    out["mde"] = stats.detectable(spread.error) if spread else None
    return out | _lost(arm.missing, arm.limits)


def _difference(pairs: stats.Pairs) -> dict[str, Any]:
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


def lm_eval_name(metric: str) -> str:
    """What a metric of lm-eval is called here. Of `perplexity` a document's value is its log-likelihood, so that the
    mean over documents is one of nats."""
    name, dot, chain = metric.partition(".")
    return f"nats{dot}{chain}" if name == "perplexity" else metric


def lm_eval_results(
    folder: Path, arm: str
) -> tuple[dict[tuple[str, str], list[Score]], Any, dict[tuple[str, str], str]]:
    """Per task and metric one Score a document, the adapter's proof, and which way each metric is better, out of a
    step's artifact."""
    out: dict[tuple[str, str], list[Score]] = {}
    better: dict[tuple[str, str], str] = {}
    proof = None
    for path in sorted(folder.glob("*/results.json")):
        data = json.loads(path.read_bytes())
        proof = data["adapter_proof"]
        for result in data["results"]:
            name = lm_eval_name(result["metric"])
            loss = name != result["metric"]
            key = result["task"], name
            out[key] = [
                Score(doc, arm, name, -value if loss else value) for doc, value in result["samples"].items()
            ]
            better[key] = "lower" if loss else result.get("better") or "higher"
    return out, proof, better
