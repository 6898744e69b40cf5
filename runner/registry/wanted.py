"""What a judge wants of a probe: its `expect`, read and found to be one, and the metrics in which the probe counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.errors import Problem, RecipeError
from runner.record import Probe


@dataclass(frozen=True)
class Wanted:
    """`expect` is the judge's own type. `group` names probes that are counted together ("call", "harmful"), empty where
    a judge has but one; `metrics` are those of them in which the probe counts, None for all."""

    expect: Any = None
    group: str = ""
    metrics: frozenset[str] | None = None

    def counts(self, metric: str) -> bool:
        return self.metrics is None or metric in self.metrics


WantsFn = Callable[[Probe], Wanted]
"""Raises ValueError, in words, where no answer to the probe could be judged, or none could be right."""


def anything(probe: Probe) -> Wanted:
    """Of a judge that wants nothing of its probes."""
    return Wanted()


def wants_of(probes: Sequence[Probe], wants: WantsFn) -> Mapping[str, Wanted]:
    """Probe id → what a judge wants of it. Raises RecipeError with all that are wrong."""
    found: dict[str, Wanted] = {}
    problems = []
    for probe in probes:
        try:
            if probe.id in found:
                raise ValueError("two probes have this id")
            found[probe.id] = wants(probe)
        except ValueError as e:  # msgspec.ValidationError is one
            problems.append(Problem("probes", 0, 0, probe.id, str(e)))
    if problems:
        raise RecipeError(problems)
    return found
