"""Rates of pass and fail: Wilson's interval, Newcombe's for paired rates, and the exact McNemar test.

Sources
- Wilson: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
  JASA 22 (1927) 209-212.
- Wilson with an effective sample size, for prompts that come in families: C. Franco and others,
  "Comparative study of confidence intervals for proportions in complex sample surveys",
  Journal of Survey Statistics and Methodology 7 (2019) 334-364; its degrees of freedom are those of
  E. Korn and B. Graubard, Survey Methodology 24 (1998) 193-201.
- Difference of paired rates: R. G. Newcombe, "Improved confidence intervals for the difference
  between binomial proportions based on paired data", Statistics in Medicine 17 (1998) 2635-2650,
  method 10.
- Exact McNemar test: the sign test on discordant pairs; A. Agresti, "Categorical Data Analysis",
  section on comparing dependent proportions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from runner.stats.spread import Interval, level, z_of
from runner.student import t_quantile


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """The rate successes/n with Wilson's score interval, which stays within [0, 1].

    Raises ValueError unless 0 <= successes <= n and 0 < confidence < 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n, got {successes} of {n}")
    level(confidence)
    if n == 0:
        return Interval(None, None, None, 0)
    low, high = _wilson(successes, n, z_of(confidence))
    return Interval(successes / n, low, high, round(n))


def _wilson(successes: float, n: float, z: float) -> tuple[float, float]:
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # Rounding may miss the exact ends 0 and 1, and may leave the rate itself outside by 1e-17.
    low = 0.0 if successes == 0 else min(centre - half, rate)
    high = 1.0 if successes == n else max(centre + half, rate)
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class Rate:
    """A rate over `n` samples that are worth `worth` independent ones, in `families` families.

    With each sample its own family (families == n == worth) its limits are Wilson's.
    """

    value: float
    n: int
    worth: float
    families: int

    @property
    def error(self) -> float:
        """Standard error; where all passed or all failed, as if one had not."""
        rate = min(max(self.value, 1 / (self.worth + 1)), 1 - 1 / (self.worth + 1))
        return math.sqrt(rate * (1 - rate) / self.worth)

    @property
    def still(self) -> bool:
        return self.value in (0, 1)

    def limits(self, confidence: float, more: float = 1.0) -> tuple[float, float]:
        worth = self.worth * more
        z = z_of(confidence)
        if self.families < self.n:  # few families say less than their error shows
            df = max(1, round(self.families * more) - 1)
            worth *= (z / t_quantile(0.5 + confidence / 2, df)) ** 2
        return _wilson(self.value * worth, worth, z)


@dataclass(frozen=True)
class PairedRate:
    """Two arms, pass or fail, on the same samples: how many both passed, only the second, only the first, neither.

    Counts that are not whole are those of an effective number of samples.
    """

    both: float
    wins: float
    losses: float
    neither: float

    @property
    def worth(self) -> float:
        return self.both + self.wins + self.losses + self.neither

    @property
    def n(self) -> int:
        return round(self.worth)

    def scaled(self, by: float) -> PairedRate:
        return PairedRate(self.both * by, self.wins * by, self.losses * by, self.neither * by)

    @property
    def value(self) -> float:
        return (self.wins - self.losses) / self.worth

    @property
    def error(self) -> float:
        """Standard error; where no pair differs, as if one did."""
        changed, n = max(self.wins + self.losses, 1), self.worth
        return math.sqrt(max(changed / n - self.value**2, 1 / n**2) / n)

    @property
    def still(self) -> bool:
        return self.wins + self.losses == 0 or abs(self.value) == 1

    def limits(self, confidence: float, more: float = 1.0) -> tuple[float, float]:
        """Newcombe's method 10."""
        both, wins, losses, neither = (k * more for k in (self.both, self.wins, self.losses, self.neither))
        n, z = self.worth * more, z_of(confidence)
        first, second = (both + losses) / n, (both + wins) / n
        first_low, first_high = _wilson(both + losses, n, z)
        second_low, second_high = _wilson(both + wins, n, z)
        margins = (both + wins) * (neither + losses) * (both + losses) * (neither + wins)
        cross = both * neither - wins * losses
        if cross > 0:  # continuity correction, applied to positive association only
            cross = max(cross - n / 2, 0)
        phi = cross / math.sqrt(margins) if margins else 0.0
        down, up = second - second_low, second_high - second
        first_down, first_up = first - first_low, first_high - first
        below = math.sqrt(max(0.0, down**2 - 2 * phi * down * first_up + first_up**2))
        above = math.sqrt(max(0.0, up**2 - 2 * phi * up * first_down + first_down**2))
        return max(-1.0, self.value - below), min(1.0, self.value + above)


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact McNemar p-value from the counts of discordant pairs; 1.0 where none are."""
    return min(1.0, 2 * at_least(max(wins, losses), wins + losses))


def at_least(wins: int, n: int) -> float:
    """The chance of `wins` or more of `n` when each is as likely as not: McNemar's one-sided p-value."""
    # Integers all the way: floats would overflow at a thousand discordant pairs.
    tail = ways = 1
    for k in range(n - wins):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    return float(min(1, tail / 2**n))
