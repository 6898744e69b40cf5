"""Values as they are shown: like YAML on one line, and of long texts only where they differ."""

from __future__ import annotations

import json
from typing import Any

from runner.shown import cut

MOST = 400
"""Characters of a value that are shown."""
_AROUND = 40
_TEXT = 70  # characters from which a text is cut to where it differs


def written(value: Any) -> str:
    """A value on one line, as YAML would have it."""
    return cut(_flow(value), MOST)


def between(a: Any, b: Any) -> tuple[str, str]:
    """Two values that differ; long texts are cut to what tells them apart."""
    if isinstance(a, str) and isinstance(b, str) and max(len(a), len(b)) > _TEXT:
        return _apart(a, b)
    return _none(a), _none(b)


def _none(value: Any) -> str:
    return "none" if value is None else written(value)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return _plain(value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _key(key: str) -> str:
    return _plain(key)


def _plain(text: str) -> str:
    """Quoted only where it would be read as something else on this line."""
    odd = not text or text != text.strip() or set(text) & set("\n\r\t\"'{}[],#") or ": " in text
    bare = text.lower() in ("true", "false", "null", "none", "~", "default")
    return json.dumps(text, ensure_ascii=False) if odd or bare or _numeric(text) else text


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _apart(a: str, b: str) -> tuple[str, str]:
    """Where two texts differ, with some words around it."""
    least = min(len(a), len(b))
    head = next((n for n in range(least) if a[n] != b[n]), least)
    tail = next((n for n in range(least - head) if a[-1 - n] != b[-1 - n]), least - head)
    start = max(head - _AROUND, 0)
    out = []
    for text in (a, b):
        end = min(len(text) - tail + _AROUND, len(text))
        middle = cut(text[start:end], MOST)
        shown = json.dumps(middle, ensure_ascii=False)[1:-1]
        out.append(f'"{"…" if start else ""}{shown}{"…" if end < len(text) else ""}"')
    return out[0], out[1]
