"""A source at work: what it fetched and the files that it named → records, and rows that are none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from runner import contract, lock, shaping
from runner import recipe as r
from runner.errors import StepError
from runner.fetching import InputFile, Item
from runner.record import Record, Rejected
from runner.registry import SourceContext, plugins
from runner.store import file_digest


def rows(
    spec: r.Source, files: dict[str, tuple[InputFile, ...]], items: Iterable[Item], root: Path, seed: int
) -> Iterator[Record | Rejected]:
    """What a source gives, shaped as its recipe says, each record whole and fit to train on.

    `items` may still be coming in while rows go out; `root` is the store, where their bytes are. An item that could
    not be had, and a record that breaks the contract, come as Rejected.
    """
    missing: list[Rejected] = []

    def had() -> Iterator[Item]:
        for item in items:
            if item.error:
                why = item.error if item.left_out else f"not fetched: {item.error}"
                origin = item.meta.get("origin") or item.key
                missing.append(
                    Rejected(f"{spec.name}/{item.key}", why, left_out=item.left_out, origin=origin)
                )
            else:
                yield item

    def raw(item: Item) -> Path:
        path = lock.raw(root, item)
        if not path.is_file() or file_digest(path) != item.sha256:
            what = f"the bytes that were fetched for {item.key} are damaged; run it again with --refresh"
            raise StepError(f"source.{spec.name}", what)
        return path

    plugin = plugins("source")[spec.plugin]
    context = SourceContext(spec.name, seed, files, spec.common.license, had(), raw)
    for row in shaping.shaped(plugin.call(context, **plugin.bind(spec.options)), spec, seed):
        if missing:
            yield from _drained(missing)
        if isinstance(row, Record) and (reason := contract.broken(row)) is not None:
            yield Rejected(row.id, reason, _written(row), origin=row.meta.get("origin", ""))
        else:
            yield row
    for _ in context.items:  # a source may stop reading early; what could not be had is told all the same
        continue
    yield from _drained(missing)


def _drained(rows: list[Rejected]) -> Iterator[Rejected]:
    while rows:
        yield rows.pop(0)


def _written(record: Record) -> str:
    """A record that is not to be had, as far as it can be written."""
    try:
        return json.dumps(msgspec.to_builtins(record))
    except RecursionError:
        return ""
