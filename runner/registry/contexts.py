"""What sources and judges get besides their options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from runner.datafiles.spans import Span
from runner.errors import StepError
from runner.fetching import InputFile, Item
from runner.record import Answer, Probe, Record

if TYPE_CHECKING:
    from runner.pool import Mapped


def _no_raw(item: Item) -> Path:
    raise LookupError(f"nothing was fetched for {item.key!r}")


@dataclass(frozen=True)
class SourceContext:
    """What a source gets besides its options. `files` holds, per option, the files that it named.

    A source with a `fetch` gets what that brought: `items`, without those that could not be had (they are kept as
    rejected rows), and `raw(item)`, the file with an item's bytes.
    """

    name: str
    seed: int
    files: Mapping[str, tuple[InputFile, ...]]
    license: str
    items: Iterable[Item] = ()
    raw: Callable[[Item], Path] = _no_raw

    def labelled(self, option: str) -> Iterator[tuple[str, InputFile]]:
        """Each file with a label for its rows' ids: its stem, numbered where another has the same."""
        taken: set[str] = set()
        for file in self.files[option]:
            stem = PurePosixPath(file.name).stem
            label = next(c for n in count(1) if (c := stem if n == 1 else f"{stem}~{n}") not in taken)
            taken.add(label)
            yield label, file


@dataclass(frozen=True)
class Unit:
    """One of the files that a source reads, each by itself. `id` begins the ids of its rows, `origin` says where they
    are from, `name` which kind of file it is; `meta` is for whoever reads it.

    `apart`: ranges of its lines may be read by themselves (runner.datafiles.kinds.apart). `span` is then the range
    that is to be read; None: all of it. `told`: a row names the file where it gives nothing, or cannot be read whole
    (runner.datafiles.kinds.accounted). `size`: the bytes that it has wherever it is read; None: nobody looked.
    """

    id: str
    name: str
    path: Path
    sha256: str
    origin: str
    meta: Mapping[str, str] = field(default_factory=dict)
    apart: bool = False
    told: bool = True
    span: Span | None = None
    size: int | None = None


Given = tuple[Probe, str, Answer | None]
"""A probe, an arm, and what it answered: None where nothing came."""
PIECE = 256
"""Answers that are judged in one go."""


def _untold(done: int, of: int, what: str) -> None:
    return None


@dataclass(frozen=True)
class JudgeContext:
    """What a judge gets besides its options: probes in order, the answers of every arm, files, the seed.

    `system` is the text that the recipe sets before each probe; `asked` holds, by arm, the one that its probes had. A
    judge that `reads` the split gets `records`, which goes through the training data of this very run each time it is
    called; it is None where a model is judged that no recipe here trained. A judge that `asks` a service gets `ask`
    (runner/services.py). `base` is what the recipe calls the model that it tunes; `progress` (done, of, what) may be
    told how far the judging is. `mapped(work, pieces)` is `map`, on all cores that the recipe wants worked on, of other
    machines too: `work` and pieces go there by pickle, and results come in the order of the pieces.
    """

    probes: tuple[Probe, ...]
    answers: tuple[Answer, ...]
    files: Mapping[str, tuple[InputFile, ...]]
    seed: int
    system: str | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    records: Callable[[], Iterator[Record]] | None = None
    ask: Callable[..., Any] | None = None
    base: str | None = None
    progress: Callable[[int, int, str], None] = _untold
    mapped: Mapped = map

    def pieces(self, judge: str) -> Iterator[list[Given]]:
        """What `said` gives, in lists of PIECE: for `mapped`, where a judge scores each answer by itself."""
        left = self.said(judge)
        while piece := list(islice(left, PIECE)):
            yield piece

    def said(self, judge: str) -> Iterator[Given]:
        """Each answer of each arm with its probe, in the probes' order; None where an arm gave none.

        Raises StepError in the name of `judge` where an answer is to no probe.
        """
        given: dict[tuple[str, str], list[Answer]] = {}
        for answer in self.answers:
            given.setdefault((answer.arm, answer.id), []).append(answer)
        known = {p.id for p in self.probes}
        if odd := next((a for a in self.answers if a.id not in known), None):
            raise StepError(judge, f"{odd.arm} answered {odd.id!r}, which is no probe")
        for arm in dict.fromkeys(a.arm for a in self.answers):
            for probe in self.probes:
                for said in given.get((arm, probe.id), [None]):
                    yield probe, arm, said
