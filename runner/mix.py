"""Which records go into training, how often and in which order; and which of them are held out.

All choices come from stable hashes of the seed and a record's id: not from the order of arrival. What is chosen from
are columns, one number a record, so that ten million records are no burden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.hashes import ranks
from runner.recipe import Mix, Split
from runner.record import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    U64 = NDArray[np.uint64]
    Ints = NDArray[Any]


class Impossible(Exception):
    """The mix that was asked for cannot be had from these records; `str()` says what could."""


class Offer(Struct, frozen=True):
    """What there is to choose from, a line a record. `held` are held out for validation: used once at most.

    `ids`: hashes of their ids. `sizes`: 1 for unit records, token counts for unit tokens. `name[i]` says where in
    `names` stands what the mix goes by.
    """

    ids: Any  # U64
    sizes: Any  # Ints
    name: Any  # Ints
    names: Sequence[str]
    held: Any  # bools


def _shares(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in the ratio of the weights that sum to `total` (largest remainders)."""
    exact = {n: total * w for n, w in weights.items()}
    out = {n: int(x) for n, x in exact.items()}
    rest = sorted(weights, key=lambda n: (-(exact[n] - out[n]), n))
    for n in rest[: total - sum(out.values())]:
        out[n] += 1
    return out


def choose(offer: Offer, mix: Mix, seed: int) -> Ints:
    """How often each record is used.

    Without a `total` the mix is the largest that the data allow at `repeat_at_most`. Each share holds to within one
    record, of what is trained and held out together; of what is held out, the same part is used as of the rest, as
    long as nothing is repeated. Raises Impossible where a share has no records, or too few for the total.
    """
    import numpy as np

    for name in sorted(set(offer.names) - set(mix.asked)):
        raise Impossible(f"{mix.by} {name!r} has no weight; 0 leaves it out")
    sizes = offer.sizes.astype(np.int64)
    halves = {
        name: [np.flatnonzero((offer.name == i) & (offer.held == held)) for held in (True, False)]
        for i, name in enumerate(offer.names)
    }
    size = {name: [int(sizes[rows].sum()) for rows in both] for name, both in halves.items()}
    caps = {name: mix.cap(name) for name in mix.asked}
    have = {}
    for name, share in mix.asked.items():
        held, rest = size.get(name, [0, 0])
        if share:
            have[name] = held + rest * caps[name]
    empty = sorted(name for name in have if not have[name])
    if empty:
        raise Impossible(f"no records of {', '.join(empty)} are left; set the weight to 0 to go without")
    times = np.zeros(len(offer.ids), dtype=np.uint32)
    for name, amount in _wanted(mix, have, caps).items():
        held, rest = size[name]
        of_held = min(held, round(amount * held / (held + rest)))
        used = _use(times, halves[name][0], of_held, sizes, offer, seed)
        _use(times, halves[name][1], min(amount - used, rest * caps[name]), sizes, offer, seed)
    return times


def _use(times: Ints, rows: Ints, amount: int, sizes: Ints, offer: Offer, seed: int) -> int:
    """Use so much of these rows, over and over if need be, to the nearest record; how much it came to."""
    import numpy as np

    if not len(rows) or amount <= 0:
        return 0
    order = rows[np.lexsort((rows, ranks(offer.ids[rows], seed, "choose")))]
    upto = np.cumsum(sizes[order])
    whole, rest = divmod(amount, int(upto[-1]))
    times[order] = whole
    if rest:
        last = int(np.searchsorted(upto, rest))
        before = int(upto[last - 1]) if last else 0
        # The last one is taken if that comes nearer to the amount than leaving it out.
        times[order[: last + (2 * (rest - before) >= int(sizes[order[last]]))]] += 1
    return int((times[rows] * sizes[rows]).sum())


def _wanted(mix: Mix, have: Mapping[str, int], caps: Mapping[str, int]) -> dict[str, int]:
    """How much of each, in records or tokens."""
    if mix.amounts is not None:
        for name, amount in mix.amounts.items():
            if amount > have.get(name, 0):
                raise Impossible(
                    f"{amount:,} {mix.unit} of {name} cannot be had: there are {have[name]:,} "
                    f"(repeat_at_most {caps[name]})"
                )
        return {name: amount for name, amount in mix.amounts.items() if amount}
    whole = math.fsum(mix.asked.values())  # 1, but for the rounding that checks allow; in any order the same
    weights = {n: w / whole for n, w in mix.asked.items() if w > 0}
    most = min(int(have[n] / w + 1e-6) for n, w in weights.items())
    total = mix.total or most
    short = sorted(weights, key=lambda n: have[n] / weights[n])[0]
    if total > most:
        raise Impossible(
            f"{total:,} {mix.unit} cannot be had: {short} has {have[short]:,} at weight {weights[short]:g} "
            f"(repeat_at_most {caps[short]}); at most {most:,} in all"
        )
    if not most:
        raise Impossible(f"too few records of {short} for its weight of {weights[short]:g}")
    return _shares(total, weights)


def ordered(
    offer: Offer, times: Ints, order: str, names: Sequence[str], lengths: Ints, seed: int
) -> tuple[Ints, Ints]:
    """(places in the offer, which copy) in the order of training: each record as often as it is used.

    `shuffled`; `shortest_first` by `lengths`; or `in_turn`, one of `names` after the other, each shuffled.
    """
    import numpy as np

    place = np.repeat(np.arange(len(times)), times)
    first = np.repeat(np.cumsum(times) - times, times)
    copy = (np.arange(len(place)) - first).astype(np.uint32)
    key = (
        ranks(offer.ids[place], seed, "order")
        if not len(copy) or not copy.any()
        else _by_copy(offer, place, copy, seed)
    )
    keys: list[Any] = [place, key]
    if order == "shortest_first":
        keys.append(lengths[place])
    elif order == "in_turn":
        turn = np.array([names.index(n) for n in offer.names] or [0])
        keys.append(turn[offer.name[place]])
    by = np.lexsort(keys) if len(keys) > 2 else np.argsort(key, kind="stable")
    return place[by], copy[by]


def _by_copy(offer: Offer, place: Ints, copy: Ints, seed: int) -> U64:
    import numpy as np

    key = np.empty(len(place), dtype=np.uint64)
    for c in range(int(copy.max()) + 1):
        mine = copy == c
        key[mine] = ranks(offer.ids[place[mine]], seed, "order", *([c] if c else []))
    return key


def held_out(
    groups: U64, stratum: Ints, strata: Sequence[object], split: Split, seed: int
) -> NDArray[np.bool_]:
    """Which records are held out: whole groups, each stratum's share as near as its groups allow.

    A line a record: a hash of its group, and where in `strata` the name of its stratum stands. A group belongs to the
    stratum of its first record, so that it can never be torn.
    """
    import numpy as np

    held = np.zeros(len(groups), dtype=bool)
    if not len(groups) or not split.validation:
        return held
    group, first, of, size = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    chosen = np.zeros(len(group), dtype=bool)
    home = stratum[first]
    for n, name in enumerate(strata):
        mine = np.flatnonzero(home == n)
        target = split.validation * int(size[mine].sum())
        order = mine[np.argsort(ranks(group[mine], seed, "split", name), kind="stable")]
        least = 0.5 * int(size[mine].min()) if len(mine) else 0.0
        got = 0
        for g, many in zip(
            order[:-1].tolist(), size[order[:-1]].tolist(), strict=True
        ):  # never all of a stratum
            if target - got <= least:
                break
            if abs(got + many - target) < abs(got - target):
                chosen[g] = True
                got += many
    return chosen[of]


def by_length(records: Sequence[Record], batch: int, seed: int) -> list[Record]:
    """Records in batches of like length (least padding), the batches shuffled (no long-to-short drift)."""
    from runner.hashes import text_hash

    order = sorted(
        records, key=lambda r: (int(r.meta["tokens"]), text_hash(seed, "length", r.id, r.meta.get("copy")))
    )
    batches = [order[i : i + batch] for i in range(0, len(order), batch)]
    # The short batch, if there is one, stays last: anywhere else it would shift all batches after it.
    whole = [b for b in batches if len(b) == batch]
    whole.sort(key=lambda b: text_hash(seed, "batch", b[0].id, b[0].meta.get("copy")))
    return [r for b in [*whole, *(b for b in batches if len(b) < batch)] for r in b]
