"""Finds training texts that share a run of words with what the model is judged on.

Word n-gram overlap, as GPT-3 (Brown et al. 2020, appendix C) and lm-eval's decontamination do it.
Words are compared themselves, not hashes of them: a hit is a true overlap.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from runner.shingles import words

WORD = array("I").itemsize


def contaminated(texts: Sequence[str], against: Sequence[str], *, ngram: int = 8) -> list[int | None]:
    """For each text, the first index of `against` that shares `ngram` words in a row, else None.

    Words are compared after NFKC and casefolding, and parted at whitespace, as in `dedup`. A text
    of fewer words, on either side, matches only one that is equal as a whole; a text without words
    matches nothing.

    Raises ValueError if `ngram` is below 1.
    """
    if ngram < 1:
        raise ValueError(f"ngram must be at least 1, not {ngram}")
    number: dict[str, int] = {}  # 0 is kept for words that stand nowhere in `against`
    first: dict[bytes, int] = {}
    for index, text in enumerate(against):
        numbers = array("I", [number.setdefault(w, len(number) + 1) for w in words(text)])
        for key in _keys(numbers, ngram):
            first.setdefault(key, index)
    found: list[int | None] = []
    for text in texts:
        numbers = array("I", [number.get(word, 0) for word in words(text)])
        found.append(min((first[k] for k in _keys(numbers, ngram) if k in first), default=None))
    return found


def _keys(numbers: array[int], ngram: int) -> Iterator[bytes]:
    """The n-grams of a text as bytes, or the whole of a short one; none with a word of number 0."""
    raw = numbers.tobytes()
    if len(numbers) < ngram:
        if numbers and 0 not in numbers:
            yield raw
        return
    known = 0  # how many known words in a row end here: most n-grams of a text need no look-up
    for end, word in enumerate(numbers, start=1):
        known = known + 1 if word else 0
        if known >= ngram:
            yield raw[(end - ngram) * WORD : end * WORD]
