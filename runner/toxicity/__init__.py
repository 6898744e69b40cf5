"""Abusive language in texts: a list of words, and detoxify's classifier. Filter and judge `toxicity` both ask here.

What a moderation endpoint says is read by `runner.privacy.moderation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.toxicity.classifier import MODELS, classified, installed
from runner.toxicity.words import GRADES, SHOWN, Grade, Lists, WordList, listed

__all__ = ["GRADES", "MODELS", "SHOWN", "Grade", "Lists", "WordList", "classified", "listed", "options_wrong"]


def options_wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
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
