"""What became of the planted duplicates: recall, precision and more of a list of kept rows.

Two rows belong together where their true Jaccard similarity over word 5-grams is 0.8 or more. In the
corpus (corpus.py) that is so within a group whose kind is exact, hot, or a level of 0.8 or more, for
every two rows of it, and for no other two rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from corpus import KINDS, LEVELS, NEAR

THRESHOLD = 0.8
PLAIN, SHORT, EXACT, HOT = range(4)
ALIKE = (EXACT, HOT, *(NEAR + n for n, level in enumerate(LEVELS) if level >= THRESHOLD))


class Truth(NamedTuple):
    """Of each row: its group, its place in it (0 is the base), its kind, whether it is English."""

    group: np.ndarray
    member: np.ndarray
    kind: np.ndarray
    english: np.ndarray


class Score(NamedTuple):
    """`found` is the share of groups of a kind of which a row went, for `exact` and `hot` of rows."""

    kept: int
    recall: float  # of the rows that must go: all but one of each group that belongs together
    precision: float  # of the rows gone: those with a partner at 0.8 or more; short rows apart
    lost_groups: int  # groups of which no row is left
    short_gone: float  # share of the short rows, each one of its kind, that are gone
    others_kept: int  # rows that a language and words filter should have dropped
    found: dict[str, float]


def load(folder: Path) -> Truth:
    with np.load(folder / "truth.npz") as file:
        return Truth(*(file[name] for name in Truth._fields))


def kept_rows(path: Path, rows: int) -> np.ndarray:
    """Which rows a contender kept, as it wrote them: an id a line, ids from 1."""
    ids = np.loadtxt(path, dtype=np.int64, ndmin=1)
    kept = np.zeros(rows, dtype=bool)
    kept[ids - 1] = True
    if len(ids) != kept.sum():
        raise ValueError(f"{len(ids) - kept.sum()} ids twice in {path.name}")
    return kept


def score(truth: Truth, kept: np.ndarray, *, chain: bool) -> Score:
    """With `chain`, of the rows alone that a language and words filter lets pass."""
    passes = truth.english & (truth.kind != SHORT) if chain else np.ones(len(kept), dtype=bool)
    gone = ~kept & passes
    groups = int(truth.group.max()) + 1
    kind = np.zeros(groups, dtype=np.int8)
    kind[truth.group] = truth.kind
    size = np.bincount(truth.group[passes], minlength=groups)
    lost = np.bincount(truth.group[gone], minlength=groups)
    alike = np.isin(kind, ALIKE) & (size > 1)
    wanted = np.where(alike, size - 1, 0)
    found = np.minimum(lost, wanted)
    judged = gone & (truth.kind != SHORT)
    right = judged & np.isin(truth.kind, ALIKE)
    short = truth.kind == SHORT
    return Score(
        kept=int(kept.sum()),
        recall=float(found.sum() / wanted.sum()),
        precision=float(right.sum() / judged.sum()) if judged.any() else 1.0,
        lost_groups=int(((lost == size) & alike).sum()),
        short_gone=0.0 if chain else float((short & ~kept).sum() / short.sum()),
        others_kept=int((kept & ~passes).sum()),
        found={KINDS[k]: _share(k, kind, size, lost, found, wanted) for k in range(EXACT, len(KINDS))},
    )


def _share(
    k: int, kind: np.ndarray, size: np.ndarray, lost: np.ndarray, found: np.ndarray, wanted: np.ndarray
) -> float:
    of = (kind == k) & (size > 1)
    if k in (EXACT, HOT):
        return float(found[of].sum() / wanted[of].sum())
    return float((lost[of] > 0).mean())
