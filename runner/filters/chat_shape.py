"""Filter `chat_shape`: by the form of a conversation.

Every record that reaches a filter keeps `runner.contract` already: the system message comes first if at all, user and
assistant take turns, every call is answered at once, no user's or answering turn is blank, and the assistant has the
last word. This filter asks for more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from runner.record import Record
from runner.registry import filter

Role = Literal["system", "user", "assistant", "tool"]
Needed = Literal["any", "required", "forbidden"]
Turns = Annotated[int, Meta(ge=0, le=100_000)]


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    low, high, roles = options["turns_min"], options["turns_max"], options["roles"] or get_args(Role)
    if high is not None and low > high:
        yield ("turns_min",), f"the least, {low}, is more than the most, {high}"
    if "assistant" not in roles:
        yield ("roles",), "every record has an assistant: without it, none is left"
    if options["system"] == "required" and "system" not in roles:
        yield ("system",), "is required, and `roles` does not allow it"
    if options["starts_with"] not in ("any", *roles):
        yield ("starts_with",), f"`roles` does not allow {options['starts_with']}"


@filter("chat_shape", version=1, check=_wrong)
def chat_shape(
    record: Record,
    *,
    roles: Annotated[
        Annotated[list[Role], Meta(min_length=1)] | None,
        Meta(description="Roles that may speak. Default: all.", examples=[["user", "assistant"]]),
    ] = None,
    turns_min: Annotated[
        Turns, Meta(description="Fewest turns of user and assistant with words in them.")
    ] = 0,
    turns_max: Annotated[Turns | None, Meta(description="Most of them. Default: no limit.")] = None,
    starts_with: Annotated[
        Literal["any", "user", "assistant"], Meta(description="Who speaks first, after a system message.")
    ] = "any",
    system: Annotated[
        Needed, Meta(description="Whether there is a system message that says something.")
    ] = "any",
    tools: Annotated[Needed, Meta(description="Whether tools are offered.")] = "any",
    empty: Annotated[
        Literal["keep", "drop"],
        Meta(description="Records with a blank system message or tool result (other turns are never blank)."),
    ] = "drop",
    longest: Annotated[
        Annotated[int, Meta(ge=1, le=100_000_000)] | None,
        Meta(description="Most characters of one message, of whichever role. Default: no limit."),
    ] = None,
) -> bool | str:
    """Keep conversations of this form: roles, number of turns, who begins, system message, tools, longest message."""
    turns = 0
    first = said_by_system = ""
    for m in record.messages:
        said = m.content or ""
        if roles and m.role not in roles:
            return f"a message of the {m.role}"
        if longest is not None and len(said) > longest:
            return "a message is too long"
        if m.role in ("system", "tool"):
            said_by_system += said.strip() if m.role == "system" else ""
            if empty == "drop" and not said.strip():
                return f"an empty {m.role} message"
            continue
        first = first or m.role
        turns += bool(said)
    if turns < turns_min:
        return "too few turns"
    if turns_max is not None and turns > turns_max:
        return "too many turns"
    if starts_with not in ("any", first):
        return f"starts with the {first}"
    if system != "any" and bool(said_by_system) != (system == "required"):
        return "no system message" if system == "required" else "a system message"
    if tools != "any" and bool(record.tools) != (tools == "required"):
        return "no tools" if tools == "required" else "tools"
    return True
