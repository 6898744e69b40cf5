"""What a source yields → the records of its recipe: passages cut, system messages, tags and provenance set."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from runner import passages
from runner import recipe as r
from runner.record import Document, Message, Record, Rejected


def shaped(
    rows: Iterator[Record | Document | Rejected], spec: r.Source, seed: int
) -> Iterator[Record | Rejected]:
    common = spec.common
    wanted = common.chat or r.Chat()
    cut = wanted.passages or r.Passages()
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        made: Iterator[Record] = (
            iter([row])
            if isinstance(row, Record)
            else passages.to_records(row, words=cut.words, prompt=cut.prompt, system=None, seed=seed)
        )
        for record in made:
            messages = record.messages
            if wanted.system and messages[0].role != "system":
                messages = [Message("system", wanted.system), *messages]
            tags = record.tags | common.tags | {"source": spec.name}
            # `copy` and `tokens` are bookkeeping of later steps: what a file says there is not believed.
            meta = {k: v for k, v in record.meta.items() if k not in ("copy", "tokens")}
            meta["source"] = spec.name
            if not meta.get("license"):
                meta["license"] = common.license
            yield msgspec.structs.replace(record, messages=messages, tags=tags, meta=meta)
