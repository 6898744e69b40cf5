"""The mix: shares, caps, order; and what is held out."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner import mix
from runner.hashes import text_hash
from runner.recipe import Mix, Split
from runner.record import Message, Record

NAMES = ("a", "b", "c", "d")
relaxed = settings(deadline=None, max_examples=200)


def record(source: str, n: int, **meta: str) -> Record:
    said = [Message("user", "q"), Message("assistant", "a")]
    return Record(said, tags={"tone": source}, meta={"source": source, "id": f"{source}/{n}"} | meta)


def offer(records: list[Record], sizes: list[int], by: str = "source") -> mix.Offer:
    values = [r.meta["source"] if by == "source" else r.tags[by] for r in records]
    names = sorted(set(values))
    ids = np.array([text_hash(r.id) for r in records], dtype=np.uint64)
    none = np.zeros(len(ids), dtype=bool)
    return mix.Offer(ids, np.array(sizes), np.array([names.index(v) for v in values]), names, none)


def choose(records: list[Record], sizes: list[int], wanted: Mix, seed: int) -> list[int]:
    return mix.choose(offer(records, sizes, wanted.by), wanted, seed).tolist()


def held_out(records: list[Record], split: Split, seed: int) -> set[int]:
    values = [tuple(r.meta[by] for by in split.stratify) for r in records]
    strata = sorted(set(values))
    groups = [r.meta.get("group", r.id) if split.group == "document" else r.id for r in records]
    hashes = np.array([text_hash(g) for g in groups], dtype=np.uint64)
    held = mix.held_out(hashes, np.array([strata.index(v) for v in values]), strata, split, seed)
    return set(np.flatnonzero(held).tolist())


@st.composite
def mixes(draw: st.DrawFn) -> tuple[list[Record], list[int], Mix]:
    parts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    weights = {n: p / sum(parts) for n, p in zip(NAMES, parts, strict=False)}
    records = [record(n, i) for n in weights for i in range(draw(st.integers(1, 30)))]
    unit = draw(st.sampled_from(["records", "tokens"]))
    sizes = [draw(st.integers(1, 50)) if unit == "tokens" else 1 for _ in records]
    by = draw(st.sampled_from(["source", "tone"]))
    repeats = draw(st.dictionaries(st.sampled_from(list(weights)), st.integers(1, 5)))
    most = draw(st.integers(1, 4))
    return records, sizes, Mix(by=by, weights=weights, unit=unit, repeat_at_most=most, repeats=repeats)


@relaxed
@given(mixes(), st.integers(0, 3))
def test_shares_hold_and_caps_too(case: tuple[list[Record], list[int], Mix], seed: int) -> None:
    records, sizes, wanted = case
    try:
        uses = choose(records, sizes, wanted, seed)
    except mix.Impossible as e:
        assert "too few records" in str(e)
        return
    got, biggest = Counter[str](), Counter[str]()
    for record_, size, times in zip(records, sizes, uses, strict=True):
        name = record_.meta["source"]
        assert 0 <= times <= wanted.cap(name)
        got[name] += times * size
        biggest[name] = max(biggest[name], size)
    total = min(
        sum(s for r, s in zip(records, sizes, strict=True) if r.meta["source"] == n) * wanted.cap(n) / w
        for n, w in wanted.asked.items()
    )
    for name, weight in wanted.asked.items():
        # Within one record of the share of the total, which is itself rounded down to a whole number.
        assert abs(got[name] - weight * int(total + 1e-6)) <= max(1, biggest[name] / 2 + 1), name


@relaxed
@given(mixes(), st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 3), st.booleans())
def test_what_is_held_out_is_used_once_and_shares_hold(
    case: tuple[list[Record], list[int], Mix], held: list[bool], seed: int, all_of_it: bool
) -> None:
    records, sizes, wanted = case
    made = offer(records, sizes, wanted.by)
    mask = np.array([held[i % len(held)] for i in range(len(records))])
    made = mix.Offer(made.ids, made.sizes, made.name, made.names, mask)
    total = None if all_of_it else max(1, sum(sizes) // 3)
    asked = msgspec.structs.replace(wanted, total=total)
    try:
        times = mix.choose(made, asked, seed)
    except mix.Impossible as e:
        assert "too few" in str(e) or "cannot be had" in str(e)
        return
    assert times[mask].max(initial=0) <= 1
    got, biggest = Counter[str](), Counter[str]()
    for r, size, n in zip(records, sizes, times.tolist(), strict=True):
        name = r.meta["source"]
        assert n <= asked.cap(name)
        got[name] += size * n
        biggest[name] = max(biggest[name], size)
    whole = (
        sum(mix._wanted(asked, dict.fromkeys(asked.asked, 10**9), {}).values())
        if total
        else sum(got.values())
    )
    for name, weight in asked.asked.items():
        near = biggest[name] if asked.unit == "tokens" else 1
        slack = sum(biggest.values()) / 2 if total is None else 0  # then the total is that of what came out
        assert abs(got[name] - weight * whole) <= near + slack + 1, name


@relaxed
@given(mixes(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_decides_nothing(
    case: tuple[list[Record], list[int], Mix], random: object
) -> None:
    records, sizes, wanted = case
    both = list(zip(records, sizes, strict=True))
    random.shuffle(both)  # type: ignore[attr-defined]

    def chosen(rows: list[tuple[Record, int]]) -> dict[str, int] | str:
        try:
            uses = choose([r for r, _ in rows], [s for _, s in rows], wanted, 1)
        except mix.Impossible as e:
            return str(e)
        return {r.id: times for (r, _), times in zip(rows, uses, strict=True)}

    assert chosen(both) == chosen(list(zip(records, sizes, strict=True)))


@relaxed
@given(mixes(), st.integers(1, 500))
def test_a_total_is_met_or_refused_in_words(case: tuple[list[Record], list[int], Mix], total: int) -> None:
    records, sizes, wanted = case
    assume(wanted.unit == "records")
    asked = Mix(by=wanted.by, weights=wanted.weights, total=total, repeat_at_most=wanted.repeat_at_most)
    assert asked.cap("a") == wanted.repeat_at_most
    try:
        uses = choose(records, sizes, asked, 5)
    except mix.Impossible as e:
        assert "cannot be had" in str(e)
        assert "at most" in str(e)
    else:
        assert sum(uses) == total
        assert max(uses) <= wanted.repeat_at_most


@relaxed
@given(st.integers(1, 10**9), st.lists(st.integers(1, 1000), min_size=1, max_size=9))
def test_shares_are_whole_and_sum_up(total: int, parts: list[int]) -> None:
    weights = {str(i): p / sum(parts) for i, p in enumerate(parts)}
    shares = mix._shares(total, weights)
    assert sum(shares.values()) == total
    assert all(abs(shares[n] - total * w) <= 1 for n, w in weights.items())


def test_weights_a_hair_off_one_still_give_the_total() -> None:
    records = [record(n, i) for n in "ab" for i in range(3_000)]
    for weights in ({"a": 0.5000004, "b": 0.5000004}, {"a": 0.4999996, "b": 0.4999996}):
        uses = choose(records, [1] * 6_000, Mix(weights=weights, total=5_000_000, repeat_at_most=1000), 1)
        assert sum(uses) == 5_000_000


@pytest.mark.parametrize(
    ("weights", "total", "what"),
    [
        ({"a": 0.5, "b": 0.0, "z": 0.5}, None, "no records of z are left; set the weight to 0 to go without"),
        ({"a": 1.0, "z": 0.0}, None, "source 'b' has no weight; 0 leaves it out"),
        (
            {"a": 0.5, "b": 0.5},
            7,
            "7 records cannot be had: a has 3 at weight 0.5 (repeat_at_most 1); at most 6",
        ),
        ({"a": 0.001, "b": 0.999}, 1000, "at most 5"),
    ],
)
def test_impossible_mixes_say_why(weights: dict[str, float], total: int | None, what: str) -> None:
    records = [record("a", i) for i in range(3)] + [record("b", i) for i in range(5)]
    with pytest.raises(mix.Impossible) as e:
        choose(records, [1] * 8, Mix(weights=weights, total=total), 1)
    assert what in str(e.value)


def test_weight_zero_leaves_out() -> None:
    records = [record(n, i) for n in "ab" for i in range(4)]
    assert choose(records, [1] * 8, Mix(weights={"a": 1.0, "b": 0.0}), 1) == [1] * 4 + [0] * 4


@relaxed
@given(mixes(), st.dictionaries(st.sampled_from(NAMES), st.integers(0, 200), min_size=1), st.integers(0, 3))
def test_amounts_are_met_or_refused_in_words(
    case: tuple[list[Record], list[int], Mix], amounts: dict[str, int], seed: int
) -> None:
    records, sizes, drawn = case
    there = {r.meta["source"] for r in records}
    amounts = dict.fromkeys(there, 0) | amounts
    asked = Mix(by=drawn.by, amounts=amounts, unit=drawn.unit, repeat_at_most=drawn.repeat_at_most)
    try:
        uses = choose(records, sizes, asked, seed)
    except mix.Impossible as e:
        assert "cannot be had" in str(e) or "no records of" in str(e)
        return
    for name, amount in amounts.items():
        own = [(s, t) for r, s, t in zip(records, sizes, uses, strict=True) if r.meta["source"] == name]
        got, biggest = sum(s * t for s, t in own), max((s for s, _ in own), default=0)
        assert abs(got - amount) <= biggest / 2 if drawn.unit == "tokens" else got == amount


@relaxed
@given(mixes(), st.sampled_from(["shuffled", "shortest_first", "in_turn"]), st.integers(0, 3))
def test_the_order_holds_each_use_once(
    case: tuple[list[Record], list[int], Mix], order: str, seed: int
) -> None:
    records, sizes, wanted = case
    made = offer(records, sizes, wanted.by)
    times = np.array([i % 4 for i in range(len(records))], dtype=np.uint32)
    names = list(wanted.asked)
    place, copy = mix.ordered(made, times, order, names, np.array(sizes), seed)
    uses = list(zip(place.tolist(), copy.tolist(), strict=True))
    assert sorted(uses) == [(i, c) for i, n in enumerate(times.tolist()) for c in range(n)]
    if order == "shortest_first":
        assert [sizes[i] for i, _ in uses] == sorted(sizes[i] for i, _ in uses)
    if order == "in_turn":
        turns = [names.index(records[i].meta["source"]) for i, _ in uses]
        assert turns == sorted(turns)


def test_the_order_is_a_shuffle_that_stays_when_rows_are_added() -> None:
    records = [record("a", i) for i in range(400)]
    ones = np.ones(400, dtype=np.uint32)
    place, _ = mix.ordered(offer(records, [1] * 400), ones, "shuffled", [], ones, 17)
    assert place.tolist() != list(range(400))
    other, _ = mix.ordered(offer(records, [1] * 400), ones, "shuffled", [], ones, 18)
    assert place.tolist() != other.tolist()
    fewer, _ = mix.ordered(offer(records[:300], [1] * 300), ones[:300], "shuffled", [], ones[:300], 17)
    assert fewer.tolist() == [p for p in place.tolist() if p < 300]


@st.composite
def grouped(draw: st.DrawFn) -> list[Record]:
    sizes = draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6)), min_size=1, max_size=30))
    return [record(s, 100 * g + i, group=f"{s}{g}") for g, (s, n) in enumerate(sizes) for i in range(n)]


@relaxed
@given(grouped(), st.floats(0, 0.9), st.sampled_from(["document", "record"]), st.integers(0, 3))
def test_held_out(records: list[Record], share: float, group: str, seed: int) -> None:
    held = held_out(records, Split(validation=share, group=group), seed)  # type: ignore[arg-type]
    if share == 0:
        assert not held
    groups: dict[str, set[bool]] = {}
    for i, r in enumerate(records):
        groups.setdefault(r.meta["group"] if group == "document" else r.id, set()).add(i in held)
    assert all(len(sides) == 1 for sides in groups.values()), "a group is torn"
    for source in "ab":
        mine = [i for i, r in enumerate(records) if r.meta["source"] == source]
        sizes = Counter(records[i].meta["group"] if group == "document" else records[i].id for i in mine)
        if not mine:
            continue
        got = sum(i in held for i in mine)
        assert got < len(mine), "all of a stratum is gone"
        target = share * len(mine)
        assert got - target <= max(sizes.values()) / 2, "more than half a group too much"
        # The last group in order always stays, so a share that needs it falls short by as much.
        assert target - got <= max(sizes.values())


@relaxed
@given(grouped(), st.integers(0, 5))
def test_by_record_the_share_is_exact(records: list[Record], seed: int) -> None:
    held = held_out(records, Split(validation=0.25, group="record", stratify=[]), seed)
    assert abs(len(held) - 0.25 * len(records)) <= 0.5
