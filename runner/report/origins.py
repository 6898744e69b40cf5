"""Where all of a run is from: sources with their files, the base model, licences and what they ask."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from runner import ledger, modelchecks
from runner.licences import UNKNOWN, terms
from runner.making import Making
from runner.yaml12 import Path, dotted

FILES = 40
"""Files of a source that are named; the run's `recipe.lock` has all."""
VALUE = 300
"""Characters of a key's value."""
RIGHTS = 60
"""Licences, by source and whom they name; the ledger has all."""


def sources(m: Making) -> list[dict[str, Any]]:
    """Each source with its licence, how many rows it gave, and its files with their digests."""
    out = []
    for source in m.plan.loaded.recipe.sources:
        step = m.plan.step(f"source.{source.name}")
        counts = json.loads(m.inputs[step.name].file("counts.json").read_bytes())
        fetch = step.details.get("fetch")
        files = [
            {"name": f.name, "sha256": f.sha256} for some in step.details["files"].values() for f in some
        ]
        files += [
            {"name": i.key, "sha256": i.sha256} for i in (fetch.items if fetch else None) or () if i.sha256
        ]
        out.append(
            {
                "source": source.name,
                "plugin": source.plugin,
                "license": ", ".join(sorted(name or "not stated" for name in counts["licenses"])),
                "rows": counts["records"] + counts["rejected"],
                "files": files[:FILES],
                "more_files": max(len(files) - FILES, 0),
            }
        )
    return out


def base(m: Making) -> dict[str, Any] | None:
    """The base model by what names it for good: a package's file, a hub's commit, or a folder's digests."""
    model = m.plan.loaded.recipe.model
    if model is None:
        return None
    out: dict[str, Any] = {"name": model.base, "license": model.license or "", "revision": model.revision}
    if known := modelchecks.EMBEDDED.get(model.base):
        package = f"{known['distribution']} {known['version']}"
        return out | {"package": package, "files": [{"name": known["file"], "sha256": known["sha256"]}]}
    files = [{"name": f.name, "sha256": f.sha256} for f in m.plan.weights]
    return out | {"files": files[:FILES], "more_files": max(len(files) - FILES, 0)}


def rights(m: Making) -> dict[str, Any]:
    """How many rows were used under which licence, of which source, whom it names; and what they ask of a mixture."""
    import pyarrow.parquet as pq

    count = Counter[tuple[str, str, str]]()
    names = ["license", "source", "attribution", "fate"]
    with pq.ParquetFile(m.inputs["split"].file("ledger.parquet")) as file:
        for block in file.iter_batches(ledger.BLOCK, columns=names):
            columns = (block.column(name).to_pylist() for name in names)
            count.update(
                (licence, source, by)
                for licence, source, by, fate in zip(*columns, strict=True)
                if fate in ledger.USED
            )
    model = m.plan.loaded.recipe.model
    under: dict[str, list[str]] = {model.license or UNKNOWN: [f"{model.base} (model)"]} if model else {}
    for licence, source, _ in sorted(count):
        if source not in (held := under.setdefault(licence or UNKNOWN, [])):
            held.append(source)
    rows = sorted(count.items(), key=lambda x: (-x[1], x[0]))
    return {
        "used": [
            {"license": licence or UNKNOWN, "source": source, "attribution": by, "rows": n}
            for (licence, source, by), n in rows[:RIGHTS]
        ],
        "more": max(len(rows) - RIGHTS, 0),
        "terms": terms(under),
    }


def keys(m: Making) -> list[dict[str, str]]:
    """Each key of the recipe as it was run, with its value and the file that set it. A list of plain values is one."""
    document, set_by = m.plan.loaded.document, m.step.details["who"]
    out: dict[str, dict[str, str]] = {}
    for path in document.places:
        if (file := set_by.get(dotted(path))) is None:
            continue
        value, above = _at(document.data, path), _at(document.data, path[:-1])
        if isinstance(path[-1], int) and not any(isinstance(x, dict | list) for x in above):
            path, value = path[:-1], above
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        short = text if len(text) <= VALUE else f"{text[:VALUE]}…"
        out.setdefault(dotted(path), {"key": dotted(path), "value": short, "file": file})
    return list(out.values())


def _at(data: Any, path: Path) -> Any:
    for key in path:
        data = data[key]
    return data
