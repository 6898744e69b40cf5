"""Texts with slots, in the persona's voice and plainly: what both forms of a tool set are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Name = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Texts = Annotated[list[Text], Meta(min_length=1)]
Voice = Literal["persona", "plain"]
Where = tuple[str | int, ...]
Mistake = tuple[Where, str]
VOICES: tuple[Voice, ...] = ("persona", "plain")
SLOT = re.compile(r"\{(\w+)\}")


class Voices(Struct, frozen=True, forbid_unknown_fields=True):
    """The same thing said in the persona's voice and plainly."""

    persona: Texts
    plain: Texts

    def of(self, voice: Voice) -> list[str]:
        return self.persona if voice == "persona" else self.plain


class Function(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    description: str = ""
    parameters: dict[str, Any] = {}


class Definition(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool as chat templates know it (OpenAI's function schema)."""

    type: Literal["function"]
    function: Function


class Direct(Struct, frozen=True, forbid_unknown_fields=True):
    """Something said that calls no tool, and its answer."""

    asks: Texts
    persona: Texts
    plain: Texts

    def of(self, voice: Voice) -> list[str]:
        return self.persona if voice == "persona" else self.plain


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def slots(template: str) -> set[str]:
    """Names of the slots of a template; {City} is the slot `city`, capitalised."""
    return {_lower(n) for n in SLOT.findall(template)}


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with its slots filled; a filled-in text is never filled again."""
    return fill_from(template, lambda name: str(values[name]))


def fill_from(template: str, value: Callable[[str], str]) -> str:
    """The template with each slot filled by what `value` says for its name, from left to right.

    Never `str.format`: its attribute look-ups would let data reach into code.
    """

    def one(match: re.Match[str]) -> str:
        text = value(_lower(match[1]))
        return text[:1].upper() + text[1:] if match[1][:1].isupper() else text

    return SLOT.sub(one, template)


def unslotted(template: str) -> str:
    """What a template says by itself."""
    return SLOT.sub("", template)


def compact(value: Any) -> str:
    """JSON as it stands in calls and results."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
