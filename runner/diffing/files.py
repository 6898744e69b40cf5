"""Files that both sides read, or only one of them: which have other bytes, and what of their rows is another."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.diffing.sides import Side

CHEAP = 64 << 20
"""Bytes of a file whose rows are counted."""
_LINES = (".jsonl", ".ndjson", ".txt", ".md", ".csv", ".tsv")


@dataclass(frozen=True)
class Held:
    """One side's file. `rows` are None where they were not counted; `ids` is the digest of the ids of probes."""

    sha256: str
    rows: int | None = None
    ids: str = ""


@dataclass(frozen=True)
class FileChange:
    """A file of `of` ("source river", "suite tool-use") with other bytes on the two sides, or on one side only. Rows
    that are `added`, `removed` or `changed` (another row of the same id) are None where they were not counted."""

    group: str
    of: str
    name: str
    a: Held | None
    b: Held | None
    added: int | None = None
    removed: int | None = None
    changed: int | None = None

    def mirrored(self) -> FileChange:
        return FileChange(
            self.group, self.of, self.name, self.b, self.a, self.removed, self.added, self.changed
        )


def files(a: Side, b: Side) -> list[FileChange]:
    """All such files, by what reads them. Of what only one side has at all (a source, a suite), none is named."""
    old, new = _read(a), _read(b)
    out = []
    for owner, theirs in new.items():
        if owner not in old:
            continue
        mine = old[owner]
        for name in dict.fromkeys([*mine, *theirs]):
            x, y = mine.get(name), theirs.get(name)
            if x != y:
                out.append(_compared(owner, name, x, y, a, b))
    return out


def _read(side: Side) -> dict[tuple[str, str], dict[str, str]]:
    """What reads which files: group and owner → name → sha256. Of a run, as its steps were made of them."""
    out: dict[tuple[str, str], dict[str, str]] = {}
    for step in side.plan.steps:
        made = step.ingredients
        for owner, found in _owned(step.name, step.kind, made):
            out.setdefault(owner, {}).update(found)
    return out


def _owned(name: str, kind: str, made: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    if kind == "source":
        yield ("sources", name.replace(".", " ", 1)), _named(made.get("inputs"))
    elif kind == "dedup":
        yield ("dedup", "dedup"), _named(made.get("files"))
    elif kind == "generate":
        yield ("suites", f"suite {name.split('.', 2)[-1]}"), _named(made.get("probes"))
    elif kind == "judge":
        yield ("suites", name.replace("judge.", "suite ", 1)), _named(made.get("files"))
    elif kind in ("lm_eval", "perplexity"):
        files = made.get("files")
        for of, pairs in files.items() if isinstance(files, dict) else ():
            what = f"task {of}" if kind == "lm_eval" else f"texts {of}"
            yield ("suites", what), _named({of: pairs})
    elif kind == "render":
        model = made.get("model")
        weights = model.get("files") if isinstance(model, dict) else None
        if isinstance(weights, dict):
            yield ("model", "base model"), {str(n): str(sha) for n, sha in weights.items()}
        if isinstance(made.get("template"), str):
            yield ("model", "model"), {"chat template": made["template"]}


def _named(by_option: Any) -> dict[str, str]:
    """Names and digests, as the planner writes them: option → [[name, sha256], …]. What a run kept may be anything."""
    lists = by_option.values() if isinstance(by_option, dict) else ()
    found = [pair for some in lists if isinstance(some, list) for pair in some]
    return {str(p[0]): str(p[1]) for p in found if isinstance(p, list) and len(p) == 2}


def _compared(
    owner: tuple[str, str], name: str, x: str | None, y: str | None, a: Side, b: Side
) -> FileChange:
    found = [_rows(side.bytes_of(name, sha), name) if sha else None for side, sha in ((a, x), (b, y))]
    old, new = found
    mine, theirs = (
        Held(sha, len(rows.lines) if rows else None, rows.ids_digest if rows else "") if sha else None
        for sha, rows in ((x, old), (y, new))
    )
    named = FileChange(*owner, name, mine, theirs)
    if old is None or new is None:
        return named
    if old.by_id and new.by_id:
        added, removed = len(new.by_id.keys() - old.by_id.keys()), len(old.by_id.keys() - new.by_id.keys())
        changed = sum(old.by_id[i] != new.by_id[i] for i in old.by_id.keys() & new.by_id.keys())
        return replace(named, added=added, removed=removed, changed=changed)
    before, after = Counter(old.lines), Counter(new.lines)
    return replace(named, added=(after - before).total(), removed=(before - after).total())


@dataclass(frozen=True)
class _Rows:
    """Digests of a file's rows, in order; `by_id` has them by their ids, where each has one of its own."""

    lines: list[bytes]
    by_id: dict[str, bytes]

    @property
    def ids_digest(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.by_id)).encode()).hexdigest() if self.by_id else ""


def _rows(path: Path | None, name: str) -> _Rows | None:
    """A file's rows, as far as they are cheap to have: of plain files of lines, and tables, up to CHEAP."""
    ending = Path(name).suffix.lower()
    if path is None or ending not in _LINES:
        return None
    try:
        if path.stat().st_size > CHEAP:
            return None
        if ending in (".csv", ".tsv"):
            return _Rows(_cells(path, "\t" if ending == ".tsv" else ","), {})
        raw = [line for line in path.read_bytes().splitlines() if line.strip()]
    except (OSError, csv.Error, UnicodeDecodeError):
        return None
    return _Rows([_short(line) for line in raw], _ids(raw) if ending in (".jsonl", ".ndjson") else {})


def _cells(path: Path, mark: str) -> list[bytes]:
    """The rows of a table, but for the names of its columns."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=mark)
        next(rows, None)
        return [_short("\0".join(row).encode()) for row in rows if row]


def _short(row: bytes) -> bytes:
    return hashlib.blake2b(row, digest_size=16).digest()


def _ids(raw: list[bytes]) -> dict[str, bytes]:
    """Rows by their own ids; none where one has no id, or two have the same."""
    out: dict[str, bytes] = {}
    for line in raw:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            return {}
        id = said.get("id") if isinstance(said, dict) else None
        if not isinstance(id, str) or id in out:
            return {}
        out[id] = _short(json.dumps(said, sort_keys=True).encode())
    return out
