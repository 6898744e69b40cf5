"""What an artifact says of itself: `manifest.json`, in a format with a version.

Each version that was ever released is read for ever (tests/fixtures/formats has an artifact of each): a new one gets
an entry in READERS, which makes of its struct what is worked with today.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

VERSION = 1


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What was made: which step, out of which ingredients, and the sha256 of every file."""

    version: int
    step: str
    fingerprint: str
    ingredients: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True)
class Artifact:
    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        return self.path / name


class _Versioned(Struct):
    version: int


READERS: dict[int, Callable[[bytes], Manifest]] = {
    1: lambda raw: msgspec.json.decode(raw, type=Manifest),
}


def read(raw: bytes) -> Manifest | None:
    """A manifest of any version that is known; None for what is damaged, or of a later version."""
    try:
        reader = READERS.get(msgspec.json.decode(raw, type=_Versioned).version)
        return reader(raw) if reader else None
    except msgspec.DecodeError:
        return None


def write(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`: readable, keys sorted."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)
