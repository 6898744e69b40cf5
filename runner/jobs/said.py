"""From tokens to what a client gets: text as it comes, held back where it may be a call or a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec

from runner.calls import MARKS, OPEN, Form, parse_answer
from runner.record import ToolCall


class Detokenizer:
    """Text of token ids as they come. A character that is not whole yet waits for its last token.

    Only the last few ids are decoded at each step; those before them stay as context, since a tokenizer may
    write a token otherwise at the start of a text.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start = self._read = 0

    def add(self, ids: Sequence[int]) -> str:
        self._ids += ids
        before = self._decode(self._ids[self._start : self._read])
        whole = self._decode(self._ids[self._start :])
        if len(whole) <= len(before) or whole.endswith("\ufffd"):
            return ""
        self._start, self._read = self._read, len(self._ids)
        return whole[len(before) :]

    def rest(self) -> str:
        """What never became whole."""
        before = self._decode(self._ids[self._start : self._read])
        return self._decode(self._ids[self._start :])[len(before) :]


def overlap(text: str, words: str) -> int:
    """How many characters at the end of `text` may be the beginning of `words`."""
    return next((n for n in range(min(len(text), len(words) - 1), 0, -1) if text.endswith(words[:n])), 0)


class Stops:
    """Cuts a text before the first of the stop texts; `hit` says that one was found."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.hit = False

    def add(self, piece: str) -> str:
        text = self._held + piece
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        keep = max((overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held


@dataclass
class Answer:
    """An answer as it grows. Where tools may be called, in the form `form`, what may be a call is held back until the
    end, and text is the same as `parse_answer` makes of the whole: without blanks at its ends. `add` and `end` return
    text to send.
    """

    form: Form | None
    one_call: bool = False
    calls: list[ToolCall] = field(default_factory=list)
    reason: str | None = None
    """Why what looks like a call is none; it is then text."""
    raw: str = ""
    content: str = ""

    def add(self, piece: str) -> str:
        self.raw += piece
        if self.form is None:
            self.content += piece
            return piece
        text = self.raw.lstrip()
        if self.form == "llama":  # its calls are the whole answer
            return "" if text[:1] in ("", "{", "<") else self._grown(text.rstrip())
        mark = MARKS.get(self.form, OPEN)
        at = text.find(mark)
        safe = text[:at] if at >= 0 else text[: len(text) - overlap(text, mark)]
        return self._grown(safe.rstrip())

    def _grown(self, content: str) -> str:
        new, self.content = content[len(self.content) :], content
        return new

    def end(self) -> str:
        if self.form is None:
            return ""
        message, self.reason = parse_answer(self.raw, self.form)
        if message is None:
            return self._grown(self.raw.strip())
        # Ids of their own: a client keeps those of all turns together.
        found = message.tool_calls[:1] if self.one_call else message.tool_calls
        self.calls = [msgspec.structs.replace(c, id=f"call_{uuid4().hex[:24]}") for c in found]
        return self._grown(message.content or "")
