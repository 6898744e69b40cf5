"""An OpenAI-compatible server for the arms of a run: `python -m runner.jobs.serve JOB.json`.

For machines without vLLM. It listens on 127.0.0.1 only, and answers one request at a time; others wait in the order in
which they came. A client that goes away ends its answer. Which hosts a browser may call it by is checked, and that a
body says it is JSON: so no page that is open in a browser can use it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from runner.errors import StepError
from runner.jobs.chatapi import Ask, Refused, read
from runner.jobs.job import Job, command
from runner.jobs.loading import load
from runner.jobs.said import Answer
from runner.jobs.speaking import Prompt, Spoken, Voice

HOST = "127.0.0.1"
MOST_BYTES = 16 << 20
GONE = 499
"""Status of an answer that nobody reads."""
IDLE = 0.5  # seconds of silence in a stream
LOOK = 0.2  # seconds between looks whether a client is still there
log = logging.getLogger("serve")


class ServeJob(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`arms` are the models by name, `names` other names for them; `limit` is in tokens, 0 for the model's own."""

    arms: Annotated[dict[str, Job], Meta(min_length=1)]
    names: dict[str, str] = {}
    port: Annotated[int, Meta(ge=1, le=65535)]
    limit: Annotated[int, Meta(ge=0)] = 0


@dataclass
class Turn:
    """A request that waits for its answer. The answering thread puts texts and at last the outcome into `said`."""

    voice: Voice
    ask: Ask
    prompt: Prompt
    loop: asyncio.AbstractEventLoop
    said: asyncio.Queue[str | tuple[Spoken, Answer] | Refused] = field(default_factory=asyncio.Queue)
    gone: threading.Event = field(default_factory=threading.Event)

    def put(self, what: str | tuple[Spoken, Answer] | Refused) -> None:
        if what != "" and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.said.put_nowait, what)

    def answer(self) -> None:
        """In the answering thread."""
        try:
            self.put(self.voice.say(self.ask, self.prompt, self.put, self.gone))
        except Refused as e:
            self.put(e)
        except Exception as e:  # whatever torch says: this request fails, the server goes on
            log.error("%s", traceback.format_exc())
            self.put(Refused(f"the model failed: {type(e).__name__}: {e}", status=500))


class Desk:
    """Takes turns one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self.turns: queue.Queue[Turn] = queue.Queue()
        self.now: Turn | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            turn = self.turns.get()
            if turn.gone.is_set():
                continue
            self.now = turn
            turn.answer()
            self.now = None


class Server:
    """The routes."""

    def __init__(self, voices: dict[str, Voice], names: dict[str, str]) -> None:
        self.voices, self.names = voices, names
        self.desk = Desk()
        self.since = int(time.time())

    def app(self) -> Starlette:
        routes = [
            Route("/health", self.health),
            Route("/v1/models", self.models),
            Route("/v1/models/{name}", self.model),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]
        hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
        handlers: dict[Any, Any] = {
            Refused: refused,
            HTTPException: http_error,
            ClientDisconnect: gone,
            Exception: defect,
        }
        return Starlette(routes=routes, middleware=[hosts], exception_handlers=handlers)

    async def health(self, request: Request) -> Response:
        waiting = sum(not turn.gone.is_set() for turn in list(self.desk.turns.queue))
        return JSONResponse({"status": "ok", "busy": self.desk.now is not None, "waiting": waiting})

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._model(n) for n in (*self.voices, *self.names)]})

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._voice(name)
        return JSONResponse(self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        voice = self._voice(name)
        about = {"id": name, "object": "model", "created": self.since, "owned_by": "mirepoix"}
        # As vLLM says it, and which template answers are asked with.
        return about | {"max_model_len": voice.limit, "template_sha256": voice.loaded.template_sha256}

    def _voice(self, name: str) -> Voice:
        found = self.voices.get(self.names.get(name, name))
        if found is None:
            known = ", ".join([*self.voices, *self.names])
            what = f"no model {name!r} here; there are: {known}"
            raise Refused(what, status=404, param="model", code="model_not_found")
        return found

    async def chat(self, request: Request) -> Response:
        ask = read(await _body(request))
        voice = self._voice(ask.model)
        turn = Turn(voice, ask, voice.prompt(ask), asyncio.get_running_loop())
        self.desk.turns.put(turn)
        about = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": ask.model}
        if ask.stream:
            return StreamingResponse(_stream(turn, about), media_type="text/event-stream")
        return await _whole(turn, about, request)


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("the body must be JSON, and its Content-Type say so: application/json", status=415)
    announced = request.headers.get("content-length", "0")
    body = b""
    too_large = Refused(f"the request is larger than {MOST_BYTES >> 20} MiB", status=413)
    if not announced.isdecimal() or int(announced) > MOST_BYTES:
        raise too_large
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise too_large
    return body


def _usage(turn: Turn, spoken: Spoken) -> dict[str, int]:
    asked = len(turn.prompt.ids)
    return {
        "prompt_tokens": asked,
        "completion_tokens": spoken.tokens,
        "total_tokens": asked + spoken.tokens,
    }


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(call) for call in answer.calls]


async def _whole(turn: Turn, about: dict[str, Any], request: Request) -> Response:
    """The answer in one piece."""
    looked = time.monotonic()
    try:
        while True:
            said: Any = None
            with suppress(asyncio.TimeoutError):
                said = await asyncio.wait_for(turn.said.get(), LOOK)
            if isinstance(said, Refused):
                raise said
            if isinstance(said, tuple):
                break
            if time.monotonic() - looked > LOOK:
                if await request.is_disconnected():
                    return Response(status_code=GONE)
                looked = time.monotonic()
    finally:
        turn.gone.set()
    spoken, answer = said
    message: dict[str, Any] = {"role": "assistant", "content": answer.content, "refusal": None}
    if answer.calls:
        message |= {"content": answer.content or None, "tool_calls": _calls(answer)}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": spoken.finish}
    whole = {"object": "chat.completion", "choices": [choice], "usage": _usage(turn, spoken)}
    return JSONResponse(about | whole)


async def _stream(turn: Turn, about: dict[str, Any]) -> AsyncIterator[str]:
    """The answer as server-sent events. Closed early, which is how a client that went away shows, it ends the turn."""
    common = about | {"object": "chat.completion.chunk"}
    if turn.ask.usage:
        common["usage"] = None

    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event(common | {"choices": [choice]})

    try:
        yield event({"role": "assistant", "content": ""})
        while True:
            try:
                said = await asyncio.wait_for(turn.said.get(), IDLE)
            except TimeoutError:
                yield ": waiting\n\n"  # a comment, which clients skip: it shows them that we are there
                continue
            if isinstance(said, Refused):
                yield _event(said.body())
                break
            if isinstance(said, str):
                yield event({"content": said})
                continue
            spoken, answer = said
            if answer.calls:
                yield event({"tool_calls": [{"index": n} | c for n, c in enumerate(_calls(answer))]})
            yield event({}, spoken.finish)
            if turn.ask.usage:
                yield _event(common | {"choices": [], "usage": _usage(turn, spoken)})
            break
        yield "data: [DONE]\n\n"
    finally:
        turn.gone.set()


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return JSONResponse(error.body(), status_code=error.status)


async def defect(request: Request, error: Exception) -> Response:
    """What is our own fault; uvicorn logs it whole."""
    body = Refused(f"the server failed: {type(error).__name__}", status=500).body()
    return JSONResponse(body, status_code=500)


async def gone(request: Request, error: Exception) -> Response:
    return Response(status_code=GONE)


async def http_error(request: Request, error: Exception) -> Response:
    """No such path, wrong method."""
    assert isinstance(error, HTTPException)
    body = Refused(f"{request.method} {request.url.path}: {error.detail}", status=error.status_code).body()
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


def run(raw: bytes) -> None:
    """Serve the job in `raw` until the process is told to end."""
    import uvicorn

    job = msgspec.json.decode(raw, type=ServeJob)
    if missing := sorted(set(job.names.values()) - job.arms.keys()):
        raise StepError("serve", f"names for arms that are not there: {', '.join(missing)}")
    voices = {name: Voice(load(arm), job.limit) for name, arm in job.arms.items()}
    server = Server(voices, job.names)
    config = uvicorn.Config(
        server.app(), host=HOST, port=job.port, log_level="warning", access_log=False, lifespan="off",
        timeout_graceful_shutdown=1, ws="none",
    )  # fmt: skip
    uvicorn.Server(config).run()


if __name__ == "__main__":
    command("serve", run)
