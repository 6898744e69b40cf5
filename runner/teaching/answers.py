"""A teacher's answer, read and checked: the completion, the JSON in it, the schema that it must meet.

Whatever the endpoint claims to enforce is checked again here: many ignore `response_format`, others cut JSON short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from runner.toolschema import Unsafe, compiled, validator


class Unfit(ValueError):
    """Why an answer cannot be used."""


class Reply(Struct, frozen=True):
    """A chat completion. Tokens are None where the endpoint does not count them."""

    text: str
    tokens_in: int | None
    tokens_out: int | None
    unfit: str = ""


def reply(raw: str) -> Reply:
    """A completion out of an endpoint's answer; `unfit` says why there is none to be used."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return Reply("", None, None, "the endpoint did not answer with JSON")
    whole = data if isinstance(data, dict) else {}
    usage = whole.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    tokens_in, tokens_out = (_count(counts.get(k)) for k in ("prompt_tokens", "completion_tokens"))
    choices = whole.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        error = whole.get("error")
        said = error.get("message") if isinstance(error, dict) else error
        return Reply("", tokens_in, tokens_out, f"no chat completion{f': {str(said)[:200]}' if said else ''}")
    text = message.get("content")
    return Reply(text if isinstance(text, str) else "", tokens_in, tokens_out, _cut_short(choice, message))


def _count(n: Any) -> int | None:
    return n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 40 else None


def _cut_short(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    if message.get("refusal"):
        return f"the teacher refused: {str(message['refusal'])[:200]}"
    if choice.get("finish_reason") == "length":
        return "cut off at its longest (max_tokens)"
    if choice.get("finish_reason") == "content_filter":
        return "held back by the endpoint's content filter"
    content = message.get("content")
    return "" if isinstance(content, str) and content.strip() else "an empty answer"


# Only how models speak of themselves: "I cannot tell you how glad I was" is a sentence of a book.
_REFUSAL = re.compile(
    r"(i['’]?m|i am) (very |really |truly )?sorry,? (but )?(i|as an)\b.{0,40}\b"
    r"(can['’]?t|cannot|can not|unable|won['’]?t)"
    r"|(i|we) (can['’]?t|cannot|can not|won['’]?t|am unable to|['’]m unable to) "
    r"(assist|help|comply|fulfil|provide|create|generate|write|rewrite|produce|do that|continue with)\b"
    r"|(i['’]?m|i am) (unable|not able) to (assist|help|comply|fulfil|provide|create|generate|write|rewrite)\b"
    r"|as an? (ai|artificial|language) ",
    re.IGNORECASE,
)
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?[ \t]*\n", re.IGNORECASE)


def refused(text: str) -> bool:
    return bool(_REFUSAL.match(text.lstrip()[:200]))


def parsed(text: str, schema: dict[str, Any]) -> Any:
    """The JSON of an answer (a thought before it and a code fence around it are taken off). Raises Unfit."""
    from referencing.exceptions import Unresolvable

    body = _unfenced(_THOUGHT.sub("", text))
    try:
        data = json.loads(body, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as e:
        if refused(body):
            raise Unfit("the teacher refused") from None
        what = "nested too deep" if isinstance(e, RecursionError) else str(e).splitlines()[0][:200]
        raise Unfit(f"not JSON: {what}") from None
    try:
        error = next(iter(_validator(json.dumps(schema, sort_keys=True)).iter_errors(data)), None)
    except RecursionError:
        raise Unfit("nested too deep") from None
    except OverflowError:  # multipleOf divides: a whole number of 400 digits is no float
        raise Unfit("a number too large") from None
    except Unresolvable as e:
        raise Unfit(f"the schema refers to {e.ref!r}, which is not in it") from None
    except Unsafe as e:
        raise Unfit(str(e)[:300]) from None
    if error is not None:
        at = ".".join(map(str, error.absolute_path))
        raise Unfit(f"breaks the schema: {at + ': ' if at else ''}{error.message[:200]}")
    return data


def _unfenced(text: str) -> str:
    """Without a code fence around all of it. One expression for both ends takes minutes for a megabyte of blanks."""
    body = text.strip()
    opened = _FENCE.match(body)
    if opened and body.endswith("```") and opened.end() <= len(body) - 3:
        return body[opened.end() : -3]
    return text


@lru_cache(maxsize=8)
def _validator(schema: str) -> Any:
    return validator(json.loads(schema))


def schema_problem(schema: dict[str, Any]) -> str | None:
    """Why answers cannot be checked by this schema, or None: to be told before anything is asked."""
    from jsonschema import SchemaError

    try:
        validator(schema)
        for pattern in _patterns(schema):
            compiled(pattern)
    except SchemaError as e:
        return f"not a JSON Schema: {e.message[:200]}"
    except Unsafe as e:
        return str(e)[:300]
    except RecursionError:
        return "nested too deep"
    return None


def _patterns(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["pattern"]] if isinstance(value.get("pattern"), str) else []
        return own + [p for inner in value.values() for p in _patterns(inner)]
    return [p for inner in value for p in _patterns(inner)] if isinstance(value, list) else []


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(out := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return out
