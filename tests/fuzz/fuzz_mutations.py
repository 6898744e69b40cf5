"""Inputs that are nearly right: seeds, changed as texts, as trees (YAML, JSON) and as bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import yaml
from fuzz_targets import MARKED, seeds

# The C ones are ten times as fast; PyYAML may come without them.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, 0.1, -0.0, 1e308, float("inf"), float("nan"), "", " ", "no",
    "~", "null", "1e3", "0x10", "1_000", "../../etc/passwd", "/etc/passwd", "a" * 5000, "é", "\u202e", "\x00", "\x1b[2J",
    "\ud7ff", "😀", "${HOME}", "{{ 7*7 }}", "*", "[", "&a", "!!python/none", "2001-01-01", [], {}, [[]], [{}], {"": ""},
    {"a": {"b": {"c": []}}}, {1: 2}, "x\ny", "a.b.c", "base - 0.02", ">= 0", "name", "http://127.0.0.1/", "%s%n",
)  # fmt: skip
WORDS: dict[str, tuple[str, ...]] = {
    "recipe": (
        ": ", "- ", "\n", "  ", "{", "}", "[", "]", "&a ", "*a", "!!str ", "|", ">", "#", '"', "'", "<<: ", "---\n", "...\n",
        "? ", "\t", "\x00", "\ufeff", "\u2028", "extends: base/llama-3.1-8b.yaml\n", "%YAML 1.1\n", "\r", "~", "e", "_", "0",
    ),
    "record": (
        "{", "}", "[", "]", '"', ":", ",", "\\u0000", "\\ud800", "\n", "\r", "NaN", "1e999", "null", "\ufeff", '"messages"',
        '"role"', '"tool_calls"', '"conversations"', '"tools"', '"content"', "\\", "[" * 300, "-0", "\x1f", "é", "\u2028",
    ),
    "csv": (",", '"', '""', "\n", "\r\n", "\r", "\t", "\x00", "title", "selftext", "text", "\ufeff", "é", " ", "nan", "x" * 3000),
    "html": (
        "<", ">", "</p>", "<p>", "<div>" * 50, "<script>", "<!--", "-->", "<![CDATA[", "&#0;", "&#x110000;", "&amp", "<table><tr>",
        "<meta charset=utf-16>", '<meta name="robots" content="noai">', "<base href='//[::'>", "<a href='http://['>", "\x00",
        "<html lang=en>", "<title>", "</title>", "<article>", "\ufeff", "<br>" * 20, "<svg>", "<noscript>", "&" * 99, "é", '"',
    ),
    "call": (
        *MARKED, '{"name": ', '"arguments": ', '"parameters": ', "{", "}", "[", "]", '"', ",", "; ", "\\", "\n", " ", "null",
        "1e999", "NaN", "\\ud800", "[" * 300, '{"a":' * 100, "f", '"id": "call00001"', "\x00", "é",
    ),
}  # fmt: skip


def _text(draw: random.Random, text: str, words: tuple[str, ...]) -> str:
    """One change of characters or lines."""
    lines = text.split("\n")
    at, line = draw.randrange(len(text) + 1), draw.randrange(len(lines))
    how = draw.randrange(10)
    if how == 0:
        return text[:at] + draw.choice(words) + text[at:]
    if how == 1:
        return text[:at] + text[at + draw.choice((1, 1, 2, 8, 60)) :]
    if how == 2:
        return (
            text[:at] + chr(draw.choice((*range(128), 0xA0, 0x85, 0x2028, 0xFEFF, 0x1F600))) + text[at + 1 :]
        )
    if how == 3:
        del lines[line]
    elif how == 4:
        lines.insert(line, lines[draw.randrange(len(lines))])
    elif how == 5:
        other = draw.randrange(len(lines))
        lines[line], lines[other] = lines[other], lines[line]
    elif how == 6:
        lines[line] = " " * draw.choice((1, 2, 4)) + lines[line]
    elif how == 7:
        lines[line] = lines[line].lstrip()
    elif how == 8:
        end = at + draw.choice((2, 10, 80))
        return text[:end] + text[at:end] * draw.choice((1, 2, 30)) + text[end:]
    else:
        return text[:at] if draw.randrange(4) == 0 else text[:at] + text[at:].swapcase()
    return "\n".join(lines)


def _places(root: Any) -> list[tuple[Any, Any]]:
    """The (container, key)s of a tree, each container once: aliases may unfold into billions."""
    out: list[tuple[Any, Any]] = []
    seen, row = set[int](), [root]
    while row and len(out) < 3000:
        node = row.pop()
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        items = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
        out += [(node, key) for key, _ in items]
        row += [value for _, value in items]
    return out


def _tree(draw: random.Random, data: Any) -> Any:
    """One change of a value, a key or what a value stands in. The tree is changed in place."""
    places = _places(data)
    if not places:
        return draw.choice(ODD)
    node, key = draw.choice(places)
    how = draw.randrange(9)
    if how == 0:
        del node[key]
    elif how == 1:
        other, place = draw.choice(places)
        if place in other if isinstance(other, dict) else place < len(other):
            node[key] = deepcopy(other[place])
    elif how == 2:
        node[key] = [node[key]]
    elif how == 3:
        node[key] = {"a" if draw.randrange(2) else str(key): node[key]}
    elif how == 4 and isinstance(node, dict):
        text = str(key)
        at = draw.randrange(len(text) + 1)
        node[text[:at] + draw.choice(("", "s", "_", "é", "x")) + text[at + draw.randrange(2) :]] = node.pop(
            key
        )
    elif how == 5 and isinstance(node, list):
        node += node[: draw.choice((1, 2, 50))]
    elif how == 6 and isinstance(node[key], int | float) and abs(node[key]) < 1e300:
        node[key] = node[key] * draw.choice((-1, 0, 10, 0.5, 1e9))
    elif how == 7 and isinstance(node[key], str):
        node[key] = _text(draw, node[key], WORDS["recipe"])
    else:
        node[key] = draw.choice(ODD)
    return data


def _trees(draw: random.Random, target: str, text: str) -> str:
    """A text of YAML or JSON (JSON Lines: one line of it), changed as a tree."""
    if target == "recipe":
        try:
            data = yaml.load(text, LOADER)
        except (yaml.YAMLError, ValueError, RecursionError):
            return text
        for _ in range(draw.choice((1, 1, 1, 2, 5))):
            data = _tree(draw, data)
        try:
            how = {"sort_keys": False, "allow_unicode": True, "default_flow_style": None}
            return str(yaml.dump(data, Dumper=DUMPER, **how))
        except (yaml.YAMLError, RecursionError):
            return text
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    try:
        lines[at] = json.dumps(_tree(draw, json.loads(lines[at])), ensure_ascii=draw.randrange(2) == 0)
    except (ValueError, TypeError, RecursionError):
        return text
    return "\n".join(lines)


def mutated(draw: random.Random, target: str, pool: list[bytes] | None = None) -> bytes:
    """One input: a seed (or nothing) after one to eight changes."""
    pool = seeds(target) if pool is None else pool
    raw = draw.choice(pool) if pool and draw.randrange(50) else b""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 8))):
        raw = changed(draw, target, raw)
    if pool and not draw.randrange(20):
        other = draw.choice(pool)
        raw = raw[: draw.randrange(len(raw) + 1)] + other[draw.randrange(len(other) + 1) :]
    return raw[:200_000]


def changed(draw: random.Random, target: str, raw: bytes) -> bytes:
    """One change, of bytes now and then."""
    if raw and not draw.randrange(12):
        at = draw.randrange(len(raw))
        return raw[:at] + bytes([draw.randrange(256)]) + raw[at + draw.randrange(2) :]
    text = raw.decode("utf-8", "surrogateescape")
    of_tree: Callable[[], str] = lambda: _trees(draw, target, text)  # noqa: E731
    trees = target in ("recipe", "record") and draw.randrange(2)
    out = of_tree() if trees else _text(draw, text, WORDS[target])
    return out.encode("utf-8", "surrogateescape") if _encodable(out) else out.encode("utf-8", "replace")


def _encodable(text: str) -> bool:
    return not any(0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) < 0xE000 for c in text)
