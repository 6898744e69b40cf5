"""The mix: shares, caps, order; and what is held out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner import mix
from runner.recipe import Mix, Split
from runner.record import Message, Record

NAMES = ("a", "b", "c", "d")
relaxed = settings(deadline=None, max_examples=200)


def record(source: str, n: int, **meta: str) -> Record:
    said = [Message("user", "q"), Message("assistant", "a")]
    return Record(said, tags={"tone": source}, meta={"source": source, "id": f"{source}/{n}"} | meta)


@st.composite
def mixes(draw: st.DrawFn) -> tuple[list[Record], list[int], Mix]:
    parts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    weights = {n: p / sum(parts) for n, p in zip(NAMES, parts, strict=False)}
    records = [record(n, i) for n in weights for i in range(draw(st.integers(1, 30)))]
    unit = draw(st.sampled_from(["records", "tokens"]))
    sizes = [draw(st.integers(1, 50)) if unit == "tokens" else 1 for _ in records]
    by = draw(st.sampled_from(["source", "tone"]))
    return records, sizes, Mix(by=by, weights=weights, unit=unit, repeat_at_most=draw(st.integers(1, 4)))


@relaxed
@given(mixes(), st.integers(0, 3))
def test_shares_hold_and_caps_too(case: tuple[list[Record], list[int], Mix], seed: int) -> None:
    records, sizes, wanted = case
    try:
        uses = mix.choose(records, sizes, wanted, seed)
    except mix.Impossible as e:
        assert "too few records" in str(e)
        return
    got, biggest = Counter[str](), Counter[str]()
    for use in uses:
        name, size = records[use.index].meta["source"], sizes[use.index]
        assert 0 <= use.times <= wanted.repeat_at_most
        got[name] += use.times * size
        biggest[name] = max(biggest[name], size)
    total = min(
        sum(s for r, s in zip(records, sizes, strict=True) if r.meta["source"] == n)
        * wanted.repeat_at_most
        / w
        for n, w in wanted.weights.items()
    )
    for name, weight in wanted.weights.items():
        # Within one record of the share of the total, which is itself rounded down to a whole number.
        assert abs(got[name] - weight * int(total + 1e-6)) <= max(1, biggest[name] / 2 + 1), name


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
            uses = mix.choose([r for r, _ in rows], [s for _, s in rows], wanted, 1)
        except mix.Impossible as e:
            return str(e)
        return {rows[u.index][0].id: u.times for u in uses}

    assert chosen(both) == chosen(list(zip(records, sizes, strict=True)))


@relaxed
@given(mixes(), st.integers(1, 500))
def test_a_total_is_met_or_refused_in_words(case: tuple[list[Record], list[int], Mix], total: int) -> None:
    records, sizes, wanted = case
    assume(wanted.unit == "records")
    asked = Mix(by=wanted.by, weights=wanted.weights, total=total, repeat_at_most=wanted.repeat_at_most)
    try:
        uses = mix.choose(records, sizes, asked, 5)
    except mix.Impossible as e:
        assert "cannot be had" in str(e)
        assert "at most" in str(e)
    else:
        assert sum(u.times for u in uses) == total
        assert max(u.times for u in uses) <= wanted.repeat_at_most


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
        uses = mix.choose(records, [1] * 6_000, Mix(weights=weights, total=5_000_000, repeat_at_most=1000), 1)
        assert sum(u.times for u in uses) == 5_000_000


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
        mix.choose(records, [1] * 8, Mix(weights=weights, total=total), 1)
    assert what in str(e.value)


def test_a_missing_tag_is_named() -> None:
    with pytest.raises(mix.Impossible, match="record a/0 has no tag 'mood'; give its source one"):
        mix.choose([record("a", 0)], [1], Mix(by="mood", weights={"x": 1.0}), 1)


def test_weight_zero_leaves_out() -> None:
    records = [record(n, i) for n in "ab" for i in range(4)]
    uses = mix.choose(records, [1] * 8, Mix(weights={"a": 1.0, "b": 0.0}), 1)
    assert [u.times for u in uses] == [1] * 4 + [0] * 4


@st.composite
def grouped(draw: st.DrawFn) -> list[Record]:
    sizes = draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6)), min_size=1, max_size=30))
    return [record(s, 100 * g + i, group=f"{s}{g}") for g, (s, n) in enumerate(sizes) for i in range(n)]


@relaxed
@given(grouped(), st.floats(0, 0.9), st.sampled_from(["document", "record"]), st.integers(0, 3))
def test_held_out(records: list[Record], share: float, group: str, seed: int) -> None:
    held = mix.held_out(records, Split(validation=share, group=group), seed)  # type: ignore[arg-type]
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
    held = mix.held_out(records, Split(validation=0.25, group="record", stratify=[]), seed)
    assert abs(len(held) - 0.25 * len(records)) <= 0.5
