"""Filter `regex`: patterns that records must or must not match, and replacements.

The engine is RE2: the time grows with the text and no faster, whatever the pattern. For that it knows neither
look-ahead, look-behind nor back-references within patterns, and `recipe check` refuses those. `\\d`, `\\w`, `\\b` are
ASCII; `\\pL` is any letter. Patterns look at each turn by itself, so `^` is where a turn begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runner.linear import compiled as _compiled
from runner.record import Edited, Message, Record
from runner.registry import Said, filter
from runner.shown import cut

Pattern = Annotated[
    str, Meta(min_length=1, max_length=1000, description="A pattern for RE2.", examples=["(?i)lorem ipsum"])
]
Patterns = Annotated[list[Pattern], Meta(max_length=100)]
Where = Literal["text", "answer", "user", "system", "any"]

_PIECE, _WHOLE = 1000, 32_000  # bytes
_GROWTH = 100_000  # bytes of replacements in a turn, beyond its own length
_REFERENCE = re.compile(r"\\(\d|\\)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ROLES: dict[Where, frozenset[str]] = {
    "text": frozenset(["user", "assistant"]),
    "answer": frozenset(["assistant"]),
    "user": frozenset(["user"]),
    "system": frozenset(["system"]),
    "any": frozenset(["system", "user", "assistant", "tool"]),
}


class Replacement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is found, and what takes its place."""

    find: Pattern
    with_: Annotated[
        str,
        Meta(
            max_length=1000,
            description=r"What takes its place; \1 to \9 are the pattern's groups, \0 all of it.",
            examples=["(see \\1)"],
        ),
    ] = msgspec.field(name="with")


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not (options["drop"] or options["keep"] or options["replace"]):
        yield (), "says nothing to do: give drop, keep or replace"
    plain: list[tuple[tuple[str | int, ...], str]] = [
        *((("drop", n), p) for n, p in enumerate(options["drop"])),
        *((("keep", n), p) for n, p in enumerate(options["keep"])),
        *((("replace", n, "find"), r["find"]) for n, r in enumerate(options["replace"])),
    ]
    for path, pattern in plain:
        try:
            made = _compiled(pattern, options["ignore_case"])
        except ValueError as e:
            yield path, f"the pattern {_short(pattern)} cannot be used: {e}"
            continue
        if path[0] != "replace":
            continue
        if made.search("") is not None:
            yield (
                path,
                f"the pattern {_short(pattern)} finds nothing at all, everywhere: there is nothing to replace",
            )
        written = options["replace"][path[1]]["with"]
        if _SURROGATE.search(written) or "\0" in written:
            yield (*path[:2], "with"), "holds a character that no file can hold"
        wanted = max((int(g) for g in _REFERENCE.findall(written) if g != "\\"), default=0)
        if wanted > made.groups:
            yield (
                (*path[:2], "with"),
                f"names the group \\{wanted}, and the pattern has {made.groups or 'none'}",
            )


@filter("regex", version=1, libraries=("google-re2",), check=_wrong)
def regex(
    *,
    drop: Annotated[
        Patterns,
        Meta(description="Drop records that match one of these.", examples=[["(?i)as an ai language model"]]),
    ] = [],  # noqa: B006
    keep: Annotated[Patterns, Meta(description="Keep only records that match one of these.")] = [],  # noqa: B006
    replace: Annotated[
        list[Replacement],
        Meta(max_length=100, description="Replacements, one after the other, before `drop` and `keep` look."),
    ] = [],  # noqa: B006
    where: Annotated[
        Where,
        Meta(
            description="Which turns are looked at: the user's and the assistant's (`text`), one of theirs, or `any`: "
            "the system's, tools' results and calls' arguments too (those two are never edited)."
        ),
    ] = "text",
    ignore_case: Annotated[bool, Meta(description="Whether A is a, in all patterns.")] = False,
) -> Callable[[Record], Said]:
    """Drop, keep or edit records by patterns, in linear time (RE2)."""
    roles = _ROLES[where]
    no = [(p, _compiled(p, ignore_case)) for p in drop]
    must = [_compiled(p, ignore_case) for p in keep]
    edits = [(_compiled(r.find, ignore_case), _parts(r.with_), r.find) for r in replace]
    any_no = _all_at_once(drop, ignore_case)
    missing = f"regex: no match of {_short(keep[0])}" if len(keep) == 1 else "regex: no match of any to keep"

    def look(record: Record) -> Said:
        edited, count, reason = _edit(record, roles - {"tool"}, edits)
        if reason:
            return reason
        turns = [t.encode(errors="replace") for t in _turns(edited, roles)]
        if no and (any_no is None or any(any_no.search(t) for t in turns)):
            for pattern, made in no:
                if any(made.search(t) for t in turns):
                    return f"regex: {_short(pattern)}"
        if must and not any(made.search(t) for made in must for t in turns):
            return missing
        return Edited(edited, f"regex: {count} replacement{'s' * (count != 1)}") if count else True

    return look


def _all_at_once(patterns: Sequence[str], ignore_case: bool) -> Any:
    """One pattern that matches where any of these does; None where they are too large together."""
    try:
        return _compiled("|".join(f"(?:{p})" for p in patterns), ignore_case)
    except ValueError:
        return None


def _short(pattern: str) -> str:
    return repr(cut(pattern, 40))


def _turns(record: Record, roles: frozenset[str]) -> Iterator[str]:
    for m in record.messages:
        if m.role in roles and m.content:
            yield m.content
        if "tool" in roles:
            yield from (c.function.arguments for c in m.tool_calls)


def _parts(written: str) -> list[bytes | int]:
    r"""What `with` says, its references as numbers: `<\1>` → [b"<", 1, b">"]."""
    out: list[bytes | int] = []
    end = 0
    for match in _REFERENCE.finditer(written):
        out += [written[end : match.start()].encode(), b"\\" if match[1] == "\\" else int(match[1])]
        end = match.end()
    return [*out, written[end:].encode()]


Edits = Sequence[tuple[Any, list[bytes | int], str]]


def _edit(record: Record, roles: frozenset[str], edits: Edits) -> tuple[Record, int, str]:
    """The record with all replacements made, how many those were, and why it must be dropped instead, if so."""
    if not edits:
        return record, 0, ""
    messages: list[Message] = []
    total = 0
    for m in record.messages:
        if m.role not in roles or not m.content:
            messages.append(m)
            continue
        said = m.content
        for made, parts, pattern in edits:
            try:
                said, count = _replaced(made, parts, said)
            except OverflowError:
                return record, 0, f"regex: replacing {_short(pattern)} makes a turn too long"
            total += count
        if said != m.content and not said.strip() and not m.tool_calls:
            return record, 0, "regex: a turn has nothing left"
        messages.append(m if said == m.content else msgspec.structs.replace(m, content=said))
    return msgspec.structs.replace(record, messages=messages) if total else record, total, ""


def _replaced(made: Any, parts: list[bytes | int], text: str) -> tuple[str, int]:
    """The text with all matches replaced, and how many. Raises OverflowError where it becomes too long."""
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half characters: such a turn is not trained on, and nobody edits it
        return text, 0
    if made.search(data) is None:
        return text, 0
    out: list[bytes] = []
    count = end = size = 0
    for base, piece in _pieces(data):
        for match in made.finditer(piece):
            start, stop = match.span()
            if start == stop:
                continue
            new = b"".join(p if isinstance(p, bytes) else match.group(p) or b"" for p in parts)
            out += [data[end : base + start], new]
            size += len(new)
            if size > len(data) + _GROWTH:
                raise OverflowError
            end = base + stop
            count += 1
    return b"".join([*out, data[end:]]).decode(), count


def _pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each piece begins, and the piece. RE2 finds one match in linear time, not all of them: a pattern that looks
    far ahead at each would take a long turn's length squared. So long turns are gone through in pieces, cut at blanks.
    """
    if len(data) <= _WHOLE:
        yield 0, data
        return
    start = 0
    while start < len(data):
        end = min(start + _PIECE, len(data))
        if end < len(data):
            cut = max(data.rfind(b"\n", start, end), data.rfind(b" ", start, end)) + 1
            end = cut if cut > start else end
            while data[end] & 0xC0 == 0x80:  # within a character
                end -= 1
        yield start, data[start:end]
        start = end
