"""Filter `tool_contract`: what conversations with tools must hold, beyond the contract that all of them keep.

`runner.contract` has seen to it already that calls name declared tools, that arguments fit their schemas, and that
every call is answered by a result with its id. This filter looks at what is called, what comes back, and, where asked,
whether the numbers of an answer come from a result or from the user's own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner import toolschema
from runner.privacy.grounding import ungrounded
from runner.record import Record
from runner.registry import filter

Calls = Annotated[int, Meta(ge=0, le=10_000)]


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    low, high = options["calls_min"], options["calls_max"]
    if high is not None and low > high:
        yield ("calls_min",), f"the least, {low}, is more than the most, {high}"
    if options["ids"] is not None:
        try:
            toolschema.compiled(options["ids"])
        except toolschema.Unsafe as e:
            yield ("ids",), str(e)
        except UnicodeEncodeError:
            yield ("ids",), "the pattern holds half a character (a lone surrogate)"


@filter("tool_contract", version=1, check=_wrong)
def tool_contract(
    record: Record,
    *,
    tools: Annotated[
        Annotated[list[str], Meta(min_length=1, max_length=1000)] | None,
        Meta(description="The only tools that may be called. Default: any.", examples=[["get_forecast"]]),
    ] = None,
    calls_min: Annotated[Calls, Meta(description="Fewest calls of a record.")] = 0,
    calls_max: Annotated[Calls | None, Meta(description="Most calls of a record. Default: no limit.")] = None,
    results: Annotated[
        Literal["json", "any"], Meta(description="Whether a tool's result must be JSON.")
    ] = "json",
    empty_arguments: Annotated[
        Literal["drop", "keep"], Meta(description="Records whose calls have blank text as an argument.")
    ] = "drop",
    unused_tools: Annotated[
        Literal["drop", "keep"],
        Meta(
            description="Records that offer a tool that is never called: to tell useful from useless is worth learning."
        ),
    ] = "keep",
    ids: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="A pattern that all of a call's id must match.", examples=["[A-Za-z0-9]{9}"]),
    ] = None,
    grounded: Annotated[
        bool,
        Meta(
            description="Drop records whose answer, once a tool has been asked, has a number (in digits) that stands "
            "in no result, argument or turn before it: rounded, in another unit or spelt out, it may. Sums do not pass."
        ),
    ] = False,
) -> bool | str:
    """Keep conversations with tools only if calls, results and answers are as asked. Records without tools pass, unless
    calls are asked for."""
    called = [call for m in record.messages for call in m.tool_calls]
    if len(called) < calls_min:
        return "too few calls"
    if calls_max is not None and len(called) > calls_max:
        return "too many calls"
    if tools is not None and any(c.function.name not in tools for c in called):
        return "calls a tool that is not among those allowed"
    if unused_tools == "drop" and {_name(t) for t in record.tools} - {c.function.name for c in called}:
        return "offers a tool that it never calls"
    if ids is not None and not all(toolschema.compiled(ids).fullmatch(_plain(c.id)) for c in called):
        return "a call's id has another form"
    if empty_arguments == "drop" and any(_blank(_read(c.function.arguments)) for c in called):
        return "an argument is empty"
    if results == "json" and any(
        m.role == "tool" and _read(m.content or "") is _NOT_JSON for m in record.messages
    ):
        return "a result is not JSON"
    return "an answer has a number that nothing says" if grounded and called and ungrounded(record) else True


_NOT_JSON = object()


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _blank(value: Any) -> bool:
    """Whether there is blank text in an argument, at any depth. (What could be read is not nested past all depth.)"""
    if isinstance(value, str):
        return not value.strip()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_blank(v) for v in inner)


def _name(tool: Mapping[str, Any]) -> str:
    function = tool.get("function")
    return str(function.get("name", "")) if isinstance(function, dict) else ""


def _plain(text: str) -> str:
    return text.encode(errors="replace").decode()
