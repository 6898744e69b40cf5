"""A conversation that is too long for a model, cut before turns of the user into several that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from runner.chat import Rendered
from runner.record import Message, Record


class Part(NamedTuple):
    """Some exchanges of a record, with its system message and tools, and how many tokens that has and trains."""

    record: Record
    tokens: int
    trained: int


def parted(record: Record, render: Callable[[Record], Rendered], longest: int) -> tuple[list[Part], int]:
    """The record's exchanges, as many to a part as fit, in order; and how many fit in none, or teach nothing.

    An exchange is a user's turn with all that answers it: calls and their results stay together.
    """
    head = [m for m in record.messages[:1] if m.role == "system"]
    parts: list[Part] = []
    held: list[Message] = []
    left_out = 0

    def close() -> None:
        nonlocal left_out
        if not held:
            return
        part = msgspec.structs.replace(record, messages=[*head, *held])
        done = render(part)
        if len(done.ids) <= longest and any(done.trained):
            parts.append(Part(part, len(done.ids), sum(done.trained)))
        else:
            left_out += 1

    for exchange in _exchanges(record.messages[len(head) :]):
        together = msgspec.structs.replace(record, messages=[*head, *held, *exchange])
        if held and len(render(together).ids) > longest:
            close()
            held = []
        held += exchange
    close()
    return parts, left_out


def _exchanges(messages: list[Message]) -> list[list[Message]]:
    out: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not out:
            out.append([])
        out[-1].append(message)
    return out


def named(part: Part, number: int) -> Record:
    """A part of several as a record of its own: its id is the whole's and a number, its tokens are counted already."""
    meta = {**part.record.meta, "id": f"{part.record.id}#{number}", "tokens": str(part.tokens)}
    return msgspec.structs.replace(part.record, meta=meta)


def said(parts: int, left_out: int, longest: int) -> str:
    """For the ledger."""
    what = f"split into {parts} at a turn" if parts > 1 else "cut at a turn"
    more = (
        f"; {left_out} of its exchanges left out: longer than {longest} tokens, or untrained"
        if left_out
        else ""
    )
    return what + more
