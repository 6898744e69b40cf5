"""Asking a teacher about one row: twice where the first answer is bad, within what may be spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from runner import contract, teaching
from runner.fetching import Fetcher, Item, Paid, Unfetched
from runner.record import Record
from runner.teaching import Asked, Exchange, Format, Task, answers
from runner.teaching.prompting import Prompt
from runner.teaching.spending import Purse, Spent, estimate

MOST = 4 << 20  # bytes of an answer


def recorded(task: Task, asked: Asked, reply: answers.Reply, schema: dict[str, Any]) -> Record:
    """The record that an answer makes, without its own provenance. Raises Unfit."""
    if reply.unfit:
        raise answers.Unfit(reply.unfit)
    messages = teaching.messages(task, asked, answers.parsed(reply.text, schema))
    record = Record(messages, tools=asked.tools, tags=asked.tags | asked.variables, meta=asked.meta)
    if reason := contract.broken(record):
        raise answers.Unfit(reason)
    return record


@dataclass(frozen=True)
class Asker:
    """Asks about one row at a time."""

    net: Fetcher
    model: str
    task: Task
    template: Prompt
    schema: dict[str, Any]
    format: Format
    persona: str
    system: str
    temperature: float | None
    max_tokens: int

    def ask(self, asked: Asked, purse: Purse) -> Item:
        """The row's item: the first answer, or where that is bad the second. Raises BadPrompt, Spent, Unfetched."""
        prompt, note = self.template.render(asked.values(self.persona)), ""
        meta = {"origin": self.model} | ({"of": asked.meta["id"]} if "id" in asked.meta else {})
        counted = [0, 0]
        for again in (0, 1):
            body = teaching.request(
                model=self.model,
                prompt=prompt,
                system=self.system,
                schema=self.schema,
                format=self.format,
                note=note,
                temperature=self.temperature,
                max_tokens=self.max_tokens,
                seed=teaching.draw(f"{self.net.seed}/{asked.key}/{again}") % 2**31,
            )
            try:
                purse.reserve(len(body), self.max_tokens)
                raw = self._post(body)
            except (Spent, Unfetched):
                if not again:
                    raise
                break  # a bad answer is there, and is kept
            answer = raw.decode("utf-8", "backslashreplace")  # what is not UTF-8 is then no JSON either
            reply = answers.reply(answer)
            known = reply.tokens_in is not None and reply.tokens_out is not None
            if known:
                purse.learn(len(body), reply.tokens_in or 0)
                spent = (reply.tokens_in or 0, reply.tokens_out or 0)
            else:
                said = reply.text.encode("utf-8", "backslashreplace") or raw
                spent = (purse.prompt(len(body)), min(estimate(len(said)), self.max_tokens))
            purse.spend(*spent)
            counted = [a + b for a, b in zip(counted, spent, strict=True)]
            kept = self.net.store([msgspec.json.encode(Exchange(asked, answer))])
            tokens_in, tokens_out = counted
            cost = purse.costs(tokens_in, tokens_out) if purse.price else None
            meta |= Paid(1, tokens_in, tokens_out, cost).meta()
            if not known:
                meta["tokens_counted"] = "estimated"
            try:
                recorded(self.task, asked, reply, self.schema)
                break
            except answers.Unfit as e:
                if not again:
                    meta["first_answer"] = str(e)[:200]
                    note = f"An earlier answer could not be used ({_plain(str(e))}). Answer again, with the JSON alone."
        return Item(asked.key, kept, meta)

    def _post(self, body: bytes) -> bytes:
        key = self.net.setting("teacher_key")
        got = self.net.get(
            self.net.setting("teacher_url") + "/chat/completions",
            accept="application/json",
            most=MOST,
            robots=False,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            body=body,
        )
        return got.bytes()


def _plain(reason: str) -> str:
    return " ".join(reason.split())[:200]
