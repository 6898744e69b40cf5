"""What lm-eval puts together of all documents at once (bleu, f1, word_perplexity …), and how far that may swing.

Of such a number no document has a part, so that arms cannot be paired by document. Instead the same documents are drawn
with replacement for every arm, by a seed that only their number decides, and the number is worked out for each draw:
what differs between two arms' numbers of one draw is a draw of their difference (a paired bootstrap).

Most of these are a function of sums over documents, and a draw is then the sums of what was drawn. Whether that gives
lm-eval's own number of all documents is looked at each time; where it does not, lm-eval's own function is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

DRAWS = 2000
SEED = 20240
_BLOCK = 4_000_000  # numbers at once: 32 MB
# The sums of each document, and the number of their total.
Sums = tuple[Any, Callable[[Any], float]]


def drawn(
    aggregation: str, items: Sequence[Any], value: float, whole: Callable[[Any], float]
) -> list[float | None]:
    """lm-eval's number of each of DRAWS draws of documents; None where it is not finite.

    `items` are what lm-eval kept of each document, `value` its number of all of them, `whole` its function.
    """
    import numpy as np

    n = len(items)
    if n < 2:
        return []
    rng = np.random.default_rng([SEED, n])
    sums = _checked(aggregation, items, value)
    found: list[float | None] = []
    step = max(1, _BLOCK // n)
    for start in range(0, DRAWS, step):
        rows = rng.integers(0, n, size=(min(step, DRAWS - start), n), dtype=np.int32)
        for row in rows:
            if sums is None:
                one = _of(whole, [items[i] for i in row])
            else:
                one = _of(sums[1], np.bincount(row, minlength=n) @ sums[0])
            found.append(one if one is not None and math.isfinite(one) else None)
    return found


def _checked(aggregation: str, items: Sequence[Any], value: float) -> Sums | None:
    """The sums, if they give the value that lm-eval gave."""
    make = _MAKERS.get(aggregation)
    if make is None:
        return None
    try:
        stats, finish = make(items)
        again = _of(finish, stats.sum(axis=0))
    except (TypeError, ValueError, AttributeError, LookupError):
        return None
    same = again is not None and math.isclose(again, value, rel_tol=1e-9, abs_tol=1e-12)
    return (stats, finish) if same else None


def _of(function: Callable[[Any], float], given: Any) -> float | None:
    """A draw may have no number: one class of two, no word at all."""
    try:
        return float(function(given))
    except (ArithmeticError, ValueError):
        return None


def _weighted(finish: Callable[[float], float]) -> Callable[[Sequence[Any]], Sums]:
    def make(items: Sequence[Any]) -> Sums:
        import numpy as np

        return np.array(items, dtype=float), lambda total: finish(float(total[0]) / float(total[1]))

    return make


def _f1(items: Sequence[Any]) -> Sums:
    import numpy as np

    gold, said = (np.array(side) == 1 for side in zip(*items, strict=True))
    stats = np.stack([gold & said, gold | said], axis=1).astype(float)
    # 2 tp / (2 tp + fp + fn); 0 where there is no 1 at all, as scikit-learn has it.
    return stats, lambda t: 2 * t[0] / (t[0] + t[1]) if t[1] else 0.0


def _mcc(items: Sequence[Any]) -> Sums:
    """J. Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374: of any number of classes."""
    import numpy as np

    gold, said = (np.array(side) for side in zip(*items, strict=True))
    classes = np.unique(np.concatenate([gold, said]))
    c = len(classes)
    cell = np.searchsorted(classes, gold) * c + np.searchsorted(classes, said)

    def finish(total: Any) -> float:
        table = total.reshape(c, c)
        rows, columns, s = table.sum(axis=1), table.sum(axis=0), table.sum()
        below = math.sqrt(s * s - rows @ rows) * math.sqrt(s * s - columns @ columns)
        return float((np.trace(table) * s - rows @ columns) / below) if below else 0.0

    return np.eye(c * c)[cell], finish


def _brier(items: Sequence[Any]) -> Sums:
    import numpy as np

    gold, said = zip(*items, strict=True)
    right = np.eye(len(said[0]))[list(gold)]
    return np.stack(
        [((np.array(said) - right) ** 2).sum(axis=1), np.ones(len(gold))], axis=1
    ), lambda t: t[0] / t[1]


def _sacrebleu(name: str) -> Callable[[Sequence[Any]], Sums]:
    def make(items: Sequence[Any]) -> Sums:
        import numpy as np
        import sacrebleu
        from lm_eval.api.metrics import _sacreformat

        metric: Any = getattr(sacrebleu, name)()
        refs, said = _sacreformat(*zip(*items, strict=True))
        # As its own bootstrap has it: statistics of each segment, whose sums make the score.
        stats = np.array(metric._extract_corpus_statistics(said, refs), dtype=float)
        return stats, lambda total: metric._compute_score_from_stats(total.tolist()).score

    return make


_MAKERS: dict[str, Callable[[Sequence[Any]], Sums]] = {
    "weighted_perplexity": _weighted(lambda mean: math.exp(-mean)),
    "bits_per_byte": _weighted(lambda mean: -mean / math.log(2)),
    "f1": _f1,
    "matthews_corrcoef": _mcc,
    "brier_score": _brier,
    "bleu": _sacrebleu("BLEU"),
    "chrf": _sacrebleu("CHRF"),
    "ter": _sacrebleu("TER"),
}
