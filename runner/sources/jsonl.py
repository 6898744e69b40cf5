"""Source `jsonl`: chat records, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runner.datafiles.jsontext import shown
from runner.datafiles.kinds import accounted, apart, rows
from runner.datafiles.opened import Bad
from runner.record import Record, Rejected
from runner.registry import Files, SourceContext, Unit, source


def _units(context: SourceContext) -> Iterator[Unit]:
    for stem, file in context.labelled("files"):
        lines = apart(file.path, file.name, "jsonl")
        yield Unit(f"{context.name}/{stem}", file.name, file.path, file.sha256, file.name, apart=lines)


def _read(context: SourceContext, unit: Unit) -> Iterator[Record | Rejected]:
    for number, raw, value in rows(unit.path, unit.name, "jsonl", span=unit.span):
        if isinstance(value, Bad):
            yield Rejected(f"{unit.id}/{number}", value.reason, value.raw, origin=f"{unit.origin}:{number}")
        else:
            yield _record(value, raw, f"{unit.id}/{number}", unit, number)


@source("jsonl", version=2, units=_units, read=_read)
def jsonl(
    context: SourceContext,
    *,
    files: Annotated[
        Files,
        Meta(
            description="JSON Lines files of chat records, plain, .gz or .zst.", examples=[["talks/*.jsonl"]]
        ),
    ],
) -> Iterator[Record | Rejected]:
    """Chat records, one JSON object a line: `messages`, and if need be `tools`, `tags`, `meta`.

    Nothing is guessed or mended. A line is rejected, by number, that is not UTF-8 or not strict JSON (NaN, a key
    twice, half a character, 8 MiB and more), that has a key which records do not have, or a message of another
    shape; call arguments may be an object, which becomes its JSON text. Other chat formats are rejected by name:
    the source `files` reads them. A file of another kind (an array, UTF-16, gzip under a plain name) is rejected
    whole. An escaped NUL and roles out of order are the contract's business, control tokens in a text the
    renderer's, secrets a filter's, repetitions dedup's: such lines pass here as they are.
    """
    for unit in _units(context):
        yield from accounted(unit.id, unit.origin, _read(context, unit))


def _record(data: dict[str, Any], raw: bytes, id: str, unit: Unit, line: int) -> Record | Rejected:
    origin = f"{unit.origin}:{line}"
    if "messages" not in data and "conversations" in data:
        why = "not a chat record but ShareGPT's `conversations`: use the source `files`"
        return Rejected(id, why, shown(raw), origin=origin)
    try:
        record = msgspec.convert(_lowered(data), Record)
    except (msgspec.ValidationError, TypeError, RecursionError) as e:
        return Rejected(id, f"not a chat record: {e}", shown(raw), origin=origin)
    if not record.messages:
        return Rejected(id, "no messages", shown(raw), origin=origin)
    meta = {"group": origin} | record.meta
    meta |= {"id": id, "origin": origin, "sha256": unit.sha256}
    return msgspec.structs.replace(record, meta=meta)


def _lowered(data: dict[str, Any]) -> Any:
    """Accept arguments written as an object: they become the JSON text that a record holds."""
    if not isinstance(data.get("messages"), list):
        return data
    for message in data["messages"]:
        for call in message.get("tool_calls") or [] if isinstance(message, dict) else []:
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
                function["arguments"] = json.dumps(
                    function["arguments"], ensure_ascii=False, separators=(",", ":")
                )
    return data
