"""How far a judge agrees with what is known, and with itself. Pure arithmetic; nothing missing is taken for a value.

Source: J. Cohen, "Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit",
Psychological Bulletin 70 (1968) 213-220, with quadratic weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, sqrt


def share(said: Iterable[float | None]) -> float | None:
    """The mean of what is there; None where nothing is."""
    kept = [s for s in said if s is not None]
    return fsum(kept) / len(kept) if kept else None


def kappa(
    known: Sequence[int], given: Sequence[int], grades: Sequence[int] = (1, 2, 3, 4, 5)
) -> float | None:
    """Cohen's kappa with quadratic weights, from -1 to 1; 0 is what chance gives.

    None where there is nothing to compare, or both sides hold one and the same grade throughout. Raises ValueError for
    sequences of different lengths and for grades that are not on the scale.
    """
    if len(known) != len(given):
        raise ValueError(f"{len(known)} known grades, {len(given)} given ones")
    at = {grade: n for n, grade in enumerate(grades)}
    if other := {*known, *given} - set(at):
        raise ValueError(f"no grades of the scale: {sorted(other)}")
    n = len(known)
    rows, columns = ([sum(x == g for x in side) for g in grades] for side in (known, given))
    observed = sum((at[a] - at[b]) ** 2 for a, b in zip(known, given, strict=True))
    by_chance = fsum(
        rows[i] * columns[j] * (i - j) ** 2 for i in range(len(grades)) for j in range(len(grades))
    )
    return 1 - observed * n / by_chance if by_chance else None


def spread(values: Sequence[float]) -> float | None:
    """The standard deviation of two values or more."""
    if len(values) < 2:
        return None
    centre = fsum(values) / len(values)
    return sqrt(fsum((v - centre) ** 2 for v in values) / (len(values) - 1))
