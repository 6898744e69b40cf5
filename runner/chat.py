"""Records as the model sees them: rendered by the real template, cut up by the real tokenizer.

`Renderer.render` finds what a template loses, and which tokens must be trained: of each turn that is to be learnt
(the assistant's, unless the recipe or the record says otherwise) its text or calls with the stop token that ends it,
and nothing else.
"""

from __future__ import annotations

import html
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from runner import lean, templates
from runner.errors import StepError
from runner.record import Message, Record


class Unrenderable(Exception):
    """The template refuses this record; `str()` is its own message."""


class Lost(Exception):
    """The template drops a part of this record without saying so; `str()` names the part."""


@dataclass(frozen=True)
class Learnt:
    """Which turns are trained: those of `roles`, all or the last of them; a message's own `weight` goes before that."""

    roles: tuple[str, ...] = ("assistant",)
    turns: Literal["all", "last"] = "all"

    def of(self, messages: Sequence[Message]) -> list[bool]:
        """For each message whether it is trained."""
        chosen = [m.role in self.roles for m in messages]
        if self.turns == "last" and True in chosen:
            last = len(chosen) - 1 - chosen[::-1].index(True)
            chosen = [n == last for n in range(len(chosen))]
        return [c if m.weight is None else m.weight == 1 for c, m in zip(chosen, messages, strict=True)]


ASSISTANT = Learnt()


@dataclass(frozen=True)
class Rendered:
    """`ids` are token ids; `trained[i]` says that token i must carry a label; `places` are where in the text (first
    character, one past the last) what is trained stands."""

    text: str
    ids: list[int]
    trained: list[bool]
    places: list[tuple[int, int]]

    @property
    def spans(self) -> list[str]:
        """The texts that are trained."""
        return [self.text[a:b] for a, b in self.places]


def for_template(message: Message) -> dict[str, Any]:
    """A message as templates get it in training: Axolotl parses `arguments` first, so all of us must."""
    plain: dict[str, Any] = msgspec.to_builtins(message)
    plain.pop("weight", None)
    for call in plain.get("tool_calls", ()):
        # A probe may show a broken call on purpose: left as text.
        with suppress(ValueError):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return plain


def for_trainer(record: Record, learnt: Learnt = ASSISTANT) -> dict[str, Any]:
    """The row that Axolotl reads. Tools are JSON text: Arrow merges dict shapes across rows.

    `train` stands in a message where it is not what `roles_to_train` says.
    """
    row: dict[str, Any] = {"messages": [msgspec.to_builtins(m) for m in record.messages]}
    for message, wanted in zip(row["messages"], learnt.of(record.messages), strict=True):
        message.pop("weight", None)
        if wanted != (message["role"] in learnt.roles):
            message["train"] = wanted
    row["tools"] = json.dumps(record.tools, ensure_ascii=False) if record.tools else None
    return row


def _leaves(schema: Any) -> Iterator[str]:
    """Every word that a schema says: keys of `properties`, texts and numbers."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if isinstance(value, dict) and key == "properties":
                yield from value
            yield from _leaves(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _leaves(value)
    elif isinstance(schema, str):
        yield schema
    elif schema is not None and not isinstance(schema, bool):
        yield json.dumps(schema)


def _words(arguments: Any) -> Iterator[str]:
    """Every word that arguments say: all names, texts, numbers, truth values and nulls."""
    if isinstance(arguments, dict):
        for key, value in arguments.items():
            yield key
            yield from _words(value)
    elif isinstance(arguments, list):
        for value in arguments:
            yield from _words(value)
    else:
        yield arguments if isinstance(arguments, str) else json.dumps(arguments)


_PYTHON = {"null": "None", "true": "True", "false": "False"}


def _forms(words: str) -> tuple[str, ...]:
    """`words` as they are, and as JSON, Python and XML escape them."""
    escaped = [json.dumps(words, ensure_ascii=a)[1:-1] for a in (True, False)]
    xml = html.escape(words)
    jinja = xml.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    return (words, *escaped, repr(words)[1:-1], xml, jinja)


def _written(data: Any) -> Iterator[str]:
    """JSON as templates write it: in one line or in several."""
    for how in ({}, {"indent": 4}, {"indent": 2}, {"separators": (",", ":")}, {"sort_keys": True}):
        for ascii in (False, True):
            yield json.dumps(data, ensure_ascii=ascii, **how)


def _holds(text: str, words: str) -> bool:
    return any(form in text for form in _forms(words))


class Renderer:
    """A model's tokenizer with the recipe's template. Loading it imports transformers.

    All that renders raises templates.TooMuch, too: of a template that would take without end.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None,
        template: str | None,
        end_of_turn: str | None,
        learnt: Learnt = ASSISTANT,
    ) -> None:
        lean.transformers()
        from transformers import AutoTokenizer
        from transformers.utils import logging

        templates.cap()
        logging.set_verbosity_error()  # what matters of its remarks is asked below, and said in our words
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=False)
        if template is not None:
            self.tokenizer.chat_template = template
        if not self.tokenizer.chat_template:
            raise ValueError("the model's tokenizer has no chat template; name one in model.template")
        if not (stop := end_of_turn or self.tokenizer.eos_token):
            raise ValueError(
                "the model's tokenizer has no token that ends a turn; name the template's in model.end_of_turn"
            )
        self.stop: str = stop
        self.learnt = learnt

    def _text(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, prompt: bool = False
    ) -> str:
        from jinja2 import TemplateError

        try:
            # As a batch of one: alone, transformers refuses the empty beginning of what starts with an answer.
            (text,) = self.tokenizer.apply_chat_template(
                [messages], tools=tools, tokenize=False, add_generation_prompt=prompt
            )
            return str(text)
        except (TemplateError, TypeError, ValueError, KeyError) as e:
            raise Unrenderable(str(e).splitlines()[0][:500] if str(e) else type(e).__name__) from None

    def prompt(self, messages: Sequence[Message], tools: list[dict[str, Any]]) -> list[int]:
        """Token ids of a conversation up to where the assistant goes on. Raises Unrenderable, or Lost where the model
        would not see what the system or the user says, or one of the tools."""
        asked = [for_template(m) for m in messages]
        text = self._text(asked, tools or None, prompt=True)
        for n, message in enumerate(messages, 1):
            if message.role in ("system", "user") and not _holds(text, (message.content or "").strip()):
                raise Lost(f"the {message.role} text (message {n})")
        without = self._text(asked, None, prompt=True) if tools else text
        for name in [tool["function"]["name"] for tool in tools]:
            if text.count(name) <= without.count(name):
                raise Lost(f"the tool {name!r}")
        return list(self._tokens(text)["input_ids"])

    def _tokens(self, text: str, **more: Any) -> Any:
        """Raises StepError where the tokenizer's own patterns have no end: its library panics then."""
        try:
            return self.tokenizer(text, add_special_tokens=False, **more)
        except BaseException as e:
            if type(e).__name__ != "PanicException":
                raise
            raise StepError(
                "render", f"the model's tokenizer cannot read a text: {e}; name another model"
            ) from None

    def render(self, record: Record) -> Rendered:
        """Render and mark one record. Raises Unrenderable, or Lost where a part of it is missing."""
        messages, tools = [for_template(m) for m in record.messages], record.tools or None
        whole = self._text(messages, tools)
        spans: list[tuple[int, int]] = []
        borders: list[int] = []
        learnt = self.learnt.of(record.messages)
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
                borders.append(len(start))
                if learnt[n]:
                    spans.append((_begin(upto, len(start), message), end + len(self.stop)))
            segment = upto[len(before) :] if upto.startswith(before) else upto
            _check(message, segment, n)
            if learnt[n] and message.role != "assistant":
                spans += self._said(message, upto, len(upto) - len(segment), n)
            if upto is not whole:
                before = upto
        if tools:
            self._check_tools(messages, tools, whole)
        return self._marked(whole, spans, borders)

    def _said(self, message: Message, upto: str, begin: int, n: int) -> Iterator[tuple[int, int]]:
        """Where a turn that is not the assistant's says what it says, and the stop token, if that comes right after."""
        text = message.content or ""
        if not text or (at := upto.find(text, begin)) < 0:
            raise Lost(
                f"message {n + 1} word for word; so it cannot be trained: leave its role out of train.roles"
            )
        end = at + len(text)
        stop = upto.find(self.stop, end)
        yield (at, stop + len(self.stop)) if stop == end else (at, end)
        if stop > end and not upto[end:stop].strip():
            yield stop, stop + len(self.stop)

    def _prefix(self, messages: list[dict[str, Any]], tools: Any, whole: str) -> str:
        """The rendering of the first messages, where a template gives one that the whole begins with."""
        try:
            text = self._text(messages, tools)
        except Unrenderable:
            return whole  # some templates refuse conversations that stop in mid-air
        return text if whole.startswith(text) else whole

    def _check_tools(self, messages: list[Any], tools: list[dict[str, Any]], whole: str) -> None:
        without = self._text(messages, None)
        for n, tool in enumerate(tools):
            function = tool["function"]
            if any(whole.count(form) > without.count(form) for form in _written(function)):
                continue
            for leaf in _leaves(function):
                # The words may stand elsewhere too: the tools must have added them.
                leaf = leaf.strip()  # a description may end in a line that templates leave out
                if leaf and not any(whole.count(form) > without.count(form) for form in _forms(leaf)):
                    raise Lost(f"tool {function['name']!r} of the schema ({leaf!r})")
            if whole.count(function["name"]) <= without.count(function["name"]):
                raise Lost(f"the schema of tool {function['name']!r}")
            # What may be left out is said by no word: a schema without it must read otherwise.
            parameters = function.get("parameters")
            if isinstance(parameters, dict) and parameters.get("required"):
                free = {k: v for k, v in parameters.items() if k != "required"}
                less = [*tools[:n], {**tool, "function": {**function, "parameters": free}}, *tools[n + 1 :]]
                if self._same(messages, less, whole):
                    raise Lost(f"tool {function['name']!r} of the schema (required)")

    def _same(self, messages: list[Any], tools: list[dict[str, Any]], whole: str) -> bool:
        try:
            return self._text(messages, tools) == whole
        except Unrenderable:
            return False  # it cannot do without what was taken out, so it says it

    def _marked(self, text: str, spans: list[tuple[int, int]], borders: list[int]) -> Rendered:
        """`borders`: where prompts end. The model never sees a token that lies across one of them."""
        encoded = self._tokens(text, return_offsets_mapping=True)
        offsets: list[tuple[int, int]] = encoded["offset_mapping"]
        starts = [a for a, _ in offsets]
        for at in borders:
            n = bisect_left(starts, at) - 1
            if n >= 0 and offsets[n][1] > at:
                joined = text[slice(*offsets[n])]
                raise Unrenderable(f"the tokenizer joins an answer's beginning to its prompt: {joined!r}")
        trained = [any(a < end and at < b for a, b in spans) for at, end in offsets]
        return Rendered(text, list(encoded["input_ids"]), trained, spans)


def _begin(text: str, at: int, message: Message) -> int:
    """Where a turn begins to say something: behind white space that the template puts between prompt and text.

    Nobody can tell such a space from the prompt's, unless the tokenizer joins it to the first word.
    """
    content = message.content or ""
    spaces = len(text) - at - len(text[at:].lstrip()) if text[at : at + 1].isspace() else 0
    return at + max(0, spaces - (len(content) - len(content.lstrip())))


def _check(message: Message, segment: str, n: int) -> None:
    """Raise Lost unless all that a message says stands in its own part of the rendering."""
    place = f"message {n + 1}"
    if message.content and not _holds(segment, message.content):
        what = {"system": "the system text", "tool": "the tool's result"}.get(message.role)
        raise Lost(f"{what or f'the {message.role} text'} ({place})")
    for call in message.tool_calls:
        if call.function.name not in segment:
            raise Lost(f"the call of tool {call.function.name!r} ({place})")
        arguments = json.loads(call.function.arguments)
        if any(form in segment for form in _written(arguments)):
            continue
        for word, times in Counter(_words(arguments)).items():
            python = segment.count(_PYTHON[word]) if word in _PYTHON else 0
            if word and not _holds(segment, word) and not python:
                raise Lost(f"an argument of tool {call.function.name!r}, {word!r} ({place})")
            if word in _PYTHON and segment.count(word) + python < times:
                raise Lost(f"an argument of tool {call.function.name!r}, {word!r} ({place})")
