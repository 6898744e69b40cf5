r"""Patterns in linear time: RE2, for patterns that strangers wrote.

It knows neither look-ahead, look-behind nor back-references within patterns. `\d`, `\w`, `\b` are ASCII; `\pL` is any
letter; `$` is the very end of a text.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Any

PROGRAM = (
    5000  # instructions: what a pattern may come to, so that it stays quick even where RE2 has to simulate it
)
PATIENCE = 10.0
"""Seconds for all replacements in one text. One match is found in linear time, all of them not always."""
_REFERENCE = re.compile(r"\\(?:g<(\w{1,100})>|([1-9]\d?)|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


@lru_cache(maxsize=1024)
def compiled(pattern: str, ignore_case: bool = False) -> Any:
    """The pattern for RE2. Raises ValueError, in words for its author."""
    import re2  # type: ignore[import-untyped,unused-ignore]

    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        made = re2.compile(pattern, options=options)
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None
    except re2.error as e:
        said = e.args[0].decode("utf-8", "replace") if isinstance(e.args[0], bytes) else str(e)
        raise ValueError(_worded(said)) from None
    if made.programsize > PROGRAM:
        raise ValueError(f"it is too large: {made.programsize:,} steps, {PROGRAM:,} are allowed")
    return made


def _worded(said: str) -> str:
    """RE2's reason, with what it means where a user of other engines would wonder."""
    for sign, meaning in (
        ("(?=", "look-ahead cannot be had in linear time"),
        ("(?!", "look-ahead cannot be had in linear time"),
        ("(?<", "look-behind cannot be had in linear time, and a named group is written (?P<name>…)"),
        ("(?>", "atomic groups are not known"),
        ("repetition size", "at most 1,000 repetitions can be asked for"),
        ("too large", "it comes to more than may be kept in memory"),
    ):
        if sign in said:
            return f"{meaning} ({said})"
    if re.search(r"escape sequence: \\[1-9k]", said):
        return f"back-references cannot be had in linear time ({said})"
    return said


def replaced(pattern: str, new: str, text: str, count: int = 0, growth: int = 1_000_000) -> str:
    r"""`re.sub(pattern, new, text, count)`; `\1`, `\g<1>` and `\g<name>` in `new` are the pattern's groups.

    Raises ValueError for a pattern that cannot be had, more than PATIENCE seconds of work, and a text that becomes
    more than `growth` characters longer.
    """
    made = compiled(pattern)
    out: list[str] = []
    end = grown = 0
    before = (-1, -1)
    until = time.monotonic() + PATIENCE
    for n, match in enumerate(made.finditer(text)):
        if count and n >= count:
            break
        if time.monotonic() > until:
            raise ValueError(f"replacing {pattern[:40]!r} takes more than {PATIENCE:g} seconds")
        if match.span() == before:  # nothing, found twice at the very end
            continue
        before = start, stop = match.span()
        said = _expanded(match, new)
        grown += len(said) - (stop - start)
        if grown > growth:
            raise ValueError(f"replacing {pattern[:40]!r} makes a text too long")
        out += [text[end:start], said]
        end = stop
    return "".join([*out, text[end:]])


def _expanded(match: Any, new: str) -> str:
    def one(found: re.Match[str]) -> str:
        named, number, other = found.groups()
        if other is not None:
            return _ESCAPES.get(other, found[0])
        group = named if named is not None and not named.isdecimal() else int(named or number)
        try:
            return match.group(group) or ""
        except LookupError:
            raise ValueError(
                f"a replacement names the group {group!r}, which the pattern does not have"
            ) from None

    return _REFERENCE.sub(one, new) if "\\" in new else new
