"""Steps `mix` and `split`: how often each record is used, in which order, what is held out; the data and the ledger."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from runner import card, drops, ledger, mix
from runner.drops import Drops, Why
from runner.drops import write as write_drops
from runner.making import Making, write_json
from runner.prepare import written
from runner.prepare.accounts import accounts
from runner.prepare.selected import Selected, selected, shelf
from runner.rows import Shelf, first, load, save

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_BLOCK = 1 << 18  # rows whose names are held at once


class _Tagged(Struct):
    """The part of a record that says its tags and its name."""

    tags: dict[str, str] = {}
    meta: dict[str, str] = {}


def _values(
    found: Shelf, rows: NDArray[Any], by: str, sources: list[str]
) -> tuple[NDArray[Any], list[str], list[int]]:
    """What each row is called where things go by `by`, as (place in the names, names, rows that have none)."""
    import numpy as np

    if by == "source":
        return found.source(rows).astype(np.int64), sources, []
    numbers: dict[str, int] = {}
    out, none = np.zeros(len(rows), dtype=np.int64), []
    decoder = msgspec.json.Decoder(_Tagged)
    for n, line in enumerate(found.read(rows)):
        value = decoder.decode(first(line)).tags.get(by)
        if value is None:
            none.append(int(rows[n]))
            value = ""
        out[n] = numbers.setdefault(value, len(numbers))
    return out, list(numbers), none


def _sources(m: Making) -> list[str]:
    return [s.name for s in m.plan.loaded.recipe.sources]


def blend(m: Making) -> None:
    """Choose by weights. Writes `times.npy` (of each row before it), and `order.npy` and `copies.npy`: which of those
    rows are trained, by their place among them, in order; and the how manieth use of it each is. `held.npy`: which of
    those rows are held out; that is decided first, since what is held out is never repeated."""
    import numpy as np

    recipe, before = m.plan.loaded.recipe, selected(m)
    ids = before.shelf.column("ids")[before.rows]
    wanted = recipe.mix
    if not len(ids):
        raise m.fail(f"nothing is left to train on ({_losses(m, before)})")
    held = _held(m, before, ids)
    ones = np.ones(len(ids), dtype=np.uint32)
    if wanted is None:
        times, offer, order = ones, mix.Offer(ids, ones, ones, [], held), "shuffled"
    else:
        by_token = wanted.unit == "tokens" and before.tokens is not None
        name, names, none = _values(before.shelf, before.rows, wanted.by, _sources(m))
        there = np.bincount(name, minlength=len(names))
        sizes = before.tokens if by_token else ones
        offer = mix.Offer(ids, sizes, *_present(name, names, there), held)
        try:
            if none:
                id = msgspec.json.decode(first(before.shelf.one(none[0])), type=_Tagged).meta["id"]
                raise mix.Impossible(f"record {id} has no tag {wanted.by!r}; give its source one")
            times, order = mix.choose(offer, wanted, recipe.seed), wanted.order
        except mix.Impossible as e:
            raise m.fail(str(e)) from None
    lengths = before.tokens if before.tokens is not None else _bytes(before)
    turns = list(wanted.asked) if wanted else []
    place, copy = mix.ordered(offer, times, order, turns, lengths, recipe.seed)
    left = before.rows[times == 0]
    why = np.zeros(len(left), dtype=np.uint32)
    write_drops(m.out, Drops(left, why, [Why("mix", "not needed for the weights")]))
    save(m.out / "kept.npy", before.rows)
    save(m.out / "times.npy", times.astype(np.uint32))
    save(m.out / "held.npy", held)
    save(m.out / "order.npy", place.astype(np.uint32))
    save(m.out / "copies.npy", copy.astype(np.uint16))
    if before.tokens is not None:
        save(m.out / "tokens.npy", before.tokens)


def _present(name: NDArray[Any], names: list[str], there: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """Names that no record has any more, taken out."""
    import numpy as np

    new = np.cumsum(there > 0) - 1
    return new[name], [n for n, many in zip(names, there.tolist(), strict=True) if many]


def _bytes(before: Selected) -> NDArray[Any]:
    import numpy as np

    sizes = [np.diff(table.lines) for table in before.shelf.tables]
    found: NDArray[Any] = np.concatenate(sizes)[before.rows]
    return found


def split(m: Making) -> None:
    """Hold out validation records, write the data and the ledger."""
    import numpy as np

    recipe, before = m.plan.loaded.recipe, selected(m)
    mixed = m.inputs["mix"].path
    times, order, copies = (load(mixed / f"{n}.npy") for n in ("times", "order", "copies"))
    held = load(mixed / "held.npy")
    side = held[order]
    if side.all():
        raise m.fail("nothing is left to train on")
    (m.out / "data").mkdir()
    for half, mine in (("train", ~side), ("validation", side)):
        place = order[mine]
        tokens = before.tokens[place] if before.tokens is not None else None
        wanted = written.Order(before.rows[place], copies[mine], tokens)
        written.write(m, before.shelf, wanted, m.out / "data" / f"{half}.jsonl")
    del side, order, copies, place, tokens, wanted
    shares = _shares(m, before, times)
    lengths = None if before.tokens is None else np.repeat(before.tokens, times)
    tally = accounts(m, shelf(m, edits=False), before.rows, times, held, before.tokens)
    summary = ledger.summary(tally, shares, lengths)
    write_json(m.out / "summary.json", summary)
    fetched = {f.source.name: f.items or () for f in m.plan.fetches}
    (m.out / "data-card.md").write_text(card.text(tally, summary, recipe, fetched), encoding="utf-8")


def _shares(m: Making, before: Selected, times: NDArray[Any]) -> dict[str, Any]:
    """The mix asked and got, in records and, where they are counted, tokens."""
    import numpy as np

    recipe = m.plan.loaded.recipe
    by = recipe.mix.by if recipe.mix else "source"
    records, tokens = Counter[str](), Counter[str]()
    for low in range(0, len(times), _BLOCK):
        some = slice(low, low + _BLOCK)
        name, names, _ = _values(before.shelf, before.rows[some], by, _sources(m))
        for counter, sizes in ((records, None), (tokens, before.tokens)):
            weight = times[some].astype(np.int64) * (1 if sizes is None else sizes[some])
            for place, many in enumerate(np.bincount(name, weights=weight, minlength=len(names)).tolist()):
                counter[names[place]] += int(many)
    got = [name for name, many in records.items() if many]
    counted = None if before.tokens is None else [tokens[n] for n in got]
    return ledger.shares(recipe, got, [records[n] for n in got], counted)


def _held(m: Making, before: Selected, ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are held out: whole groups, by strata."""
    import numpy as np

    recipe = m.plan.loaded.recipe
    groups = before.shelf.column("groups")[before.rows] if recipe.split.group == "document" else ids
    place: NDArray[Any] = np.zeros(len(ids), dtype=np.int64)
    strata: list[tuple[str, ...]] = [()]
    for by in recipe.split.stratify if recipe.split.validation else ():
        value, names, none = _values(before.shelf, before.rows, by, _sources(m))
        if len(none) == len(ids):
            raise m.fail(f"no record has the tag {by!r}, which split.stratify names")
        pairs, place = np.unique(place * len(names) + value, return_inverse=True)
        strata = [(*strata[p // len(names)], names[p % len(names)]) for p in pairs.tolist()]
    return mix.held_out(groups, place, strata, recipe.split, recipe.seed)


def _losses(m: Making, before: Selected) -> str:
    """What took the rows, the three worst reasons."""
    import numpy as np

    count: Counter[tuple[str, str]] = Counter()
    for step in ("filter", "dedup", "decontaminate", "render"):
        if step in m.inputs:
            found = drops.read(m.inputs[step].path)
            for n, many in enumerate(np.bincount(found.why, minlength=len(found.whys)).tolist()):
                count[found.whys[n].by, found.whys[n].reason] += many
    worst = "; ".join(f"{n} by {by}: {reason}" for (by, reason), n in count.most_common(3) if n)
    return worst or "no source gave any records"
