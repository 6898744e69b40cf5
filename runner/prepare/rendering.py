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

from runner import basemodel, chat, lowering, parting, templates
from runner import recipe as r
from runner.drops import Dropper, Why
from runner.errors import StepError
from runner.making import Making, write_json
from runner.prepare.edits import Edits
from runner.prepare.filtering import Filters, Outcome
from runner.prepare.selected import selected
from runner.record import Record
from runner.registry import plugins
from runner.rows import Shelf, save

UNTRAINED = "nothing in it is trained: no turn of train.roles, or weights of 0"

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sizes(Struct):
    """The rows that can be rendered, how many tokens each has and how many of all are trained; the others; those
    changed so that the template can say them, or parted so that they fit; and what a template loses, if it does."""

    kept: list[int]
    tokens: list[int]
    dropped: list[tuple[int, Why]]
    edited: list[tuple[int, str, bytes]]
    refused: list[tuple[int, str]]  # tokens and id of records that are too long, where that stops the run
    trained: int = 0
    lost: str = ""


class Rendering:
    """The work of one process: rows → Sizes."""

    def __init__(
        self, shelf: Shelf, tokenizer: basemodel.Tokenizer, model: r.Model, filters: Filters
    ) -> None:
        self.shelf, self.tokenizer, self.model, self.filters = shelf, tokenizer, model, filters
        self._renderer: chat.Renderer | None = None
        self._abilities: lowering.Abilities | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_renderer": None, "_abilities": None}

    def __call__(self, rows: NDArray[Any]) -> Sizes:
        if self._renderer is None or self._abilities is None:
            self._renderer = self.tokenizer.load()
            self._abilities = self._can(self._renderer)
        out = Sizes([], [], [], [], [])
        decoder = msgspec.json.Decoder(Record)
        for row, line in zip(rows.tolist(), self.shelf.read(rows), strict=True):
            record = decoder.decode(line)
            try:
                self._one(row, record, self._renderer, self._abilities, out)
            except lowering.Unsayable as e:
                out.dropped.append((row, Why("render", str(e))))
            except chat.Unrenderable as e:
                out.dropped.append((row, Why("render", f"the template cannot say it: {e}")))
            except chat.Lost as e:
                out.lost = f"loses {e} of record {record.id}"
                return out
            except templates.TooMuch as e:
                raise self._too_much(f"{e}, in record {record.id}") from None
        return out

    def _can(self, renderer: chat.Renderer) -> lowering.Abilities:
        """What the template can say. Raises StepError where that is not even a question and its answer."""
        try:
            return lowering.abilities(renderer)
        except chat.Unrenderable as e:
            what = f"the template {self.model.template!r} refuses even a question and its answer: {e}"
        except templates.TooMuch as e:
            raise self._too_much(f"{e}, even in a question and its answer") from None
        except chat.Lost as e:
            what = f"the template {self.model.template!r} loses, even of a question and its answer, {e}"
        next_step = (
            "correct it, or name another (model.template, and model.end_of_turn if its turns end otherwise)"
        )
        raise StepError(self.tokenizer.step, f"{what}; {next_step}")

    def _too_much(self, what: str) -> StepError:
        what = f"the template {self.model.template!r} {what}"
        return StepError(self.tokenizer.step, f"{what}; correct it, or name another (model.template)")

    def _one(
        self, row: int, record: Record, renderer: chat.Renderer, abilities: lowering.Abilities, out: Sizes
    ) -> None:
        lowered = lowering.lower(record, abilities)
        notes = list(lowered.notes)
        done = renderer.render(lowered.record)
        tokens = len(done.ids)
        if tokens > self.model.max_length and self.model.over_length == "split":
            self._parted(row, lowered.record, renderer, notes, out)
            return
        if tokens > self.model.max_length and self.model.over_length == "refuse":
            out.refused.append((tokens, record.id))
        reason = self._unfit(row, tokens, record) if any(done.trained) else Why("render", UNTRAINED)
        if reason is not None:
            out.dropped.append((row, reason))
            return
        out.kept.append(row)
        out.tokens.append(tokens)
        out.trained += sum(done.trained)
        if lowered.record != record:
            out.edited.append((row, "; ".join(notes), msgspec.json.encode(lowered.record) + b"\n"))

    def _parted(
        self, row: int, record: Record, renderer: chat.Renderer, notes: list[str], out: Sizes
    ) -> None:
        """A record that is too long, as several that are not."""
        parts, left_out = parting.parted(record, renderer.render, self.model.max_length)
        if not parts:
            out.dropped.append((row, self._long()))
            return
        total = sum(part.tokens for part in parts)
        if (reason := self._filtered(row, total, record)) is not None:
            out.dropped.append((row, reason))
            return
        notes.append(parting.said(len(parts), left_out, self.model.max_length))
        out.kept.append(row)
        out.tokens.append(total)
        out.trained += sum(part.trained for part in parts)
        records = (
            [parting.named(p, n) for n, p in enumerate(parts, 1)] if len(parts) > 1 else [parts[0].record]
        )
        lines = b"".join([msgspec.json.encode(one) + b"\n" for one in records])
        out.edited.append((row, "; ".join(notes), lines))

    def _long(self) -> Why:
        return Why("render", f"longer than max_length, {self.model.max_length} tokens")

    def _unfit(self, row: int, tokens: int, record: Record) -> Why | None:
        return self._long() if tokens > self.model.max_length else self._filtered(row, tokens, record)

    def _filtered(self, row: int, tokens: int, record: Record) -> Why | None:
        """What the filters that count tokens say."""
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
    """Drop what the template cannot say or the length forbids; write the tokens of each other record, and how many of
    all are trained."""
    import numpy as np

    recipe, before = m.plan.loaded.recipe, selected(m)
    assert recipe.model is not None
    tokenizer = basemodel.tokenizer(m)
    work = Rendering(before.shelf, tokenizer, recipe.model, Filters(with_tokens(recipe.filters)))
    kept, tokens, drops = array("L"), array("L"), Dropper()
    lost_by: dict[int, Counter[str]] = {}
    trained, refused, longest = 0, 0, (0, "")
    with Edits(m) as edits:
        for out in m.mapped(work, before.pieces()):
            if out.lost:
                raise m.fail(
                    f"the template {recipe.model.template!r} {out.lost}; "
                    "training would not see it. Use a template that says it (model.template)"
                )
            kept.extend(out.kept)
            tokens.extend(out.tokens)
            trained += out.trained
            edits.write(out.edited)
            for row, why in out.dropped:
                drops.add(row, why)
            refused, longest = refused + len(out.refused), max([longest, *out.refused])
            sources = before.shelf.source(np.array([row for row, _ in out.dropped], dtype=np.int64)).tolist()
            for source, (_, why) in zip(sources, out.dropped, strict=True):
                lost_by.setdefault(source, Counter())[why.reason] += 1
            m.progress(len(kept) + len(drops), len(before.rows), "records")
    if refused:
        raise m.fail(
            f"{refused:,} records are longer than max_length, {recipe.model.max_length} tokens; the longest, "
            f"{longest[1]}, has {longest[0]:,}. Raise model.max_length, or let model.over_length drop or split them"
        )
    rows = np.array(kept, dtype=np.uint32)
    save(m.out / "kept.npy", rows)
    save(m.out / "tokens.npy", np.array(tokens, dtype=np.uint32))
    write_json(
        m.out / "counts.json", {"records": len(kept), "tokens": sum(tokens), "trained_tokens": trained}
    )
    drops.write(m.out)
    there = set(np.unique(before.shelf.source(rows)).tolist())
    for source, reasons in sorted(lost_by.items()):
        if source not in there:
            reason, n = reasons.most_common(1)[0]
            name = recipe.sources[source].name
            raise m.fail(f"no record of {name!r} can be rendered: {reason} ({n} records)")
