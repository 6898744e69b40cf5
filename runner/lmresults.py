"""What a step `lm-eval.ARM` left: each task's metrics, as means over documents or as numbers of all of them at once."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.record import Score
from runner.stats import Whole

UNMADE = frozenset({"acc_all", "bypass", "likelihood"})
"""lm-eval's metrics of which a task that is a file has no number."""
_BOUNDS = {
    "f1": (0.0, 1.0), "matthews_corrcoef": (-1.0, 1.0), "bleu": (0.0, 100.0), "chrf": (0.0, 100.0),
    "ter": (0.0, math.inf), "brier_score": (0.0, 2.0), "weighted_perplexity": (0.0, math.inf),
}  # fmt: skip


@dataclass
class LmMetric:
    """One metric of one task, of the arms that were read so far: `scores` of documents, or else each arm's `wholes`."""

    unit: str
    better: str
    scores: list[Score] = field(default_factory=list)
    wholes: dict[str, Whole] = field(default_factory=dict)


@dataclass
class LmResults:
    """By task and metric; `engine` is what computed an arm's numbers, in words."""

    metrics: dict[tuple[str, str], LmMetric] = field(default_factory=dict)
    proofs: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, str] = field(default_factory=dict)

    def read(self, folder: Path, arm: str) -> LmResults:
        """Add one arm, out of its step's artifact."""
        for path in sorted(folder.glob("*/results.json")):
            data = json.loads(path.read_bytes())
            self.proofs[arm] = data["adapter_proof"]
            self.engine[arm] = data.get("engine", "")
            for result in data["results"]:
                self._add(result, arm)
        return self

    def _add(self, result: dict[str, Any], arm: str) -> None:
        how = result.get("aggregation", "mean")
        name, better = lm_eval_name(result["metric"], how), result.get("better") or "higher"
        key = result["task"], name
        if not result["samples"] and how != "mean":
            one = self.metrics.setdefault(key, LmMetric("number", better))
            one.wholes[arm] = Whole(
                result["value"],
                result["n"],
                result["stderr"],
                tuple(result.get("draws", ())),
                result.get("documents", ""),
                result.get("marks", {}),
                _BOUNDS.get(how, (-math.inf, math.inf)),
            )
            return
        loss = name != result["metric"]
        values = {doc: -v if loss else v for doc, v in result["samples"].items()}
        one = self.metrics.setdefault(key, LmMetric("nats" if loss else "share", "lower" if loss else better))
        one.scores += [Score(doc, arm, name, v) for doc, v in values.items()]
        if not loss and not all(0 <= v <= 1 for v in values.values()):
            one.unit = "number"


def lm_eval_name(metric: str, aggregation: str | None = None) -> str:
    """What a metric of lm-eval is called here. Of `perplexity` a document's value is its log-likelihood, so that the
    mean over documents is one of nats."""
    name, dot, chain = metric.partition(".")
    return (
        f"nats{dot}{chain}"
        if name == "perplexity" and aggregation in (None, "perplexity", "mean")
        else metric
    )
