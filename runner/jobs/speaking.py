"""One arm answers one request: the prompt as the template writes it, tokens one after the other, forced calls.

A call that a client demands (`tool_choice` required, or a tool by name) is begun for the model: the template itself
writes how a call of that tool starts, and the model goes on from there. Of several tools it gets the one whose
beginning it finds likeliest. What comes of it must be a whole call, or the request fails.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner import templates
from runner.calls import MARKS, OPEN, form_of
from runner.chat import for_template
from runner.jobs.chatapi import MOST_NEW, Ask, Refused
from runner.jobs.generate import spoken
from runner.jobs.loading import Loaded
from runner.jobs.said import Answer, Detokenizer, Stops
from runner.record import FunctionCall, Message, ToolCall

_KEY = "argument_to_cut_at"


@dataclass(frozen=True)
class Prompt:
    """Token ids up to the assistant's turn, how many may follow, and beginnings of calls to choose from, by tool."""

    ids: list[int]
    most: int
    starts: dict[str, list[int]]


@dataclass(frozen=True)
class Spoken:
    """How an answer ended: `finish` as OpenAI calls it, and how many tokens were made."""

    finish: str
    tokens: int


class Voice:
    """A loaded arm. Not for two threads at once; `prompt` may be asked meanwhile."""

    def __init__(self, loaded: Loaded, limit: int) -> None:
        self.loaded = loaded
        self.limit = min(limit, loaded.limit) if limit else loaded.limit
        template = loaded.tokenizer.chat_template or ""
        self.form = form_of(template)
        self.reads_calls = self.form != "hermes" or OPEN in template

    def prompt(self, ask: Ask) -> Prompt:
        """What the model is to go on from. Raises Refused."""
        if ask.tools and not self.reads_calls:
            what = (
                "the model's template writes no tool calls, or in a form that this server does not read; leave the "
                "tools out"
            )
            raise Refused(what, param="tools", code="unsupported_parameter")
        text = self._render(ask.messages, ask.tools, prompt=True)
        starts = {name: self._ids(self._start(ask, text, name)) for name in ask.forced}
        ids = self._ids(text)
        room = self.limit - len(ids) - max(map(len, starts.values()), default=0)
        most = MOST_NEW if ask.most is None else ask.most
        if room < (1 if ask.most is None else ask.most):
            what = f"the prompt has {self.limit - room} tokens"
            what += f", and {most} more were asked for" if ask.most is not None else ""
            raise Refused(
                f"{what}: the model holds {self.limit}", param="messages", code="context_length_exceeded"
            )
        return Prompt(ids, min(most, room), starts)

    def _render(self, messages: list[Message], tools: list[dict[str, Any]], *, prompt: bool) -> str:
        from jinja2 import TemplateError

        try:
            return str(
                self.loaded.tokenizer.apply_chat_template(
                    [for_template(m) for m in messages],
                    tools=tools or None,
                    add_generation_prompt=prompt,
                    tokenize=False,
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError) as e:
            why = (str(e) or type(e).__name__).splitlines()[0]
            raise Refused(f"the model's template refuses these messages: {why}", param="messages") from None
        except templates.TooMuch as e:
            raise Refused(f"the model's template {e}", param="messages") from None

    def _ids(self, text: str) -> list[int]:
        return list(self.loaded.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _start(self, ask: Ask, prompt: str, name: str) -> str:
        """How the template begins a call of the tool: all before its first argument, cut at the last whole token."""
        call = Message("assistant", None, [ToolCall("call00000", FunctionCall(name, f'{{"{_KEY}":0}}'))])
        whole = self._render([*ask.messages, call], ask.tools, prompt=False)
        at = whole.rfind(_KEY)
        start = whole[len(prompt) : whole.rfind("{", 0, max(at, 0))]
        if not whole.startswith(prompt) or at < 0 or name not in start:
            what = "the model's template does not let a call be begun for it: tool_choice can be auto or none"
            raise Refused(what, param="tool_choice", code="unsupported_parameter")
        # A token that holds the brace too is the model's to say: begun in two, it would be one never seen in training.
        offsets = self.loaded.tokenizer(
            whole[len(prompt) :], add_special_tokens=False, return_offsets_mapping=True
        )["offset_mapping"]
        return start[: max(end for _, end in offsets if end <= len(start))]

    def say(
        self, ask: Ask, prompt: Prompt, send: Callable[[str], None], gone: threading.Event
    ) -> tuple[Spoken, Answer]:
        """Answer, sending text as it comes; ends early once `gone` is set. Raises Refused where a demanded call
        fails."""
        import torch
        from transformers import GenerationConfig

        tokenizer = self.loaded.tokenizer
        answer = Answer(self.form if ask.tools else None, ask.one_call)
        stops, text = Stops(ask.stop), Detokenizer(self._decode)
        begun = self._likeliest(prompt) if prompt.starts else []
        if begun:
            send(answer.add(self._decode(begun)))
        made: list[int] = []

        def next_token(ids: Any, scores: Any, **_: Any) -> Any:
            token = int(ids[0, -1])
            made.append(token)
            if token not in self.loaded.stops and (piece := stops.add(text.add([token]))):
                send(answer.add(piece))
            over = stops.hit or gone.is_set()
            return torch.full((ids.shape[0],), over, dtype=torch.bool, device=ids.device)

        pad = tokenizer.pad_token_id
        pad = self.loaded.stops[0] if pad is None and self.loaded.stops else pad or 0
        sampling = {"temperature": ask.temperature, "top_p": ask.top_p, "top_k": 0}
        self.loaded.model.generation_config = GenerationConfig(
            do_sample=ask.temperature > 0,
            max_new_tokens=prompt.most,
            eos_token_id=list(self.loaded.stops) or None,
            pad_token_id=pad,
            **(sampling if ask.temperature > 0 else {}),
        )
        if ask.seed is None:
            torch.seed()
        else:
            torch.manual_seed(ask.seed)
        ids = torch.tensor([prompt.ids + begun], device=self.loaded.model.device)
        with torch.inference_mode():
            self.loaded.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), stopping_criteria=[next_token]
            )
        if not stops.hit:
            send(answer.add(stops.add(text.rest()) + stops.rest()))
        send(answer.end())
        ended = stops.hit or (bool(made) and made[-1] in self.loaded.stops)
        if begun and not answer.calls and not gone.is_set():
            why = answer.reason or "the call was not ended"
            what = f"a tool had to be called, but the model made no valid call: {why}"
            raise Refused(what, status=500, code="no_valid_call")
        finish = "tool_calls" if answer.calls else "stop" if ended else "length"
        return Spoken(finish, len(begun) + len(made)), answer

    def _decode(self, ids: list[int]) -> str:
        return spoken(self.loaded.tokenizer, ids, MARKS.get(self.form))

    def _likeliest(self, prompt: Prompt) -> list[int]:
        """Of the beginnings, the one that the model itself would most probably write."""
        import torch

        starts = list(prompt.starts.values())
        if len(starts) == 1:
            return starts[0]
        found = []
        for start in starts:
            ids = torch.tensor([prompt.ids + start], device=self.loaded.model.device)
            with torch.inference_mode():
                logits = self.loaded.model(input_ids=ids, use_cache=False).logits[0, -len(start) - 1 : -1]
            logs = torch.log_softmax(logits.float(), -1)
            found.append(float(logs.gather(1, ids[0, -len(start) :, None]).sum()))
        return starts[found.index(max(found))]
