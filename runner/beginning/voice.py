"""A suite that hears a voice: questions that training never saw, and the answers to them as the voice to be heard.

The judge `style` learns to tell the user's own answers from plain ones (datasets/plain-answers.jsonl), and says how
well it can. Only questions are taken that are asked once: decontamination drops whatever shares their words, and a
question that many rows ask would take all of these with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import to_builtins

from runner import library
from runner.contamination import Contamination, plain
from runner.record import Record

FEWEST = 40
"""Texts of a voice from which the judge tells it apart well enough."""
_MOST = 60
_SHARE = 6  # no more than one of so many is held out
_WORDS = (8, 250)  # of an answer


def pairs(records: Sequence[Record]) -> list[tuple[Record, str]]:
    """(conversation up to its question, answer) of some that are fit to be held out; none where they are too few."""
    fit = [n for n, record in enumerate(records) if _fit(record)]
    looked = Contamination([_question(records[n]) for n in fit])
    often = set[int]()  # of two that share words, whether both are fit or not
    for n, record in enumerate(records):
        said = [m.content or "" for m in record.messages if m.role in ("user", "assistant")]
        often |= {x for hit in looked.hits(said) if hit is not None and fit[hit] != n for x in (fit[hit], n)}
    alone = [n for n in fit if n not in often]
    many = min(len(alone), len(records) // _SHARE, _MOST)
    if many < FEWEST:
        return []
    return [_pair(records[alone[i * len(alone) // many]]) for i in range(many)]


def _fit(record: Record) -> bool:
    low, high = _WORDS
    return (
        [m.role for m in record.messages if m.role != "system"][:2] == ["user", "assistant"]
        and not record.tools
        and len(plain(_question(record)).split()) >= 3
        and low <= len(_pair(record)[1].split()) <= high
    )


def _question(record: Record) -> str:
    return next(m.content or "" for m in record.messages if m.role == "user")


def _pair(record: Record) -> tuple[Record, str]:
    at = next(n for n, m in enumerate(record.messages) if m.role == "user") + 1
    return Record(record.messages[:at]), record.messages[at].content or ""


def files(name: str, found: Sequence[tuple[Record, str]]) -> dict[str, str]:
    """The probes and the judge's texts, by their place under evals/."""
    probes = [
        {"id": f"{name}-{n:02}", "messages": to_builtins(record.messages)}
        for n, (record, _) in enumerate(found, 1)
    ]
    own = [_text(answer, "persona", f"own {n}", "voice") for n, (_, answer) in enumerate(found, 1)]
    others = [_text(answer, "plain", f"plain {n}", "modern") for n, answer in enumerate(_plain(), 1)]
    return {
        f"probes/{name}-questions.jsonl": _lines(probes),
        f"probes/{name}-texts.jsonl": _lines([*own, *others]),
    }


def _text(text: str, label: str, group: str, kind: str) -> dict[str, str]:
    return {"text": text, "label": label, "group": group, "kind": kind}


def _plain() -> Iterator[str]:
    path = library.find("datasets/plain-answers.jsonl")
    assert path is not None
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["messages"][-1]["content"]


def _lines(rows: Sequence[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def suite(name: str, of: str, modeline: str) -> str:
    """The suite's YAML."""
    return (
        f"# yaml-language-server: $schema={modeline}\n"
        "suite: 1\n"
        f"name: {name}\n"
        f"description: Questions of {of} that training never saw. Does the answer sound like yours or like anybody's?\n"
        f"probes: probes/{name}-questions.jsonl\n"
        "max_new_tokens: 64\n"
        "judge:\n"
        f"  style: {{texts: probes/{name}-texts.jsonl}}   # your answers, and plain ones by others\n"
    )
