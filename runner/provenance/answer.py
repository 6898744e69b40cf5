"""An answer of a run, by its probe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from runner.errors import UsageError
from runner.provenance.file import file
from runner.provenance.left import Left
from runner.provenance.thing import Thing, arm_of, made
from runner.record import Answer


def _answers(left: Left) -> Iterator[tuple[str, str, Path]]:
    for path in sorted(left.folder.glob("answers/*/*.jsonl")):
        yield path.parent.name, path.stem, path


def _lines(path: Path) -> Iterator[Answer]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield msgspec.json.decode(line, type=Answer)
            except msgspec.DecodeError:
                raise UsageError(f"{path} is damaged; run it again") from None


def probes(left: Left) -> set[str]:
    """Ids of all probes that were answered."""
    return {a.id for _, _, path in _answers(left) for a in _lines(path)}


def answer(left: Left, name: str, arm: str) -> Thing | None:
    """The answers to a probe of that id; None where there are none."""
    found: dict[str, list[dict[str, Any]]] = {}
    for who, suite, path in _answers(left):
        for one in _lines(path):
            if one.id == name:
                found.setdefault(who, []).append({"suite": suite, **msgspec.to_builtins(one)})
    if not found:
        return None
    arm = arm_of(left, arm, list(found))
    starts, doubts = [], []
    for suite in dict.fromkeys(one["suite"] for one in found[arm]):
        step = f"answers.{arm}.{suite}"
        starts += made(left, step)
        held = file(left, f"answers/{arm}/{suite}.jsonl")
        doubts += held.doubts if held else []
    return Thing("answer", {"id": name, "arm": arm, "answers": found[arm]}, starts, doubts=doubts)
