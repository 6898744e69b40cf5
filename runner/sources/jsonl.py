"""Source `jsonl`: chat records, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runner.record import Record, Rejected
from runner.registry import Files, SourceContext, source


@source("jsonl", version=1)
def jsonl(
    context: SourceContext,
    *,
    files: Annotated[Files, Meta(description="JSON Lines files of chat records.")],
) -> Iterator[Record | Rejected]:
    """Chat records, one JSON object a line: `messages`, and if need be `tools`, `tags`, `meta`."""
    for file in context.files["files"]:
        with file.path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                if raw.strip():
                    yield _record(
                        raw, f"{context.name}/{file.path.stem}/{number}", file.name, file.sha256, number
                    )


def _record(raw: bytes, id: str, origin: str, sha256: str, line: int) -> Record | Rejected:
    shown = raw.decode("utf-8", "replace").rstrip("\n")
    try:
        data = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as e:
        return Rejected(id, f"not UTF-8: {e.reason}", shown)
    except (ValueError, RecursionError) as e:
        return Rejected(id, f"not JSON: {e}".splitlines()[0], shown)
    try:
        record = msgspec.convert(_lowered(data), Record)
    except (msgspec.ValidationError, TypeError) as e:
        return Rejected(id, f"not a chat record: {e}", shown)
    if not record.messages:
        return Rejected(id, "no messages", shown)
    meta = {"group": f"{origin}:{line}"} | record.meta
    meta |= {"id": id, "origin": f"{origin}:{line}", "sha256": sha256}
    return msgspec.structs.replace(record, meta=meta)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _lowered(data: Any) -> Any:
    """Accept arguments written as an object: they become the JSON text that a record holds."""
    if not isinstance(data, dict) or not isinstance(data.get("messages"), list):
        return data
    for message in data["messages"]:
        for call in message.get("tool_calls") or [] if isinstance(message, dict) else []:
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
                function["arguments"] = json.dumps(
                    function["arguments"], ensure_ascii=False, separators=(",", ":")
                )
    return data
