"""A source at work: what it fetched and the files that it named → records, and rows that are none."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from runner import contract, lock, shaping
from runner import recipe as r
from runner.datafiles.kinds import Account, accounted
from runner.datafiles.opened import Unreadable
from runner.errors import StepError
from runner.fetching import InputFile, Item
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext, Unit, plugins
from runner.store import file_digest

T = TypeVar("T")
Entry = Unit | Rejected
"""One of the files that a source reads, or something that it did not get."""


def rows(
    spec: r.Source, files: dict[str, tuple[InputFile, ...]], items: Iterable[Item], root: Path, seed: int
) -> Iterator[Record | Rejected]:
    """What a source gives, shaped as its recipe says, each record whole and fit to train on.

    `items` may still be coming in while rows go out; `root` is the store, where their bytes are. An item that could
    not be had, and a record that breaks the contract, come as Rejected.
    """
    missing: list[Rejected] = []
    plugin = plugins("source")[spec.plugin]
    context = _context(spec, files, _had(spec, items, missing), root, seed)
    for row in fit(plugin.call(context, **plugin.bind(spec.options)), spec, seed):
        if missing:
            yield from _drained(missing)
        yield row
    for _ in context.items:  # a source may stop reading early; what could not be had is told all the same
        continue
    yield from _drained(missing)


def entries(
    spec: r.Source, files: dict[str, tuple[InputFile, ...]], items: Iterable[Item], root: Path, seed: int
) -> Iterator[Entry]:
    """What stands in line to be read, of a source that reads its files apart: the rows of one after the other are
    those that `rows` gives."""
    missing: list[Rejected] = []
    plugin = plugins("source")[spec.plugin]
    assert plugin.units is not None
    context = _context(spec, files, _had(spec, items, missing), root, seed)
    for unit in plugin.units(context, **plugin.bind_for(plugin.units, spec.options)):
        yield from _drained(missing)
        yield unit
    for _ in context.items:
        continue
    yield from _drained(missing)


def unit_rows(
    spec: r.Source, files: dict[str, tuple[InputFile, ...]], unit: Unit, seed: int, account: Account
) -> Iterator[Record | Rejected]:
    """The rows of one of the `entries`, or of the span of it that is asked for. What came of a span is told to
    `account`, which is to be added to those of the file's other spans; a whole unit's says nothing.

    Raises StepError where a file of a known size has another one here, or cannot be read.
    """
    plugin = plugins("source")[spec.plugin]
    assert plugin.read is not None
    context = _context(spec, files, (), None, seed)
    made = plugin.read(context, unit, **plugin.bind_for(plugin.read, spec.options))
    if unit.size is not None:
        made = _relied(unit, made)
    if unit.told:
        made = accounted(unit.id, unit.origin, made) if unit.span is None else account.of(made)
    yield from fit(made, spec, seed)


def seen(unit: Unit) -> None:
    """Raises StepError where a file of a known size has another one here, or cannot be read."""
    try:
        with unit.path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as e:
        raise _unseen(unit, f"cannot be read on {platform.node()}: {e.strerror or e}") from None
    if unit.size not in (size, None):
        there = f"{unit.size:,} where the run began"
        raise _unseen(unit, f"has {size:,} bytes on {platform.node()}, {there}")


def _relied(unit: Unit, made: Iterator[T]) -> Iterator[T]:
    """The rows of a file that could be read where the run began. Where it cannot be read here, that says nothing of the
    data: it is the fault of this machine, or of its way to the file, and no row."""
    seen(unit)
    try:
        yield from made
    except Unreadable as e:
        if isinstance(e.__cause__, OSError) and e.__cause__.errno is not None:
            raise _unseen(unit, f"{e} on {platform.node()}") from None
        raise


def _unseen(unit: Unit, why: str) -> StepError:
    same = "all machines that work on a recipe must see the same files, at the same paths"
    return StepError(f"source.{unit.id.partition('/')[0]}", f"{unit.name} {why}; {same}")


def fit(
    made: Iterator[Record | Document | Rejected], spec: r.Source, seed: int
) -> Iterator[Record | Rejected]:
    """Rows in the shape that their recipe wants; those that break the contract come as Rejected."""
    for row in shaping.shaped(made, spec, seed):
        if isinstance(row, Record) and (reason := contract.broken(row)) is not None:
            yield Rejected(row.id, reason, _written(row), origin=row.meta.get("origin", ""))
        else:
            yield row


def _context(
    spec: r.Source,
    files: dict[str, tuple[InputFile, ...]],
    items: Iterable[Item],
    root: Path | None,
    seed: int,
) -> SourceContext:
    def raw(item: Item) -> Path:
        assert root is not None
        path = lock.raw(root, item)
        if not path.is_file() or file_digest(path) != item.sha256:
            what = f"the bytes that were fetched for {item.key} are damaged; run it again with --refresh"
            raise StepError(f"source.{spec.name}", what)
        return path

    return SourceContext(spec.name, seed, files, spec.common.license, items, raw)


def _had(spec: r.Source, items: Iterable[Item], missing: list[Rejected]) -> Iterator[Item]:
    """The items that were had; what is `missing` is told to that."""
    for item in items:
        if item.error:
            why = item.error if item.left_out else f"not fetched: {item.error}"
            origin = item.meta.get("origin") or item.key
            missing.append(Rejected(f"{spec.name}/{item.key}", why, left_out=item.left_out, origin=origin))
        else:
            yield item


def _drained(rows: list[Rejected]) -> Iterator[Rejected]:
    while rows:
        yield rows.pop(0)


def _written(record: Record) -> str:
    """A record that is not to be had, as far as it can be written."""
    try:
        return json.dumps(msgspec.to_builtins(record))
    except RecursionError:
        return ""
