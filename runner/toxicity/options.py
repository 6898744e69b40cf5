"""The options that filter and judge `toxicity` share, and what those left out mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner.toxicity.classifier import MODELS, installed
from runner.toxicity.words import GRADES, Grade, Lists

DETOXIFY_MODEL, DETOXIFY_SCORE = "original", 0.5
"""Which of detoxify's models is asked, and from which score on it counts, where a recipe does not say."""

Way = Literal["words", "detoxify", "moderation"]
Threshold = Annotated[float, Meta(gt=0, le=100_000)] | None
MildestGrade = Annotated[
    Grade | None,
    Meta(description="The mildest words that count, with all that are worse. Default: strong."),
]
ListChanges = Annotated[Lists | None, Meta(description="Words to allow, and more words to deny.")]
ModelName = Annotated[
    Annotated[str, Meta(min_length=1, max_length=200)] | None,
    Meta(
        description="Which of detoxify's models (original, unbiased, multilingual), or the endpoint's. Default: "
        "original, or the endpoint's own.",
        examples=["unbiased"],
    ),
]


def about_way(sent: str) -> Meta:
    """The description of a Way; `sent` is what an endpoint gets: "the texts"."""
    return Meta(
        description="A list of words; the package detoxify with weights that are on this machine; or the "
        f"moderation endpoint that your settings name, to which {sent} are sent."
    )


def about_threshold(follows: str) -> Meta:
    """The description of a Threshold; `follows` is what happens from there on: "a record is dropped"."""
    return Meta(
        description=f"From when on {follows}. Words: a number of them (1 and more), or a share of all "
        "words (less than 1); default 1. detoxify: a score; default 0.5. moderation: a score; default: what the "
        "endpoint itself flags."
    )


def counted_grades(mildest: Grade | None) -> tuple[Grade, ...]:
    """The grades of words that count, in ascending order."""
    return GRADES[GRADES.index(mildest or "strong") :]


def enough(hits: int, words: int, at_least: float | None) -> bool:
    """Whether so many words that count, of so many in all, reach the threshold."""
    least = at_least or 1
    return bool(hits) and hits >= (least if least >= 1 else least * words)


def asks_endpoint(options: Mapping[str, Any]) -> str:
    """The service that is asked; empty where none is."""
    return "moderation" if options["by"] == "moderation" else ""


def wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What types cannot say of `by`, `grade`, `at_least`, `words` and `model`: (path, what is wrong)."""
    words, at_least = options["words"], options["at_least"]
    if options["by"] == "words":
        if at_least is not None and at_least > 1 and at_least != int(at_least):
            yield ("at_least",), f"{at_least} is no whole number of words; a share is less than 1"
        both = (
            sorted({w.lower() for w in words["allow"]} & {w.lower() for w in words["deny"]}) if words else []
        )
        if both:
            yield ("words", "deny"), f"{both[0]!r} is allowed as well"
        return
    if options["by"] == "detoxify" and not installed():
        yield ("by",), "detoxify is not installed: pip install detoxify"
    if options["by"] == "detoxify" and options["model"] not in (None, *MODELS):
        yield ("model",), f"detoxify has {', '.join(MODELS)}"
    if at_least is not None and at_least > 1:
        yield ("at_least",), f"{at_least} is more than the highest score, 1"
    if words:
        yield ("words",), "only goes with `by: words`"
    if options["grade"] is not None:
        yield ("grade",), "only goes with `by: words`"
