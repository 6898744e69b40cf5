"""Which records go into training, how often and in which order; and which of them are held out.

All choices come from stable hashes of the seed and a record's id: not from the order of arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from runner.recipe import Mix, Split
from runner.record import Record


def rank(seed: int, *parts: object) -> bytes:
    """A stable random key: sorting by it shuffles."""
    return hashlib.sha256("\x1f".join(map(str, (seed, *parts))).encode()).digest()


def key(record: Record, by: str) -> str | None:
    """The value that `mix.by` or `split.stratify` means: the source's name or a tag."""
    return record.meta.get("source") if by == "source" else record.tags.get(by)


class Impossible(Exception):
    """The mix that was asked for cannot be had from these records; `str()` says what could."""


@dataclass(frozen=True)
class Use:
    """A record's part in the mix: its place in the input and how often it is used (0: left out)."""

    index: int
    times: int


def _shares(total: int, weights: dict[str, float]) -> dict[str, int]:
    """Whole numbers in the ratio of the weights that sum to `total` (largest remainders)."""
    exact = {n: total * w for n, w in weights.items()}
    out = {n: int(x) for n, x in exact.items()}
    rest = sorted(weights, key=lambda n: (-(exact[n] - out[n]), n))
    for n in rest[: total - sum(out.values())]:
        out[n] += 1
    return out


def choose(records: Sequence[Record], sizes: Sequence[int], mix: Mix, seed: int) -> list[Use]:
    """How often each record is used. `sizes` are 1 for unit records, token counts for unit tokens.

    Without a `total` the mix is the largest that the data allow at `repeat_at_most`. Shares hold to within
    one record. Raises Impossible where a share has no records, or too few for the total.
    """
    members: dict[str, list[int]] = {name: [] for name in mix.weights}
    for i, record in enumerate(records):
        value = key(record, mix.by)
        if value is None:
            raise Impossible(f"record {record.id} has no tag {mix.by!r}; give its source one")
        if value not in members:
            raise Impossible(f"{mix.by} {value!r} has no weight; 0 leaves it out")
        members[value].append(i)
    whole = sum(mix.weights.values())  # 1, but for the rounding that checks allow
    weights = {n: w / whole for n, w in mix.weights.items() if w > 0}
    have = {n: sum(sizes[i] for i in members[n]) * mix.repeat_at_most for n in weights}
    empty = sorted(n for n in weights if not have[n])
    if empty:
        raise Impossible(f"no records of {', '.join(empty)} are left; set the weight to 0 to go without")
    most = min(int(have[n] / w + 1e-6) for n, w in weights.items())
    total = mix.total or most
    short = sorted(weights, key=lambda n: have[n] / weights[n])[0]
    if total > most:
        raise Impossible(
            f"{total:,} {mix.unit} cannot be had: {short} has {have[short]:,} at weight {weights[short]:g} "
            f"(repeat_at_most {mix.repeat_at_most}); at most {most:,} in all"
        )
    if not most:
        raise Impossible(f"too few records of {short} for its weight of {weights[short]:g}")
    wanted = _shares(total, weights)
    times = [0] * len(records)
    for name, amount in wanted.items():
        order = sorted(members[name], key=lambda i: rank(seed, "choose", records[i].id))
        got = 0
        while got < amount:
            for i in order:
                # Stop where leaving the next one out comes nearer to the amount than taking it.
                if got >= amount or 2 * (amount - got) < sizes[i]:
                    got = amount
                    break
                times[i] += 1
                got += sizes[i]
    return [Use(i, n) for i, n in enumerate(times)]


def held_out(records: Sequence[Record], split: Split, seed: int) -> set[int]:
    """Indices of the validation records: whole groups, each stratum's share as near as its groups allow."""
    strata: dict[tuple[str | None, ...], dict[str, list[int]]] = {}
    seen: dict[str, tuple[str | None, ...]] = {}
    for i, record in enumerate(records):
        group = record.meta.get("group", record.id) if split.group == "document" else record.id
        # A group belongs to the stratum of its first record, so that it can never be torn.
        stratum = seen.setdefault(group, tuple(key(record, by) for by in split.stratify))
        strata.setdefault(stratum, {}).setdefault(group, []).append(i)
    out: set[int] = set()
    for stratum, groups in strata.items():
        target = split.validation * sum(map(len, groups.values()))
        order = sorted(groups, key=lambda g: rank(seed, "split", *stratum, g))
        got = 0
        for group in order[: len(order) - 1]:  # never all of a stratum
            size = len(groups[group])
            if abs(got + size - target) < abs(got - target):
                out.update(groups[group])
                got += size
    return out


def by_length(records: Sequence[Record], batch: int, seed: int) -> list[Record]:
    """Records in batches of like length (least padding), the batches shuffled (no long-to-short drift)."""
    order = sorted(
        records, key=lambda r: (int(r.meta["tokens"]), rank(seed, "length", r.id, r.meta.get("copy")))
    )
    batches = [order[i : i + batch] for i in range(0, len(order), batch)]
    # The short batch, if there is one, stays last: anywhere else it would shift all batches after it.
    whole = [b for b in batches if len(b) == batch]
    whole.sort(key=lambda b: rank(seed, "batch", b[0].id, b[0].meta.get("copy")))
    return [r for b in [*whole, *(b for b in batches if len(b) < batch)] for r in b]
