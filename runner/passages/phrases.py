"""Key phrases: what a passage is about, in its own words, found by counting; no model, no tagger.

A phrase is a name (capitalised words in a row that the document also writes capitalised within sentences) or the
plain words between an article and the next small word or stop: "the haunted house", "a dead cat". Words that
follow "he", "they" … in the document more often than an article are taken for verbs, and end no phrase.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runner.passages.english import plain, words

_TOKEN = re.compile(
    r"(?:Mr|Mrs|Ms|Messrs|Dr|St|Capt|Col|Gen|Prof|Rev|Hon)\.(?=\s[^\W_a-z])|[^\W\d_]+(?:[’'-][^\W\d_]+)*|\n|[^\s\w]|[\d_]+"
)
_WEAK = frozenset((",", "and", "or", "but"))  # after an adjective as often as after a noun
_LINKS = frozenset(("of", "the", "de", "la", "von", "van", "du"))
_COMMON_SHARE = 0.2  # what more of a document's passages speak of than this marks none of them off
_MOST_WORDS = 3
_TOGETHER = 2000  # passages that are compared at a time, so that memory stays bounded
_READ = 100_000  # characters of a passage that are looked at


class Phrase(NamedTuple):
    shown: str
    key: tuple[str, ...]
    at: int


class _Words(NamedTuple):
    """A passage's tokens, with what is needed of each: the word as the lists have it ("" for a stop), whether it
    is written as a name is, whether a sentence (or what is quoted) begins with it."""

    tokens: list[str]
    plain: list[str]
    capital: list[bool]
    first: list[bool]


def _read(passage: str) -> _Words:
    tokens = _TOKEN.findall(passage[:_READ])
    plains = [plain(t) if t[0].isalpha() else "" for t in tokens]
    first = [i == 0 or (not plains[i - 1] and tokens[i - 1] not in ",;") for i in range(len(tokens))]
    return _Words(tokens, plains, [_capital(t) for t in tokens], first)


def _owner(word: str) -> str:
    """ "Tom’s" → "Tom"."""
    return word[:-2] if word.endswith(("’s", "'s")) else word


def _capital(token: str) -> bool:
    return token[0].isupper() and len(token) > 1 and not (token.isupper() and token.isalpha())


class _Usage:
    """How the document uses its words: which are names, which are verbs, which may end a phrase."""

    def __init__(self, passages: Sequence[_Words]) -> None:
        named, lower, acting, being = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        last, inner = Counter[str](), Counter[str]()
        pronouns, articles = words("before-verbs"), words("articles")
        for p in passages:
            for i, word in enumerate(p.plain):
                if not word:
                    continue
                if not p.capital[i]:
                    lower[word] += 1
                elif not p.first[i]:
                    named[_owner(word)] += 1
                before = p.plain[i - 1] if i else ""
                if before in pronouns:
                    acting[word] += 1
                elif before in articles:
                    being[word] += 1
            for _, run, after in _runs(p):
                inner.update(p.plain[j] for j in run[:-1])
                if after not in _WEAK:
                    last[p.plain[run[-1]]] += 1
        self.names = {w for w, n in named.items() if n > lower[w] and w not in words("function")}
        self.verbs = {w for w, n in acting.items() if n > being[w]} | words("verbs")
        self.nouns = {w for w, n in last.items() if n >= inner[w] and w not in self.verbs}
        self.things = {w for w in self.nouns if being[w] or last[w] > 1}


def _runs(p: _Words) -> Iterator[tuple[int, list[int], str]]:
    """(article, the one to three words that carry matter after it, what stops them), by place."""
    function, articles = words("function"), words("articles")
    for i, article in enumerate(p.plain):
        if article not in articles:
            continue
        end = i + 1
        while end < len(p.tokens) and p.plain[end] and p.plain[end] not in function:
            end += 1
        if 0 < end - i - 1 <= _MOST_WORDS:
            yield i, list(range(i + 1, end)), p.tokens[end].lower() if end < len(p.tokens) else ""


def _names(p: _Words, usage: _Usage) -> Iterator[Phrase]:
    i, function = 0, words("function")
    while i < len(p.tokens):
        if not p.capital[i] or not p.plain[i] or p.plain[i] in function:
            i += 1
            continue
        run = [i]
        while not p.tokens[run[-1]].endswith(("’s", "'s")):
            after = run[-1] + 1
            while after < len(p.tokens) and p.plain[after] in _LINKS and after - run[-1] <= 2:
                after += 1
            if after >= len(p.tokens) or not p.capital[after] or not p.plain[after]:
                break
            run += range(run[-1] + 1, after + 1)
        i = run[-1] + 1
        if p.first[run[0]] and p.plain[run[0]] not in usage.names and "." not in p.tokens[run[0]]:
            run.pop(0)  # a capital for the sentence's sake
            while run and p.plain[run[0]] in _LINKS:
                run.pop(0)
        shown = [_owner(p.tokens[j]) for j in run]
        key = tuple(plain(w) for w in shown)
        known = sum(w in usage.names or w in _LINKS for w in key)
        if set(key) & usage.names and 2 * known >= len(key) <= 5 and not set(key) <= words("titles"):
            yield Phrase(" ".join(shown), key, run[0])


def _things(p: _Words, usage: _Usage) -> Iterator[Phrase]:
    for i, run, _ in _runs(p):
        key = tuple(p.plain[j] for j in run)
        head = key[-1]
        if any(p.tokens[j][0].isupper() for j in run) or head in words("vague") or len(head) < 3:
            continue
        if head.endswith(("'s", "ed", "ly")) or head not in (usage.nouns if len(key) == 1 else usage.things):
            continue
        if any(w in usage.verbs and not w.endswith(("ed", "ing")) for w in key):
            continue
        shown = p.tokens[i].lower() if p.plain[i] in ("a", "an") else "the"
        yield Phrase(" ".join([shown, *(p.tokens[j] for j in run)]), key, i)


def topics(passages: Sequence[str], most: int = 3) -> Iterator[str]:
    """For each passage of one document the phrases that mark it off from the rest, as "X, Y and Z".

    Two at least, `most` at most, in the order in which they come; "" where there are fewer than two.
    """
    for start in range(0, len(passages), _TOGETHER):
        yield from _topics(passages[start : start + _TOGETHER], most)


def _topics(passages: Sequence[str], most: int) -> Iterator[str]:
    read = [_read(p) for p in passages]
    usage = _Usage(read)
    found = [[*_names(p, usage), *_things(p, usage)] for p in read]
    spread = Counter(key for phrases in found for key in {p.key for p in phrases})
    common = max(1.0, _COMMON_SHARE * len(passages))
    for phrases in found:
        counts = Counter(p.key for p in phrases)
        shown: dict[tuple[str, ...], Phrase] = {}
        for phrase in phrases:
            shown.setdefault(phrase.key, phrase)

        def weight(key: tuple[str, ...], counts: Counter[tuple[str, ...]] = counts) -> float:
            rare = math.log((1 + len(passages)) / spread[key])
            return counts[key] * rare * (1.8 if len(key) > 1 else 1.0)

        best: list[Phrase] = []
        for key in sorted(counts, key=lambda k: (-weight(k), k)):
            if len(best) < most and spread[key] <= common and not any(set(key) & set(b.key) for b in best):
                best.append(shown[key])
        names = [p.shown for p in sorted(best, key=lambda p: p.at)]
        yield f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else ""
