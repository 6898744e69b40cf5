"""Stage prepare: from sources to train.jsonl, validation.jsonl and a ledger that accounts for every input row.

Each function makes one step. What it hands on stands in `records.jsonl`, what it dropped in `fates.jsonl`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from runner import basemodel, card, chat, contamination, dedup, ledger, mix, sourcing
from runner import recipe as r
from runner.making import Maker, Making, Rows, read_rows, write_json, write_rows
from runner.record import Edited, Fate, Record
from runner.registry import plugins
from runner.steps import Fetch
from runner.store import Store


def _fate(record: Record, by: str, reason: str, of: str = "") -> Fate:
    return Fate(
        record.id,
        record.meta.get("source", ""),
        "dropped",
        by,
        reason,
        of,
        license=record.meta.get("license", ""),
        origin=record.meta.get("origin", ""),
        attribution=record.meta.get("attribution", ""),
    )


# -- source ---------------------------------------------------------------------------------------


def source(m: Making) -> None:
    """Run one source; shape its rows into records; keep aside, with their reasons, those that are none."""
    spec: r.Source = m.step.details["source"]
    fetch: Fetch | None = m.step.details["fetch"]
    recipe, root = m.plan.loaded.recipe, Store(m.plan.workspace.root).root
    items = (fetch.items if fetch else None) or ()
    first, limit = "", spec.common.limit
    with (
        Rows(m.out / "records.jsonl") as kept,
        Rows(m.out / "fates.jsonl") as fates,
        Rows(m.out / "rejected.jsonl") as rejected,
    ):
        for row in sourcing.rows(spec, m.step.details["files"], items, root, recipe.seed):
            if isinstance(row, Record):
                kept.write(row)
            else:
                first = first or f"{row.id}: {row.reason}"
                rejected.write(row)
                by, why = (f"source.{spec.name}", "") if row.left_out else ("source", "rejected: ")
                fates.write(Fate(row.id, spec.name, "dropped", by, why + row.reason))
            m.progress(kept.count, limit or 0, "rows")
            if limit and kept.count >= limit:
                break
        counts = {"records": kept.count, "rejected": rejected.count}
    if not counts["records"]:
        n = rejected.count
        all_of_them = "its one row was" if n == 1 else f"all {n:,} rows were"
        what = f"{all_of_them} rejected; {first}" if first else "it is empty"
        document, sources = m.plan.loaded.document, recipe.sources
        raise m.fail(str(document.problem(("sources", sources.index(spec)), f"gave no records: {what}")))
    write_json(m.out / "counts.json", counts)


# -- filter, dedup, decontaminate -----------------------------------------------------------------


def _all(m: Making) -> Iterator[Record]:
    return chain.from_iterable(m.records(n) for n in m.step.needs if n != "model")


def filter(m: Making) -> None:
    """Each filter in order, on each record."""
    uses = [(i, plugins("filter")[u.plugin], u) for i, u in enumerate(m.plan.loaded.recipe.filters)]
    bound = [(f"filters[{i}].{p.name}", p.at_work(u.options)) for i, p, u in uses]
    left_out = set(m.step.ingredients.get("left_out", ()))
    with Rows(m.out / "records.jsonl") as kept, Rows(m.out / "fates.jsonl") as fates:
        for n, record in enumerate(_all(m), 1):
            if record.meta.get("source") in left_out:
                fates.write(_fate(record, "mix", "its source has the weight 0"))
                continue
            said: Any = True
            for by, call in bound:
                said = call([record])[0]
                if isinstance(said, Record | Edited):
                    record = said if isinstance(said, Record) else said.record
                elif said is not True:
                    reason = said if isinstance(said, str) else "refused"
                    fates.write(_fate(record, by, reason))
                    break
            if said is True or isinstance(said, Record | Edited):
                kept.write(record)
            m.progress(n, 0, "records")
    if not kept.count:
        raise m.fail(f"the filters dropped every record ({_reasons(m)})")


def _reasons(m: Making) -> str:
    counts = Counter(f"{f.by}: {f.reason}" for f in read_rows(m.out / "fates.jsonl", Fate))
    return "; ".join(f"{n} by {what}" for what, n in counts.most_common(3))


def remove_duplicates(m: Making) -> None:
    """Exact and near-duplicates over all sources."""
    wanted = m.plan.loaded.recipe.dedup
    records = list(_all(m))
    found = dedup.find_duplicates([record.text for record in records], exact=wanted.exact, near=wanted.near)
    dropped = {d.index: d for d in found}
    with Rows(m.out / "records.jsonl") as kept, Rows(m.out / "fates.jsonl") as fates:
        for i, record in enumerate(records):
            if i in dropped:
                d = dropped[i]
                fates.write(_fate(record, f"dedup.{d.kind}", f"{d.kind} duplicate", records[d.of].id))
            else:
                kept.write(record)
    pairs = [
        {"id": records[d.index].id, "of": records[d.of].id, "similarity": round(d.similarity, 4)}
        for d in found
    ]
    write_json(m.out / "pairs.json", pairs)


def decontaminate(m: Making) -> None:
    """Drop records of which a turn shares a run of words with a probe or task of the recipe's suites."""
    wanted = m.plan.loaded.recipe.decontaminate
    against = [
        (f"{file.name}:{n}", text)
        for file in m.step.details["files"]["against"]
        if file.name.endswith((".jsonl", ".json"))
        for n, line in enumerate(file.path.read_bytes().split(b"\n"), 1)
        if line.strip()
        for text in _texts(_json(m, file.name, n, line))
    ]
    records = list(_all(m))
    turns = [
        (i, t.content)
        for i, record in enumerate(records)
        for t in record.messages
        if t.role in ("user", "assistant") and t.content
    ]
    hits = contamination.contaminated(
        [text for _, text in turns], [text for _, text in against], ngram=wanted.ngram
    )
    dirty: dict[int, int] = {}
    for (i, _), hit in zip(turns, hits, strict=True):
        if hit is not None:
            dirty.setdefault(i, hit)
    with Rows(m.out / "records.jsonl") as kept, Rows(m.out / "fates.jsonl") as fates:
        for i, record in enumerate(records):
            if i in dirty:
                reason = "shares text with an evaluation"
                fates.write(_fate(record, "decontaminate", reason, against[dirty[i]][0]))
            else:
                kept.write(record)
    if not kept.count:
        raise m.fail("every record shares text with an evaluation")


def _json(m: Making, name: str, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as e:
        raise m.fail(f"{name}, line {number}: not JSON: {e}") from None


def _texts(data: Any) -> Iterator[str]:
    """Texts of at least three words in a probe or a task's document; not the tools, which all share."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key not in ("tools", "id", "tags", "expect"):
                yield from _texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value)
    elif isinstance(data, str) and len(data.split()) >= 3:
        yield data


# -- render ---------------------------------------------------------------------------------------


def render(m: Making) -> None:
    """The proof's first half: the real template says every part of every record, within the length."""
    model = m.plan.loaded.recipe.model
    assert model is not None
    render = basemodel.renderer(m)
    kept_by, lost_by = Counter[str](), dict[str, Counter[str]]()
    with Rows(m.out / "records.jsonl") as kept, Rows(m.out / "fates.jsonl") as fates:
        for n, record in enumerate(_all(m), 1):
            source = record.meta.get("source", "")
            reason = None
            try:
                done = render.render(record)
            except chat.Unrenderable as e:
                reason = f"the template cannot say it: {e}"
            except chat.Lost as e:
                raise m.fail(
                    f"the template {model.template!r} loses {e} of record {record.id}; "
                    "training would not see it. Use a template that says it (model.template)"
                ) from None
            else:
                if len(done.ids) > model.max_length:
                    reason = f"longer than max_length, {model.max_length} tokens"
            if reason is None:
                tokens = {"tokens": str(len(done.ids))}
                kept.write(msgspec.structs.replace(record, meta=record.meta | tokens))
                kept_by[source] += 1
            else:
                fates.write(_fate(record, "render", reason))
                lost_by.setdefault(source, Counter())[reason] += 1
            m.progress(n, 0, "records")
    for source, reasons in lost_by.items():
        if not kept_by[source]:
            reason, n = reasons.most_common(1)[0]
            raise m.fail(f"no record of {source!r} can be rendered: {reason} ({n} records)")


# -- mix and split --------------------------------------------------------------------------------


def blend(m: Making) -> None:
    """Choose by weights. A record's `meta.copy` tells its repetitions apart."""
    recipe = m.plan.loaded.recipe
    records = list(_all(m))
    if recipe.mix is None:
        uses = [mix.Use(i, 1) for i in range(len(records))]
    else:
        by_token = recipe.mix.unit == "tokens"
        sizes = [int(x.meta["tokens"]) if by_token else 1 for x in records]
        try:
            uses = mix.choose(records, sizes, recipe.mix, recipe.seed)
        except mix.Impossible as e:
            raise m.fail(str(e)) from None
    copies = [
        (mix.rank(recipe.seed, "order", records[u.index].id, copy), u.index, copy)
        for u in uses
        for copy in range(u.times)
    ]
    with Rows(m.out / "records.jsonl") as out:
        for _, index, copy in sorted(copies):
            extra = {"copy": str(copy)} if copy else {}
            out.write(msgspec.structs.replace(records[index], meta=records[index].meta | extra))
    left = (_fate(records[u.index], "mix", "not needed for the weights") for u in uses if not u.times)
    write_rows(m.out / "fates.jsonl", left)


def split(m: Making) -> None:
    """Hold out validation records, write the data and the ledger."""
    recipe = m.plan.loaded.recipe
    records = list(m.records("mix"))
    held = mix.held_out(records, recipe.split, recipe.seed)
    train = [x for i, x in enumerate(records) if i not in held]
    # A repeated record is held out once: its copies would count its loss twice.
    validation = [x for i, x in enumerate(records) if i in held and "copy" not in x.meta]
    if not train:
        raise m.fail("nothing is left to train on")
    for name, rows in (("train", train), ("validation", validation)):
        write_rows(m.out / "data" / f"{name}.jsonl", rows)
    earlier = (fate for need in m.step.needs for fate in read_rows(m.inputs[need].file("fates.jsonl"), Fate))
    fates = ledger.complete(earlier, train, validation)
    ledger.write(m.out / "ledger.parquet", fates)
    summary = ledger.summary(fates, train, validation, recipe)
    write_json(m.out / "summary.json", summary)
    (m.out / "data-card.md").write_text(card.text(fates, summary, recipe), encoding="utf-8")


MAKERS: dict[str, Maker] = {
    "source": source,
    "filter": filter,
    "dedup": remove_duplicates,
    "decontaminate": decontaminate,
    "render": render,
    "mix": blend,
    "split": split,
}
