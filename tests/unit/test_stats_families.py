"""Samples that hang together, what is missing, several claims at once, and what a suite can see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from runner.record import Score
from runner.stats import (
    Interval,
    arm,
    chance,
    clears,
    detectable,
    estimate,
    foreseen,
    holm,
    interval,
    mcnemar,
    needed,
    paired,
    wilson,
)
from runner.stats.means import DRAWS, Drawn, Mean, clustered_error, sums
from runner.stats.rates import PairedRate, Rate, at_least
from runner.student import t_quantile


def scores(values: Sequence[float | None], arm: str = "base") -> list[Score]:
    return [Score(f"s{i:05}", arm, "m", v) for i, v in enumerate(values)]


def in_families(n: int, size: int) -> dict[str, str]:
    return {f"s{i:05}": f"f{i // size}" for i in range(n)}


def test_clustered_error_is_the_sandwich() -> None:
    """Against statsmodels' formula written out: a regression on a constant, cov_type="cluster"."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    values = rng.normal(size=len(groups)) + rng.normal(size=12)[groups]
    residuals = values - values.mean()
    meat = sum(residuals[groups == g].sum() ** 2 for g in range(12))
    # statsmodels scales by C/(C-1) times (n-1)/(n-k), which is 1 for a constant alone.
    expected = math.sqrt(12 / 11 * meat) / len(values)
    assert clustered_error(sums(list(values), [str(g) for g in groups])) == pytest.approx(expected)


def test_each_its_own_family_is_the_plain_error() -> None:
    values = [1.0, 2.5, 4.0, 3.5]
    plain = np.std(values, ddof=1) / 2
    assert clustered_error(sums(values, list("abcd"))) == pytest.approx(plain)
    own = {f"s{i:05}": f"f{i}" for i in range(4)}
    assert paired(scores([0.0] * 4), scores(values, "t")) == paired(
        scores([0.0] * 4), scores(values, "t"), families=own
    )


def test_a_family_counts_once_when_its_samples_say_the_same() -> None:
    once = [0.2, 1.4, -0.3, 0.9, 0.7, 0.1]
    many = [v for v in once for _ in range(10)]
    a = paired(scores([0.0] * 6), scores(once, "t")).difference
    told = paired(scores([0.0] * 60), scores(many, "t"), families=in_families(60, 10))
    untold = paired(scores([0.0] * 60), scores(many, "t")).difference
    assert (told.families, told.test) == (6, "t")
    assert (told.difference.low, told.difference.high) == pytest.approx((a.low, a.high))
    assert untold.high - untold.low < (a.high - a.low) / 2  # type: ignore[operator]


def test_a_rate_of_families_is_wilsons_on_what_they_are_worth() -> None:
    families = [f"f{i // 5}" for i in range(50)]
    alike = estimate([float(i // 5 < 6) for i in range(50)], families=families)
    ten = wilson(6, 10)
    assert alike.low is not None and ten.low is not None and ten.high is not None and alike.high is not None
    assert alike.low <= ten.low and alike.high >= ten.high and alike.high - alike.low < 0.75
    # Where all passed no spread is seen: a family then counts as one.
    all_passed = estimate([1.0] * 50, families=families)
    assert all_passed.low is not None and all_passed.low <= wilson(10, 10).low  # type: ignore[operator]
    # Families that say nothing of their members change little.
    rng = np.random.default_rng(2)
    loose = [float(v) for v in rng.random(1000) < 0.6]
    known, plain = estimate(loose, families=[f"f{i // 5}" for i in range(1000)]), estimate(loose)
    assert known.low == pytest.approx(plain.low, abs=0.01)
    assert Rate(0.6, 1000, 1000, 1000).limits(0.95) == (wilson(600, 1000).low, wilson(600, 1000).high)


def trial(rng: Any, families: int, size: int) -> tuple[list[float], list[float]]:
    """Pass and fail in both arms; how often an answer turns is a thing of its family."""
    base = rng.random((families, size)) < rng.beta(1.4, 0.9, families)[:, None]
    turns = rng.random((families, size)) < rng.beta(0.5, 1.5, families)[:, None]
    return list(base.ravel().astype(float)), list((base ^ turns).ravel().astype(float))


@pytest.mark.parametrize(("families", "size"), [(15, 6), (60, 4)])
def test_the_bootstrap_of_families_covers(families: int, size: int) -> None:
    rng = np.random.default_rng(11)
    truth = np.mean([np.subtract(*trial(rng, 4000, size)[::-1]).mean() for _ in range(20)])
    inside = 0
    for _ in range(150):
        base, tuned = trial(rng, families, size)
        got = paired(scores(base), scores(tuned, "t"), families=in_families(families * size, size))
        assert got.test == "bootstrap" and got.difference.low is not None and got.difference.high is not None
        inside += got.difference.low <= truth <= got.difference.high
    assert inside >= 0.91 * 150


def test_the_bootstrap_is_the_same_every_time_and_in_any_order() -> None:
    base, tuned = trial(np.random.default_rng(4), 30, 5)
    a, b, families = scores(base), scores(tuned, "t"), in_families(150, 5)
    once = paired(a, b, families=families)
    assert once == paired(a[::-1], b[::-1], families=dict(reversed(families.items())))
    other = paired(a, b, families=families, seed=18).difference
    assert other.low == pytest.approx(once.difference.low, abs=0.02)
    groups = tuple(sums(base, [families[s.id] for s in a]))
    first, again, second = (Drawn(0.5, 150, groups, seed).means for seed in (17, 17, 18))
    assert (first == again).all() and (first != second).any()


def test_few_families_widen_the_bootstrap() -> None:
    drawn = Drawn(0.1, 16, tuple((float(i % 3 - 1), 2) for i in range(8)), 17)
    plain = np.quantile(drawn.means, [0.025, 0.975])
    low, high = drawn.limits(0.95)
    assert low < plain[0] and high > plain[1]
    # Hesterberg's: the tail of sqrt(C / (C - 1)) times Student's t.
    tail = NormalDist().cdf(-math.sqrt(8 / 7) * t_quantile(0.975, 7))
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn.means, [tail, 1 - tail])))


def test_no_change_in_any_family_is_not_certain() -> None:
    same = [1.0] * 30 + [0.0] * 20
    got = paired(scores(same), scores(same, "t"), families=in_families(50, 5))
    alone = PairedRate(6, 0, 0, 4).limits(0.95)
    assert got.difference.low is not None and got.difference.low <= alone[0]
    assert got.difference.high is not None and got.difference.high >= alone[1]


def test_ones_and_zeros_of_a_scale_are_numbers() -> None:
    grades = scores([1.0] * 20)
    assert arm(grades, reach=(0, 1)).spread == Rate(1.0, 20, 20, 20)
    one = arm(grades, reach=(1, 5)).spread
    assert isinstance(one, Mean) and one.limits(0.95)[1] == pytest.approx(1 + 2.093 * 4 / 20, abs=1e-3)
    same = paired(grades, scores([1.0] * 20, "t"), reach=(1, 5))
    assert same.test == "t" and same.p_value is None
    # All alike, it is as unsure as if one had gone all the way.
    assert same.difference.low == pytest.approx(-2.093 * 4 / 20, abs=1e-3)


def test_all_of_one_family_are_their_own() -> None:
    base, tuned = [0.0, 1.0, 2.0], [1.0, 2.5, 2.0]
    one = paired(
        scores(base), scores(tuned, "t"), families=dict.fromkeys(["s00000", "s00001", "s00002"], "f")
    )
    assert one == paired(scores(base), scores(tuned, "t"))


@pytest.mark.usefixtures("ends")
def test_ten_thousand_samples_are_compared() -> None:
    rng = np.random.default_rng(3)
    base = [float(v) for v in rng.random(10_000) < 0.6]
    tuned = [float(v) for v in rng.random(10_000) < 0.6]
    a, b = scores(base), scores(tuned, "t")
    for families in ({}, in_families(10_000, 2)):
        assert paired(a, b, families=families).difference.n == 10_000


def test_what_is_missing_has_a_worst_and_a_best_case() -> None:
    got = paired(scores([1, 1, 0, None]), scores([1, None, 1, 0], "t"), reach=(0, 1))
    assert (got.missing, got.difference.n) == (2, 2)
    # Worst: the second's loss is 0 and the first's a pass; best: the other way about.
    assert got.limits == pytest.approx(((2 - 3) / 4, (3 - 2) / 4))
    assert paired(scores([1, None]), scores([1, 0], "t")).limits is None  # nobody knows how far it reaches
    assert paired(scores([1, 0]), scores([1, 1], "t")).limits == (0.5, 0.5)
    one = arm(scores([1, None, 0]), reach=(0, 1), among=["s00000", "s00001", "s00002", "s00003"])
    assert (one.missing, one.limits) == (2, (0.25, 0.75))


def test_a_missing_repeat_is_missing_too() -> None:
    rows = [Score("a", "t", "m", v) for v in (1.0, None, 0.0, 1.0)]
    one = arm(rows, reach=(0, 1))
    assert one.missing == 1 and one.values["a"] == pytest.approx(2 / 3)
    assert one.limits == (0.5, 0.75)


def test_holm() -> None:
    """Holm (1979): the least p times m, the next times m - 1 …, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_one_sided_mcnemar() -> None:
    assert at_least(0, 0) == at_least(0, 9) == 1.0
    assert at_least(5, 5) == 2**-5 and mcnemar(5, 0) == 2**-4
    assert at_least(10, 12) == pytest.approx((66 + 12 + 1) / 4096)
    assert at_least(700, 1300) == pytest.approx(0.0030, abs=2e-4)


SPREADS: list[Any] = [
    Rate(0.9, 50, 50, 50), Rate(1.0, 20, 20, 20), PairedRate(20, 5, 2, 13), Mean(0.4, 30, 0.2, 30, 0.0),
    Drawn(0.1, 60, tuple((float(i % 3 - 1), 3) for i in range(20)), 17, PairedRate(30, 10, 8, 12)),
]  # fmt: skip


@pytest.mark.parametrize("spread", SPREADS, ids=lambda s: type(s).__name__)
def test_a_p_value_is_where_the_limit_meets_the_threshold(spread: Any) -> None:
    got = interval(spread, 0.9)
    assert (
        isinstance(got, Interval) and got.low is not None and got.high is not None and got.value is not None
    )
    assert got.low <= got.value <= got.high
    if got.low < got.value:
        p = chance(spread, got.low, True)
        low, _ = spread.limits(1 - 2 * p)
        assert low == pytest.approx(got.low, abs=1e-3)
    assert chance(spread, got.value + 0.01, True) == 1.0
    wide, narrow = spread.limits(0.99), spread.limits(0.95, 4.0)
    assert wide[0] <= got.low and wide[1] >= got.high
    assert narrow[1] - narrow[0] < wide[1] - wide[0]


def test_strictness_and_dust() -> None:
    assert clears(0.9 - 0.03, 0.87, True) and not clears(0.9 - 0.03, 0.87, True, strict=True)
    assert clears(0.86, 0.87, False) and not clears(0.86, 0.87, True)


def test_prompts_that_would_tell() -> None:
    """A mean half an error's worth away needs (2.8 / 0.5)² times as many."""
    one = Mean(0.1, 100, 0.2, 100, 0.0)
    assert needed(one, 0.0, True) == pytest.approx(100 * (2.8016 / 0.5) ** 2, rel=0.01)
    assert needed(one, 0.2, True) is None and needed(one, 0.1, True) is None
    # Of a perfect score it is known: 73 of 73 is the fewest whose interval begins at 95%.
    assert needed(Rate(1.0, 20, 20, 20), 0.95, True) == 73
    assert wilson(73, 73).low >= 0.95 > wilson(72, 72).low


def test_what_a_suite_can_see() -> None:
    assert detectable(0.1) == pytest.approx(0.28016, abs=1e-4)
    assert foreseen(48, paired=True) == pytest.approx(2.8016 * math.sqrt(0.5 / 48), abs=1e-4)
    assert foreseen(48, paired=False) == pytest.approx(2.8016 * 0.5 / math.sqrt(48), abs=1e-4)
    assert foreseen(1, paired=True) == 1.0


def differences(rng: Any, effect: float, n: int) -> Iterator[bool]:
    for _ in range(300):
        base = rng.random(n) < 0.5
        tuned = rng.random(n) < 0.5 + effect
        got = paired(scores(list(base.astype(float))), scores(list(tuned.astype(float)), "t")).difference
        yield got.low is not None and got.low > 0


def test_it_sees_what_it_says_it_sees() -> None:
    """Two arms that have nothing to do with each other: found in four of five suites."""
    found = np.mean(list(differences(np.random.default_rng(9), foreseen(200, paired=True), 200)))
    assert 0.72 <= found <= 0.9


def test_as_many_draws_as_said() -> None:
    drawn = Drawn(0.1, 60, tuple((float(i % 3 - 1), 3) for i in range(20)), 17)
    assert len(drawn.means) == DRAWS and drawn.means.mean() == pytest.approx(-1 / 60, abs=0.01)


def test_dust_is_no_spread() -> None:
    """Each of four prompts right once more in three repeats: thirds that differ in their last digit."""
    base = [Score(f"s{i}", "base", "m", float(r < i % 3)) for i in range(4) for r in range(3)]
    tuned = [Score(f"s{i}", "tuned", "m", float(r < i % 3 + 1)) for i in range(4) for r in range(3)]
    for reach in ((0.0, 1.0), None):
        found = paired(base, tuned, reach=reach)
        assert found.difference.low is not None and found.difference.high is not None
        assert found.difference.high - found.difference.low > 0.3
        assert found.p_value is None


def test_known_bounds_are_kept() -> None:
    one, two = scores([0.0, 0.5] * 4), scores([1.0] * 8, "tuned")
    difference = paired(one, two, reach=(0.0, 1.0)).difference
    assert difference.high == 1.0
    assert estimate([0.0, 0.5] * 2, reach=(0.0, 1.0)).low == 0.0
    assert (estimate([0.0, 0.5] * 2, reach=(0.0, 0.5), bounded=False).low or 0.0) < 0.0
