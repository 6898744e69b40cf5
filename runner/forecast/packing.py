"""How records fall into passes: packed as Axolotl's multipack sampler packs them, or padded.

Source: `axolotl/utils/samplers/multipack.py` and `axolotl/utils/trainer.py` of Axolotl 0.19. Despite its name there,
the packing is first-fit in the order of the sampler, in groups of rows; a bin takes at most so many rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from runner.forecast.torchrandom import orders

GROUP = 100_000
"""Rows that are packed at once: Axolotl's `sample_packing_group_size`."""
MOST_IN_BIN = 200
"""Records in one sequence at most: Axolotl's `sample_packing_bin_size`."""
DRAWS = 4
"""Random orders of which Axolotl takes the one with the fewest batches."""


def first_fit(lengths: Sequence[int], capacity: int, most: int = MOST_IN_BIN) -> list[int]:
    """What is in each bin, in tokens: each length goes into the first bin with room. None may exceed `capacity`.

    A tree of maxima over the bins finds that bin; empty bins stand ready behind those in use.
    """
    if not lengths:
        return []
    # All bins but one are more than half full, unless they hold as many records as they may.
    bound = min(len(lengths), 2 * sum(lengths) // capacity + len(lengths) // most + 2)
    leaves = 1 << max(bound - 1, 0).bit_length()
    room = [capacity] * (2 * leaves)
    count = [0] * leaves
    for size in lengths:
        at = 1
        while at < leaves:
            at *= 2
            if room[at] < size:
                at += 1
        left = room[at] - size
        bin_ = at - leaves
        count[bin_] += 1
        # A bin that may take no more records has no room, but what is in it must be known in the end.
        room[at] = left if count[bin_] < most else left - 2 * capacity
        while at > 1:
            at >>= 1
            best = max(room[2 * at], room[2 * at + 1])
            if room[at] == best:
                break
            room[at] = best
    used = [room[leaves + i] for i, many in enumerate(count) if many]
    return [capacity - (left if left >= 0 else left + 2 * capacity) for left in used]


def packed(lengths: Sequence[int], capacity: int, most: int = MOST_IN_BIN, group: int = GROUP) -> list[int]:
    """The bins of all groups."""
    out: list[int] = []
    for low in range(0, len(lengths), group):
        out += first_fit(lengths[low : low + group], capacity, most)
    return out


def drawn(
    lengths: Sequence[int], capacity: int, seed: int, most: int = MOST_IN_BIN, group: int = GROUP
) -> Iterator[list[int]]:
    """The bins in each of the random orders that count for Axolotl's number of steps, from a generator so seeded."""
    for n, order in enumerate(orders(len(lengths), seed)):
        if n == DRAWS + 1:
            return
        if n:  # the first draw only serves Axolotl's statistics
            yield packed([lengths[i] for i in order], capacity, most, group)


def round_up(n: int, multiple: int) -> int:
    return math.ceil(n / multiple) * multiple


def padded(lengths: Iterable[int], batch: int, multiple: int = 1) -> list[tuple[int, int]]:
    """(records, longest after padding) of each batch of records in this order."""
    rows = list(lengths)
    batches = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    return [(len(b), round_up(max(b), multiple)) for b in batches]
