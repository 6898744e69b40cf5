"""Means and mean differences: Student's t, with errors clustered by family, and a bootstrap that draws families.

Sources
- Clustered errors with C/(C-1), t on C-1 degrees of freedom: K.-Y. Liang and S. Zeger, Biometrika 73
  (1986) 13-22; A. C. Cameron and D. L. Miller, "A practitioner's guide to cluster-robust inference",
  Journal of Human Resources 50 (2015) 317-372.
- Percentile limits widened for few families: T. Hesterberg, "What teachers should know about the
  bootstrap", The American Statistician 69 (2015) 371-386, section 4.3 (expanded percentile).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

from runner.stats.spread import Interval, Spread, interval, level, z_of
from runner.student import t_quantile

DRAWS = 4000
DUST = 1e-9  # of the scale
_BLOCK = 4_000_000  # numbers drawn at once: 32 MB


def sums(values: Sequence[float], families: Sequence[str]) -> list[tuple[float, int]]:
    """Sum and count of each family, in the families' alphabetical order, so that no order of arrival decides."""
    found: dict[str, list[float]] = {}
    for value, family in zip(values, families, strict=True):
        found.setdefault(family, []).append(value)
    return [(math.fsum(found[f]), len(found[f])) for f in sorted(found)]


def clustered_error(families: Sequence[tuple[float, int]]) -> float:
    """Standard error of the mean of all values, from the sums and counts of two families or more."""
    c, n = len(families), sum(count for _, count in families)
    centre = math.fsum(total for total, _ in families) / n
    squares = math.fsum((total - count * centre) ** 2 for total, count in families)
    return math.sqrt(c / (c - 1) * squares) / n


def mean(values: Iterable[float | None], confidence: float = 0.95) -> Interval:
    """The mean with Student's t interval; None values are left out.

    All-equal values give an interval of no width: for 0/1 values `estimate` knows better.
    """
    kept = [v for v in values if v is not None]
    level(confidence)
    if len(kept) < 2:
        return Interval(kept[0] if kept else None, None, None, len(kept))
    return interval(mean_of(kept, [f"{i:09}" for i in range(len(kept))]), confidence)


def mean_of(
    values: Sequence[float],
    families: Sequence[str],
    scale: Sequence[float] = (),
    bounds: tuple[float, float] | None = None,
) -> Mean:
    """The mean of two values or more, of two families or more. `scale` holds the least and the most that were seen or
    can be; `bounds` are those of the mean itself, where they are known."""
    n, reach = len(values), scale or values
    groups = sums(values, families)
    centre = math.fsum(values) / n
    seen = clustered_error(groups)
    if seen <= DUST * max(map(abs, [*values, *reach])):
        seen = 0.0  # thirds that were added and divided differ in their last digit, which is no spread
    return Mean(centre, n, seen, len(groups), (max(reach) - min(reach)) / n, bounds)


@dataclass(frozen=True)
class Mean:
    """A mean of `n` values in `families` families (each its own: as many as values), with its seen standard error.

    Where its `bounds` are known its limits stay within them, and its spread is at least what one value that differs
    would make: eight wins of eight must not be less sure than seven wins and a tie.
    """

    value: float
    n: int
    seen: float
    families: int
    least: float  # what one value that differs would make of the error
    bounds: tuple[float, float] | None = None

    @property
    def error(self) -> float:
        return max(self.seen, self.least)

    @property
    def still(self) -> bool:
        return not self.seen

    @property
    def spread(self) -> float:
        """The standard error that its limits and its test rest on."""
        return self.error if self.bounds else self.seen or self.least

    def limits(self, confidence: float, more: float = 1.0) -> tuple[float, float]:
        df = max(1, round(self.families * more) - 1)
        half = t_quantile(0.5 + confidence / 2, df) * self.spread / math.sqrt(more)
        low, high = self.bounds or (-math.inf, math.inf)
        return max(low, self.value - half), min(high, self.value + half)


@dataclass(frozen=True)
class Drawn:
    """A mean whose limits come from `DRAWS` means of families drawn with replacement.

    Where few families differ from 0 there is too little to draw from, and the limits would be too narrow (of 20
    families they held the truth in 88% of trials, not in 95%): `floor` then widens them.
    """

    value: float
    n: int
    groups: tuple[tuple[float, int], ...]  # sum and count of each family
    seed: int
    floor: Spread | None = None

    @property
    def error(self) -> float:
        return max(clustered_error(self.groups), 1 / self.n)

    @property
    def still(self) -> bool:
        return not clustered_error(self.groups)

    @cached_property
    def means(self) -> Any:
        """The drawn means, sorted: a numpy array."""
        import numpy as np

        totals = np.array([total for total, _ in self.groups])
        counts = np.array([count for _, count in self.groups], dtype=float)
        c, rng = len(totals), np.random.default_rng(self.seed)
        step = max(1, _BLOCK // c)
        found = []
        for start in range(0, DRAWS, step):
            drawn = rng.integers(0, c, size=(min(step, DRAWS - start), c), dtype=np.int32)
            found.append(totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
        return np.sort(np.concatenate(found))

    def limits(self, confidence: float, more: float = 1.0) -> tuple[float, float]:
        import numpy as np

        c = max(2, round(len(self.groups) * more))
        t = t_quantile(0.5 + confidence / 2, c - 1)
        tail = NormalDist().cdf(-math.sqrt(c / (c - 1)) * t)
        shrink = math.sqrt(more)
        low, high = (
            self.value + (float(x) - self.value) / shrink for x in np.quantile(self.means, [tail, 1 - tail])
        )
        if self.floor is not None:
            widest = self.floor.limits(confidence, more * (z_of(confidence) / t) ** 2)
            low, high = min(low, widest[0]), max(high, widest[1])
        return low, high
