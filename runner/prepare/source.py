"""Step `source`: a source at work. It writes records.jsonl and, for what is no record, rejected.jsonl and fates.jsonl.

Columns beside them: `lines.npy` (where each record begins in the file), `ids.npy` and `groups.npy` (hashes of those),
and `fates.at.npy` (how many records stood before each row that is none).
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from runner import recipe as r
from runner import sourcing
from runner.hashes import text_digest
from runner.making import Making, Rows, write_json
from runner.record import Fate, Record
from runner.rows import save
from runner.steps import Fetch
from runner.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray


def source(m: Making) -> None:
    """Run one source; shape its rows into records; keep aside, with their reasons, those that are none."""
    import numpy as np

    spec: r.Source = m.step.details["source"]
    fetch: Fetch | None = m.step.details["fetch"]
    recipe, root = m.plan.loaded.recipe, Store(m.plan.workspace.root).root
    items = (fetch.items if fetch else None) or ()
    first, limit = "", spec.common.limit
    licenses = set[str]()
    lines, ids, groups, at = array("q", [0]), bytearray(), bytearray(), array("Q")
    with (
        Rows(m.out / "records.jsonl") as kept,
        Rows(m.out / "fates.jsonl") as fates,
        Rows(m.out / "rejected.jsonl") as rejected,
    ):
        for n, row in enumerate(sourcing.rows(spec, m.step.details["files"], items, root, recipe.seed)):
            if isinstance(row, Record):
                kept.write(row)
                licenses.add(row.meta.get("license", ""))
                lines.append(kept.size)
                own = text_digest(row.id)
                ids += own
                groups += text_digest(g) if (g := row.meta.get("group", row.id)) != row.id else own
            else:
                first = first or f"{row.id}: {row.reason}"
                rejected.write(row)
                by, why = (f"source.{spec.name}", "") if row.left_out else ("source", "rejected: ")
                fates.write(Fate(row.id, spec.name, "dropped", by, why + row.reason, origin=row.origin))
                at.append(kept.count)
            if not n % 64:
                m.progress(kept.count, limit or 0, "rows")
            if limit and kept.count >= limit:
                break
    # What a fetch learnt to be gone, or to be no page, is no reason to stop while other sources may give records; the
    # ledger counts it. Where nothing was learnt, the fetch itself has stopped.
    if not kept.count and not (fetch and len(recipe.sources) > 1):
        n = rejected.count
        all_of_them = "its one row was" if n == 1 else f"all {n:,} rows were"
        what = f"{all_of_them} rejected; {first}" if first else "it is empty"
        what += "; --refresh failed asks again" if fetch else ""
        document, sources = m.plan.loaded.document, recipe.sources
        raise m.fail(str(document.problem(("sources", sources.index(spec)), f"gave no records: {what}")))
    hashes = _column(ids, "<u8")
    save(m.out / "lines.npy", _column(lines, "i8"))
    save(m.out / "ids.npy", hashes)
    save(m.out / "groups.npy", _column(groups, "<u8"))
    save(m.out / "fates.at.npy", _column(at, "u8"))
    counts = {"records": kept.count, "rejected": rejected.count, "licenses": sorted(licenses)}
    if len(np.unique(hashes)) < len(hashes):
        raise m.fail("gave two records of one id; its plug-in must tell them apart")
    write_json(m.out / "counts.json", counts)


def _column(values: array[int] | bytearray, dtype: str) -> NDArray[Any]:
    """The numbers where they are: no copy of ten million of them."""
    import numpy as np

    return np.frombuffer(values, dtype=dtype) if values else np.zeros(0, dtype)
