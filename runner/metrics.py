"""Scores of both arms → rows of the report: each arm's value with its interval, and the paired difference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner import stats
from runner.record import Score
from runner.steps import ARMS


def compare(name: str, unit: str, better: str | None, scores: Sequence[Score], metric: str) -> dict[str, Any]:
    """One metric of both arms with intervals, and the paired difference: a row of the report."""
    by_arm = {arm: [s for s in scores if s.metric == metric and s.arm == arm] for arm in ARMS}
    out: dict[str, Any] = {"metric": name, "unit": unit, "better": better}
    for arm in ARMS:
        out[arm] = msgspec.to_builtins(stats.estimate(s.value for s in by_arm[arm]))
    pair = stats.paired(by_arm["base"], by_arm["tuned"])
    out["difference"] = msgspec.to_builtins(pair.difference) | {"p": pair.p_value}
    return out


def lm_eval_results(folder: Path, arm: str) -> tuple[dict[tuple[str, str], list[Score]], Any]:
    """Per task and metric one Score a document, and the adapter's proof, out of a step's artifact."""
    out: dict[tuple[str, str], list[Score]] = {}
    proof = None
    for path in sorted(folder.glob("*/results.json")):
        data = json.loads(path.read_bytes())
        proof = data["adapter_proof"]
        for result in data["results"]:
            name = result["metric"]
            out[result["task"], name] = [
                Score(doc, arm, name, value) for doc, value in result["samples"].items()
            ]
    return out, proof
