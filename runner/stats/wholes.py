"""Numbers that are made of all samples at once (a BLEU, an F1, a perplexity), with what drawing samples makes of them.

A sample has no value of its own here. What stands in its place are the number's values on the same draws of samples,
with replacement, for every arm: where two arms' draws belong together, their differences are draws of the difference (a
paired bootstrap: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13; of BLEU:
P. Koehn, "Statistical significance tests for machine translation evaluation", EMNLP 2004).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

from runner.stats.spread import Interval, chance, interval
from runner.student import t_quantile

_FEW = 20  # samples that differ; with fewer, a bootstrap has too little to draw from
_LOST = 0.01  # of the draws may have no number
NOT_DRAWN = "nobody drew documents again for it"


@dataclass(frozen=True)
class Resampled:
    """A number of `n` samples with its draws, sorted. Its `bounds` are the least and the most that it can be.

    `differing` samples are what the draws rest on (of a difference: where the arms differ at all). Percentile limits
    are widened for few samples as those of `Drawn` are; where fewer than 20 differ, Student's t on their number widens
    them further: four changes of four, all one way, are no finding.
    """

    value: float
    n: int
    differing: int
    draws: tuple[float, ...]
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @cached_property
    def error(self) -> float:
        mean = math.fsum(self.draws) / len(self.draws)
        return math.sqrt(math.fsum((d - mean) ** 2 for d in self.draws) / (len(self.draws) - 1))

    @property
    def still(self) -> bool:
        return False

    def limits(self, confidence: float, more: float = 1.0) -> tuple[float, float]:
        c = max(2, round(self.n * more))
        tail = NormalDist().cdf(-math.sqrt(c / (c - 1)) * t_quantile(0.5 + confidence / 2, c - 1))
        shrink = math.sqrt(more)
        low, high = (self.value + (self._quantile(q) - self.value) / shrink for q in (tail, 1 - tail))
        if (k := max(2, round(self.differing * more))) < _FEW:
            half = t_quantile(0.5 + confidence / 2, k - 1) * self.error / shrink
            low, high = min(low, self.value - half), max(high, self.value + half)
        return max(self.bounds[0], min(low, self.value)), min(self.bounds[1], max(high, self.value))

    def _quantile(self, q: float) -> float:
        place = q * (len(self.draws) - 1)
        under = math.floor(place)
        over = min(under + 1, len(self.draws) - 1)
        return self.draws[under] + (place - under) * (self.draws[over] - self.draws[under])


@dataclass(frozen=True)
class Whole:
    """One arm's number of `n` samples, and its `draws`, None where a draw gives no number. `samples` names what was
    drawn from: draws of two arms belong together where it is the same. `marks` tell each sample's part from another
    arm's; `stderr` is the standard error that whoever made the number gives."""

    value: float | None
    n: int
    stderr: float | None = None
    draws: tuple[float | None, ...] = ()
    samples: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[float, float] = (-math.inf, math.inf)

    # What an `Arm` has besides.
    missing = 0
    limits = None
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """Why there is no interval."""
        if self.spread:
            return ""
        if not self.draws:
            return NOT_DRAWN
        return "it is the same whatever documents are drawn, or too few draws give a number"

    @cached_property
    def spread(self) -> Resampled | None:
        if self.value is None:
            return None
        return _resampled(self.value, self.n, self.n, list(self.draws), self.bounds)


@dataclass(frozen=True)
class WholePairs:
    """Two arms on one such number: the second minus the first."""

    one: Whole
    two: Whole

    missing = 0
    limits = None

    @property
    def n(self) -> int:
        both = self.one.value is not None and self.two.value is not None
        return min(self.one.n, self.two.n) if both else 0

    @property
    def ends(self) -> tuple[float, float]:
        """The first arm's value and the second's, where there is any (`n`)."""
        assert self.one.value is not None and self.two.value is not None
        return self.one.value, self.two.value

    @property
    def differing(self) -> int:
        keys = self.one.marks.keys() | self.two.marks.keys()
        return sum(self.one.marks.get(k) != self.two.marks.get(k) for k in keys)

    @property
    def why(self) -> str:
        """Why there is no interval."""
        if self.spread:
            return ""
        if not self.one.draws or not self.two.draws:
            return NOT_DRAWN
        if not self._together:
            return "the arms were not asked the same documents"
        return "no document differs between the arms, or too few draws give a number"

    @property
    def _together(self) -> bool:
        return bool(self.one.samples) and self.one.samples == self.two.samples

    @cached_property
    def spread(self) -> Resampled | None:
        if not self.n or not self._together or not self.differing:
            return None
        first, second = self.ends
        draws = [
            None if a is None or b is None else b - a
            for a, b in zip(self.one.draws, self.two.draws, strict=False)
        ]
        least, most = self.one.bounds
        return _resampled(second - first, self.n, self.differing, draws, (least - most, most - least))

    def better(self, above: bool) -> None:
        """No exact test is known of such a number."""
        return

    def difference(self, confidence: float = 0.95) -> tuple[Interval, float | None]:
        """The second minus the first, and a two-sided p by inverting its limits; None where it has none."""
        if not self.n:
            return Interval(None, None, None, 0), None
        if self.spread is None:
            first, second = self.ends
            return Interval(second - first, None, None, self.n), None
        p = min(1.0, 2 * min(chance(self.spread, 0.0, side) for side in (True, False)))
        return interval(self.spread, confidence), p


def _resampled(
    value: float, n: int, differing: int, draws: list[float | None], bounds: tuple[float, float]
) -> Resampled | None:
    """None where the draws say nothing: there are none, they are all one, or more than a hundredth has no number."""
    kept = sorted(d for d in draws if d is not None)
    if len(kept) < 2 or len(kept) < (1 - _LOST) * len(draws):
        return None
    found = Resampled(value, n, differing, tuple(kept), bounds)
    return found if found.error > 1e-12 * max(1.0, abs(value)) else None
