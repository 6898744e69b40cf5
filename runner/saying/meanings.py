"""What somebody meant who wrote a value of the wrong type, or a text that is nearly of the right form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_SWITCHES = {"yes": "true", "on": "true", "y": "true", "true": "true", "1": "true",
             "no": "false", "off": "false", "n": "false", "false": "false", "0": "false"}  # fmt: skip
_SHORT = 60


def meant(value: Any, types: list[str], schema: Any, scalar: Callable[[str], Any]) -> str:
    """` (did you mean …?)` for a value that is none of the JSON types, or another hint, or nothing.

    `scalar` reads an unquoted text as YAML does.
    """
    text = value if isinstance(value, str) else ""
    if "array" in types and isinstance(value, dict):
        return "; begin each item with `- `"
    if "object" in types and isinstance(value, list):
        return "; leave out the `- `" if value and all(isinstance(v, dict) for v in value) else ""
    if "object" in types and value is not None:
        known = sorted(schema.get("properties", {})) if isinstance(schema, dict) else []
        if text and re.fullmatch(r"[\w./*-]{1,40}", text) and len(needed := schema.get("required", [])) == 1:
            listed = f"[{text}]" if schema["properties"][needed[0]].get("type") == "array" else text
            return f" (did you mean {{{needed[0]}: {listed}}}?)"
        return f" (its keys: {', '.join(known)})" if 0 < len(known) <= 12 else ""
    found = next(_values(value, text, types, scalar), None)
    if not found or len(found) > _SHORT or set("()\n") & set(found):
        return ""
    quoted = "; leave out the quotes" if found == text else ""
    return f"{quoted} (did you mean {found}?)"


def _values(value: Any, text: str, types: list[str], scalar: Callable[[str], Any]) -> Iterator[str]:
    if "boolean" in types and str(value).lower() in _SWITCHES:
        yield _SWITCHES[str(value).lower()]
    if "number" in types or "integer" in types:
        number = _number(text, scalar) if text else value
        whole = "number" not in types
        if whole and isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
            number = int(number)
        if type(number) is int or (type(number) is float and not whole):
            as_written = text and scalar(text.strip()) == number
            yield text.strip() if as_written else str(number)
    if "string" in types and isinstance(value, bool | int | float):
        yield f'"{str(value).lower() if isinstance(value, bool) else value}"'
    if "string" in types and isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        yield value[0]
    if "array" in types and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield f"[{value}]"


def _number(text: str, scalar: Callable[[str], Any]) -> Any:
    """The number that a text is, or nearly is: quoted, a percentage, with commas."""
    plain = text.strip().rstrip(",;")
    share = re.fullmatch(r"([0-9.]+) ?%", plain)
    if share:
        of = scalar(share[1])
        return round(of / 100, 10) if isinstance(of, int | float) else None
    counted = re.fullmatch(r"([0-9.e+-]+) [a-z]+", plain)
    if counted:
        return scalar(counted[1])
    grouped = re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+", plain)
    if not grouped and re.fullmatch(r"[0-9]+,[0-9]+", plain):
        plain = plain.replace(",", ".")
    return scalar(plain.replace(",", ""))


def allowed(text: Any, pattern: str) -> str:
    """` (did you mean …?)` for a text that does not match, where a small change makes it do so."""
    if not isinstance(text, str) or len(text) > _SHORT:
        return ""
    if "$" in text:
        return "; nothing is put in for a variable"
    slug = re.sub(r"[^a-z0-9_.-]+", "-", text.strip().lower()).strip("-_.")
    turned = text.replace("=>", ">=").replace("=<", "<=")
    share = re.sub(
        r"([0-9.]+) ?%", lambda m: f"{float(m[1]) / 100:g}" if m[1].count(".") < 2 else m[0], turned
    )
    tries = (text.strip(), f">{text.strip()}", slug, slug.replace("-", "_"), turned, share)
    found = next((t for t in tries if t and re.search(re.sub(r"\$$", r"\\Z", pattern), t)), None)
    return f" (did you mean {found}?)" if found and not set("()\n") & set(found) else ""
