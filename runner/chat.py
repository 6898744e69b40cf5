"""Records as the model sees them: rendered by the real template, cut up by the real tokenizer.

`Renderer.render` finds what a template loses, and which tokens must be trained: each assistant turn's
text or calls with the stop token that ends it, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from runner.record import Message, Record


class Unrenderable(Exception):
    """The template refuses this record; `str()` is its own message."""


class Lost(Exception):
    """The template drops a part of this record without saying so; `str()` names the part."""


@dataclass(frozen=True)
class Rendered:
    """`ids` are token ids; `trained[i]` says that token i must carry a label; `spans` are the trained texts."""

    text: str
    ids: list[int]
    trained: list[bool]
    spans: list[str]


def for_template(message: Message) -> dict[str, Any]:
    """A message as templates get it in training: Axolotl parses `arguments` first, so all of us must."""
    plain: dict[str, Any] = msgspec.to_builtins(message)
    for call in plain.get("tool_calls", ()):
        # A probe may show a broken call on purpose: left as text.
        with suppress(ValueError):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return plain


def for_trainer(record: Record) -> dict[str, Any]:
    """The row that Axolotl reads. Tools are JSON text: Arrow merges dict shapes across rows."""
    row: dict[str, Any] = {"messages": [msgspec.to_builtins(m) for m in record.messages]}
    row["tools"] = json.dumps(record.tools, ensure_ascii=False) if record.tools else None
    return row


def _leaves(data: Any) -> Iterator[str]:
    """Every word that a JSON value says: keys of `properties`, texts and numbers."""
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, dict) and key == "properties":
                yield from value
            yield from _leaves(value)
    elif isinstance(data, list):
        for value in data:
            yield from _leaves(value)
    elif isinstance(data, str):
        yield data
    elif data is not None and not isinstance(data, bool):
        yield json.dumps(data)


def _holds(text: str, words: str) -> bool:
    """Whether `text` says `words`, as they are or as JSON escapes them."""
    forms = (words, words.strip(), *(json.dumps(words, ensure_ascii=a)[1:-1] for a in (True, False)))
    return any(f in text for f in forms)


class Renderer:
    """A model's tokenizer with the recipe's template. Loading it imports transformers."""

    def __init__(
        self, model: str, *, revision: str | None, template: str | None, end_of_turn: str | None
    ) -> None:
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=False)
        if template is not None:
            self.tokenizer.chat_template = template
        if not self.tokenizer.chat_template:
            raise ValueError("the model's tokenizer has no chat template; name one in model.template")
        self.stop: str = end_of_turn or self.tokenizer.eos_token

    def _text(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, prompt: bool = False
    ) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self.tokenizer.apply_chat_template(
                    messages, tools=tools, tokenize=False, add_generation_prompt=prompt
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError) as e:
            raise Unrenderable(str(e).splitlines()[0] if str(e) else type(e).__name__) from None

    def render(self, record: Record) -> Rendered:
        """Render and mark one record. Raises Unrenderable, or Lost where a part of it is missing."""
        messages, tools = [for_template(m) for m in record.messages], record.tools or None
        whole = self._text(messages, tools)
        spans: list[tuple[int, int]] = []
        before = ""
        for n, message in enumerate(record.messages):
            last = n == len(messages) - 1
            upto = whole if last else self._prefix(messages[: n + 1], tools, whole)
            if message.role == "assistant":
                start = self._text(messages[:n], tools, prompt=True)
                if not upto.startswith(start):
                    raise Lost("the template renders an assistant's turn apart from its own prompt for it")
                end = upto.find(self.stop, len(start))
                if end < 0:
                    raise Lost(f"the assistant's turn has no stop token {self.stop!r} after it")
                spans.append((len(start), end + len(self.stop)))
            segment = upto[len(before) :] if upto.startswith(before) else upto
            _check(message, segment, n)
            before = upto
        if tools:
            self._check_tools(messages, tools, whole)
        return self._marked(whole, spans)

    def _prefix(self, messages: list[dict[str, Any]], tools: Any, whole: str) -> str:
        """The rendering of the first messages, where a template gives one that the whole begins with."""
        try:
            text = self._text(messages, tools)
        except Unrenderable:
            return whole  # some templates refuse conversations that stop in mid-air
        return text if whole.startswith(text) else whole

    def _check_tools(self, messages: list[Any], tools: list[dict[str, Any]], whole: str) -> None:
        without = self._text(messages, None)
        for tool in tools:
            function = tool["function"]
            for leaf in _leaves(function):
                # The words may stand elsewhere too: the tools must have added them.
                if not _holds(whole, leaf) or (leaf in without and whole.count(leaf) <= without.count(leaf)):
                    raise Lost(f"tool {function['name']!r} of the schema ({leaf!r})")
            if whole.count(function["name"]) <= without.count(function["name"]):
                raise Lost(f"the schema of tool {function['name']!r}")

    def _marked(self, text: str, spans: list[tuple[int, int]]) -> Rendered:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        trained = [any(a <= at < b for a, b in spans) for at, _ in encoded["offset_mapping"]]
        return Rendered(text, list(encoded["input_ids"]), trained, [text[a:b] for a, b in spans])


def _check(message: Message, segment: str, n: int) -> None:
    """Raise Lost unless all that a message says stands in its own part of the rendering."""
    place = f"message {n + 1}"
    if message.content and not _holds(segment, message.content):
        what = {"system": "the system text", "tool": "the tool's result"}.get(message.role)
        raise Lost(f"{what or f'the {message.role} text'} ({place})")
    for call in message.tool_calls:
        if call.function.name not in segment:
            raise Lost(f"the call of tool {call.function.name!r} ({place})")
        for leaf in _leaves(json.loads(call.function.arguments)):
            if not _holds(segment, leaf):
                raise Lost(f"an argument of tool {call.function.name!r}, {leaf!r} ({place})")
