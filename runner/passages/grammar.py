"""Whether a clause stands alone: its subject first, then its verb. By word lists, so in doubt it does not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runner.passages.english import plain, words

WORD = re.compile(r"[’']?[^\W_]+(?:[.,:’'-][^\W_]+)*[’']?")
_PERSONS = frozenset(("i", "he", "she", "we", "they", "you", "it", "there"))
_OBJECTS = frozenset(
    "him me us them it himself herself itself themselves up out down off away back".split()
)  # what may follow a verb, and seldom a participle
_ADVERBS = frozenset(
    "never always not only also just then now soon still often once all both ever even".split()
)


def leads(tokens: Sequence[str]) -> bool:
    """Whether they begin with a subject and its verb."""
    low = [plain(t) for t in tokens]
    if not low:
        return False
    first = low[0]
    if first in words("subordinate") and first != "that":
        return False
    verbs = words("verbs", "finite", "past")
    start, contracted, _ = first.partition("'")
    if start in _PERSONS and (contracted or start not in ("it", "there")):
        return bool(contracted) or _verb_near(low, verbs, True)
    if first in words("subjects") and not (first in words("determiners") and _noun(low, 1)):
        return _verb_near(low, verbs, False) or (first not in ("it", "there") and _named(low))
    if first not in words("determiners") and not tokens[0][0].isupper():
        return False
    if first in verbs or (len(first) > 4 and first.endswith(("ed", "ing"))):
        return False  # "Came back, and …": whoever did that stands elsewhere
    if tokens[0][0].isupper() and first in words("function") - words("determiners"):
        return False
    if first in words("determiners") and first not in ("a", "an", "the") and len(low) > 1 and low[1] == "is":
        return True
    return _named(low)


def _named(low: Sequence[str]) -> bool:
    """A noun or a name first, up to its verb: within ten words, with no clause of another subject between."""
    for i in range(2 if low[0] in words("determiners") else 1, min(11, len(low))):
        word = low[i]
        if word in words("subordinate") or word in ("i", "he", "she", "we", "they", "you", "to"):
            return False
        if _finite(low, i, words("past"), False):
            return True
    return False


def _noun(low: Sequence[str], i: int) -> bool:
    """Whether "that", "each" … leads to a noun rather than a verb."""
    return i < len(low) and low[i] not in words("finite", "verbs", "past") and not low[i].endswith("ed")


def _verb_near(low: Sequence[str], verbs: frozenset[str], sure: bool) -> bool:
    """Whether a verb follows the first word, with nothing but adverbs between."""
    for i in range(1, min(4, len(low))):
        if _finite(low, i, verbs, sure):
            return True
        if not (low[i].endswith("ly") or low[i] in _ADVERBS):
            return False
    return False


def _finite(low: Sequence[str], i: int, ambiguous: frozenset[str], sure: bool) -> bool:
    """Whether the word there is a clause's verb. With `sure`, a pronoun leads to it: any verb will do."""
    word = low[i]
    if word in words("finite"):
        return True
    if not (word in ambiguous or (word.endswith("ed") and len(word) > 4)):
        return False
    if sure:
        return True
    after = low[i + 1] if i + 1 < len(low) else ""
    # "The boat left by …" may be a boat that somebody left.
    return after in words("articles") or after in _OBJECTS


def some_verb(text: str) -> bool:
    """Whether a verb stands in it: "when the dame" has none."""
    return any(
        w in words("finite", "past", "verbs") or w.endswith("ed") or "'" in w
        for w in map(plain, WORD.findall(text))
    )


def has_own_verb(text: str) -> bool:
    return any(plain(w) in words("finite") for w in WORD.findall(text))
