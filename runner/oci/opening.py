"""What the user names → what holds the pack: a registry, a folder, a file, or an address that fsspec opens."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner import extras
from runner.errors import UsageError
from runner.oci.bringing import Holder
from runner.oci.layout import LAYOUT, Archive, Folder
from runner.oci.reference import FORM, SCHEME, Reference, parse
from runner.settings import Settings

if TYPE_CHECKING:
    from runner.oci.remote import Remote


def reference(text: str) -> Reference:
    """Raises UsageError for what begins as a reference and is none."""
    if (found := parse(text)) is None:
        raise UsageError(f"{text[:200]!r} is no reference: say {FORM}")
    return found


def remote(ref: Reference, settings: Settings) -> Remote:
    """A registry's pack. Raises UsageError where oras is missing."""
    try:
        from runner.oci.remote import Remote
    except ModuleNotFoundError as e:
        if (e.name or "").partition(".")[0] not in ("oras", "requests"):
            raise
        raise extras.Missing("registries need oras", extras.install("share")) from None
    return Remote(ref, settings)


@contextmanager
def opened(text: str, settings: Settings) -> Iterator[Holder]:
    """Raises UsageError where nothing is there, StepError where it cannot be opened."""
    if text.startswith(SCHEME):
        yield remote(reference(text), settings)
        return
    if "://" in text:
        from runner.oci.storage import Stored

        stored = Stored(text)
        if not stored.is_file:
            yield stored
            return
        with tempfile.TemporaryDirectory(prefix="mirepoix-pull-") as scratch:
            yield stored.archive(Path(scratch, "pack"))
        return
    path = Path(text)
    if path.is_dir():
        if not (path / LAYOUT).is_file():
            raise UsageError(f"the folder {text[:200]!r} is no pack: it has no {LAYOUT}")
        yield Folder(path)
    elif path.is_file():
        yield Archive(path)
    else:
        raise UsageError(f"no pack {text[:200]!r}: name a file, a folder, or {FORM}")
