"""Answers as the style judge hears them: whether they can be judged at all, and whether they kept their facts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

from runner.record import Probe
from runner.registry import Wanted

HEARD, KEPT = ("persona", "persona_probability"), "content_kept"
"""The judge's metrics: of all answers, and of those that have facts to keep."""
SHORTEST_LOOP, SHORTEST = 4, 8  # words
_SIGNS = str.maketrans({"’": "'", "\u2212": "-", "\u2010": "-", "\u2011": "-"})  # minus, hyphens
_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.)+[^\W\d_](?:\.|(?!\w))|\b(?:US|IT)\b")


class Expect(Struct, frozen=True):
    """What `expect` of a probe may hold for this judge: the facts that an answer must keep.

    Each is a text, or a list of texts any one of which will do: ["half past nine", "9:30"].
    """

    required: list[str | list[str]] = field(default_factory=list)


def unfit(text: str) -> str:
    """Why a text cannot count as anybody's style, or "" where it can.

    Loops are what small models fall into; n-gram features would find a loop of one telling word
    very much in style. Real prose of up to 300 words repeats less than a tenth of its word triples.
    """
    words = re.findall(r"\w+", text.lower())
    if not words:
        return "empty answer"
    if len(words) >= SHORTEST_LOOP and len(set(words)) <= 0.3 * min(len(words), 60):
        return "repeats its words"
    triples = list(zip(words, words[1:], words[2:], strict=False))
    if len(triples) >= 10 and len(set(triples)) <= 0.6 * len(triples):
        return "repeats its sentences"
    if len(words) < SHORTEST:  # the lone word "I" would pass with probability 0.99
        return "too short to judge"
    return ""


def wants(probe: Probe) -> Wanted:
    """The facts that an answer must keep, each a list of wordings. Raises ValueError for another `expect`."""
    try:
        facts = msgspec.convert(probe.expect, Expect).required
    except msgspec.ValidationError as e:
        raise ValueError(f"expect: {e}") from None
    found = [[f] if isinstance(f, str) else f for f in facts]
    if any(not f or not all(map(_plain, f)) for f in found):
        raise ValueError("expect.required: a fact without a word in it")
    if found:
        return Wanted(found, "with facts to keep", frozenset((*HEARD, KEPT)))
    return Wanted(found, "without", frozenset(HEARD))


def lost(text: str, facts: Sequence[Sequence[str]]) -> list[str]:
    """The facts (their first wording) of which no wording stands in the text, as whole words."""
    said = f" {_plain(text)} "
    return [fact[0] for fact in facts if not any(f" {_plain(wording)} " in said for wording in fact)]


def _plain(text: str) -> str:
    """Lower case, no accents, and of all marks only those within numbers and times: "1,200 m." is "1200 m".

    "U.S." is "US" (and not "us"), "twenty-one" is "twenty one".
    """
    text = _INITIALS.sub(_without_stops, text.translate(_SIGNS))
    letters = unicodedata.normalize("NFKD", text.lower())
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    letters = re.sub(r"(?<=\d),(?=\d{3}(?!\d))|(?<=\w)'s\b", "", letters)
    letters = re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", " ", letters)
    letters = re.sub(r"(?<!\d)[.:,]|[.:,](?!\d)|[^\w\s.:,'°%$€£-]|_", " ", letters)
    letters = re.sub(r"([°%$€£])", r" \1 ", letters)
    letters = re.sub(r"(?<!\w)[-'](?!\d)|['-](?!\w)", " ", letters)
    return " ".join(letters.split())


def _without_stops(initials: re.Match[str]) -> str:
    letters = initials[0].replace(".", "")
    return " ".join(letters) if letters.lower() in ("us", "it") else letters
