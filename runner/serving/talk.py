"""Asks an OpenAI-compatible server for answers, as they come. Ours or any: only standard fields are read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

Message = dict[str, Any]


@dataclass
class Reply:
    """An answer while it comes, and afterwards. `finish` is OpenAI's finish_reason, "stopped" where the person ended
    it, None while it comes; `error` says why there is none; `seconds` count from the question, `speed` is in tokens a
    second once the first has come."""

    text: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    finish: str | None = None
    tokens: int = 0
    seconds: float = 0.0
    speed: float = 0.0
    error: str | None = None

    @property
    def message(self) -> Message:
        """What the conversation goes on from."""
        out: Message = {"role": "assistant", "content": self.text or (None if self.calls else "")}
        return out | ({"tool_calls": self.calls} if self.calls else {})


class Talk:
    """A server's /v1/chat/completions. One may be asked by several threads at once."""

    def __init__(self, url: str) -> None:
        # No proxy and no netrc of the environment: it is this machine's own.
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=httpx.Timeout(None, connect=10))

    def close(self) -> None:
        self._http.close()

    def ask(
        self,
        reply: Reply,
        request: dict[str, Any],
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Reply:
        """Fill `reply` as the answer comes. `stopped` is asked at every line, and our server sends two a second."""
        began, first = time.monotonic(), 0.0
        body = request | {"stream": True, "stream_options": {"include_usage": True}}
        try:
            with self._http.stream("POST", "chat/completions", json=body) as response:
                if response.status_code != 200:
                    reply.error = _error(response.read(), response.status_code)
                else:
                    for event in self._events(response, stopped):
                        _take(reply, event)
                        first = first or (time.monotonic() if reply.text or reply.calls else 0.0)
        except httpx.HTTPError as e:
            reply.error = f"the server went away: {e or type(e).__name__}"
        now = time.monotonic()
        reply.seconds = now - began
        if first and reply.tokens > 1 and now > first:
            reply.speed = (reply.tokens - 1) / (now - first)
        if reply.finish is None and reply.error is None:
            reply.finish = "stopped"
        return reply

    def _events(self, response: httpx.Response, stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        for line in response.iter_lines():
            if stopped():
                return
            if not line.startswith("data:"):
                continue
            data = line[5:].strip()
            if data == "[DONE]":
                return
            try:
                yield json.loads(data)
            except ValueError:
                yield {"error": {"message": f"the server sent what is no JSON: {data[:100]!r}"}}
                return


def _take(reply: Reply, event: dict[str, Any]) -> None:
    if error := event.get("error"):
        reply.error = str(error.get("message") or error)
    if usage := event.get("usage"):
        reply.tokens = usage["completion_tokens"]
    for choice in event.get("choices", ()):
        delta = choice.get("delta") or {}
        reply.text += delta.get("content") or ""
        for piece in delta.get("tool_calls") or ():
            _add(reply.calls, piece)
        reply.finish = choice.get("finish_reason") or reply.finish


def _add(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    """A piece of a call: the first names it, the later ones add to its arguments."""
    while len(calls) <= piece.get("index", 0):
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call, new = calls[piece.get("index", 0)], piece.get("function") or {}
    call["id"] = piece.get("id") or call["id"]
    for key in ("name", "arguments"):
        call["function"][key] += new.get(key) or ""


def _error(raw: bytes, status: int) -> str:
    try:
        return str(json.loads(raw)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {status}: {raw[:200].decode('utf-8', 'replace')}"
