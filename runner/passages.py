"""Plain text → chat records: passages cut at paragraph ends, each the answer to a prompt."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from string import Formatter
from typing import Literal, NamedTuple

from runner.library import find
from runner.record import Document, Message, Record

Prompt = Literal["instruct", "continue", "none"]

# A sentence ends with its stop, closing quotes, and a space before a capital, quote or digit; a
# verse
# line's end will do. "Mr. Smith" and "J. P. Morgan" are no ends.
_SENTENCE = re.compile(
    r"(?:[.!?…]+[\"'”’»)\]_*]*(?:\s+|(?=--))(?=[\"'“‘«(\[_]*[^\W_a-zà-öø-ÿ])|[。！？]+[」』”]*\s*|\n+)"
)
_ABBREVIATED = re.compile(
    r"(?:\b(?:mr|mrs|ms|messrs|dr|prof|st|rev|hon|gen|col|capt|lieut|maj|sergt|sgt|jr|sr|esq|vol|"
    r"no|nos|vs|etc|cf|viz|i\.e|e\.g)|\b[A-Z])\.\s+$",
    re.I,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_COMMON_SHARE = 0.2  # words that stand in more of a document's passages than this name no topic


class _Unit(NamedTuple):
    """A piece that is never cut: what parts it from the piece before, its text, its words."""

    parted: str
    text: str
    words: int


def _sentences(paragraph: str) -> Iterator[tuple[str, str]]:
    """(space before, sentence), in order; together they are the paragraph."""
    at, parted = 0, ""
    for found in _SENTENCE.finditer(paragraph):
        if found.end() == len(paragraph) or _ABBREVIATED.search(paragraph[at : found.end()]):
            continue
        sentence = paragraph[at : found.end()]
        body = sentence.rstrip()
        if not body:
            continue
        yield parted, body
        parted, at = sentence[len(body) :], found.end()
    yield parted, paragraph[at:]


def _units(text: str, most: int) -> Iterator[_Unit]:
    """Paragraphs; those longer than `most` words as runs of sentences."""
    for paragraph in re.split(r"\n[ \t]*(?:\n[ \t]*)+", text):
        words = len(paragraph.split())
        if not words:
            continue
        if words <= most:
            yield _Unit("\n\n", paragraph, words)
            continue
        yield from _pieces(paragraph, words, most)


def _pieces(paragraph: str, words: int, most: int) -> Iterator[_Unit]:
    """A long paragraph in runs of sentences of like size, the last no mere tail."""
    share = math.ceil(words / math.ceil(words / most))
    runs: list[list[_Unit]] = []
    size = 0
    for parted, sentence in _sentences(paragraph):
        unit = _Unit(parted if runs else "\n\n", sentence, len(sentence.split()))
        if not runs or size >= share or size + unit.words > most:
            runs.append([])
            size = 0
        runs[-1].append(unit)
        size += unit.words
    if len(runs) > 1:
        _balance(runs[-2], runs[-1], share // 2, most)
    for run in runs:
        yield _Unit(run[0].parted, _text(run), sum(u.words for u in run))


def cut(text: str, words: tuple[int, int] = (80, 250)) -> list[str]:
    """Passages of `words` (fewest, most) words, cut at paragraph ends.

    A paragraph longer than the most is cut at sentence ends; a single sentence longer than that
    stays whole. A passage may be shorter than the fewest where its neighbours leave no room.
    Nothing is lost and nothing comes twice: the passages, in order, are the text.
    """
    fewest, most = words
    if not 1 <= fewest <= most:
        raise ValueError("words: the fewest must be at least 1 and at most the most")
    passages: list[list[_Unit]] = []
    size = 0
    for unit in _units(text, most):
        if passages and size + unit.words <= most:
            passages[-1].append(unit)
            size += unit.words
            continue
        passages.append([unit])
        size = unit.words
    # Filling from the front leaves short passages before a long paragraph and at the end: too much
    # to
    # join to the passage before, but its last paragraphs may come over to them.
    for i in range(1, len(passages)):
        _balance(passages[i - 1], passages[i], fewest, most)
    return [_text(p) for p in passages]


def _balance(before: list[_Unit], after: list[_Unit], fewest: int, most: int) -> None:
    """Hand units at the seam over to a passage that is too short, where neither leaves its
    limits.
    """
    short, left = sum(u.words for u in after), sum(u.words for u in before)
    while (
        short < fewest
        and len(before) > 1
        and left - before[-1].words >= fewest
        and short + before[-1].words <= most
    ):
        unit = before.pop()
        after.insert(0, unit)
        short, left = short + unit.words, left - unit.words


def _text(units: Sequence[_Unit]) -> str:
    return units[0].text + "".join(u.parted + u.text for u in units[1:])


@lru_cache
def _phrasings() -> dict[str, tuple[tuple[str, frozenset[str]], ...]]:
    import yaml

    path = find("datasets/prompts/passages.yaml")
    if path is None:
        raise FileNotFoundError("datasets/prompts/passages.yaml does not come with this installation")
    kinds = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        kind: tuple((t, frozenset(n for _, n, _, _ in Formatter().parse(t) if n)) for t in texts)
        for kind, texts in kinds.items()
    }


def _ask(kind: str, known: dict[str, str], seed: int, record_id: str) -> str:
    """One phrasing among those whose names are known, by a hash that is the same everywhere."""
    texts = [t for t, names in _phrasings()[kind] if names <= known.keys()]
    digest = sha256(f"{seed}\0{record_id}".encode()).digest()
    return texts[int.from_bytes(digest[:8], "big") % len(texts)].format_map(known)


def _topics(passages: list[str]) -> Iterator[str]:
    """For each passage its three words that are frequent in it and rare in the rest, or ""."""
    counts = [Counter(w for w in _WORD.findall(p) if len(w) >= 5 and w.isalpha()) for p in passages]
    spread = Counter(word.lower() for c in counts for word in {w.lower(): 0 for w in c})
    for count in counts:
        best: dict[str, tuple[float, str]] = {}
        for word, n in count.items():
            share = spread[word.lower()] / len(passages)
            if share <= _COMMON_SHARE:
                score, shown = best.get(word.lower(), (0.0, word))
                best[word.lower()] = (
                    score - n * math.log(share),
                    min(shown, word, key=str.swapcase),
                )
        top = sorted(best.items(), key=lambda item: (item[1][0], item[0]))
        top.reverse()
        names = [shown for _, (_, shown) in top[:3]]
        yield f"{', '.join(names[:-1])} and {names[-1]}" if len(names) == 3 else ""


def _ending(passage: str, fewest: int = 12, most: int = 80) -> str:
    """The last sentence, or the last few where it is short."""
    taken: list[str] = []
    count = 0
    for parted, sentence in reversed(list(_sentences(passage.split("\n\n")[-1]))):
        n = len(sentence.split())
        if count and (count >= fewest or count + n > most):
            break
        taken = [parted, sentence, *taken]
        count += n
    return "".join(taken).strip()


def to_records(
    document: Document,
    *,
    words: tuple[int, int] = (80, 250),
    prompt: Prompt = "instruct",
    system: str | None = None,
    seed: int = 0,
) -> Iterator[Record]:
    """The document's passages as chat records: the assistant says the passage, the user asks
    for it.

    `instruct` asks in one of the phrasings of datasets/prompts/passages.yaml; `continue` gives
    the end of the passage before (the first passage gets an opening's phrasing); `none` has no
    user turn. Each id is the document's and a number; everything else in `meta` is the
    document's.
    """
    passages = cut(document.text, words)
    title = document.meta.get("title", "")
    always = {k: document.meta[k] for k in ("title", "author") if document.meta.get(k)} if title else {}
    whole = document.meta.get("id", "")
    meta = {**document.meta, "group": document.meta.get("group") or whole}
    topics = _topics(passages) if prompt == "instruct" else iter([""] * len(passages))
    before = ""
    for number, (passage, topic) in enumerate(zip(passages, topics, strict=True), start=1):
        record_id = f"{whole}/{number:04d}"
        messages = [Message("system", system)] if system else []
        if prompt == "instruct":
            first = " ".join(passage.split()[:7]).strip("\"“”'‘’,;:-— ")
            known = {**always, "first": first, **({"topic": topic} if topic else {})}
            messages.append(Message("user", _ask("instruct", known, seed, record_id)))
        elif prompt == "continue":
            asked = _ending(before) if before else _ask("openings", always, seed, record_id)
            messages.append(Message("user", asked))
        messages.append(Message("assistant", passage))
        yield Record(messages, meta={**meta, "id": record_id})
        before = passage
