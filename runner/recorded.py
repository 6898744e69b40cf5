"""A recorded world: what tools gave back once, so that a model's calls get the same results every time.

    [{"name": "get_weather", "arguments": {"city": "Oslo"}, "result": {"temp": 14}}, …]

The same call is the same however it is written: keys in any order, 3 or 3.0, "oslo " or "Oslo", an argument that is
null or left out. A call that was not recorded gets an error as a tool's result, never a guess. Pure functions: `Talk`
(runner/jobs/talking.py) lets the model go on with what `answered` returns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from runner.record import FunctionCall, Message, Probe, Recorded, ToolCall


class World:
    """Recorded calls, to be asked; `tools` are names that are known besides, though nothing is recorded of them.
    Raises ValueError where one call has two results."""

    def __init__(self, recorded: Sequence[Recorded], tools: Iterable[str] = ()) -> None:
        self.results: dict[str, str] = {}
        self.names = {r.name for r in recorded} | set(tools)
        for r in recorded:
            key, text = canonical(r.name, r.arguments), json.dumps(r.result, ensure_ascii=False)
            if self.results.setdefault(key, text) != text:
                raise ValueError(f"{r.name} is recorded with two results for the same arguments")

    def result(self, call: FunctionCall) -> str:
        """What a call gives, as JSON text; an error where it is none that was recorded."""
        try:
            arguments = json.loads(call.arguments)
            key = canonical(call.name, arguments) if isinstance(arguments, dict) else None
        except (ValueError, RecursionError):  # or nested deeper than Python follows
            return _error("the arguments are not JSON")
        if key is None:
            return _error("the arguments are not an object")
        if call.name not in self.names:
            return _error(f"unknown tool {call.name[:80]!r}")
        found = self.results.get(key)
        return _error(f"{call.name} has nothing for these arguments") if found is None else found

    def answered(self, message: Message) -> list[Message]:
        """A tool's message for each call of an assistant's message, in order; none where it makes no call."""
        return [
            Message("tool", self.result(c.function), tool_call_id=c.id, name=c.function.name)
            for c in message.tool_calls
        ]


def call_id(n: int) -> str:
    """The id of the nth call of a conversation: nine letters and digits, since Mistral's templates take no other."""
    return f"call{n:05}"


def rehearsed(probe: Probe) -> Probe:
    """The probe as it would stand after one call and its result, for whoever asks whether a template renders such."""
    if not probe.world:
        return probe
    first = probe.world[0]
    call = FunctionCall(first.name, json.dumps(first.arguments, ensure_ascii=False))
    before = sum(len(m.tool_calls) for m in probe.messages)
    said = Message("assistant", None, [ToolCall(call_id(before + 1), call)])
    return replace(probe, messages=[*probe.messages, said, *World(probe.world).answered(said)])


def canonical(name: str, arguments: Mapping[str, Any]) -> str:
    """The same text for all ways of writing one call."""
    return json.dumps([name, _plain(arguments)], ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _error(what: str) -> str:
    return json.dumps({"error": what}, ensure_ascii=False)
