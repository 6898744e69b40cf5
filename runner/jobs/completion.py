"""Chat completions as OpenAI made them usual: the request for a probe, and the answer in what comes.

What comes but is no answer (no JSON, a web page, nothing at all, an error that calls itself well) is `Unusable`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runner.calls import CLOSE, OPEN
from runner.errors import StepError, safe
from runner.jobs.drawing import seed_of
from runner.jobs.probeset import ProbeSet
from runner.jobs.share import Share
from runner.record import Answer, FunctionCall, Message, Probe, ToolCall

_FINISHED: dict[str | None, Literal["stop", "length"]] = {
    "stop": "stop", "tool_calls": "stop", "function_call": "stop", "length": "length",
}  # fmt: skip


class AskSet(ProbeSet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an endpoint can be told besides."""

    tool_choice: Literal["auto", "required", "none"] = "auto"
    strict: bool = False


class AskJob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url` goes up to /v1; `model` is what the endpoint calls it; `engine` is written down with the answers.

    `without` is the same model without its adapter, where it is to be proved that the adapter is in force. `store` is
    the folder for what the client keeps; `limits` are those of `runner.net.watched.Limits` that are other than usual.
    `by` is what answers hang on besides, where it is known; `share` which of them are this job's.
    """

    url: str
    model: str
    engine: str
    sets: Annotated[list[AskSet], Meta(min_length=1)]
    store: str
    template_sha256: str | None = None
    without: str | None = None
    seed: int = 0
    pace: str = "1"
    at_once: str = "1"
    proxy: str = ""
    contact: str = ""
    limits: dict[str, Any] = {}
    progress: str | None = None
    share: Share = Share()
    by: dict[str, str] = {}


class _Function(Struct):
    name: Annotated[str, Meta(min_length=1)]
    arguments: str


class _Call(Struct):
    function: _Function


class _Said(Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Said
    finish_reason: str | None = None


class _Completion(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]


class Unusable(Exception):
    """What came is no answer; `str()` says why."""


class Withheld(Unusable):
    """An endpoint that works has none for this one prompt: of others nothing follows."""


def body(job: AskJob, wanted: AskSet, probe: Probe, repeat: int, turn: int = 0) -> bytes:
    """The request: only what every endpoint knows, and what the suite asks for. `turn` counts those of a talk."""
    messages = [msgspec.to_builtins(msgspec.structs.replace(m, weight=None)) for m in probe.messages]
    for m in messages:
        m.setdefault("content", None)
    out: dict[str, Any] = {"model": job.model, "messages": messages, "max_tokens": wanted.max_new_tokens}
    out["temperature"] = wanted.temperature
    if wanted.temperature:
        out |= {"top_p": wanted.top_p, "seed": seed_of(job.seed, probe.id, repeat, turn) % 2**31}
    if probe.tools:
        out["tools"] = [_strict(t, probe.id) for t in probe.tools] if wanted.strict else probe.tools
        if wanted.tool_choice != "auto":
            out["tool_choice"] = wanted.tool_choice
    return msgspec.json.encode(out)


def _strict(tool: dict[str, Any], probe: str) -> dict[str, Any]:
    if not isinstance(tool.get("function"), dict):
        raise StepError("ask", f'a tool of the probe {probe!r} has no "function"; decoding.strict needs one')
    return tool | {"function": tool["function"] | {"strict": True}}


def most(tokens: int) -> int:
    """The most bytes of an answer of so many tokens: whoever sends more was not told how many, or does not care."""
    return (64 << 10) + 64 * tokens


def read(raw: bytes, id: str, arm: str, repeat: int) -> Answer:
    """The answer in a chat completion. Raises Unusable for what is none."""
    try:
        choice = msgspec.json.decode(raw, type=_Completion).choices[0]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        raise Unusable(error_in(raw) or f"what came is no chat completion: {e}") from None
    said = choice.message
    if choice.finish_reason not in _FINISHED:
        raise Withheld(f"the answer ended with {choice.finish_reason!r}, which is neither stop nor length")
    text = (said.content or said.refusal or "").strip()  # a refusal is what it says, too
    calls = [
        ToolCall(f"call_{n}", FunctionCall(c.function.name, c.function.arguments))
        for n, c in enumerate(said.tool_calls or (), 1)
    ]
    if not text and not calls:
        raise Unusable("the answer is empty")
    shown = [
        f'{OPEN}{{"name": "{c.function.name}", "arguments": {c.function.arguments}}}{CLOSE}' for c in calls
    ]
    message = Message("assistant", text or None, calls)
    return Answer(
        id,
        arm,
        "\n".join(filter(None, (text, *shown))),
        _FINISHED[choice.finish_reason],
        message,
        repeat=repeat,
    )


def error_in(raw: bytes) -> str:
    """What an endpoint says that answers with an error and calls it well."""
    try:
        error = msgspec.json.decode(raw)["error"]
        return f"the endpoint says: {error['message'] if isinstance(error, dict) else error}"
    except (msgspec.MsgspecError, LookupError, TypeError, UnicodeDecodeError, RecursionError):
        return ""


def one_line(text: str, longest: int = 300) -> str:
    """A stranger's words on one line that any file and terminal can hold."""
    line = safe(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"
