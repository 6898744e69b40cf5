"""Step `render`, the proof's first half: the real template says every part of every record, within the length.

It counts tokens on the way; filters that need the count (`tokens`) run here.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from runner import basemodel, chat, pool
from runner import recipe as r
from runner.drops import Dropper, Why
from runner.making import Making
from runner.prepare.filtering import Filters, Outcome
from runner.prepare.selected import selected
from runner.record import Record
from runner.registry import plugins
from runner.rows import Shelf, save

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sizes(Struct):
    """The rows that can be rendered and how many tokens each has; the others; and what a template loses, if it does."""

    kept: list[int]
    tokens: list[int]
    dropped: list[tuple[int, Why]]
    lost: str = ""


class Rendering:
    """The work of one process: rows → Sizes."""

    def __init__(self, shelf: Shelf, tokenizer: basemodel.Tokenizer, longest: int, filters: Filters) -> None:
        self.shelf, self.tokenizer, self.longest, self.filters = shelf, tokenizer, longest, filters
        self._renderer: chat.Renderer | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_renderer": None}

    def __call__(self, rows: NDArray[Any]) -> Sizes:
        if self._renderer is None:
            self._renderer = self.tokenizer.load()
        out = Sizes([], [], [])
        decoder = msgspec.json.Decoder(Record)
        for row, line in zip(rows.tolist(), self.shelf.read(rows), strict=True):
            record = decoder.decode(line)
            try:
                tokens = len(self._renderer.render(record).ids)
            except chat.Unrenderable as e:
                out.dropped.append((row, Why("render", f"the template cannot say it: {e}")))
                continue
            except chat.Lost as e:
                out.lost = f"loses {e} of record {record.id}"
                return out
            reason = self._too_long(row, tokens, record)
            if reason is None:
                out.kept.append(row)
                out.tokens.append(tokens)
            else:
                out.dropped.append((row, reason))
        return out

    def _too_long(self, row: int, tokens: int, record: Record) -> Why | None:
        if tokens > self.longest:
            return Why("render", f"longer than max_length, {self.longest} tokens")
        if not self.filters.uses:
            return None
        counted = msgspec.structs.replace(record, meta=record.meta | {"tokens": str(tokens)})
        out = Outcome([], [], [])
        self.filters.judge([row], [counted], out)
        if out.edited:  # its tokens were counted before: what is kept here is what was rendered
            return Why("render", f"a filter that counts tokens edited it: {out.edited[0][1]}", aside=True)
        return out.dropped[0][1] if out.dropped else None


def with_tokens(uses: Sequence[r.Use]) -> list[tuple[int, r.Use]]:
    """The filters that wait until tokens are counted, with their place in the recipe."""
    return [(i, u) for i, u in enumerate(uses) if "tokens" in plugins("filter")[u.plugin].needs]


def render(m: Making) -> None:
    """Drop what the template cannot say or the length forbids; write how many tokens each other record has."""
    import numpy as np

    recipe, before = m.plan.loaded.recipe, selected(m)
    assert recipe.model is not None
    tokenizer = basemodel.tokenizer(m)
    work = Rendering(before.shelf, tokenizer, recipe.model.max_length, Filters(with_tokens(recipe.filters)))
    kept, tokens, drops = array("L"), array("L"), Dropper()
    lost_by: dict[int, Counter[str]] = {}
    for out in pool.mapped(work, before.pieces(), m.workers):
        if out.lost:
            raise m.fail(
                f"the template {recipe.model.template!r} {out.lost}; "
                "training would not see it. Use a template that says it (model.template)"
            )
        kept.extend(out.kept)
        tokens.extend(out.tokens)
        for row, why in out.dropped:
            drops.add(row, why)
        sources = before.shelf.source(np.array([row for row, _ in out.dropped], dtype=np.int64)).tolist()
        for source, (_, why) in zip(sources, out.dropped, strict=True):
            lost_by.setdefault(source, Counter())[why.reason] += 1
        m.progress(len(kept) + len(drops), len(before.rows), "records")
    rows = np.array(kept, dtype=np.uint32)
    save(m.out / "kept.npy", rows)
    save(m.out / "tokens.npy", np.array(tokens, dtype=np.uint32))
    drops.write(m.out)
    there = set(np.unique(before.shelf.source(rows)).tolist())
    for source, reasons in sorted(lost_by.items()):
        if source not in there:
            reason, n = reasons.most_common(1)[0]
            name = recipe.sources[source].name
            raise m.fail(f"no record of {name!r} can be rendered: {reason} ({n} records)")
