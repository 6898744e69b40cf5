"""Talks: a model that calls tools and goes on, as long as the probe's recorded world answers and its user asks."""

from __future__ import annotations

import json

from msgspec.structs import replace

from runner.record import Answer, Message, Probe, ToolCall
from runner.recorded import World, call_id, rehearsed

__all__ = ["Talk", "rehearsed"]


class Talk:
    """One probe that is being answered. `probe` is what the model is asked next; it grows.

    In each of the user's turns the world answers `rounds` times at most: whoever then still calls has not answered.
    """

    def __init__(self, probe: Probe, rounds: int) -> None:
        """Raises ValueError where the probe's world contradicts itself."""
        self.probe, self.rounds = probe, rounds
        functions = [t.get("function") for t in probe.tools]
        names = [str(f.get("name")) for f in functions if isinstance(f, dict)]
        self.world = World(probe.world, names)
        self._before = len(probe.messages)
        self._calls = sum(len(m.tool_calls) for m in probe.messages)
        self._then, self._left, self.asked = list(probe.then), rounds, 0

    def heard(self, said: Answer) -> Answer:
        """What was said, with all that was said before it; the calls of a talk have ids of their own each."""
        message = said.message
        if message is not None and message.tool_calls and self.probe.talks:
            calls = [
                ToolCall(call_id(self._calls + n), c.function) for n, c in enumerate(message.tool_calls, 1)
            ]
            self._calls += len(calls)
            message = replace(message, tool_calls=calls)
        return replace(said, message=message, talk=self.probe.messages[self._before :])

    def goes_on(self, heard: Answer) -> bool:
        """Whether the model is to be asked again after this; `probe` is then what it is asked."""
        message = heard.message
        if heard.failed or message is None or heard.finish == "length":
            return False
        if message.tool_calls:
            if not self.probe.world or not self._left or not all(map(_whole, message.tool_calls)):
                return False
            more, self._left = self.world.answered(message), self._left - 1
        elif self._then and message.content:
            more, self._left = [Message("user", self._then.pop(0))], self.rounds
        else:
            return False
        self.probe = replace(self.probe, messages=[*self.probe.messages, message, *more])
        self.asked += 1
        return True


def _whole(call: ToolCall) -> bool:
    """Whether the call can be shown to a model again: servers refuse a conversation whose arguments are no object."""
    try:
        return isinstance(json.loads(call.function.arguments), dict)
    except (ValueError, RecursionError):
        return False
