"""A diff as data, for `--json`. The names are an interface: changing one raises VERSION, as the changelog says."""

from __future__ import annotations

import dataclasses
from typing import Any

from runner.diffing.both import Diff
from runner.diffing.changes import Change
from runner.diffing.files import FileChange
from runner.diffing.sides import Side
from runner.yaml12 import dotted

VERSION = 1


def data(of: Diff) -> dict[str, Any]:
    """`same`; the sides; `changes`, `files`, `versions`, each with `a` and `b`; `steps`; `forecast`, None where nothing
    differs."""
    ahead = of.forecasts
    figures = [{"name": r.name, "unit": r.unit, "a": r.a, "b": r.b, "change": r.change} for r in ahead.rows]
    return {
        "diff": VERSION,
        "same": of.same,
        "a": _side(of.a),
        "b": _side(of.b),
        "changes": [_change(c) for c in of.changes],
        "files": [_file(f) for f in of.files],
        "versions": [{"kind": d.kind, "name": d.name, "a": d.locked, "b": d.there} for d in of.drifts],
        "steps": {
            "anew": [dataclasses.asdict(s) for s in of.steps.anew],
            "stay": list(of.steps.stay),
            "gone": list(of.steps.gone),
        },
        "fetches": list(of.steps.fetches),
        "forecast": None if of.same else {"a": ahead.a, "b": ahead.b, "figures": figures},
    }


def _side(of: Side) -> dict[str, Any]:
    return {"name": of.label, "kind": of.kind, "recipe": of.values.recipe.name, "notes": list(of.notes)}


def _change(of: Change) -> dict[str, Any]:
    return {
        "group": of.group,
        "key": of.key,
        "kind": of.kind,
        "a": of.a,
        "b": of.b,
        "at": {"a": dotted(of.at[0]) or None, "b": dotted(of.at[1]) or None},
        "set_by": {"a": of.set_by[0] or None, "b": of.set_by[1] or None},
    }


def _file(of: FileChange) -> dict[str, Any]:
    held = {
        side: None if h is None else {"sha256": h.sha256, "rows": h.rows, "ids_sha256": h.ids or None}
        for side, h in (("a", of.a), ("b", of.b))
    }
    rows = {"added": of.added, "removed": of.removed, "changed": of.changed}
    return {"group": of.group, "of": of.of, "name": of.name} | held | {"rows": rows}
