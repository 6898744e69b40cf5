"""What a judge answered: a value, or why there is none. What cannot be read is missing, never a grade."""

from __future__ import annotations

import json
from typing import Any, Literal

from msgspec import Struct

from runner.judging.prompts import Question
from runner.teaching.answers import Reply, Unfit, parsed, refused, reply

Fault = Literal["", "refused", "unreadable", "failed", "budget"]


class Said(Struct, frozen=True):
    """A verdict with its reason; or None with what was wrong, of which kind, in words for the report."""

    value: Any
    reason: str
    fault: Fault = ""


def completion(raw: bytes) -> Reply:
    """A chat completion out of an endpoint's answer. Raises ValueError for what is none: that is not worth keeping."""
    try:
        whole = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    choices = whole.get("choices") if isinstance(whole, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):
        error = whole.get("error") if isinstance(whole, dict) else None
        said = error.get("message") if isinstance(error, dict) else error
        raise ValueError("it holds no chat completion" + (f": {one_line(str(said))}" if said else ""))
    return reply(raw.decode("utf-8", "backslashreplace"))


def read(answer: Reply, question: Question) -> Said:
    """The verdict in a completion, if it is one: JSON alone, of the question's form, with the question's code."""
    if answer.unfit:
        what = one_line(answer.unfit.removeprefix("the teacher "))
        held_back = what.startswith("refused") or "content filter" in what
        return Said(None, f"the judge's answer: {what}", "refused" if held_back else "unreadable")
    if refused(answer.text):
        return Said(None, "the judge refused", "refused")
    try:
        data = parsed(answer.text, {"type": "object"})
        if data.get("code") != question.code:
            raise Unfit("does not carry the code of its question")
        data = parsed(answer.text, question.schema)
    except Unfit as e:
        what = one_line(str(e).removeprefix("the teacher "))
        return Said(None, f"the judge's answer: {what}", "refused" if what == "refused" else "unreadable")
    return Said(data[question.field], one_line(data.get("reason", "")))


def one_line(text: str, most: int = 300) -> str:
    """Text of strangers on one line that any file can hold."""
    line = " ".join(text.split())
    return (
        (line if len(line) <= most else line[: most - 1] + "…").encode("utf-8", "backslashreplace").decode()
    )
