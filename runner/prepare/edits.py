"""Rows that a step changed, as they are since: edited.jsonl, where each begins, their numbers, and what was changed."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from runner.making import Making, Rows
from runner.rows import save


class Edits:
    """Writes edited.jsonl, edited.lines.npy, edited.npy and edits.jsonl (a few words on each)."""

    def __init__(self, m: Making) -> None:
        self.out = m.out
        self.rows, self.lines = array("L"), array("q", [0])
        self._records = (m.out / "edited.jsonl").open("wb", buffering=1 << 18)
        self._whats = Rows(m.out / "edits.jsonl")

    def write(self, edited: Iterable[tuple[int, str, bytes]]) -> None:
        """More of them, by ascending row: number, what was changed, the record's line (of a row in pieces, a line
        each)."""
        for row, what, line in edited:
            self.rows.append(row)
            self.lines.append(self.lines[-1] + len(line))
            self._records.write(line)
            self._whats.write(what)

    def __enter__(self) -> Edits:
        return self

    def __exit__(self, *_: object) -> None:
        import numpy as np

        self._records.close()
        self._whats.__exit__()
        save(self.out / "edited.npy", np.array(self.rows, dtype=np.uint32))
        save(self.out / "edited.lines.npy", np.array(self.lines, dtype=np.int64))
