"""What an artifact says of itself: `manifest.json`, in a format with a version.

Each version that was ever released is read for ever (tests/formats has an artifact of each): a new one gets
an entry in READERS, which makes of its struct what is worked with today.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from msgspec import Struct

from runner.store.statement import Statement, stated, subjects

VERSION = 2


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What was made: which step, out of which ingredients, and the sha256 of every file; and a statement of all that.

    The statement is None in what version 1 left; `said` is what can be said of that, too.
    """

    version: int
    step: str
    fingerprint: str
    ingredients: dict[str, Any]
    files: dict[str, str]
    statement: Statement | None = None

    @property
    def said(self) -> Statement:
        """The statement; of an artifact of version 1 what can be said: not who made it, nor which bytes it needed."""
        return self.statement or stated(self.step, self.fingerprint, self.ingredients, self.files, {}, {})


@dataclass(frozen=True)
class Artifact:
    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        return self.path / name


class _Versioned(Struct):
    version: int


class _First(Struct, forbid_unknown_fields=True):
    version: int
    step: str
    fingerprint: str
    ingredients: dict[str, Any]
    files: dict[str, str]


def _first(raw: bytes) -> Manifest:
    m = msgspec.json.decode(raw, type=_First)
    return Manifest(m.version, m.step, m.fingerprint, m.ingredients, m.files)


def _second(raw: bytes) -> Manifest:
    m = msgspec.json.decode(raw, type=Manifest)
    if m.statement is None or m.statement.subject != subjects(m.files):
        raise msgspec.ValidationError("its statement is of other files")
    return m


READERS: dict[int, Callable[[bytes], Manifest]] = {1: _first, 2: _second}


def read(raw: bytes) -> Manifest | None:
    """A manifest of any version that is known; None for what is damaged, or of a later version."""
    try:
        reader = READERS.get(msgspec.json.decode(raw, type=_Versioned).version)
        return reader(raw) if reader else None
    except msgspec.DecodeError:
        return None


def within(name: str) -> bool:
    """Whether a file that a manifest names is one of its own folder."""
    return ".." not in (parts := PurePosixPath(name).parts) and not name.startswith("/") and bool(parts)


def write(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`: readable, keys sorted."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)
