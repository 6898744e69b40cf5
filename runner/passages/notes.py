"""Plain notes of a passage: what it says sentence by sentence, in its own words, without its manner of saying it.

Articles, pronouns, auxiliaries and asides go (datasets/prompts/english.yaml says which words); what carries matter
stays in its order: "- old lady pulled spectacles down, looked over about room".
"""

from __future__ import annotations

import re

from runner.passages.cutting import sentences
from runner.passages.english import plain, words

_TOKEN = re.compile(r"[^\W_]+(?:[.,:’'-][^\W_]+)*|[,;:—–()]|--")
_CLAUSE = re.compile(r"[;:—]|--")
_LONG_SENTENCE = 25  # words; a longer one makes a note a clause
_MOST_WORDS = 14  # of one note
_MOST_SHARE = 0.45  # of the passage's words, in all notes; more would be the passage itself
_MOST_NOTES = 8
_FEWEST_WORDS = 3
_READ = 100_000  # characters of a passage that are looked at
_NEGATIONS = frozenset(("no", "not", "never", "nor", "neither", "cannot"))


def _note(sentence: str) -> list[str]:
    """The words of one sentence that carry matter, joined by the small words that stand between two of them."""
    function, joining = words("function"), words("joining")
    kept, between, negated, parted, count = list[str](), list[str](), "", False, 0
    broken = False  # whether a word that is left out stands after the small words
    for token in _TOKEN.findall(sentence):
        word = plain(token)
        if not token[0].isalnum():
            between, parted = [], bool(kept)
        elif word in _NEGATIONS or word.endswith("n't"):
            negated = word if word in _NEGATIONS else "not"  # left out, it would turn the sense round
        elif word in function:
            if word in joining:
                between = [word] if broken else [*between, word]
            broken = word not in joining
        else:
            if count == _MOST_WORDS:
                return _to_comma(kept)
            if parted and kept:
                kept[-1] = kept[-1].rstrip(",") + ","
            kept += [w for w in (negated, *(between if kept else [])) if w]
            kept.append(token.capitalize() if token.isupper() and set(token) - set("IVXLC") else token)
            between, negated, parted, broken, count = [], "", False, False, count + 1
    return kept if count >= _FEWEST_WORDS else []


def _to_comma(kept: list[str]) -> list[str]:
    """A note that is cut short ends at its last comma, if half of it stands before."""
    ends = [i for i, w in enumerate(kept) if w.endswith(",") and 2 * i >= len(kept)]
    return [*kept[: ends[-1]], kept[ends[-1]].rstrip(",")] if ends else kept


def notes(passage: str) -> str:
    """Notes, one a line; "" where the passage says too little for two of them."""
    passage = passage[:_READ]
    found = [
        _note(clause)
        for paragraph in passage.split("\n\n")
        for _, sentence in sentences(paragraph)
        for clause in (_CLAUSE.split(sentence) if len(sentence.split()) > _LONG_SENTENCE else [sentence])
    ]
    room = int(_MOST_SHARE * len(passage.split()))
    chosen: list[int] = []
    # The fullest sentences tell most.
    for i in sorted(range(len(found)), key=lambda i: (-len(found[i]), i)):
        if found[i] and len(found[i]) <= room and len(chosen) < _MOST_NOTES:
            chosen.append(i)
            room -= len(found[i])
    return "\n".join("- " + " ".join(found[i]) for i in sorted(chosen)) if len(chosen) > 1 else ""
