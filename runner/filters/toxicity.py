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
from runner.toxicity import GRADES, SHOWN, Grade, WordList, classified, listed, options


@filter(
    "toxicity",
    version=2,
    libraries=("detoxify",),
    check=options.wrong,
    asks=options.asks_endpoint,
)
def toxicity(
    records: Sequence[Record],
    ask: Callable[..., Any] | None = None,
    *,
    by: Annotated[options.Way, options.about_way("the texts")] = "words",
    grade: options.MildestGrade = None,
    at_least: Annotated[options.Threshold, options.about_threshold("a record is dropped")] = None,
    words: options.ListChanges = None,
    where: Annotated[
        Literal["text", "answer"],
        Meta(description="Who is listened to: user and assistant, or the assistant alone."),
    ] = "text",
    model: options.ModelName = None,
) -> list[Said]:
    """Drop records with abusive language: by a list of words (default), detoxify's classifier, or an endpoint."""
    texts = [r.text if where == "text" else r.answer for r in records]
    if by == "detoxify":
        scores = classified(texts, model or options.DETOXIFY_MODEL)
        least = at_least or options.DETOXIFY_SCORE
        return [f"toxicity: {label}" if score >= least else True for score, label in scores]
    if by == "moderation":
        assert ask is not None
        return [*moderation.judged(texts, ask, model, at_least)]
    known, counted = listed(words), options.counted_grades(grade)
    return [_by_words(known, text, counted, at_least) for text in texts]


def _by_words(known: WordList, text: str, counted: Sequence[Grade], at_least: float | None) -> Said:
    found, words = known.count(text)
    if not options.enough(sum(found[g] for g in counted), words, at_least):
        return True
    return f"toxicity: {SHOWN[max((g for g in counted if found[g]), key=GRADES.index)]}"
