"""Filter `pii`: personal data of people, taken out or dropped.

What is found and what is not says `runner.privacy`. In a conversation that calls tools, the same value gets the same
placeholder in what the user says, in arguments and in results, so that the call still follows from the words; other
values of the same kind get numbered ones. Of JSON its strings and its whole numbers are looked at; a number becomes a
string. Nothing of tools' schemas, tags and provenance is changed: a record of which a schema has no room for that is
dropped.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runner import contract
from runner.privacy import KINDS, SHOWN, Hit, Kind, find, look, may_hold
from runner.privacy.structured import is_json, values, without_strings
from runner.record import Edited, Message, Record
from runner.registry import Said, filter

Sure = Literal["email", "phone", "card", "ip", "iban"]
Placeholder = Annotated[str, Meta(min_length=1, max_length=40)]

_USUAL: dict[str, str] = {kind: f"[{kind.upper()}]" for kind in KINDS}
_NUMBER = re.compile(r"-?\d[\d.]*")
_ROUNDS = 8  # what was hidden by its neighbour shows once that is gone


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    placeholders = options["placeholders"]
    for kind, text in placeholders.items():
        if any(c < " " or "\ud800" <= c <= "\udfff" for c in text):
            yield ("placeholders", kind), "must be printable text"
        elif not text.strip():
            yield ("placeholders", kind), "must not be blank"
        elif find(text, KINDS) or find(f"call {text}", KINDS):
            yield ("placeholders", kind), f"{text!r} would itself be found as personal data"
    if options["kinds"] == [] and not options["names"]:
        yield ("kinds",), "name a kind, or set names to true"


@filter("pii", version=2, check=_wrong)
def pii(
    *,
    action: Annotated[
        Literal["redact", "drop"], Meta(description="Put placeholders in its place, or drop the record.")
    ] = "redact",
    kinds: Annotated[
        list[Sure] | None,
        Meta(description="What to look for. Default: all of them.", examples=[["email", "phone"]]),
    ] = None,
    names: Annotated[
        bool,
        Meta(
            description="Names of people too, where the words around say that they are (Mr. …, my name is …, Dear …, "
            "letters' closings). Most names in stories and news are not found, and titled characters are."
        ),
    ] = False,
    placeholders: Annotated[
        dict[Kind, Placeholder],
        Meta(
            description="What takes the place of each kind. Default: [EMAIL], [PHONE], [CARD], [IP], [IBAN], [NAME].",
            examples=[{"email": "<mail>"}],
        ),
    ] = {},  # noqa: B006
) -> Callable[[Record], Said]:
    """Take out (or drop records with) e-mail addresses, telephone numbers, payment cards, IP addresses, IBANs, and
    names if asked: from what is said, from calls' arguments and from tools' results."""
    wanted = tuple(k for k in KINDS if (names if k == "name" else kinds is None or k in kinds))
    written = _USUAL | dict(placeholders)

    def said(record: Record) -> Said:
        if not names and not may_hold("\n".join(_texts(record))):
            return True
        if action == "drop":
            found = {hit.kind for text in _texts(record) for hit in look(text, wanted, numbers=True)}
            return f"pii: {', '.join(SHOWN[k] for k in KINDS if k in found)}" if found else True
        return _Redaction(record, wanted, written).said()

    return said


def _texts(record: Record) -> Iterator[str]:
    for m in record.messages:
        if m.content:
            yield m.content
        for call in m.tool_calls:
            yield call.function.arguments


class _Redaction:
    """One record being redacted. What was found in any of its texts is looked for in all."""

    def __init__(self, record: Record, wanted: tuple[Kind, ...], written: Mapping[str, str]) -> None:
        self.record, self.wanted, self.written = record, wanted, written
        self.numbered = any(m.tool_calls for m in record.messages)
        self.known: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.named: dict[tuple[str, str], str] = {}

    def said(self) -> Said:
        now = self.record
        for _ in range(_ROUNDS):  # at least twice: what a later text shows, an earlier one may hold
            before, now = now, self._pass(now)
            if now == before:
                break
        else:
            return "pii: it cannot be told apart from what is around it"
        if now == self.record:
            return True
        if any(number in self.known for m in now.messages for number in _numbers(m)):
            return "pii: it also stands in a number, which cannot hold a placeholder"
        if self.numbered and contract.broken(now):
            return "pii: a tool's schema allows no placeholder in its place"
        parts = [f"{self.counts[k]} {SHOWN[k]}" for k in KINDS if self.counts[k]]
        return Edited(now, f"pii: {', '.join(parts)}")

    def _pass(self, record: Record) -> Record:
        known = frozenset(self.known)
        messages = [self._message(m, known) for m in record.messages]
        return msgspec.structs.replace(record, messages=messages)

    def _message(self, m: Message, known: frozenset[str]) -> Message:
        content = self._text(m.content, known) if m.content else m.content
        calls = [
            msgspec.structs.replace(
                c,
                function=msgspec.structs.replace(
                    c.function, arguments=self._text(c.function.arguments, known)
                ),
            )
            for c in m.tool_calls
        ]
        return msgspec.structs.replace(m, content=content, tool_calls=calls)

    def _text(self, text: str, known: frozenset[str]) -> str:
        """The text redacted; of JSON text only strings and whole numbers are, each as a string then, and everything
        else stays as it is written."""
        if not is_json(text):
            return self._redact(text, find(text, self.wanted, known=known))
        out, end = [], 0
        for start, stop, inner, lead in values(text):
            hits = find(inner, self.wanted, lead=lead, known=known)
            if hits:
                out += [text[end:start], json.dumps(self._redact(inner, hits), ensure_ascii=False)]
                end = stop
        return "".join([*out, text[end:]])

    def _redact(self, text: str, hits: Iterable[Hit]) -> str:
        out, end = [], 0
        for hit in hits:
            out += [text[end : hit.start], self._placeholder(hit)]
            end = hit.end
            self.counts[hit.kind] += 1
            self.known.add(hit.value)
        return "".join([*out, text[end:]])

    def _placeholder(self, hit: Hit) -> str:
        usual = self.written[hit.kind]
        if not self.numbered:
            return usual
        key = (hit.kind, hit.value)
        if key not in self.named:
            nth = 1 + sum(kind == hit.kind for kind, _ in self.named)
            at = len(usual) - (usual[-1] in ")]}>")
            self.named[key] = usual if nth == 1 else f"{usual[:at]}_{nth}{usual[at:]}"
        return self.named[key]


def _numbers(m: Message) -> Iterator[str]:
    """The digits of the numbers of JSON texts."""
    for text in (m.content or "", *(c.function.arguments for c in m.tool_calls)):
        if is_json(text) and (m.role == "tool" or text is not m.content):
            for number in _NUMBER.findall(without_strings(text)):
                yield number.lstrip("-")
