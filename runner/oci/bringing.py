"""The files of a pack, from wherever it lies into a new folder: each is what the manifest says, or nothing is there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from runner.errors import StepError, UsageError
from runner.oci import manifest, names
from runner.oci.layout import blob, whole
from runner.oci.manifest import Config, Contents, Descriptor, File


class Holder(Protocol):
    """What holds one pack. Nothing that it gives is believed."""

    said: str

    def manifest(self) -> bytes:
        """The bytes of the manifest; more than MOST_MANIFEST are not given."""

    def blob(self, one: Descriptor) -> Iterator[bytes]: ...

    def alone(self, wanted: frozenset[str]) -> None:
        """Raises StepError where something lies beside the pack, which has these blobs."""


def contents(of: Holder, pinned: str = "") -> Contents:
    """The checked manifest. `pinned` is the digest that it must have. Raises StepError."""
    raw = of.manifest()
    if pinned and hashlib.sha256(raw).hexdigest() != pinned:
        what = f"{of.said} is not the pack sha256:{pinned[:12]}… that was asked for: its manifest was changed"
        raise StepError("pull", what)
    found = manifest.read(raw, of.said)
    own = {blob(found.digest), blob(found.config.sha256), *(blob(f.sha256) for f in found.files)}
    of.alone(frozenset(own))
    return found


def about(of: Holder, found: Contents) -> bytes:
    """What the pack says of itself, as it was written. Raises StepError where that was changed."""
    raw, one = whole(of.blob(found.config), found.config.size, of.said), found.config
    if len(raw) != one.size or hashlib.sha256(raw).hexdigest() != one.sha256:
        what = f"{of.said}: what it says of itself was changed on its way: it is not {one.digest[:19]}…"
        raise StepError("pull", what)
    return raw


def config(of: Holder, found: Contents) -> Config:
    """The same, read. Raises StepError."""
    return manifest.config(about(of, found), found, of.said)


def bring(
    of: Holder,
    found: Contents,
    into: Path,
    wanted: Callable[[File], bool] = lambda file: True,
    tell: Callable[[str], None] = lambda said: None,
) -> None:
    """Write files into a folder that is new and empty. Raises StepError where one is not as the manifest says."""
    for file in found.files:
        if not wanted(file):
            continue
        target = into / file.name
        if not target.resolve().is_relative_to(
            into.resolve()
        ):  # no name can; nor may a link that somebody puts there
            raise UsageError(f"{file.name!r} would leave the folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.weights:
            tell(f"{file.name}: {file.size:,} bytes")
        _write(of, file, target)


def _write(of: Holder, file: File, target: Path) -> None:
    one = Descriptor(manifest.FILE, f"sha256:{file.sha256}", file.size)
    digest, came, head = hashlib.sha256(), 0, b""
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(target, how, 0o644), "wb") as out:
        for piece in of.blob(one):
            came += len(piece)
            if came > file.size:
                raise StepError(
                    "pull", f"{of.said}: {file.name!r} brings more bytes than the {file.size:,} it says"
                )
            digest.update(piece)
            head = (head + piece[:16])[:16]
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    if came != file.size or digest.hexdigest() != file.sha256:
        what = f"{of.said}: {file.name!r} was changed on its way: its bytes are not those of sha256:{file.sha256[:12]}…"
        raise StepError("pull", what)
    if names.pickled(head) and not file.weights:
        raise StepError("pull", f"{of.said}: {file.name!r} is a pickle, or what may hold one")
