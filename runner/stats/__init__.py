"""Numbers with their uncertainty: a rate, a mean, the difference between two arms.

Every interval is two-sided, 95% unless said otherwise. A value of None is *missing*: it is left out and counted, never
taken for 0. Samples are paired by their ids, repeats of a sample averaged first; samples that hang together (several
questions on one passage) are told by their `family`, and families, not samples, are then what is counted on.

| what | limits | test |
|---|---|---|
| a rate of pass and fail | Wilson's; of families, on their effective number | |
| a mean | Student's t, errors clustered by family | |
| a difference of rates | Newcombe's; of families, a bootstrap that draws families | exact McNemar; the bootstrap |
| a difference of means | Student's t, errors clustered by family | the same t |
| a number of all samples at once (BLEU, F1) | a bootstrap that draws samples | the bootstrap |

The sources stand in the modules.
"""

from runner.stats.means import mean
from runner.stats.pairs import Arm, Paired, Pairs, arm, compared, estimate, paired, pairs
from runner.stats.rates import mcnemar, wilson
from runner.stats.spread import (
    Interval,
    Spread,
    chance,
    clears,
    detectable,
    foreseen,
    holm,
    interval,
    needed,
)
from runner.stats.wholes import Whole, WholePairs

__all__ = [
    "Arm", "Interval", "Paired", "Pairs", "Spread", "Whole", "WholePairs", "arm", "chance", "clears", "compared",
    "detectable", "estimate", "foreseen", "holm", "interval", "mcnemar", "mean", "needed", "paired", "pairs", "wilson",
]  # fmt: skip
