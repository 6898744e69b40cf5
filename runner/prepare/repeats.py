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
from runner.prepare.selected import cut, selected
from runner.record import Said
from runner.rows import Shelf, save
from runner.shingles import Scan, Shingler, batches

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _added(m: Making, finder: Finder, shelf: Shelf, rows: NDArray[Any], scope: int) -> Iterator[int]:
    """Rows that the finder is to know; says now and then how many it knows."""
    if not m.spread:  # threads are enough for one machine: the kernel lets go of the interpreter
        decoder = msgspec.json.Decoder(Said)
        texts = (decoder.decode(line).compared for line in shelf.read(rows))
        yield from finder.adding(texts, scope, threads=m.workers)
        return
    for scans in m.mapped(Scanning(shelf, finder.shingler), cut(rows)):
        for scan in scans:
            finder.add_scan(scan, scope)
        yield finder.whole.rows


class _Earlier:
    """Records of earlier runs, as rows before the first of ours."""

    def __init__(self, m: Making, files: tuple[InputFile, ...]) -> None:
        self.m, self.files = m, files
        self.lines: list[list[int]] = []  # of each file: where each record begins, and how long it is
        self.ends: list[int] = []

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"m": None}

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


class Scanning:
    """The work of one process: rows → what a scan says of their texts."""

    def __init__(self, shelf: Shelf, shingler: Shingler) -> None:
        self.shelf, self.shingler = shelf, shingler

    def __call__(self, rows: NDArray[Any]) -> list[Scan]:
        decoder = msgspec.json.Decoder(Said)
        texts = (decoder.decode(line).compared for line in self.shelf.read(rows))
        return [self.shingler.scan(batch) for batch in batches(texts)]


class Texts:
    """Row numbers of the finder's, ascending → their texts: those of earlier runs come first, then ours."""

    def __init__(self, earlier: _Earlier, shelf: Shelf, rows: NDArray[Any], first: int) -> None:
        self.earlier, self.shelf, self.rows, self.first = earlier, shelf, rows, first

    def __call__(self, rows: NDArray[Any]) -> list[str]:
        decoder = msgspec.json.Decoder(Said)
        old = [*self.earlier.read(rows[rows < self.first].tolist())]
        ours = self.rows[rows[rows >= self.first] - self.first]
        return old + [decoder.decode(line).compared for line in self.shelf.read(ours)]


def remove_duplicates(m: Making) -> None:
    """Exact and near-duplicates; of a group, one row stays."""
    import numpy as np

    wanted, before = m.plan.loaded.recipe.dedup, selected(m)
    earlier = _Earlier(m, m.step.details["files"]["against"])
    finder = Finder(m.work, exact=wanted.exact, near=wanted.near)
    finder.add(earlier.texts(), threads=m.workers)
    first = finder.whole.rows
    shelf = before.shelf
    for n, end in enumerate(shelf.ends.tolist()):
        low, high = np.searchsorted(before.rows, [shelf.ends[n - 1] if n else 0, end]).tolist()
        scope = n + 1 if wanted.within == "source" else 0
        for done in _added(m, finder, shelf, before.rows[low:high], scope):
            m.progress(done - first, len(before.rows), "records")
    read = Texts(earlier, shelf, before.rows, first)
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
    found = finder.find(read, better, m.mapped if m.spread else None)
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
