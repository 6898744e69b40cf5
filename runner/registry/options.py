"""Options of plug-ins: the types of those that name files or sources, and how options are read off a signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

# Options of these types name files. The planner expands them, digests what it finds, and hands the
# files over, so a plug-in never opens a path that a recipe wrote.
Files = Annotated[
    list[str],
    Meta(
        min_length=1,
        description="Files, or globs of them, in the workspace.",
        extra={"files": "glob"},
        examples=[["books/*.txt"]],
    ),
]
"""Globs, relative to the workspace (or `datasets/…` and `evals/…`: files that come with mirepoix)."""
ToolSetName = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9-]*$",
        description="A tool set, datasets/tools/NAME.yaml: lower-case letters, digits and dashes.",
        extra={"files": "tool set"},
        examples=["weather"],
    ),
]
"""A tool set written as data: `datasets/tools/NAME.yaml` of the workspace or of mirepoix."""
ProbeFile = Annotated[
    str,
    Meta(description="A file under evals/.", extra={"files": "evals"}, examples=["probes/style-texts.jsonl"]),
]
"""A file under `evals/`, of the workspace or of mirepoix."""

SourceName = Annotated[
    str,
    Meta(description="The name of a source that stands earlier in the recipe.", extra={"source": True}),
]
"""An earlier source: its records are to be had in `fetch`, as `net.records(name)`."""


def struct_of(call: Callable[..., Any], title: str) -> type[msgspec.Struct]:
    """The options as a struct: one field for every keyword-only parameter of the function."""
    hints = get_type_hints(call, include_extras=True)
    fields: list[Any] = []
    for p in inspect.signature(call).parameters.values():
        if p.kind is not p.KEYWORD_ONLY:
            continue
        default = () if p.default is p.empty else (p.default,)
        fields.append((p.name, hints[p.name], *default))
    return msgspec.defstruct(title, fields, frozen=True, forbid_unknown_fields=True, kw_only=True)


def marked(options: type[msgspec.Struct], mark: str) -> dict[str, Any]:
    """The options whose type carries a mark in its Meta's `extra` → what that says."""
    fields = msgspec.inspect.type_info(options).fields  # type: ignore[attr-defined]
    extras = {f.name: _extra(f.type) for f in fields}
    return {name: extra[mark] for name, extra in extras.items() if mark in extra}


def _extra(kind: Any) -> dict[str, Any]:
    """The `extra` of a type's Meta; that of `X | None` is X's."""
    found: dict[str, Any] = dict(getattr(kind, "extra", None) or {})
    for inner in getattr(kind, "types", ()):
        found |= _extra(inner)
    return found
