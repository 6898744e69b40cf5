"""What is kept out of training, so that a verdict has something to be about: a tenth of the user's own texts.

Books give their last paragraphs; conversations and other rows give some from everywhere. Decontamination finds them
again in what is trained on: it drops what shares 13 words in a row with a held-out text. Rows of fewer words, such as
headlines, it would not find: there the last rows are held out, and the recipe's `limit` stops before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath

from msgspec import Struct

from runner import recipe as r
from runner import sourcing
from runner.beginning import voice
from runner.beginning.material import Lot
from runner.booktext import Unusable, decode, read_book
from runner.contamination import BOOK, plain
from runner.errors import UsageError
from runner.record import Record
from runner.workspace import Workspace

SHARE = 10  # one of so many is held out
FEWEST = 60  # words that are worth a passage
_PASSAGE = 110  # words of one, on the average
_MOST_FILES = 24  # of which texts are held out: judging them takes time, too
_MOST_WORDS = 4_000  # of each file
_MOST_ROWS = 20_000  # that are looked at
_HELD_ROWS = 200


class Held(Struct, frozen=True):
    """Held-out texts by file name; `limit` is how many rows may be trained on, where that is what keeps them apart.

    `rows` is how many there are to learn from, of passages about how many; `talks` are conversations whose questions
    may be asked, with their answers; `notes` say what could not be used.
    """

    texts: dict[str, str]
    rows: int
    limit: int | None = None
    talks: tuple[tuple[Record, str], ...] = ()
    notes: tuple[str, ...] = ()


def hold(lot: Lot, workspace: Workspace, seed: int) -> Held:
    """What is held out of one lot of files. Raises UsageError where there is too little to learn from."""
    return _books(lot) if lot.kind == "text" else _rows(lot, workspace, seed)


def _books(lot: Lot) -> Held:
    texts, notes, words = dict[str, str](), [], 0
    few = max(1, len(lot.files) // _MOST_FILES)
    for n, (name, path) in enumerate(lot.files):
        try:
            body = read_book(decode(path.read_bytes())[0]).text
        except Unusable as e:
            notes.append(f"{name} cannot be used: {e}")
            continue
        words += len(body.split())
        end = "" if n % few or len(texts) >= _MOST_FILES else _end(body)
        if end:
            texts[_free(f"{PurePosixPath(name).stem}.txt", texts)] = end
    if len(notes) == len(lot.files):
        raise UsageError("\n".join(notes))
    if not texts and words >= FEWEST * 4 * len(lot.files):
        what = (
            "none can be parted into what is learnt and what is judged by: put blank lines between paragraphs"
        )
        raise UsageError(f"{lot.files[0][0]!r}: of {words:,} words, {what}")
    if not texts:
        raise UsageError(
            f"{lot.files[0][0]!r}: {words:,} words are too few to learn from and to judge by; "
            f"{FEWEST * 4} in a file are the fewest"
        )
    return Held(texts, words // _PASSAGE, notes=tuple(notes))


def _end(body: str) -> str:
    """The last tenth of a text, at whole paragraphs; nothing where that would leave too little."""
    paragraphs = [p.strip("\n") for p in body.split("\n\n") if p.strip()]
    if len(paragraphs) == 1:
        paragraphs = [line for line in body.splitlines() if line.strip()]
    sizes = [len(p.split()) for p in paragraphs]
    wanted = min(max(2 * FEWEST, sum(sizes) // SHARE), _MOST_WORDS)
    if sum(sizes) < 2 * wanted:
        return ""
    at, taken = len(paragraphs), 0
    while taken < wanted:
        at -= 1
        taken += sizes[at]
    return "" if taken > sum(sizes) * 2 // 3 else "\n\n".join(paragraphs[at:]) + "\n"


def _free(name: str, taken: dict[str, str]) -> str:
    stem, n, out = name.removesuffix(".txt"), 1, name
    while out in taken:
        n += 1
        out = f"{stem}-{n}.txt"
    return out


def _rows(lot: Lot, workspace: Workspace, seed: int) -> Held:
    records = list(islice(_records(lot, workspace, seed), _MOST_ROWS))
    said = [_answer(record) for record in records]
    named = ", ".join(lot.names)
    if len(said) < 2 * SHARE:
        raise UsageError(f"{named}: {len(said)} rows can be used; {2 * SHARE} are the fewest to learn from")
    many = min(max(len(said) // SHARE, SHARE), _HELD_ROWS)
    long = [text for text in said if len(plain(text).split()) >= BOOK]
    talks = tuple(voice.pairs(records)) if lot.kind in ("jsonl", "files") else ()
    if talks:
        return Held(
            {f"{lot.kind}.txt": _written([text for _, text in talks])}, len(said) - len(talks), talks=talks
        )
    if len(long) >= len(said) // 2:
        return Held({f"{lot.kind}.txt": _written(_spread(long, min(many, len(long) // 2)))}, len(said) - many)
    kept = len(said) - many
    return Held({f"{lot.kind}.txt": _written(said[kept:])}, kept, limit=kept)


def _records(lot: Lot, workspace: Workspace, seed: int) -> Iterator[Record]:
    """The rows as training would get them."""
    options = {"files": list(lot.names)}
    spec = r.Source(lot.kind, lot.kind, options, r.SourceCommon(name=lot.kind))
    files = {"files": workspace.inputs("glob", options["files"])}
    found = sourcing.rows(spec, files, (), workspace.root / ".mirepoix", seed)
    return (row for row in found if isinstance(row, Record))


def _answer(record: Record) -> str:
    """The last that the assistant says, on lines of its own."""
    last = next((m.content for m in reversed(record.messages) if m.role == "assistant" and m.content), "")
    return " ".join((last or "").split())


def _spread(texts: Sequence[str], many: int) -> list[str]:
    """So many of them, from everywhere."""
    return [texts[n * len(texts) // many] for n in range(many)]


def _written(texts: Sequence[str]) -> str:
    return "\n\n".join(t for t in texts if t) + "\n"
