"""What a client may ask of `/v1/chat/completions`, in OpenAI's shapes, and how it is told no.

Everything that is asked is either done or refused: nothing that would change an answer is dropped in silence. Shapes:
https://platform.openai.com/docs/api-reference/chat, as the `openai` package writes and reads them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from runner.record import FunctionCall, Message, ToolCall

MOST_NEW = 1024
"""Tokens of an answer where the client does not say how many."""


class Refused(Exception):
    """An answer that cannot be given; becomes OpenAI's error object with the HTTP status `status`."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


class _Function(Struct):
    name: Annotated[str, Meta(min_length=1)]
    arguments: str


class _Call(Struct):  # a streamed call carries an index too
    function: _Function
    id: str = ""
    type: Literal["function"] = "function"


class _Said(Struct, forbid_unknown_fields=True):
    """A message; clients hand an assistant's turn back with all the empty fields that they got with it."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: Any = None
    function_call: Any = None


class _Declared(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(Struct):
    function: _Declared
    type: Literal["function"] = "function"


class _Named(Struct):
    name: str


class _Choice(Struct):
    function: _Named
    type: Literal["function"] = "function"


class _StreamOptions(Struct):
    include_usage: bool = False
    include_obfuscation: bool = False


class _Format(Struct):
    type: str


class _Asked(Struct, forbid_unknown_fields=True, kw_only=True):
    """The request as it came. What stands below `n` is refused, or says nothing about the answer."""

    model: str
    messages: Annotated[list[_Said], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "none", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    n: int | None = 1
    response_format: _Format | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user: Any = None
    metadata: Any = None
    store: Any = None


class Ask(Struct, frozen=True):
    """A request that can be answered. `choice` is "auto", "none", "required" or the name of a tool; `tools` is empty
    where none may be called; `temperature` 0 is greedy; `most` None: up to MOST_NEW, or what the model can hold."""

    model: str
    messages: list[Message]
    tools: list[dict[str, Any]]
    choice: str
    one_call: bool
    most: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    stream: bool
    usage: bool

    @property
    def forced(self) -> list[str]:
        """The tools one of which must be called; empty where none must."""
        if self.choice in ("auto", "none"):
            return []
        names = [tool["function"]["name"] for tool in self.tools]
        return names if self.choice == "required" else [self.choice.removeprefix("function ")]


def read(raw: bytes) -> Ask:
    """The request in a body. Raises Refused."""
    try:
        asked = msgspec.json.decode(raw, type=_Asked)
        fields = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise Refused(f"the request cannot be read: {e or 'nested too deep'}") from None
    _supported(asked)
    tools = list(fields.get("tools") or [])
    names = [tool.function.name for tool in asked.tools or []]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise Refused(f"the tool {twice!r} is declared twice", param="tools")
    choice = _choice(asked, names)
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop or []
    if len(stop) > 4 or not all(stop):
        raise Refused("stop takes up to 4 texts, none of them empty", param="stop")
    most = asked.max_completion_tokens
    return Ask(
        model=asked.model,
        messages=[_message(said, n) for n, said in enumerate(asked.messages)],
        tools=[] if choice == "none" else tools,
        choice=choice,
        one_call=asked.parallel_tool_calls is False,
        most=asked.max_tokens if most is None else most,
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        seed=asked.seed,
        stop=tuple(stop),
        stream=bool(asked.stream),
        usage=bool(asked.stream_options and asked.stream_options.include_usage),
    )


def _supported(asked: _Asked) -> None:
    """Refuse what would change the answer and is not built."""
    if asked.n not in (None, 1):
        raise Refused("n must be 1: one answer a request", param="n")
    if asked.response_format is not None and asked.response_format.type != "text":
        what = "response_format is not supported here; a tool with tool_choice gives structured answers"
        raise Refused(what, param="response_format", code="unsupported_parameter")
    for name in ("frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"):
        if getattr(asked, name):
            raise Refused(f"{name} is not supported here", param=name, code="unsupported_parameter")


def _choice(asked: _Asked, names: list[str]) -> str:
    choice = asked.tool_choice
    if isinstance(choice, _Choice):
        if choice.function.name not in names:
            what = f"tool_choice names {choice.function.name!r}, which is none of the tools"
            raise Refused(what, param="tool_choice")
        return f"function {choice.function.name}"  # a tool may be called "auto"
    if choice == "required" and not names:
        raise Refused("tool_choice is required, but there are no tools", param="tool_choice")
    return choice or ("auto" if names else "none")


def _message(said: _Said, n: int) -> Message:
    where = f"messages[{n}]"
    if said.audio is not None or said.function_call is not None:
        raise Refused(f"{where}: only content and tool_calls are known", param=where)
    if said.tool_calls and said.role != "assistant":
        raise Refused(f"{where}: only an assistant calls tools", param=where)
    if said.role == "tool" and not said.tool_call_id:
        raise Refused(f"{where}: a tool's result needs the tool_call_id of its call", param=where)
    content = _text(said.content, where) if said.content is not None else said.refusal
    if content is None and not (said.role == "assistant" and said.tool_calls):
        raise Refused(f"{where}: no content", param=where)
    calls = [
        ToolCall(call.id, FunctionCall(call.function.name, _arguments(call.function.arguments, where)))
        for call in said.tool_calls or []
    ]
    role = "system" if said.role == "developer" else said.role
    return Message(role, content, calls, said.tool_call_id, said.name)


def _text(content: str | list[dict[str, Any]], where: str) -> str:
    if isinstance(content, str):
        return content
    for part in content:
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise Refused(f"{where}: the model reads text only, not {part.get('type')!r}", param=where)
    return "".join(part["text"] for part in content)


def _arguments(text: str, where: str) -> str:
    try:
        if isinstance(json.loads(text), dict):
            return text
    except (ValueError, RecursionError):
        pass
    raise Refused(f"{where}: the arguments of a call must be a JSON object, as text", param=where)
