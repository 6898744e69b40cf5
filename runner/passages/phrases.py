"""Key phrases: what a passage is about, in its own words, found by counting; no model, no tagger.

A phrase is a name (capitalised words in a row that the document also writes capitalised within sentences) or the
plain words between an article and the next small word or stop: "the haunted house", "a dead cat". Words that
follow "he", "they" … in the document more often than an article are taken for verbs, and end no phrase.

Few and good ones: names come first, and of things only those that the passage speaks of more than once, in plain
spelling. A passage of which nothing of the kind can be said has no topic, and is asked for otherwise.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from runner.passages.english import plain, words

_TOKEN = re.compile(
    r"(?:Mr|Mrs|Ms|Messrs|Dr|St|Capt|Col|Gen|Prof|Rev|Hon)\.(?=\s[^\W_a-z])|[^\W\d_]+(?:[’'-][^\W\d_]+)*|\n|[^\s\w]|[\d_]+"
)
_WEAK = frozenset((",", "and", "or", "but"))  # after an adjective as often as after a noun
_LINKS = frozenset(("of", "the", "de", "la", "von", "van", "du"))
_COMMON_SHARE = 0.2  # a thing of which more of a document's passages speak than this marks none of them off
_NAMED_ONCE = 0.4  # the weight of a name that stands in a passage once only
_MOST_WORDS = 3
_ABSTRACT = re.compile(
    r".{3,}(?:tions?|sions?|ness|it(?:y|ies)|enc[ey]|anc[ey]|isms?|ments?|less|ful|ous|[ai]ble|ive|ual)$"
)
_TOGETHER = 2000  # passages that are compared at a time, so that memory stays bounded
_READ = 100_000  # characters of a passage that are looked at


class Phrase(NamedTuple):
    shown: str
    key: tuple[str, ...]
    at: int
    name: bool = False


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
        called, before_noun, the = Counter[str](), Counter[str](), Counter[str]()
        last, inner = Counter[str](), Counter[str]()
        pronouns, articles = words("before-verbs"), words("articles")
        no_noun = words("function", "verbs")
        for p in passages:
            for i, word in enumerate(p.plain):
                if not word:
                    continue
                if not p.capital[i]:
                    lower[word] += 1
                elif not p.first[i]:
                    named[_owner(word)] += 1
                before = p.plain[i - 1] if i else ""
                if p.capital[i]:
                    called[_owner(word)] += 1
                    the[word] += before == "the"
                    # "the American flag", "a Frenchman": a kind, nobody's name
                    after = p.plain[i + 1] if i + 1 < len(p.plain) else ""
                    kind = after and not p.capital[i + 1] and after not in no_noun
                    before_noun[word] += before in ("a", "an") or (before in articles and bool(kind))
                if before in pronouns:
                    acting[word] += 1
                elif before in articles:
                    being[word] += 1
            for _, run, after in _runs(p):
                inner.update(p.plain[j] for j in run[:-1])
                if after not in _WEAK:
                    last[p.plain[run[-1]]] += 1
        self.names = {
            w
            for w, n in named.items()
            if n > lower[w] and w not in words("function") and 3 * before_noun[w] < called[w]
        } - words("no-names")
        self.known = {w for w in self.names if called[w] > 1}
        self.with_the = {w for w, n in the.items() if 2 * n > called[w]}
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
        if (
            not (set(key) & usage.names and 2 * known >= len(key) <= 5)
            or set(key) <= words("titles") | _LINKS
        ):
            continue
        if (len(key) == 1 and (key[0] not in usage.known or len(key[0]) < 3)) or _split_off(p, run):
            continue
        article = "the " if p.plain[run[0] - 1 : run[0]] == ["the"] and usage.with_the & set(key) else ""
        yield Phrase(article + " ".join(shown), key, run[0], True)


def _split_off(p: _Words, run: Sequence[int]) -> bool:
    """Whether the words are part of something longer that the pattern did not hold: "Smith-Pocahontases"."""
    return any("-" in p.tokens[j].strip("-") and p.plain[j].endswith("s") for j in run)


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
        if any("'" in w or w.count("-") > 1 for w in key) or (len(head) > 5 and head.endswith("ing")):
            continue  # dialect, and what is done
        if _ABSTRACT.match(head) or set(key) & words("dialect", "no-topics"):
            continue
        if len(key) == 1 and p.plain[i] not in ("a", "an", "the"):
            continue  # "his mother" is no "the mother"
        shown = p.tokens[i].lower() if p.plain[i] in ("a", "an") else "the"
        yield Phrase(" ".join([shown, *(p.tokens[j] for j in run)]), key, i)


def topics(passages: Sequence[str], most: int = 2) -> Iterator[str]:
    """For each passage of one document the phrases that mark it off from the rest, as "X", "X and Y", "X, Y and Z".

    `most` at most, in the order in which they come; "" where there are none.
    """
    for start in range(0, len(passages), _TOGETHER):
        yield from _topics(passages[start : start + _TOGETHER], most)


def _number(word: str) -> str:
    """ "orchards" → "orchard", to count a word and its plural as one."""
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _counted(p: _Words, phrases: Sequence[Phrase]) -> dict[tuple[str, ...], int]:
    """How often the passage speaks of each: a name's parts count for the whole, a thing by its noun."""
    said = Counter(p.plain)
    own = Counter(x.key for x in phrases)
    counts: dict[tuple[str, ...], int] = {}
    for x in phrases:
        one = _number(x.key[-1])
        counts[x.key] = (
            sum(n for key, n in own.items() if set(key) <= set(x.key))
            if x.name
            else said[one] + sum(said[one + end] for end in ("s", "'s"))
        )
    return counts


def _topics(passages: Sequence[str], most: int) -> Iterator[str]:
    read = [_read(p) for p in passages]
    usage = _Usage(read)
    found = [[*_names(p, usage), *_things(p, usage)] for p in read]
    spread = Counter(key for phrases in found for key in {p.key for p in phrases})
    common = max(1.0, _COMMON_SHARE * len(passages))
    for p, phrases in zip(read, found, strict=True):
        counts = _counted(p, phrases)
        shown: dict[tuple[str, ...], Phrase] = {}
        for phrase in phrases:
            shown.setdefault(phrase.key, phrase)

        def weight(phrase: Phrase, counts: Mapping[tuple[str, ...], int] = counts) -> float:
            n, key = counts[phrase.key], phrase.key
            rare = math.log((1 + len(passages)) / spread[key])
            if phrase.name:
                return (
                    (3 if n > 1 else _NAMED_ONCE) * math.sqrt(n) * (0.5 + rare) * (1.5 if len(key) > 1 else 1)
                )
            few = n < (2 if len(key) > 1 or phrase.shown.startswith("the ") else 3)
            return 0.0 if few or spread[key] > common else math.sqrt(n) * rare * (1.5 if len(key) > 1 else 1)

        best: list[Phrase] = []
        for phrase in sorted(shown.values(), key=lambda x: (-weight(x), x.key)):
            if len(best) < most and weight(phrase) and not any(set(phrase.key) & set(b.key) for b in best):
                best.append(phrase)
        if len(best) > 1 and weight(best[-1]) < 0.25 * weight(best[0]):
            best.pop()
        listed = [x.shown for x in sorted(best, key=lambda x: x.at)]
        yield f"{', '.join(listed[:-1])} and {listed[-1]}" if len(listed) > 1 else "".join(listed)
