"""Step `dedup`: rows that repeat others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from runner import drops
from runner.dedup import Finder
from runner.drops import Drops, Why
from runner.fetching import InputFile
from runner.making import Making
from runner.prepare.selected import selected
from runner.record import Said
from runner.rows import save

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Earlier:
    """Records of earlier runs, as rows before the first of ours."""

    def __init__(self, m: Making, files: tuple[InputFile, ...]) -> None:
        self.m, self.files = m, files
        self.lines: list[list[int]] = []  # of each file: where each record begins, and how long it is
        self.ends: list[int] = []

    def texts(self) -> Iterator[str]:
        """Of all of them, in order."""
        count = 0
        for file in self.files:
            begins, at = [], 0
            with file.path.open("rb") as lines:
                for n, line in enumerate(lines, 1):
                    if line.strip():
                        begins.append(at)
                        count += 1
                        yield self._text(file, n, line)
                    at += len(line)
            self.lines.append(begins)
            self.ends.append(count)

    def _text(self, file: InputFile, number: int, line: bytes) -> str:
        try:
            return msgspec.json.decode(line, type=Said).compared
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            raise self.m.fail(f"dedup.against: {file.name}, line {number}: not a chat record: {e}") from None

    def read(self, rows: list[int]) -> Iterator[str]:
        """Texts of some of them, in ascending order."""
        for row in rows:
            n = next(i for i, end in enumerate(self.ends) if row < end)
            with self.files[n].path.open("rb") as file:
                file.seek(self.lines[n][row - (self.ends[n - 1] if n else 0)])
                yield msgspec.json.decode(file.readline(), type=Said).compared


def remove_duplicates(m: Making) -> None:
    """Exact and near-duplicates; of a group, one row stays."""
    import numpy as np

    wanted, before = m.plan.loaded.recipe.dedup, selected(m)
    earlier = _Earlier(m, m.step.details["files"]["against"])
    finder = Finder(m.work, exact=wanted.exact, near=wanted.near)
    finder.add(earlier.texts(), threads=m.workers)
    first = finder.whole.rows
    shelf, decoder = before.shelf, msgspec.json.Decoder(Said)
    for n, end in enumerate(shelf.ends.tolist()):
        low, high = np.searchsorted(before.rows, [shelf.ends[n - 1] if n else 0, end]).tolist()
        texts = (decoder.decode(line).compared for line in shelf.read(before.rows[low:high]))
        scope = n + 1 if wanted.within == "source" else 0
        for done in finder.adding(texts, scope, threads=m.workers):
            m.progress(done - first, len(before.rows), "records")

    def read(rows: NDArray[Any]) -> list[str]:
        old = [*earlier.read(rows[rows < first].tolist())]
        return old + [
            decoder.decode(x).compared for x in shelf.read(before.rows[rows[rows >= first] - first])
        ]

    rank = [wanted.prefer.index(s.name) if s.name in wanted.prefer else len(wanted.prefer)
            for s in m.plan.loaded.recipe.sources]  # fmt: skip
    length = finder.length.whole()

    def better(rows: NDArray[Any]) -> NDArray[Any]:
        ours = np.maximum(rows - first, 0)
        place = np.array(rank, dtype=np.int64)[shelf.source(before.rows[ours])] + 1
        fewer = 0xFFFFFFFF - length[rows].astype(np.int64) if wanted.keep == "longest" else 0
        # What was trained on before always stays.
        return np.where(rows < first, 0, (place << 32) + fewer)

    m.progress(0, 0, "comparing")
    found = finder.find(read, better)
    ours = found.row >= first
    row, of = found.row[ours] - first, found.of[ours]
    exact, similarity = found.exact[ours], found.similarity[ours]
    dropped = before.rows[row]
    # Rows of earlier runs come after all of ours in the numbering of what stayed.
    stayed = np.where(of >= first, before.rows[np.maximum(of - first, 0)], len(shelf) + of)
    whys = [Why("dedup.exact", "exact duplicate"), Why("dedup.near", "near duplicate")]
    drops.write(
        m.out, Drops(dropped, np.where(exact, 0, 1).astype(np.uint32), whys, stayed.astype(np.uint32))
    )
    save(m.out / "similarity.npy", similarity.astype(np.float32))
    save(m.out / "kept.npy", np.delete(before.rows, row))
    names = [[f.name, end] for f, end in zip(earlier.files, earlier.ends, strict=True)]
    (m.out / "against.json").write_bytes(msgspec.json.encode(names))
