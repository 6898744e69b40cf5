"""What an OpenAI-compatible moderation endpoint says of texts: `POST /moderations`, several texts a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct, field

_AT_ONCE = 16
_LONGEST = 20_000  # characters of one text that are sent


class Result(Struct, frozen=True):
    """One text's verdict: `categories` are those flagged, `category_scores` from 0 to 1."""

    flagged: bool
    categories: dict[str, bool] = field(default_factory=dict)
    category_scores: dict[str, float] = field(default_factory=dict)


class Answer(Struct, frozen=True):
    results: list[Result]


def judged(
    texts: Sequence[str], ask: Callable[..., Any], model: str | None, at_least: float | None
) -> list[bool | str]:
    """True for texts that may stay, else the worst category. `ask` is a services.Ask.

    Without `at_least` the endpoint's own flag decides. Texts without words may stay.
    """
    return [True if result is None else verdict(result, at_least) for result in results(texts, ask, model)]


def results(texts: Sequence[str], ask: Callable[..., Any], model: str | None) -> list[Result | None]:
    """What the endpoint says of each text; None of those without words, which are not asked about."""
    said: list[Result | None] = [None] * len(texts)
    asked = [n for n, text in enumerate(texts) if text.strip()]
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        for n, result in zip(some, _asked([texts[i] for i in some], ask, model), strict=True):
            said[n] = result
    return said


def _asked(texts: Sequence[str], ask: Callable[..., Any], model: str | None) -> list[Result]:
    request: dict[str, object] = {"input": [t[:_LONGEST].encode(errors="replace").decode() for t in texts]}
    body = msgspec.json.encode(request | ({"model": model} if model else {}))
    found: list[Result] = ask("moderation", body, partial(_read, len(texts)))
    return found


def _read(count: int, raw: bytes) -> list[Result]:
    """Raises ValueError for what is no answer about so many texts."""
    results = msgspec.json.decode(raw, type=Answer).results  # msgspec's errors are ValueErrors
    if len(results) != count:
        raise ValueError(f"it says {len(results)} things of {count} texts")
    return results


def verdict(result: Result, at_least: float | None) -> bool | str:
    """True where the text may stay, else the worst category; without `at_least` the endpoint's flag decides."""
    scores = sorted(result.category_scores.items(), key=lambda item: (-item[1], item[0]))
    if at_least is not None:
        return f"toxicity: {scores[0][0]}" if scores and scores[0][1] >= at_least else True
    if not result.flagged:
        return True
    flagged = [name for name, _ in scores if result.categories.get(name)]
    flagged += sorted(name for name, is_so in result.categories.items() if is_so)
    return f"toxicity: {flagged[0]}" if flagged else "toxicity: flagged"
