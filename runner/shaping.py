"""What a source yields → the records of its recipe: passages cut, system messages, tags and provenance set."""

from __future__ import annotations

from collections.abc import Iterator

from runner import passages
from runner import recipe as r
from runner.record import Document, Message, Record, Rejected
from runner.registry import plugins

_LONGEST_TAG = 200  # as a recipe's own tags


def shaped(
    rows: Iterator[Record | Document | Rejected], spec: r.Source, seed: int
) -> Iterator[Record | Rejected]:
    """Each row as one record, documents as one a passage; what cannot become one comes out as Rejected."""
    wanted = spec.common.chat or r.Chat()
    for row in rows:
        made = passages.to_records(row, wanted.passages, seed=seed) if isinstance(row, Document) else (row,)
        for record in made:
            yield record if isinstance(record, Rejected) else _dressed(record, wanted, spec, seed)


def _dressed(record: Record, wanted: r.Chat, spec: r.Source, seed: int) -> Record:
    """The record with what its source's common keys say."""
    common, messages = spec.common, record.messages
    system = _system(wanted, seed, record.id)
    if system and messages[0].role != "system":
        messages = [Message("system", system), *messages]
    tags = {**record.tags}
    # In whichever order a recipe names its tags: the same bytes.
    for tag, key in sorted(wanted.tags_from.items()):
        if value := record.meta.get(key, "").strip()[:_LONGEST_TAG]:
            tags[tag] = value
    tags |= sorted(common.tags.items())
    tags["source"] = spec.name
    meta = {**record.meta, "source": spec.name}
    for ours in ("copy", "tokens"):  # bookkeeping of later steps: what a file says there is not believed
        meta.pop(ours, None)
    if not meta.get("license"):
        meta["license"] = common.license or plugins("source")[spec.plugin].license
    return Record(messages, record.tools, tags, meta)


def _system(wanted: r.Chat, seed: int, record_id: str) -> str:
    """The system message that the record is to have if it has none; the same wherever the recipe runs."""
    systems = wanted.systems or ([wanted.system] if wanted.system else [])
    if not systems or passages.draw(seed, "system?", record_id) >= wanted.system_share:
        return ""
    return systems[int(passages.draw(seed, "system", record_id) * len(systems))]
