"""A document's passages as chat records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from runner.passages.asking import ask, beginning, names, pick
from runner.passages.cutting import cut, sentences
from runner.passages.dialogue import exchange
from runner.passages.notes import notes
from runner.passages.phrases import topics
from runner.recipe import Passages
from runner.record import Document, Message, Record, Rejected

_LACKS = {"question": "no dialogue that is clearly two speakers'", "rewrite": "too little in it for notes"}
_TURNED = {"instruct": "what-asked", "rewrite": "what-notes"}


class _Passage(NamedTuple):
    text: str
    before: str
    topic: str
    id: str


def _ending(passage: str, fewest: int = 12, most: int = 80) -> str:
    """The last sentence, or the last few where it is short."""
    taken: list[str] = []
    count = 0
    for parted, sentence in reversed(list(sentences(passage.split("\n\n")[-1]))):
        n = len(sentence.split())
        if count and (count >= fewest or count + n > most):
            break
        taken = [parted, sentence, *taken]
        count += n
    return "".join(taken).strip()


def _asked(kind: str, p: _Passage, known: Mapping[str, str], seed: int, said_by: str) -> str:
    """What the user says to have the passage said; "" where that kind has nothing to say."""
    if kind == "continue":
        return _ending(p.before) if p.before else ask("openings", known, seed, p.id)
    if kind == "rewrite":
        noted = notes(p.text)
        return ask("rewrite", {**known, "notes": noted}, seed, p.id) if noted else ""
    own = {"first": beginning(p.text), "topic": p.topic}
    # Who is to tell from the passage what was asked can tell its topic, not "go on with your story".
    must = "topic" if said_by == "user" else ""
    return ask("instruct", {**known, **{k: v for k, v in own.items() if v}}, seed, p.id, must)


def _messages(kind: str, p: _Passage, wanted: Passages, known: Mapping[str, str], seed: int) -> list[Message]:
    """The conversation of that kind; empty where the passage gives none."""
    if kind == "none":
        return [Message("assistant", p.text)]
    if kind == "question":
        lines = exchange(p.text)
        return [Message("assistant" if n % 2 else "user", line) for n, line in enumerate(lines)]
    if wanted.said_by == "user":
        answer = notes(p.text) if kind == "rewrite" else _asked(kind, p, known, seed, wanted.said_by)
        question = ask(_TURNED[kind], {"passage": p.text}, seed, p.id)
        return [Message("user", question), Message("assistant", answer)] if answer else []
    asked = _asked(kind, p, known, seed, wanted.said_by)
    return [Message("user", asked), Message("assistant", p.text)] if asked else []


def to_records(
    document: Document, wanted: Passages | None = None, *, seed: int = 0
) -> Iterator[Record | Rejected]:
    """The document's passages as chat records, one record a passage, each id the document's and a number.

    A passage of which its kind of prompt can make nothing gets the kind that `otherwise` names, or is yielded as
    Rejected; so is a document without text. Everything else in `meta` is the document's. Raises ValueError for
    a kind that has nothing to turn round (`said_by: user`).
    """
    wanted = wanted or Passages()
    shares: dict[str, float] = msgspec.to_builtins(wanted.prompts) if wanted.prompts else {wanted.prompt: 1.0}
    kinds = {
        *(kind for kind, share in shares.items() if share),
        *([wanted.otherwise] if wanted.otherwise else []),
    }
    if wanted.said_by == "user" and kinds - set(_TURNED):
        raise ValueError(
            f"said_by: user goes with instruct and rewrite, not with {min(kinds - set(_TURNED))}"
        )
    whole = document.meta.get("id", "")
    meta = {**document.meta, "group": document.meta.get("group") or whole}
    known = names(document.meta)
    passages = cut(document.text, wanted.words)
    if not passages:
        yield Rejected(whole, "a document without text")
    about = topics(passages) if "instruct" in kinds else iter([""] * len(passages))
    for number, (text, topic) in enumerate(zip(passages, about, strict=True), start=1):
        record_id = f"{whole}/{number:04d}"
        p = _Passage(text, passages[number - 2] if number > 1 else "", topic, record_id)
        kind = pick(shares, seed, "prompt", record_id)
        messages = _messages(kind, p, wanted, known, seed)
        if not messages and wanted.otherwise:
            messages = _messages(wanted.otherwise, p, wanted, known, seed)
        if messages:
            yield Record(messages, meta={**meta, "id": record_id})
        else:
            yield Rejected(record_id, _LACKS[kind], raw=text, left_out=True)
