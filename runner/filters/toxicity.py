"""Filter `toxicity`: abusive words, or a classifier's score.

`by: words` counts whole words of a list that ships (datasets/words/toxicity.yaml), in three grades, also where they
are disguised: sh1t, f*ck, fuuuck, f u c k. It knows words, not meanings: it cannot tell abuse from a quotation of
it, and the language of older books is full of words that are slurs today. Allow those, or leave out the filter, where
a source is literature: dropping a book's every such passage changes the book.

`by: detoxify` asks a small neural classifier, with weights that are on this machine; nothing is fetched.

`by: moderation` asks the OpenAI-compatible endpoint that the user's settings name (`moderation_url`): texts leave this
machine. Its answers are kept, so each text is asked about once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner.privacy import moderation
from runner.record import Record
from runner.registry import Said, filter
from runner.toxicity import GRADES, SHOWN, Grade, Lists, WordList, classified, listed, options_wrong


@filter(
    "toxicity",
    version=2,
    libraries=("detoxify",),
    check=options_wrong,
    asks=lambda options: bool(options["by"] == "moderation"),
)
def toxicity(
    records: Sequence[Record],
    ask: Callable[..., Any] | None = None,
    *,
    by: Annotated[
        Literal["words", "detoxify", "moderation"],
        Meta(
            description="A list of words; the package detoxify with weights that are on this machine; or the "
            "moderation endpoint that your settings name, to which the texts are sent."
        ),
    ] = "words",
    grade: Annotated[
        Grade | None,
        Meta(description="The mildest words that count, with all that are worse. Default: strong."),
    ] = None,
    at_least: Annotated[
        Annotated[float, Meta(gt=0, le=100_000)] | None,
        Meta(
            description="From when on a record is dropped. Words: a number of them (1 and more), or a share of all "
            "words (less than 1); default 1. detoxify: a score; default 0.5. moderation: a score; default: what the "
            "endpoint itself flags."
        ),
    ] = None,
    words: Annotated[Lists | None, Meta(description="Words to allow, and more words to deny.")] = None,
    where: Annotated[
        Literal["text", "answer"],
        Meta(description="Who is listened to: user and assistant, or the assistant alone."),
    ] = "text",
    model: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(
            description="Which of detoxify's models (original, unbiased, multilingual), or the endpoint's. Default: "
            "original, or the endpoint's own."
        ),
    ] = None,
) -> list[Said]:
    """Drop records with abusive language: by a list of words (default), detoxify's classifier, or an endpoint."""
    texts = [r.text if where == "text" else r.answer for r in records]
    if by == "detoxify":
        scores = classified(texts, model or "original")
        return [f"toxicity: {label}" if score >= (at_least or 0.5) else True for score, label in scores]
    if by == "moderation":
        assert ask is not None
        return [*moderation.judged(texts, ask, model, at_least)]
    known, counted = listed(words), GRADES[GRADES.index(grade or "strong") :]
    return [_by_words(known, text, counted, at_least or 1) for text in texts]


def _by_words(known: WordList, text: str, counted: Sequence[Grade], at_least: float) -> Said:
    found, words = known.count(text)
    hits = sum(found[g] for g in counted)
    if not hits or hits < (at_least if at_least >= 1 else at_least * words):
        return True
    return f"toxicity: {SHOWN[max((g for g in counted if found[g]), key=GRADES.index)]}"
