"""Step `decontaminate`: rows that share text with what the recipe's suites judge by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from runner import drops, pool
from runner.contamination import Contamination, plain
from runner.drops import Dropper, Why
from runner.fetching import InputFile
from runner.making import Making
from runner.prepare.selected import Said, selected
from runner.rows import Shelf, save

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of a probe or a task's document: what is no text to be judged by, or the same in all of them.
_ASIDE = ("tools", "id", "tags", "expect")
# "All of the above" tells nothing: what is chosen from is looked for only where it is long.
_CHOSEN = ("choices", "options")
_FEWEST = 3  # words


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
    against = [
        (f"{file.name}:{n}", text)
        for file in files["against"]
        if file.name.endswith((".jsonl", ".json"))
        for n, line in enumerate(file.path.read_bytes().split(b"\n"), 1)
        if line.strip()
        for text in _texts(_json(m, file.name, n, line), _FEWEST, wanted.ngram)
    ]
    plain_files = [*files["texts"], *(f for f in files["against"] if f.name.endswith(".txt"))]
    books = [(file.name, _book(m, file)) for file in plain_files]
    of = [name for name, _ in against + books]
    work = Decontaminating(before.shelf, [t for _, t in against], [t for _, t in books], wanted.ngram)
    found, done = Dropper(), 0
    for rows, hits in pool.mapped(work, before.pieces(), m.workers):
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


def _json(m: Making, name: str, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as e:
        raise m.fail(f"{name}, line {number}: not JSON: {e}") from None


def _texts(data: Any, fewest: int, chosen: int) -> Iterator[str]:
    """Texts of at least `fewest` words in a probe or a task's document; of what is chosen from, of `chosen` words."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key not in _ASIDE:
                yield from _texts(value, chosen if key in _CHOSEN else fewest, chosen)
    elif isinstance(data, list):
        for value in data:
            yield from _texts(value, fewest, chosen)
    elif isinstance(data, str) and len(plain(data).split()) >= fewest:
        yield data
