"""Parts of a source: files and ranges of files that are read wherever there is a core, and what comes of them.

A part is a folder in the step's work folder, laid out as the step's own (runner/prepare/laid.py), with part.json: what
is in it, and the digest of each file. It is written under another name and renamed, so that it is whole or not there;
whoever is to make it and finds it whole, as after a kill, leaves it.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import Struct

from runner import recipe as r
from runner import sourcing
from runner.datafiles import spans
from runner.datafiles.kinds import Account
from runner.fetching import InputFile
from runner.hashes import text_hash
from runner.making import Making
from runner.prepare.laid import Facts, Laid, digests
from runner.record import Rejected
from runner.registry import Unit, plugins
from runner.sourcing import Entry
from runner.store import aside

_FEW = 1000  # files that are one piece at most
_MAGIC = 1  # raised where parts come to be laid out otherwise

Piece = tuple[Entry, ...]
"""What is read at once: a span of one file, or some whole files and what is told between them."""


class Part(Struct):
    """part.json. `account` is what came of a span."""

    facts: Facts
    digests: dict[str, str]
    account: Account


def pieces(m: Making, entries: Iterable[Entry]) -> list[Piece]:
    """What stands in line, cut by sizes alone."""
    found = [replace(e, size=e.path.stat().st_size) if isinstance(e, Unit) else e for e in entries]
    sizes = [(e.size or 0) if isinstance(e, Unit) else 0 for e in found]
    most = spans.length(sum(sizes))
    cuts = [
        spans.cut(size, most) if isinstance(e, Unit) and e.apart and size > most else []
        for e, size in zip(found, sizes, strict=True)
    ]
    ranges = [(e, *at) for e, cut in zip(found, cuts, strict=True) if isinstance(e, Unit) for at in cut]
    counts = iter(list(m.mapped(count, ranges)) if ranges else ())  # no cluster is started for nothing
    out: list[Piece] = []
    some: list[Entry] = []
    held = 0
    for entry, size, cut in zip(found, sizes, cuts, strict=True):
        if not cut:
            some.append(entry)
            held += size
        if some and (cut or held >= most or len(some) >= _FEW):
            out.append(tuple(some))
            some, held = [], 0
        if isinstance(entry, Unit):
            numbered = spans.numbered(cut, [next(counts) for _ in cut])
            out += [(replace(entry, span=span),) for span in numbered]
    return [*out, tuple(some)] if some else out


def count(piece: tuple[Unit, int, int]) -> int:
    """How many lines begin in a range of a file. Raises StepError where that is not here as it was seen."""
    unit, begin, end = piece
    sourcing.seen(unit)
    return spans.begun(unit.path, begin, end)


class Reading:
    """The work of one process: (number, piece) → the part that it makes of it in `folder`."""

    def __init__(
        self, spec: r.Source, files: dict[str, tuple[InputFile, ...]], seed: int, folder: Path
    ) -> None:
        self.spec, self.files, self.seed, self.folder = spec, files, seed, folder

    @property
    def modules(self) -> list[str]:
        return ["numpy", plugins("source")[self.spec.plugin].call.__module__]

    def __call__(self, numbered: tuple[int, Piece]) -> Part:
        place = self.place(*numbered)
        if (there := _whole(place)) is not None:
            return there
        made = aside(place)
        made.mkdir(parents=True)
        try:
            part = self._read(numbered[1], made)
            (made / "part.json").write_bytes(msgspec.json.encode(part))
            try:
                made.rename(place)
            except OSError:  # something is there: damaged, or the same, made by somebody who was at it, too
                if _whole(place) is None:
                    shutil.rmtree(place)
                    made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return part

    def place(self, number: int, piece: Piece) -> Path:
        """Where the part of a piece is: its name says what was to be read."""
        told = [(e.id, e.reason) if isinstance(e, Rejected) else (e.id, e.sha256, e.span) for e in piece]
        return self.folder / f"{number:06d}-{text_hash(_MAGIC, *told):016x}"

    def _read(self, piece: Piece, folder: Path) -> Part:
        account = Account()
        with Laid(folder, self.spec.name) as out:
            for entry in piece:
                if isinstance(entry, Rejected):
                    out.add(entry)
                    continue
                for row in sourcing.unit_rows(self.spec, self.files, entry, self.seed, account):
                    out.add(row)
        out.columns()
        return Part(out.facts, digests(folder), account)


def _whole(place: Path) -> Part | None:
    """A part that is there, and is what it says."""
    try:
        part = msgspec.json.decode((place / "part.json").read_bytes(), type=Part)
        return part if digests(place) == part.digests else None
    except (OSError, msgspec.MsgspecError):
        return None


def join(m: Making, out: Laid, work: Reading, line: Sequence[Piece]) -> None:
    """Read all pieces, and lay out what comes of them, in order. Raises StepError where a part is damaged."""
    made = zip(line, itertools.count(), m.mapped(work, enumerate(line)), strict=False)
    for _, parts in itertools.groupby(made, lambda one: _file(one[0]) or one[1]):
        account, waiting = Account(), []
        for piece, number, part in parts:
            if account.broke:
                continue  # what lies behind it is not read, whoever could
            account.add(part.account)
            waiting.append((work.place(number, piece), part))
            if not (_told(piece) and account.waiting):
                _append(m, out, waiting)
        if _told(piece) and (told := account.told(piece[0].id, piece[0].origin)) is not None:
            out.add(told)
        _append(m, out, waiting)


def _file(piece: Piece) -> str:
    """The file of which it is a span; "" where it is whole ones."""
    return piece[0].id if isinstance(piece[0], Unit) and piece[0].span is not None else ""


def _told(piece: Piece) -> bool:
    """Whether what came of its file is told once all of it was read."""
    return bool(_file(piece)) and isinstance(piece[0], Unit) and piece[0].told


def _append(m: Making, out: Laid, waiting: list[tuple[Path, Part]]) -> None:
    while waiting:
        place, part = waiting.pop(0)
        if name := out.append(place, part.facts, part.digests):
            shutil.rmtree(place, ignore_errors=True)
            raise m.fail(
                f"{name} of a part that was read is not what was written: the disk, or the folder that machines "
                "share, may be at fault; the part is thrown away, and run again it is read anew"
            )
        m.progress(out.records, 0, "rows")
