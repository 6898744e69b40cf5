"""Step `source`: a source at work. What it writes is said in runner/prepare/laid.py.

Large files, and many of them, are read in parts, wherever there is a core (runner/prepare/parts.py); what stands in the
artifact is the same.
"""

from __future__ import annotations

from pathlib import Path

from runner import recipe as r
from runner import sourcing
from runner.fetching import InputFile, Item
from runner.making import Making, write_json
from runner.prepare import parts
from runner.prepare.laid import Laid
from runner.registry import plugins
from runner.steps import Fetch
from runner.store import Store


def source(m: Making) -> None:
    """Run one source; shape its rows into records; keep aside, with their reasons, those that are none."""
    import numpy as np

    spec: r.Source = m.step.details["source"]
    fetch: Fetch | None = m.step.details["fetch"]
    with Laid(m.out, spec.name) as out:
        if (line := _pieces(m, spec)) is None:
            _alone(m, spec, out)
        else:
            work = parts.Reading(spec, m.step.details["files"], m.plan.loaded.recipe.seed, m.work / "parts")
            parts.join(m, out, work, line)
    # What a fetch learnt to be gone, or to be no page, is no reason to stop while other sources may give records; the
    # ledger counts it. Where nothing was learnt, the fetch itself has stopped.
    facts = out.facts
    if not facts.records and not (fetch and len(m.plan.loaded.recipe.sources) > 1):
        n = facts.rejected
        all_of_them = "its one row was" if n == 1 else f"all {n:,} rows were"
        what = f"{all_of_them} rejected; {facts.first}" if facts.first else "it is empty"
        what += "; --refresh failed asks again" if fetch else ""
        document, sources = m.plan.loaded.document, m.plan.loaded.recipe.sources
        raise m.fail(str(document.problem(("sources", sources.index(spec)), f"gave no records: {what}")))
    ids = out.columns()
    counts = {"records": facts.records, "rejected": facts.rejected, "licenses": facts.licenses}
    if len(np.unique(ids)) < len(ids):
        raise m.fail("gave two records of one id; its plug-in must tell them apart")
    write_json(m.out / "counts.json", counts)


def _alone(m: Making, spec: r.Source, out: Laid) -> None:
    """Read the source from its first row to its last, or as far as the recipe wants it."""
    limit = spec.common.limit
    for n, row in enumerate(sourcing.rows(spec, *_given(m))):
        out.add(row)
        if not n % 64:
            m.progress(out.records, limit or 0, "rows")
        if limit and out.records >= limit:
            break


def _pieces(m: Making, spec: r.Source) -> list[parts.Piece] | None:
    """What is to be read, in pieces; None where it is one, or where it hangs on the rows before how far one reads."""
    if spec.common.limit or plugins("source")[spec.plugin].units is None:
        return None
    line = parts.pieces(m, sourcing.entries(spec, *_given(m)))
    return line if len(line) > 1 else None


def _given(m: Making) -> tuple[dict[str, tuple[InputFile, ...]], tuple[Item, ...], Path, int]:
    """What a source reads: files that it named, what was fetched, where that is, and the seed."""
    fetch: Fetch | None = m.step.details["fetch"]
    items = (fetch.items if fetch else None) or ()
    root = Store(m.plan.workspace.root).root
    return m.step.details["files"], items, root, m.plan.loaded.recipe.seed
