"""Abusive words in three grades, found whole, also where they are disguised: sh1t, f*ck, fuuuck, f u c k.

The list is datasets/words/toxicity.yaml. It knows words, not meanings.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runner import library
from runner.errors import StepError

Grade = Literal["mild", "strong", "slur"]
GRADES: tuple[Grade, ...] = ("mild", "strong", "slur")
Word = Annotated[
    str, Meta(pattern=r"^[^\W\d_](?:[^\s\d]{0,38}[^\W\d_])?$", description="One word of letters.")
]

_WORDS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_DISGUISED = re.compile(r"[a-z0-9@$!|*#+]{3,40}")
_SPACED = re.compile(r"(?<![a-z0-9'’])[a-z](?:([ ._*-])[a-z])(?:\1[a-z]){1,10}(?![a-z0-9'’])")
_RUN = re.compile(r"([^\W\d_])\1{2,}")
_LEET = str.maketrans("@4310!|5$7+", "aaeioiisstt")
_LONGEST = 40  # letters of a word

SHOWN: dict[Grade, str] = {"mild": "rude words", "strong": "obscene words", "slur": "slurs"}


class Lists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes to the list of words."""

    allow: Annotated[
        list[Word], Meta(max_length=1000, description="Words that do not count.", examples=[["damn"]])
    ] = msgspec.field(default_factory=list)
    deny: Annotated[
        list[Word],
        Meta(
            max_length=1000, description="Words that count besides, as slurs do.", examples=[["landlubber"]]
        ),
    ] = msgspec.field(default_factory=list)


class WordList:
    """Words and their grades, found whole, also in disguise."""

    def __init__(self, graded: Mapping[str, Grade], phrases: Sequence[str]) -> None:
        self.graded = dict(graded)
        self.starred: dict[tuple[int, str], list[str]] = {}
        for word in self.graded:
            self.starred.setdefault((len(word), word[0]), []).append(word)
        self.phrases = [f" {p} " for p in phrases]

    def count(self, text: str) -> tuple[Counter[str], int]:
        """How many words of each grade there are, and how many words in all."""
        lower = text.lower()
        if not lower.isascii():
            lower = "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c))
        words = _WORDS.findall(lower.replace("’", "'"))
        found: Counter[str] = Counter()
        for word, n in Counter(words).items():
            grade = self._grade(word)
            if grade:
                found[grade] += n
        for token in _DISGUISED.findall(lower):
            if not token.isalpha() and (grade := self._disguised(token)):
                found[grade] += 1
                # Of "shit5" its letters were counted above: it is one word, and what it means as a whole.
                found.subtract(g for part in _WORDS.findall(token) if (g := self._grade(part)))
        for match in _SPACED.finditer(lower):
            if grade := self.graded.get("".join(c for c in match[0] if c.isalpha())):
                found[grade] += 1
        if any(p.split()[0] in words for p in self.phrases):
            said = f" {' '.join(words)} "
            found["slur"] += sum(said.count(p) for p in self.phrases)
        return +found, len(words)

    def _grade(self, word: str) -> Grade | None:
        """Of a word as it stands, stretched (fuuuck), or of either part of a compound with a hyphen."""
        if word in self.graded:
            return self.graded[word]
        if len(word) > 4 * _LONGEST:
            return None
        if _RUN.search(word):
            once, twice = _RUN.sub(r"\1", word), _RUN.sub(r"\1\1", word)
            return self.graded.get(once) or self.graded.get(twice)
        if word.endswith("'s"):
            return self.graded.get(word[:-2])
        if "-" in word:
            grades = [g for part in word.split("-") if (g := self.graded.get(part))]
            return max(grades, key=GRADES.index, default=None)
        return None

    def _disguised(self, token: str) -> Grade | None:
        token = token.rstrip("!+#|")
        if not any("a" <= c <= "z" for c in token) or token.isalpha():
            return None
        if "*" in token or "#" in token:
            return None if token.strip("*#").isalpha() else self._starred(token)
        plain = token.translate(_LEET)
        return self._grade(plain) or self._grade(token.replace("1", "l").translate(_LEET))

    def _starred(self, token: str) -> Grade | None:
        """f*ck: a word of this length with these letters; two of them at least must stand there."""
        if not token or sum(c.isalpha() for c in token) < 2:
            return None
        for word in self.starred.get((len(token), token[0]), ()):
            if all(a in ("*", "#", b) for a, b in zip(token, word, strict=True)):
                return self.graded[word]
        return None


def listed(lists: Lists | None = None) -> WordList:
    """The list that ships, with such changes. Raises StepError where it is not installed."""
    return _listed(tuple(sorted(lists.allow)), tuple(sorted(lists.deny))) if lists else _listed((), ())


@lru_cache(maxsize=32)
def _listed(allow: tuple[str, ...], deny: tuple[str, ...]) -> WordList:
    import yaml

    path = library.find("datasets/words/toxicity.yaml")
    if path is None:
        raise StepError("toxicity", "datasets/words/toxicity.yaml, the list of words, is not installed")
    shipped = yaml.safe_load(path.read_text(encoding="utf-8"))
    graded: dict[str, Grade] = {}
    for grade in GRADES:
        for word, endings in re.findall(r"([\w'-]+)(?: \(([^)]*)\))?", shipped[grade]):
            graded |= dict.fromkeys([word, *(word + e for e in endings.split())], grade)
    graded |= dict.fromkeys((w.lower() for w in deny), "slur")
    allowed = {w.lower() for w in allow}
    return WordList({w: g for w, g in graded.items() if w not in allowed}, shipped["threats"])
