"""Step `decontaminate`: rows that share text with what the recipe's suites judge by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runner import drops
from runner.contamination import Contamination
from runner.drops import Dropper, Why
from runner.fetching import InputFile
from runner.making import Making
from runner.prepare.selected import selected
from runner.record import Said
from runner.rows import Shelf, save
from runner.taskdocs import Asked, documents, texts

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Decontaminating:
    """The work of one process: rows → (how many, [(row, number of the evaluations' text found in it)]).

    Looked at are the turns of user and assistant, each by itself. System messages are not, on purpose: a recipe gives
    its rows the very persona that its probes have.
    """

    def __init__(self, shelf: Shelf, against: list[str], books: list[str], ngram: int) -> None:
        self.shelf, self.against, self.books, self.ngram = shelf, against, books, ngram
        self._ready: Contamination | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}

    def __call__(self, rows: NDArray[Any]) -> tuple[int, list[tuple[int, int]]]:
        if self._ready is None:
            self._ready = Contamination(self.against, ngram=self.ngram, books=self.books)
        decoder = msgspec.json.Decoder(Said)
        turns = [
            (row, turn)
            for row, line in zip(rows.tolist(), self.shelf.read(rows), strict=True)
            for turn in decoder.decode(line).turns
        ]
        first: dict[int, int] = {}
        for (row, _), hit in zip(turns, self._ready.hits(text for _, text in turns), strict=True):
            if hit is not None:
                first.setdefault(row, hit)
        return len(rows), list(first.items())


def decontaminate(m: Making) -> None:
    """Drop records of which a turn shares words with a probe, a task's document or a held-out text of the suites."""
    import numpy as np

    wanted, before = m.plan.loaded.recipe.decontaminate, selected(m)
    files: dict[str, tuple[InputFile, ...]] = m.step.details["files"]
    try:
        against = [
            (f"{file.name}:{n}", text)
            for file in files["against"]
            for n, document in documents(file)
            for text in texts(document, wanted.ngram)
        ]
        for task in m.step.details["tasks"]:
            asked = Asked.fetched(task, m.inputs[f"task.{task}"])
            against += [
                (f"{file.name}:{n}", text)
                for file in asked.files
                for n, document in documents(file)
                for text in asked.of(document, wanted.ngram)
            ]
    except ValueError as e:
        raise m.fail(str(e)) from None
    plain_files = [*files["texts"], *(f for f in files["against"] if f.name.endswith(".txt"))]
    books = [(file.name, _book(m, file)) for file in plain_files]
    of = [name for name, _ in against + books]
    work = Decontaminating(before.shelf, [t for _, t in against], [t for _, t in books], wanted.ngram)
    found, done = Dropper(), 0
    for rows, hits in m.mapped(work, before.pieces()):
        for row, hit in hits:
            found.add(row, Why("decontaminate", "shares text with an evaluation", of=of[hit]))
        done += rows
        m.progress(done, len(before.rows), "records")
    found.write(m.out)
    kept = before.rows[~np.isin(before.rows, drops.read(m.out).rows)]
    if not len(kept):
        raise m.fail("every record shares text with an evaluation")
    save(m.out / "kept.npy", kept)


def _book(m: Making, file: InputFile) -> str:
    """A held-out text as the perplexity of it is measured: what many books have around them is no part of it."""
    from runner.booktext import Unusable, decode, strip_gutenberg  # its patterns take a while

    try:
        return strip_gutenberg(decode(file.path.read_bytes())[0])
    except Unusable as e:
        raise m.fail(f"{file.name}: {e}") from None
