"""A conversation with both arms at once: each keeps its own history, so that each goes on from what it said itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner.serving.talk import Message, Reply, Talk

MOST_CALLS = 8
"""Rounds of calls and results in one turn: a model that never stops calling is stopped."""
UNANSWERED = json.dumps({"error": "no result"})


class Dialogue:
    """`history` holds the messages of each arm. Not for several threads; it starts one for each arm that answers."""

    def __init__(
        self, talk: Talk, arms: Sequence[str], *, system: str | None, max_tokens: int, temperature: float
    ) -> None:
        self.talk, self.arms, self.system = talk, tuple(arms), system
        self.tools: list[dict[str, Any]] = []
        self._how = {"max_tokens": max_tokens, "temperature": temperature}
        self.history: dict[str, list[Message]] = {}
        self.reset()

    def reset(self) -> None:
        """Begin anew, with the same system message and tools."""
        first = [{"role": "system", "content": self.system}] if self.system else []
        self.history = {arm: list(first) for arm in self.arms}

    def ask(self, question: str) -> None:
        """Put the user's question to all arms."""
        for messages in self.history.values():
            messages.append({"role": "user", "content": question})

    def answer(
        self, arms: Sequence[str], replies: dict[str, Reply], stop: threading.Event
    ) -> list[threading.Thread]:
        """Threads in which these arms fill their replies. What they say is in the history once `keep` is told."""

        def one(arm: str) -> None:
            request = {"model": arm, "messages": self.history[arm], **self._how}
            self.talk.ask(
                replies[arm], request | ({"tools": self.tools} if self.tools else {}), stopped=stop.is_set
            )

        threads = [threading.Thread(target=one, args=(arm,), daemon=True) for arm in arms]
        for thread in threads:
            thread.start()
        return threads

    def keep(self, arm: str, reply: Reply, result: Callable[[str, dict[str, Any]], str | None]) -> bool:
        """Take an answer into the history, each of its calls with what `result` says; whether the arm has to go on.

        An answer that failed, or was stopped before its first word, takes its question with it.
        """
        messages = self.history[arm]
        if reply.error or (reply.finish == "stopped" and not reply.text):
            while messages and messages[-1]["role"] != "system" and messages.pop()["role"] != "user":
                pass
            return False
        messages.append(reply.message)
        answers = [result(arm, call) for call in reply.calls]
        for call, said in zip(reply.calls, answers, strict=True):
            content = UNANSWERED if said is None else said
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        return any(said is not None for said in answers)

    def save(self, path: Path) -> None:
        """One JSON line an arm, as records are. Raises FileExistsError rather than write over a file."""
        with path.open("x", encoding="utf-8") as out:
            for arm, messages in self.history.items():
                row = {"messages": messages, "tags": {"arm": arm}} | (
                    {"tools": self.tools} if self.tools else {}
                )
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
