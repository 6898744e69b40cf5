"""The lock files of a workspace: what each source fetched, by content, so that a second run asks for nothing.

A lock is named by its request (the plug-in, the options that its fetch takes, the seed, what it reads of other
sources) and holds the items in order. Addresses of services and times are not in it: with the same bytes behind
other mirrors, everything that follows stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner.fetching import Item
from runner.store import digest, write_atomic

VERSION = 1


class Lock(Struct, frozen=True, forbid_unknown_fields=True):
    """`request` as it was digested, and the items that came of it."""

    version: int
    request: dict[str, Any]
    items: list[Item]


def _path(root: Path, request: dict[str, Any]) -> Path:
    return root / "fetched" / "locks" / f"{digest(request)}.json"


def read(root: Path, request: dict[str, Any]) -> tuple[Item, ...] | None:
    """The items that were fetched for this request; None where it was not fetched yet, or cannot be read."""
    try:
        lock = msgspec.json.decode(_path(root, request).read_bytes(), type=Lock)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    if lock.version != VERSION or not all(raw(root, i).is_file() for i in lock.items if i.sha256):
        return None
    return tuple(lock.items)


def write(root: Path, request: dict[str, Any], items: list[Item]) -> None:
    """Lock what was fetched."""
    lock = Lock(VERSION, request, items)
    write_atomic(
        _path(root, request), msgspec.json.format(msgspec.json.encode(lock), indent=1) + b"\n", root.parent
    )


def raw(root: Path, item: Item) -> Path:
    """The file with an item's bytes."""
    return root / "raw" / item.sha256[:2] / item.sha256
