"""Scores → one arm's estimate, and two arms paired by sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from msgspec import Struct

from runner.record import Score
from runner.stats.means import Drawn, Mean, clustered_error, mean_of, sums
from runner.stats.rates import PairedRate, Rate, at_least, mcnemar
from runner.stats.spread import Interval, Spread, chance, interval
from runner.student import t_cdf

SEED = 17
_FEW = 20  # families that differ; with fewer, a bootstrap has too little to draw from
NOBODY: Mapping[str, str] = {}


@dataclass(frozen=True)
class Arm:
    """One arm on one metric: each sample's mean over its repeats. `missing` counts samples of which any repeat is."""

    values: Mapping[str, float]
    missing: int
    limits: tuple[float, float] | None  # of its mean, were what is missing the worst or the best there is
    families: Mapping[str, str]
    reach: tuple[float, float] | None = None
    bounded: bool = True  # whether `reach` is the most there can be, and not merely what was seen

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def value(self) -> float | None:
        return math.fsum(self.values.values()) / self.n if self.values else None

    @cached_property
    def spread(self) -> Spread | None:
        """The arm's mean; None where there are too few samples to say, or nothing tells how far they may differ."""
        ids = sorted(self.values)
        return _one([self.values[i] for i in ids], _families(ids, self.families), self.reach, self.bounded)


@dataclass(frozen=True)
class Pairs:
    """Two arms on the samples that both have. `limits` are those of the mean difference, as an `Arm`'s are."""

    first: Mapping[str, float]
    second: Mapping[str, float]
    missing: int
    limits: tuple[float, float] | None
    families: Mapping[str, str]
    seed: int = SEED
    reach: tuple[float, float] | None = None
    bounded: bool = True

    @cached_property
    def ids(self) -> list[str]:
        return sorted(self.first.keys() & self.second.keys())

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def ends(self) -> tuple[float, float]:
        """The means of the first arm and of the second over the samples that both have, where there are any (`n`)."""
        first, second = (math.fsum(side[i] for i in self.ids) / self.n for side in (self.first, self.second))
        return first, second

    @cached_property
    def spread(self) -> Spread | None:
        """The mean of second minus first; None where there are too few pairs to say, or nothing tells how far they may
        differ."""
        ids = self.ids
        both = [(self.first[i], self.second[i]) for i in ids]
        return _two(both, _families(ids, self.families), self.seed, self.reach, self.bounded)

    def better(self, above: bool) -> float | None:
        """Exact one-sided McNemar p-value that the second has more (or fewer) passes; None where that is no question.

        It is one only of pass and fail where no samples hang together.
        """
        ids = self.ids
        values = [v for i in ids for v in (self.first[i], self.second[i])]
        if not ids or not pass_fail(values, self.reach) or len(set(_families(ids, self.families))) < len(ids):
            return None
        wins = sum(self.second[i] > self.first[i] for i in ids)
        losses = sum(self.second[i] < self.first[i] for i in ids)
        return at_least(wins if above else losses, wins + losses)


class Paired(Struct, frozen=True):
    """Tuned against base on the same samples.

    `difference` is tuned minus base over the `difference.n` samples that both arms have; `base` and `tuned` are the
    arms' own estimates over those same samples. `missing` counts samples that one arm or both lack, wholly or in some
    repeat; `limits` are what the difference would be if all of these were the worst, and the best, there is.
    `wins`, `losses` and `ties` are the tuned arm's. `p_value` is two-sided, by `test`; None where no spread is.
    `families` counts the families of samples; `error` is the difference's standard error.
    """

    difference: Interval
    base: Interval
    tuned: Interval
    missing: int
    wins: int
    losses: int
    ties: int
    p_value: float | None
    test: Literal["mcnemar", "t", "bootstrap"]
    families: int = 0
    error: float | None = None
    limits: tuple[float, float] | None = None


def arm(
    rows: Iterable[Score],
    families: Mapping[str, str] = NOBODY,
    reach: tuple[float, float] | None = None,
    among: Iterable[str] = (),
    bounded: bool = True,
) -> Arm:
    """The scores of one arm on one metric. `reach` is the range of values that there can be or, not `bounded`, that was
    seen; `among` are samples that other arms have, so that one without a row is missing too."""
    cells = _cells(rows)
    for key in among:
        cells.setdefault(key, [None])
    values = {k: v for k, cell in cells.items() if (v := _average(cell)) is not None}
    missing = sum(None in cell for cell in cells.values())
    return Arm(values, missing, _reached(list(cells.values()), reach), families, reach, bounded)


def pairs(
    first: Iterable[Score],
    second: Iterable[Score],
    families: Mapping[str, str] = NOBODY,
    reach: tuple[float, float] | None = None,
    seed: int = SEED,
    bounded: bool = True,
) -> Pairs:
    """Two arms' scores on one metric, paired by id. Raises ValueError when the rows hold more than one metric."""
    left, right = list(first), list(second)
    if len(metrics := {s.metric for s in [*left, *right]}) > 1:
        raise ValueError(f"one metric at a time, got {', '.join(sorted(metrics))}")
    a, b = _cells(left), _cells(right)
    every = sorted(a.keys() | b.keys())
    missing = sum(None in a.get(k, [None]) or None in b.get(k, [None]) for k in every)
    limits = None
    if every and (reach or not missing):
        ends = [_reached([side.get(k, [None]) for k in every], reach) for side in (a, b)]
        (a_low, a_high), (b_low, b_high) = (end or (0.0, 0.0) for end in ends)
        limits = (b_low - a_high, b_high - a_low)
    one, two = ({k: v for k, cell in side.items() if (v := _average(cell)) is not None} for side in (a, b))
    return Pairs(one, two, missing, limits, families, seed, reach, bounded)


def estimate(
    values: Iterable[float | None],
    confidence: float = 0.95,
    families: Sequence[str] | None = None,
    reach: tuple[float, float] | None = None,
    bounded: bool = True,
) -> Interval:
    """`wilson` where every value is 0 or 1, `mean` otherwise; None values are left out. `families` are the values'.

    Where values may `reach` beyond 0 and 1, ones and zeros are numbers like others.
    """
    given = list(values)
    names = list(families) if families is not None else [str(i) for i in range(len(given))]
    kept = [(v, f) for v, f in zip(given, names, strict=True) if v is not None]
    spread = _one([v for v, _ in kept], [f for _, f in kept], reach, bounded)
    return _alone([v for v, _ in kept]) if spread is None else interval(spread, confidence)


def paired(
    base: Iterable[Score],
    tuned: Iterable[Score],
    confidence: float = 0.95,
    families: Mapping[str, str] = NOBODY,
    reach: tuple[float, float] | None = None,
    seed: int = SEED,
) -> Paired:
    """Compare two arms on one metric; rows are paired by id, repeats of an id averaged first.

    `families` gives the family of a sample; one without is its own. Raises ValueError when the rows hold more than
    one metric.
    """
    return compared(pairs(base, tuned, families, reach, seed), confidence)


def compared(found: Pairs, confidence: float = 0.95) -> Paired:
    """What `paired` says, of pairs that are made."""
    ids = found.ids
    both = [(found.first[i], found.second[i]) for i in ids]
    names = _families(ids, found.families)
    wins, losses = sum(y > x for x, y in both), sum(y < x for x, y in both)
    spread = found.spread
    difference = _alone([y - x for x, y in both]) if spread is None else interval(spread, confidence)
    test, p_value = _test(both, names, spread, found.reach)
    return Paired(
        difference,
        estimate((x for x, _ in both), confidence, names, found.reach, found.bounded),
        estimate((y for _, y in both), confidence, names, found.reach, found.bounded),
        found.missing,
        wins,
        losses,
        len(both) - wins - losses,
        p_value,
        test,
        len(set(names)),
        None if spread is None else spread.error,
        found.limits,
    )


def pass_fail(values: Iterable[float], reach: tuple[float, float] | None) -> bool:
    return (reach is None or reach == (0, 1)) and all(v in (0, 1) for v in values)


def _families(ids: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The family of each; one without is its own. Where all are of one, that one is what is spoken of, and each is its
    own within it: of other families nothing can be said anyway."""
    found = [f"family {known[i]}" if known.get(i) else f"sample {i}" for i in ids]
    return found if len(set(found)) > 1 else list(ids)


def _one(
    values: list[float], families: list[str], reach: tuple[float, float] | None, bounded: bool
) -> Spread | None:
    n, c = len(values), len(set(families))
    if n and pass_fail(values, reach):
        value = math.fsum(values) / n
        if c == n:
            return Rate(value, n, n, c)
        error = clustered_error(sums(values, families))
        worth = min(float(n), value * (1 - value) / error**2) if error else float(c)
        return Rate(value, n, worth, c)
    return _spread(values, families, reach or (), reach if bounded else None)


def _two(
    both: list[tuple[float, float]],
    families: list[str],
    seed: int,
    reach: tuple[float, float] | None,
    bounded: bool,
) -> Spread | None:
    n, c = len(both), len(set(families))
    differences = [y - x for x, y in both]
    if not (n and pass_fail((v for pair in both for v in pair), reach)):
        bounds = (reach[0] - reach[1], reach[1] - reach[0]) if reach and bounded else None
        return _spread(differences, families, reach or [v for pair in both for v in pair], bounds)
    table = PairedRate(
        sum(x == y == 1 for x, y in both),
        differences.count(1),
        differences.count(-1),
        sum(x == y == 0 for x, y in both),
    )
    if c == n:
        return table
    groups, value = sums(differences, families), math.fsum(differences) / n
    floor = None
    if len({f for d, f in zip(differences, families, strict=True) if d}) < _FEW:
        error = clustered_error(groups)
        alone = (table.wins + table.losses) / n - value**2
        floor = table.scaled((min(float(n), alone / error**2) if error else c) / n)
    return Drawn(value, n, tuple(groups), seed, floor)


def _spread(
    values: list[float],
    families: list[str],
    scale: Sequence[float],
    bounds: tuple[float, float] | None,
) -> Mean | None:
    """None of a single value; and where none differs and no scale is known, which says nothing of the next either."""
    found = mean_of(values, families, scale, bounds) if len(values) > 1 else None
    return found if found and found.error else None


def _test(
    both: list[tuple[float, float]],
    families: list[str],
    spread: Spread | None,
    reach: tuple[float, float] | None,
) -> tuple[Literal["mcnemar", "t", "bootstrap"], float | None]:
    if isinstance(spread, Mean) or not pass_fail((v for pair in both for v in pair), reach):
        if not isinstance(spread, Mean) or not spread.seen:
            return "t", None
        return "t", 2 * t_cdf(-abs(spread.value / spread.spread), spread.families - 1)
    if len(set(families)) == len(both):
        return "mcnemar", mcnemar(sum(y > x for x, y in both), sum(y < x for x, y in both))
    assert spread is not None
    return "bootstrap", min(1.0, 2 * min(chance(spread, 0.0, side) for side in (True, False)))


def _alone(values: list[float]) -> Interval:
    return Interval(math.fsum(values) / len(values) if values else None, None, None, len(values))


def _cells(rows: Iterable[Score]) -> dict[str, list[float | None]]:
    """Id → its values, one a repeat."""
    found: dict[str, list[float | None]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row.value)
    return found


def _average(cell: list[float | None]) -> float | None:
    kept = [v for v in cell if v is not None]
    return math.fsum(kept) / len(kept) if kept else None


def _reached(
    cells: list[list[float | None]], reach: tuple[float, float] | None
) -> tuple[float, float] | None:
    """The mean over samples were all that is missing the least, and the most, there can be."""
    if not cells:
        return None
    if reach is None:
        if any(None in cell for cell in cells):
            return None
        reach = (0.0, 0.0)  # nothing is missing: it is not looked at
    low, high = (
        math.fsum(math.fsum(end if v is None else v for v in cell) / len(cell) for cell in cells) / len(cells)
        for end in reach
    )
    return low, high
