"""Plain data → a struct, with *every* mistake and its path: msgspec itself stops at the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar, Union

import msgspec
from msgspec import inspect

from runner.toolset.words import Mistake, Where

T = TypeVar("T")


def convert(data: Any, kind: type[T]) -> tuple[T | None, list[Mistake]]:
    """(`data` as a `kind`, no mistakes), or (None, all mistakes that types can tell)."""
    try:
        return msgspec.convert(data, kind), []
    except msgspec.ValidationError as e:
        found = list(_wrong(data, inspect.type_info(kind), ()))
        return None, found or [((), str(e))]


def _wrong(data: Any, info: inspect.Type, at: Where) -> Iterator[Mistake]:
    """Mistakes of `data` as the type that `info` describes."""
    if isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        info = _branch(data, info)
    if isinstance(info, inspect.StructType) and isinstance(data, dict):
        yield from _struct(data, info, at)
    elif isinstance(info, inspect.ListType) and isinstance(data, list):
        for i, item in enumerate(data):
            yield from _wrong(item, info.item_type, (*at, i))
        if len(data) < (info.min_length or 0):
            yield at, f"needs at least {info.min_length}, has {len(data)}"
    elif isinstance(info, inspect.DictType) and isinstance(data, dict):
        for key, item in data.items():
            for _, what in _leaf(key, info.key_type):
                yield (*at, key), f"{what}, as a name"
            yield from _wrong(item, info.value_type, (*at, key))
        if len(data) < (info.min_length or 0):
            yield at, f"needs at least {info.min_length}, has {len(data)}"
    else:
        for _, what in _leaf(data, info):
            yield at, what


def _struct(data: dict[str, Any], info: inspect.StructType, at: Where) -> Iterator[Mistake]:
    fields = {f.encode_name: f for f in info.fields}
    for key, item in data.items():
        if key in fields:
            yield from _wrong(item, fields[key].type, (*at, key))
        else:
            yield (*at, key), f"unknown key; there are {', '.join(fields)}"
    for key, field in fields.items():
        if field.required and key not in data:
            yield at, f"needs {key!r}"


def _branch(data: Any, info: inspect.UnionType) -> inspect.Type:
    """The alternative that `data` is meant as: by its JSON kind, of which a union has one of each."""
    kinds: dict[type, tuple[type, ...]] = {
        dict: (inspect.StructType, inspect.DictType),
        list: (inspect.ListType,),
    }
    for inner in info.types:
        bare = inner.type if isinstance(inner, inspect.Metadata) else inner
        if isinstance(bare, kinds.get(type(data), ())):
            return bare
    return info


def _leaf(data: Any, info: inspect.Type) -> Iterator[Mistake]:
    """What is wrong with something that has no parts, in msgspec's words."""
    try:
        msgspec.convert({"it": data}, msgspec.defstruct("Leaf", [("it", _annotation(info))]))
    except msgspec.ValidationError as e:
        yield (), str(e).partition(" - at `")[0]


def _annotation(info: inspect.Type) -> Any:
    """A type that `info` describes, of those that stand in tool sets."""
    if isinstance(info, inspect.Metadata):
        return _annotation(info.type)
    if isinstance(info, inspect.StrType):
        return Annotated[
            str, msgspec.Meta(min_length=info.min_length, max_length=info.max_length, pattern=info.pattern)
        ]
    if isinstance(info, inspect.IntType):
        return Annotated[int, msgspec.Meta(ge=info.ge, le=info.le)]
    if isinstance(info, inspect.FloatType):
        return Annotated[float, msgspec.Meta(gt=info.gt)]
    if isinstance(info, inspect.LiteralType):
        return Literal[info.values]
    if isinstance(info, inspect.UnionType):
        return Union[tuple(_annotation(t) for t in info.types)]  # noqa: UP007 - made, not written
    simple: dict[Any, Any] = {inspect.BoolType: bool, inspect.NoneType: None, inspect.ListType: list}
    simple |= {inspect.DictType: dict, inspect.StructType: dict}
    return simple.get(type(info), Any)
