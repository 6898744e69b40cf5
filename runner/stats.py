"""Numbers with their uncertainty: a rate, a mean, the difference between two arms.

Pure arithmetic on the standard library; every interval is two-sided, 95% unless said otherwise.
A value of None is *missing*: it is left out and counted, never taken for 0. Samples are taken as
independent; samples that hang together (many questions on one passage) make intervals too narrow.

Sources
- Wilson: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
  JASA 22 (1927) 209-212.
- Difference of paired rates: R. G. Newcombe, "Improved confidence intervals for the difference
  between binomial proportions based on paired data", Statistics in Medicine 17 (1998) 2635-2650,
  method 10.
- Exact McNemar test: the two-sided sign test on discordant pairs; A. Agresti, "Categorical Data
  Analysis", section on comparing dependent proportions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import NormalDist
from typing import Literal

from msgspec import Struct

from runner.record import Score
from runner.student import t_cdf, t_quantile


class Interval(Struct, frozen=True):
    """An estimate, its confidence limits and the number of samples behind it.

    `value` is None where there was no sample; `low` and `high` are None where there are too few
    to say (no sample for a rate, fewer than two for a mean).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


class Paired(Struct, frozen=True):
    """Tuned against base on the same samples.

    `difference` is tuned minus base over the `difference.n` samples that both arms have; `base`
    and `tuned` are the arms' own estimates over those same samples. `missing` counts samples that
    one arm or both lack. `wins`, `losses` and `ties` are the tuned arm's. `p_value` is two-sided:
    exact McNemar where all values are 0 or 1, else the paired t test; None where no spread is.
    """

    difference: Interval
    base: Interval
    tuned: Interval
    missing: int
    wins: int
    losses: int
    ties: int
    p_value: float | None
    test: Literal["mcnemar", "t"]


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The rate successes/n with Wilson's score interval, which stays within [0, 1].

    Raises ValueError unless 0 <= successes <= n and 0 < confidence < 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n, got {successes} of {n}")
    if n == 0:
        return Interval(None, None, None, 0)
    z = NormalDist().inv_cdf(0.5 + _level(confidence) / 2)
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # Rounding may miss the exact ends 0 and 1, and may leave the rate itself outside by 1e-17.
    low = 0.0 if successes == 0 else min(centre - half, rate)
    high = 1.0 if successes == n else max(centre + half, rate)
    return Interval(rate, max(0.0, low), min(1.0, high), n)


def mean(values: Iterable[float | None], confidence: float = 0.95) -> Interval:
    """The mean with Student's t interval; None values are left out.

    All-equal values give an interval of no width: for 0/1 values `estimate` knows better.
    """
    kept = [v for v in values if v is not None]
    n = len(kept)
    if n < 2:
        return Interval(kept[0] if kept else None, None, None, n)
    centre, error = _mean_and_error(kept)
    half = t_quantile(0.5 + _level(confidence) / 2, n - 1) * error
    return Interval(centre, centre - half, centre + half, n)


def estimate(values: Iterable[float | None], confidence: float = 0.95) -> Interval:
    """`wilson` where every value is 0 or 1, `mean` otherwise; None values are left out."""
    kept = [v for v in values if v is not None]
    if _pass_fail(kept):
        return wilson(round(sum(kept)), len(kept), confidence)
    return mean(kept, confidence)


def paired(base: Iterable[Score], tuned: Iterable[Score], confidence: float = 0.95) -> Paired:
    """Compare two arms on one metric; rows are paired by id, repeats of an id averaged first.

    Raises ValueError when the rows hold more than one metric.
    """
    left, right = list(base), list(tuned)
    if len(metrics := {s.metric for s in [*left, *right]}) > 1:
        raise ValueError(f"one metric at a time, got {', '.join(sorted(metrics))}")
    a, b = _by_id(left), _by_id(right)
    pairs: list[tuple[float, float]] = []
    for key in sorted(a.keys() | b.keys()):
        x, y = a.get(key), b.get(key)
        if x is not None and y is not None:
            pairs.append((x, y))
    wins, losses = sum(y > x for x, y in pairs), sum(y < x for x, y in pairs)
    missing = len(a.keys() | b.keys()) - len(pairs)
    base_mean = estimate((x for x, _ in pairs), confidence)
    tuned_mean = estimate((y for _, y in pairs), confidence)
    test: Literal["mcnemar", "t"]
    p_value: float | None
    if _pass_fail([v for pair in pairs for v in pair]):
        test, p_value = "mcnemar", mcnemar(wins, losses)
        difference = _newcombe(pairs, base_mean, tuned_mean)
    else:
        differences = [y - x for x, y in pairs]
        test, p_value = "t", _t_test(differences)
        difference = mean(differences, confidence)
    ties = len(pairs) - wins - losses
    return Paired(difference, base_mean, tuned_mean, missing, wins, losses, ties, p_value=p_value, test=test)


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact McNemar p-value from the counts of discordant pairs; 1.0 where none are."""
    n, fewer = wins + losses, min(wins, losses)
    # Integers all the way: floats would overflow at a thousand discordant pairs.
    tail = ways = 1
    for k in range(fewer):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    return float(min(1, 2 * tail / 2**n))


def _level(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    return confidence


def _pass_fail(values: list[float]) -> bool:
    return all(v in (0, 1) for v in values)


def _mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error, for two values or more."""
    n = len(values)
    centre = math.fsum(values) / n
    squares = math.fsum((v - centre) ** 2 for v in values)
    return centre, math.sqrt(squares / (n - 1) / n)


def _t_test(differences: list[float]) -> float | None:
    """Two-sided p-value of a mean difference of 0; None where the spread is 0 or unknown."""
    if len(differences) < 2:
        return None
    centre, error = _mean_and_error(differences)
    return 2 * t_cdf(-abs(centre / error), len(differences) - 1) if error else None


def _by_id(rows: list[Score]) -> dict[str, float | None]:
    """Id → mean of its values that are there, None where none is."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        found[row.id].extend([] if row.value is None else [row.value])
    return {key: math.fsum(v) / len(v) if v else None for key, v in found.items()}


def _newcombe(pairs: list[tuple[float, float]], base: Interval, tuned: Interval) -> Interval:
    """Newcombe's method 10 for tuned minus base, from the Wilson intervals of both."""
    n = len(pairs)
    if base.value is None or base.low is None or base.high is None:
        return Interval(None, None, None, 0)
    assert tuned.value is not None and tuned.low is not None and tuned.high is not None
    both, neither = sum(x == y == 1 for x, y in pairs), sum(x == y == 0 for x, y in pairs)
    wins, losses = sum(y > x for x, y in pairs), sum(y < x for x, y in pairs)
    margins = (both + wins) * (neither + losses) * (both + losses) * (neither + wins)
    cross: float = both * neither - wins * losses
    if cross > 0:  # continuity correction, applied to positive association only
        cross = max(cross - n / 2, 0)
    phi = cross / math.sqrt(margins) if margins else 0.0
    down, up = tuned.value - tuned.low, tuned.high - tuned.value
    base_down, base_up = base.value - base.low, base.high - base.value
    below = math.sqrt(max(0.0, down**2 - 2 * phi * down * base_up + base_up**2))
    above = math.sqrt(max(0.0, up**2 - 2 * phi * up * base_down + base_down**2))
    centre = (wins - losses) / n
    return Interval(centre, max(-1.0, centre - below), min(1.0, centre + above), n)
