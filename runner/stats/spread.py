"""What every estimate has in common: a value, limits at any confidence, and what follows from these alone."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Protocol

from msgspec import Struct

POWER = 0.8  # a suite "sees" a difference that it would find in four of five runs
_Z_POWER = NormalDist().inv_cdf(POWER)
MOST = 1_000_000  # prompts; who needs more needs another question


class Interval(Struct, frozen=True):
    """An estimate, its confidence limits and the number of samples behind it.

    `value` is None where there was no sample; `low` and `high` are None where there are too few
    to say (no sample for a rate, fewer than two for a mean).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


class Spread(Protocol):
    """An estimate whose limits can be had at any confidence, and as they would be with `more` times the samples."""

    @property
    def value(self) -> float: ...
    @property
    def n(self) -> int: ...
    @property
    def error(self) -> float:
        """Its standard error, never 0: where no spread was seen, what one differing sample would make."""

    @property
    def still(self) -> bool:
        """Whether no spread was seen: were the estimate the truth, every run would give the same."""

    def limits(self, confidence: float, more: float = 1.0) -> tuple[float, float]: ...


def level(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    return confidence


def z_of(confidence: float) -> float:
    """The two-sided normal quantile: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def interval(spread: Spread, confidence: float = 0.95) -> Interval:
    low, high = spread.limits(level(confidence))
    return Interval(spread.value, low, high, spread.n)


def clears(limit: float, threshold: float, above: bool, strict: bool = False) -> bool:
    """Whether a limit lies beyond a threshold. Floating-point dust decides nothing: 0.9 - 0.03 is not
    0.8700000000000001."""
    limit, threshold = round(limit, 9), round(threshold, 9)
    if limit == threshold:
        return not strict
    return limit > threshold if above else limit < threshold


def chance(spread: Spread, threshold: float, above: bool, strict: bool = False) -> float:
    """One-sided p-value of "the truth lies above (or not above) the threshold", by inverting the limits.

    It is the least a for which the lower (or upper) limit of confidence 1 - 2a lies beyond the
    threshold, to within 1e-6; 1.0 where the estimate itself does not lie beyond it.
    """

    def found(a: float) -> bool:
        low, high = spread.limits(1 - 2 * a)
        return clears(low if above else high, threshold, above, strict)

    least, most = 1e-9, 0.499999
    if not found(most):
        return 1.0
    if found(least):
        return least
    while most - least > 1e-6 and most / least > 1.001:
        middle = math.sqrt(least * most)
        least, most = (least, middle) if found(middle) else (middle, most)
    return most


def needed(spread: Spread, threshold: float, above: bool, confidence: float = 0.95) -> int | None:
    """How many samples would put the limit beyond the threshold, in four of five runs, if the estimate is the truth: in
    every run where no sample differed.

    None where it lies on the wrong side or so near that a million would not do.
    """
    stronger = confidence if spread.still else 2 * NormalDist().cdf(z_of(confidence) + _Z_POWER) - 1

    def found(n: int) -> bool:
        low, high = spread.limits(stronger, n / spread.n)
        return clears(low if above else high, threshold, above, strict=True)

    least, most = 1, MOST
    if not found(most):
        return None
    while most - least > 1:
        middle = max(least + 1, min(most - 1, math.isqrt(least * most)))
        least, most = (least, middle) if found(middle) else (middle, most)
    return most


def detectable(error: float, confidence: float = 0.95) -> float:
    """The smallest true difference that an estimate with this standard error would show in four of five runs: 2.8
    errors at 95% confidence."""
    return (z_of(confidence) + _Z_POWER) * error


def foreseen(n: int, paired: bool, confidence: float = 0.95) -> float:
    """The smallest difference of rates that `n` independent prompts will show, before any is answered.

    Conservative: rates near one half and, of two arms, answers that have nothing to do with each other. Prompts of
    one family may all say the same, so `n` is then the number of families.
    """
    return min(1.0, detectable(math.sqrt((0.5 if paired else 0.25) / n), confidence))


def holm(chances: list[float]) -> list[float]:
    """Holm's adjusted p-values: those at or under a level keep the chance of any false claim at that level.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979) 65-70.
    """
    order = sorted(range(len(chances)), key=chances.__getitem__)
    out, most = [0.0] * len(chances), 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, (len(chances) - rank) * chances[i]))
        out[i] = most
    return out
