"""A document's passages as chat records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from runner import textscan
from runner.passages.asking import (
    ask,
    askable,
    beginning,
    branded,
    kind_of,
    names,
    pick,
    speakers,
    unbranded,
)
from runner.passages.cutting import cut, sentences
from runner.passages.dialogue import exchange
from runner.passages.headings import LONGEST_CHARS as LONGEST_HEADING
from runner.passages.headings import behead, name, sections, words_of
from runner.passages.notes import noted
from runner.passages.phrases import topics
from runner.recipe import Passages
from runner.record import Document, Message, Record, Rejected

_TURNED = {"instruct": "what-asked", "rewrite": "what-notes"}
_FEWEST_BEFORE = 25  # words of what is to be continued; fewer say nothing of what comes
_MOST_BEFORE = 100
_LONGEST_HEADING = 400  # characters, in `meta`


class _Passage(NamedTuple):
    text: str
    above: Sequence[str]  # the passages before it under the same heading, the last few
    topic: str
    id: str
    known: Mapping[str, str]


class _Made(NamedTuple):
    """A conversation; without messages, why there is none."""

    messages: list[Message]
    why: str = ""


def _ending(passages: Sequence[str], most: int = _MOST_BEFORE) -> str:
    """Whole sentences from the end of what stands before: enough to go on from; "" where there is too little.

    Paragraphs stay parted. It ends at the first sentence that makes it enough, or where more would be too much.
    """
    taken: list[str] = []
    count = 0
    for paragraph in reversed([p for passage in passages for p in passage.split("\n\n")]):
        found = list(sentences(paragraph))
        for n, (parted, sentence) in enumerate(reversed(found)):
            words = len(sentence.split())
            if count >= _FEWEST_BEFORE or (count and count + words > most):
                return "".join(taken).strip() if count >= _FEWEST_BEFORE else ""
            taken = [parted if n + 1 < len(found) else "\n\n", sentence, *taken]
            count += words
    return "".join(taken).strip() if count >= _FEWEST_BEFORE else ""


def _asked(p: _Passage, seed: int, said_by: str) -> str:
    """An instruction that can be answered without any other text; "" where nothing to ask by is known."""
    own = {
        "topic": p.topic,
        "first": beginning(p.text),
        "kind": kind_of(p.text),
        "speakers": speakers(p.text),
    }
    known = {**p.known, **{k: v for k, v in own.items() if v}}
    # Who is to tell from the passage what was asked can tell its topic, not the chapter that it is from.
    must = "topic" if said_by == "user" else ""
    return ask("instruct", known, seed, p.id, must) if askable("instruct", known) else ""


def _opening(p: _Passage, seed: int) -> str:
    first = beginning(p.text)
    return ask("openings", {**p.known, **({"first": first} if first else {})}, seed, p.id)


def _messages(kind: str, p: _Passage, wanted: Passages, seed: int) -> _Made:
    """The conversation of that kind, or why the passage gives none."""
    if kind == "none":
        return _Made([Message("assistant", p.text)])
    if kind == "question":
        lines = exchange(p.text)
        made = [Message("assistant" if n % 2 else "user", line) for n, line in enumerate(lines)]
        return _Made(made, "no dialogue that is clearly two speakers'")
    asked, why = "", "nothing to ask for it by: no key phrase, name or title"
    if kind == "continue":
        why = "too little before it to go on from"
        asked = _ending(p.above) if p.above else _opening(p, seed)
    elif kind == "rewrite":
        asked, why = noted(p.text)
    else:
        asked = _asked(p, seed, wanted.said_by)
    if not asked:
        return _Made([], why)
    if wanted.said_by == "user":
        question = ask(_TURNED[kind], {"passage": p.text}, seed, p.id)
        return _Made([Message("user", question), Message("assistant", asked)])
    if kind == "rewrite":
        asked = ask("rewrite", {**p.known, "notes": asked}, seed, p.id)
    return _Made([Message("user", asked), Message("assistant", p.text)])


class _Piece(NamedTuple):
    """A passage before it becomes a record: its heading if one stands right above it, those above it if none does."""

    text: str
    heading: str
    above: Sequence[str]
    chapter: str  # the name of the section that it is in; "" where it is the document's


def _pieces(document: Document, words: tuple[int, int]) -> Iterator[_Piece]:
    title, chapter = document.meta.get("title", ""), document.meta.get("chapter", "")
    for section in sections(document.text, title, chapter, capitals=not chapter):
        own = name(section.heading)
        # A title page is no chapter.
        named = set(words_of(title)) - {"complete"}
        own = "" if named and named <= set(words_of(own)) else own
        above: list[str] = []
        for n, passage in enumerate(cut(section.text, words)):
            heading, text = behead(passage)
            if heading:
                above = []
            yield _Piece(text, heading or ("" if n else section.heading), tuple(above[-3:]), own)
            above.append(text)


@lru_cache
def _kinds(wanted: Passages) -> tuple[Mapping[str, float], frozenset[str]]:
    """The shares of the kinds of prompts, and which kinds there are at all."""
    shares: dict[str, float] = msgspec.to_builtins(wanted.prompts) if wanted.prompts else {wanted.prompt: 1.0}
    some = {kind for kind, share in shares.items() if share}
    return shares, frozenset(some | ({wanted.otherwise} if wanted.otherwise else set()))


def _is_one(text: str, most: int) -> bool:
    """Whether a text is plainly one passage without a heading, as a row of a table is: no need to look for more."""
    if "\n" in text or len(text) <= LONGEST_HEADING:
        return False
    return len(text) < 2 * most or textscan.words(text, most) <= most


def to_records(
    document: Document, wanted: Passages | None = None, *, seed: int = 0
) -> Iterator[Record | Rejected]:
    """The document's passages as chat records, one record a passage, each id the document's and a number.

    Headings are no part of a passage; the one above it stands in `meta["heading"]`. A passage of which its kind of
    prompt can make nothing gets the kind that `otherwise` names, or is yielded as Rejected; so is one in which
    Project Gutenberg speaks (see `branded`), and a document without text. Everything else in `meta` is the
    document's, but for Project Gutenberg's name in the title. Raises ValueError for a kind that has nothing to turn
    round (`said_by: user`).
    """
    wanted = wanted or Passages()
    shares, kinds = _kinds(wanted)
    if wanted.said_by == "user" and kinds - set(_TURNED):
        raise ValueError(
            f"said_by: user goes with instruct and rewrite, not with {min(kinds - set(_TURNED))}"
        )
    whole, origin = document.meta.get("id", ""), document.meta.get("origin", "")
    meta = {**document.meta, "group": document.meta.get("group") or whole}
    if "title" in meta:
        meta["title"] = unbranded(meta["title"])
    if kinds == {"none"} and _is_one(document.text, wanted.words[1]) and not branded(document.text):
        yield Record([Message("assistant", document.text)], meta={**meta, "id": f"{whole}/0001"})
        return
    known = names(document.meta)
    pieces = list(_pieces(document, wanted.words))
    if not pieces:
        yield Rejected(whole, "a document without text", origin=origin)
    about = topics([p.text for p in pieces]) if "instruct" in kinds else iter([""] * len(pieces))
    for number, (piece, topic) in enumerate(zip(pieces, about, strict=True), start=1):
        record_id = f"{whole}/{number:04d}"
        own = {**known, **({"chapter": piece.chapter} if piece.chapter and "chapter" not in meta else {})}
        topic = "" if branded(topic) else topic  # of a mention in quotes, without them
        p = _Passage(piece.text, piece.above, topic, record_id, own)
        kind = pick(shares, seed, "prompt", record_id)
        made = _messages(kind, p, wanted, seed)
        if not made.messages and wanted.otherwise:
            made = _messages(wanted.otherwise, p, wanted, seed)
        if made.messages and any(branded(m.content or "") for m in made.messages):
            made = _Made([], "it names Project Gutenberg")
        if made.messages:
            heading = {"heading": piece.heading[:_LONGEST_HEADING]} if piece.heading else {}
            yield Record(made.messages, meta={**meta, "id": record_id, **heading})
        else:
            yield Rejected(record_id, made.why, raw=piece.text, left_out=True, origin=origin)
