"""Rows of tables and JSON, in the shapes that people publish → chat records or documents.

Sources that read rows (files, a hub) share this: what a row means must not hang on where it came from. Known
shapes: `messages`; ShareGPT's `conversations` (from/value); Alpaca's instruction, input, output; a prompt and its
answer under their usual names; plain `text`. A recipe's `columns` says it where the names are others. A row that
is none of these is rejected by name: nothing empty and nothing guessed is ever trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from runner.datafiles.messages import Unfit, definitions, kind, messages_of, words
from runner.record import Document, Message, Record, Rejected

Column = Annotated[str, Meta(min_length=1, max_length=200)]
# What a prompt and its answer are called, and what may come between them (Alpaca's input).
PAIRS = (
    ("instruction", "output", "input"),
    ("instruction", "response", "context"),
    ("prompt", "completion", ""),
    ("prompt", "response", ""),
    ("question", "answer", ""),
    ("query", "response", ""),
)
_TALK = frozenset(("messages", "conversations", *(name for *pair, _ in PAIRS for name in pair)))


class Columns(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which column holds what: `text`, or `messages`, or `prompt` and `response`. Absent: the usual names."""

    text: Annotated[Column | None, Meta(description="Plain text, cut into passages.", examples=["body"])] = (
        None
    )
    prompt: Annotated[Column | None, Meta(description="What the user says.", examples=["question"])] = None
    input: Annotated[
        Column | None, Meta(description="More of what the user says, after the prompt.", examples=["context"])
    ] = None
    response: Annotated[
        Column | None, Meta(description="What the assistant answers.", examples=["answer"])
    ] = None
    system: Annotated[Column | None, Meta(description="System message.", examples=["instructions"])] = None
    messages: Annotated[
        Column | None, Meta(description="A list of messages, or JSON text of one.", examples=["dialogue"])
    ] = None
    tools: Annotated[
        Column | None,
        Meta(description="Tool definitions: a list, or JSON text of one.", examples=["functions"]),
    ] = None
    title: Annotated[Column | None, Meta(description="Title, for provenance.", examples=["headline"])] = None
    author: Annotated[Column | None, Meta(description="Author, for provenance.", examples=["by"])] = None
    license: Annotated[Column | None, Meta(description="Licence of the row.", examples=["rights"])] = None
    group: Annotated[
        Column | None, Meta(description="Rows of one group stay on one side of a split.", examples=["thread"])
    ] = None

    def problem(self) -> str | None:
        """What is wrong with this choice of columns, or None."""
        named = [n for n in ("text", "messages", "response") if getattr(self, n)]
        if len(named) > 1:
            return f"{named[0]!r} and {named[1]!r} exclude each other"
        if (self.prompt is None) != (self.response is None):
            return "`prompt` and `response` go together"
        if self.input and not self.prompt:
            return "`input` needs a `prompt`"
        if self.text and (self.system or self.tools):
            return "`text` has no system message and no tools"
        return None


_USUAL = Columns()


def record_of(
    row: Mapping[str, Any], columns: Columns | None = None, *, id: str, meta: Mapping[str, str]
) -> Record | Document | Rejected:
    """One row, made into what it says it is. `meta` is its provenance; `id` goes into it.

    A cell of None is an absent one. Title, author, licence and group come from the columns that name them.
    """
    c = columns or _USUAL
    try:
        about = _about(row, c)
        whole = {"group": id, **meta, **about, "id": id}
        if text := _text_of(row, c):
            return Document(text, whole)
        messages, tools = _talk(row, c)
        return Record(messages, tools=tools, meta=whole)
    except (Unfit, RecursionError) as e:
        reason = str(e) if isinstance(e, Unfit) else "nested too deep"
        return Rejected(id, reason, shown(row), origin=meta.get("origin", ""))


def shown(row: Mapping[str, Any]) -> str:
    """A row as JSON text, to look at."""
    try:
        return json.dumps(row, ensure_ascii=False, default=str)[:20_000].encode("utf-8", "replace").decode()
    except (ValueError, TypeError, RecursionError):
        return ""


def _about(row: Mapping[str, Any], c: Columns) -> dict[str, str]:
    out = {}
    for name in ("title", "author", "license", "group"):
        if column := getattr(c, name):
            value = _cell(row, column)
            if isinstance(value, bool | int | float):
                value = str(value)
            if value is not None and not isinstance(value, str):
                raise Unfit(f"column {column!r} is {kind(value)}, not text")
            if value:
                out[name] = value
    return out


def _text_of(row: Mapping[str, Any], c: Columns) -> str | None:
    if c.text:
        return words(_cell(row, c.text), f"column {c.text!r}")
    if c.messages or c.prompt:
        return None
    if row.get("text") is not None and (
        _TALK.isdisjoint(row) or not any(row.get(name) is not None for name in _TALK)
    ):
        return words(row["text"], "column 'text'")
    return None


def _talk(row: Mapping[str, Any], c: Columns) -> tuple[list[Message], list[dict[str, Any]]]:
    tools = definitions(_cell(row, c.tools) if c.tools else row.get("tools"))
    system = _cell(row, c.system) if c.system else row.get("system")
    if c.messages or (not c.prompt and (row.get("messages") or row.get("conversations"))):
        column = c.messages or ("messages" if row.get("messages") else "conversations")
        messages = messages_of(_cell(row, column), column)
    else:
        prompt, answer, more = _pair(row, c)
        asked = words(_cell(row, prompt), f"column {prompt!r}")
        extra = _cell(row, more) if c.input else row.get(more)
        if extra is not None and (not isinstance(extra, str) or extra.strip()):
            asked += "\n\n" + words(extra, f"column {more!r}")
        said = words(_cell(row, answer), f"column {answer!r}")
        messages = [*_history(row, c), Message("user", asked), Message("assistant", said)]
    if system is not None and (not isinstance(system, str) or system.strip()):
        if messages[0].role == "system":
            raise Unfit("two system messages: one in the conversation, one in a column")
        messages = [Message("system", words(system, f"column {c.system or 'system'!r}")), *messages]
    return messages, tools


def _pair(row: Mapping[str, Any], c: Columns) -> tuple[str, str, str]:
    if c.prompt and c.response:
        return c.prompt, c.response, c.input or ""
    for prompt, answer, more in PAIRS:
        if row.get(prompt) is not None and row.get(answer) is not None:
            return prompt, answer, more
    if empty := _empty(row):
        raise Unfit(f"column {empty!r} is empty")
    raise Unfit(f"no known shape; its columns are {', '.join(map(str, list(row)[:20]))} (name them: columns)")


def _empty(row: Mapping[str, Any]) -> str | None:
    """The column that holds nothing, of a row whose columns have a known shape: of a pair that has its half first."""
    pairs = [(p, a) for p, a, _ in PAIRS if p in row and a in row]
    pairs.sort(key=lambda pair: row[pair[0]] is None and row[pair[1]] is None)
    names = [n for pair in pairs for n in pair] or [
        n for n in ("messages", "conversations", "text") if n in row
    ]
    return next((n for n in names if not row[n]), None)


def _history(row: Mapping[str, Any], c: Columns) -> list[Message]:
    """Earlier turns, as Alpaca's descendants have them: a list of [asked, answered]."""
    turns = None if c.prompt else row.get("history")
    if not turns:
        return []
    if not isinstance(turns, list) or not all(isinstance(t, list) and len(t) == 2 for t in turns):
        raise Unfit("`history` is no list of pairs")
    texts = [words(t, "a turn of `history`") for pair in turns for t in pair]
    return [Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts)]


def _cell(row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise Unfit(f"no column {column!r}; there are {', '.join(map(str, list(row)[:20]))}")
    return row[column]
