"""Source `jsonl`: chat records, one JSON object a line."""

from __future__ import annotations

import json
import math
from collections import Counter
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
    for stem, file in context.labelled("files"):
        with file.path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                if raw.strip():
                    yield _record(raw, f"{context.name}/{stem}/{number}", file.name, file.sha256, number)


def _record(raw: bytes, id: str, origin: str, sha256: str, line: int) -> Record | Rejected:
    shown = raw.decode("utf-8", "replace").rstrip("\n")
    try:
        text = raw.decode("utf-8-sig")
        data = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_repeats
        )
    except UnicodeDecodeError as e:
        return Rejected(id, f"not UTF-8: {e.reason}", shown)
    except (ValueError, RecursionError) as e:
        return Rejected(id, f"not JSON: {e}".splitlines()[0], shown)
    try:
        if b"\\u" in raw:
            msgspec.json.encode(data)
        record = msgspec.convert(_lowered(data), Record)
    except UnicodeEncodeError:
        return Rejected(id, "holds half a character (a lone surrogate)", shown)
    except (msgspec.ValidationError, TypeError, RecursionError) as e:
        return Rejected(id, f"not a chat record: {e}", shown)
    if not record.messages:
        return Rejected(id, "no messages", shown)
    meta = {"group": f"{origin}:{line}"} | record.meta
    meta |= {"id": id, "origin": f"{origin}:{line}", "sha256": sha256}
    return msgspec.structs.replace(record, meta=meta)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is too large a number")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        key = Counter(k for k, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {key[:40]!r} stands twice in one object")
    return out


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
