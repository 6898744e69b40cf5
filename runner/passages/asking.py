"""How a passage is asked for: one of the phrasings of datasets/prompts/passages.yaml whose names are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from string import Formatter

from runner.passages.english import read

_LONGEST_NAME = 100  # characters; what is longer is no title to ask by
_FIRST_WORDS = 7


@lru_cache
def phrasings() -> dict[str, tuple[tuple[str, frozenset[str]], ...]]:
    """For each kind the phrasings, each with the names that stand in it."""
    return {
        kind: tuple((t, frozenset(n for _, n, _, _ in Formatter().parse(t) if n)) for t in texts)
        for kind, texts in read("passages").items()
    }


def _number(*what: object) -> int:
    return int.from_bytes(sha256("\0".join(map(str, what)).encode()).digest()[:8], "big")


def draw(*what: object) -> float:
    """A number from 0 up to 1 that is the same everywhere: a hash of `what`."""
    return _number(*what) / 2**64


def pick(shares: Mapping[str, float], *what: object) -> str:
    """A name drawn by its share; the order in which they are written does not matter."""
    names = sorted(n for n, share in shares.items() if share > 0)
    left = draw(*what) * sum(shares[n] for n in names)
    for name in names[:-1]:
        left -= shares[name]
        if left < 0:
            return name
    return names[-1]


def ask(kind: str, known: Mapping[str, str], seed: int, record_id: str, must: str = "") -> str:
    """One phrasing of that kind among those whose names are known, by a hash that is the same everywhere.

    With `must`, one in which that name stands, if it is known.
    """
    texts = [
        t for t, names in phrasings()[kind] if names <= known.keys() and (must in names or must not in known)
    ]
    return texts[_number(seed, record_id) % len(texts)].format_map(known)


def names(meta: Mapping[str, str]) -> dict[str, str]:
    """Title, author and chapter as a sentence may say them; what is missing or too long is left out.

    "Twain, Mark" becomes "Mark Twain", "Mark Twain (Samuel Clemens)" too; "Emma, Complete" becomes "Emma".
    """
    found = {k: " ".join(meta.get(k, "").split()) for k in ("title", "author", "chapter")}
    author = re.sub(r"\s*\([^()]*\)", "", found["author"])
    found["title"] = found["title"].removesuffix(", Complete")
    last, comma, first = author.partition(", ")
    if comma and first and "," not in first and not any(c.isdigit() for c in author):
        author = f"{first} {last}"
    found["author"] = author
    return {k: v for k, v in found.items() if 0 < len(v) <= _LONGEST_NAME}


def beginning(passage: str) -> str:
    """The first words of a passage; "" where they cannot stand between quotes: a heading, or speech that ends."""
    paragraph = passage.partition("\n")[0].split(None, _FIRST_WORDS)
    first = " ".join(paragraph[:_FIRST_WORDS]).strip("\"“”'‘’«»,;:-—– ")
    return first if len(paragraph) >= _FIRST_WORDS and not set(first) & set('"“”«»') else ""
