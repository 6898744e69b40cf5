"""Intervals and paired comparisons against published values, against SciPy, and as laws."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.record import Score
from runner.stats import Interval, estimate, mcnemar, mean, paired, wilson
from runner.student import incomplete_beta, t_cdf, t_quantile

rates = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
floats = st.floats(-1e6, 1e6, allow_nan=False)


def scores(values: list[float | None], arm: str = "base", metric: str = "m") -> list[Score]:
    return [Score(f"s{i}", arm, metric, v) for i, v in enumerate(values)]


# Newcombe, Statistics in Medicine 17 (1998) 857-872, Table I, method 3 (Wilson without correction).
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_known(successes: int, n: int, low: float, high: float) -> None:
    got = wilson(successes, n)
    assert got.low == pytest.approx(low, abs=5e-5)
    assert got.high == pytest.approx(high, abs=5e-5)


@settings(deadline=None)
@given(rates)
def test_wilson_laws(rate: tuple[int, int]) -> None:
    k, n = rate
    got, mirror = wilson(k, n), wilson(n - k, n)
    assert got.low is not None and got.high is not None and got.value is not None
    assert mirror.high is not None
    assert 0 <= got.low <= got.value <= got.high <= 1
    assert got.high > got.low  # never without width, not even where all passed
    assert got.low == pytest.approx(1 - mirror.high, abs=1e-12)


def test_nothing_is_not_zero() -> None:
    assert wilson(0, 0) == Interval(None, None, None, 0) == mean([None]) == estimate([])
    assert mean([0.5, None]) == Interval(0.5, None, None, 1)
    assert estimate([None, 1.0, 1.0]) == wilson(2, 2)


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3)])
def test_wilson_refuses(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(successes, n)


# NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, critical values of Student's t.
@pytest.mark.parametrize(
    ("p", "df", "t"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 10, 2.228),
        (0.95, 5, 2.015),
        (0.995, 30, 2.750),
        (0.975, 100, 1.984),
        (0.999, 4, 7.173),
    ],
)
def test_t_known(p: float, df: int, t: float) -> None:
    assert t_quantile(p, df) == pytest.approx(t, abs=6e-4)


def test_t_with_one_degree_is_cauchy() -> None:
    for p in (0.5, 0.6, 0.9, 0.999, 0.999999):
        assert t_quantile(p, 1) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-8, abs=1e-12)


@settings(deadline=None)
@given(st.floats(1e-6, 1 - 1e-6), st.integers(1, 10_000))
def test_t_quantile_inverts_the_cdf(p: float, df: int) -> None:
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, rel=1e-9, abs=1e-12)


@settings(deadline=None)
@given(st.floats(0.5, 500), st.floats(0.5, 500), st.floats(0, 1))
def test_incomplete_beta_is_scipys(a: float, b: float, x: float) -> None:
    special = pytest.importorskip("scipy.special")
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-14)


def test_mean_known() -> None:
    """Student's sleep data (1908), differences of the two drugs: 0.70 to 2.46, p = 0.0028."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    got = paired(scores(list(first)), scores(list(second), "tuned"))
    assert got.test == "t" and (got.wins, got.losses, got.ties) == (9, 0, 1)
    assert got.p_value == pytest.approx(0.002833, abs=1e-6)
    assert got.difference.low == pytest.approx(0.7001, abs=1e-4)
    assert got.difference.high == pytest.approx(2.4599, abs=1e-4)


@settings(deadline=None)
@given(st.lists(floats, min_size=2, max_size=50), floats)
def test_mean_moves_with_its_values(values: list[float], shift: float) -> None:
    a, b = mean(values), mean([v + shift for v in values])
    assert a.low is not None and a.value is not None and a.high is not None and b.low is not None
    assert a.low <= a.value <= a.high
    assert b.low == pytest.approx(a.low + shift, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (0, 6, 0.03125), (10, 2, 0.0385742), (7, 7, 1.0)],
)
def test_mcnemar_known(wins: int, losses: int, p: float) -> None:
    assert mcnemar(wins, losses) == mcnemar(losses, wins) == pytest.approx(p, abs=1e-7)


def test_mcnemar_is_the_sign_test() -> None:
    stats = pytest.importorskip("scipy.stats")
    for wins, losses in [(3, 9), (40, 60), (520, 480), (999, 1), (1300, 1200), (5000, 100)]:
        assert mcnemar(wins, losses) == pytest.approx(stats.binomtest(wins, wins + losses).pvalue, rel=1e-9)


def arms(both: int, wins: int, losses: int, neither: int) -> tuple[list[Score], list[Score]]:
    pairs = [(1, 1)] * both + [(0, 1)] * wins + [(1, 0)] * losses + [(0, 0)] * neither
    return scores([x for x, _ in pairs]), scores([y for _, y in pairs], "tuned")


def test_all_improved_is_not_certain() -> None:
    got = paired(*arms(0, 24, 0, 0))
    assert got.test == "mcnemar" and got.difference.value == 1
    assert got.difference.low is not None and 0.75 < got.difference.low < 0.9
    assert got.difference.high == 1 and got.p_value == pytest.approx(2**-23)


@settings(deadline=None)
@given(*[st.integers(0, 30)] * 4)
def test_paired_rates_mirror(both: int, wins: int, losses: int, neither: int) -> None:
    a, b = arms(both, wins, losses, neither)
    there, back = paired(a, b), paired(b, a)
    d, e = there.difference, back.difference
    assert there.p_value == back.p_value and there.wins == back.losses
    if d.n == 0:
        assert d == Interval(None, None, None, 0)
        return
    assert d.low is not None and d.value is not None and d.high is not None and e.high is not None
    assert -1 <= d.low <= d.value <= d.high <= 1 and d.low < d.high
    assert d.low == pytest.approx(-e.high, abs=1e-12)


def test_paired_interval_covers() -> None:
    """Every outcome of 20 pairs, weighted by its chance: the truth is inside in about 95%."""
    n, found = 20, []
    tables = [t for t in product(range(n + 1), repeat=3) if sum(t) <= n]
    intervals = {t: paired(*arms(t[0], t[1], t[2], n - sum(t))).difference for t in tables}
    for p in [(0.4, 0.3, 0.1), (0.7, 0.15, 0.05), (0.1, 0.5, 0.2), (0.25, 0.25, 0.25)]:
        inside = 0.0
        for t, d in intervals.items():
            assert d.low is not None and d.high is not None
            if d.low <= p[1] - p[2] <= d.high:
                cells = [*t, n - sum(t)]
                ways = math.factorial(n) / math.prod(map(math.factorial, cells))
                chances = [*p, 1 - sum(p)]
                inside += ways * math.prod(q**k for q, k in zip(chances, cells, strict=True))
        found.append(inside)
    assert min(found) > 0.93 and sum(found) / len(found) > 0.945


def test_missing_is_counted_never_zero() -> None:
    base = scores([1, 1, None, 0])
    tuned = [*scores([1, None, 1, 1], "tuned"), Score("only", "tuned", "m", 1)]
    got = paired(base, tuned)
    assert (got.difference.n, got.missing) == (2, 3)
    assert got.difference.value == 0.5 and got.base.value == 0.5 and got.tuned.value == 1


def test_repeats_are_averaged_first() -> None:
    base = [Score("a", "base", "m", v) for v in (0, 1, None)] + [Score("b", "base", "m", 0)]
    tuned = [Score("a", "tuned", "m", 1), Score("b", "tuned", "m", 1)]
    got = paired(base, tuned)
    assert got.difference.n == 2 and got.difference.value == 0.75 and got.test == "t"


def test_one_metric_at_a_time() -> None:
    with pytest.raises(ValueError, match="one metric at a time, got m, other"):
        paired(scores([1]), scores([1], metric="other"))
