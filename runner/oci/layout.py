"""OCI image layouts with one pack: a folder, or one tar file of it. Written to the same bytes for the same files.

Of a tar file only plain entries are read, and only those that a layout has; so no library has to be trusted with links,
sparse files, long headers or compression of a stranger's.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from runner.errors import StepError, UsageError
from runner.oci.manifest import (
    ARTIFACT,
    MANIFEST,
    MOST_FILES,
    MOST_MANIFEST,
    WEIGHTS,
    WHOLE,
    Contents,
    Descriptor,
)

LAYOUT, INDEX = "oci-layout", "index.json"
MARK = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
REF = "org.opencontainers.image.ref.name"
LARGEST = WHOLE + WEIGHTS + (64 << 20)
"""Bytes of a tar file."""
_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{64}\Z")
_FOLDERS = ("blobs", "blobs/sha256")
_PIECE = 1 << 20


class _Entry(Struct, forbid_unknown_fields=True):
    mediaType: str
    digest: str
    size: int
    artifactType: str = ""
    annotations: dict[str, str] = {}


class _Index(Struct, forbid_unknown_fields=True):
    schemaVersion: int
    manifests: list[_Entry]
    mediaType: str = INDEX_TYPE
    annotations: dict[str, str] = {}


def blob(sha256: str) -> str:
    return f"blobs/sha256/{sha256}"


def index(contents: Contents, name: str) -> bytes:
    """index.json of a layout that holds one pack, called `name` there."""
    one = {
        "mediaType": MANIFEST,
        "digest": f"sha256:{contents.digest}",
        "size": len(contents.raw),
        "artifactType": ARTIFACT,
        "annotations": {REF: name},
    }
    return msgspec.json.encode(
        {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [one]}, order="sorted"
    )


def described(raw: bytes, said: str) -> Descriptor:
    """The one pack that an index.json names. Raises StepError."""
    try:
        found = msgspec.json.decode(raw, type=_Index)
    except (ValueError, RecursionError):
        raise StepError("pull", f"{said} has an index.json that is none") from None
    if len(found.manifests) != 1 or found.manifests[0].mediaType != MANIFEST:
        raise StepError("pull", f"{said} is no layout with one pack in it")
    one = found.manifests[0]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", one.digest) or not 0 < one.size <= MOST_MANIFEST:
        raise StepError("pull", f"{said} has an index.json that names no manifest")
    return Descriptor(one.mediaType, one.digest, one.size)


def files(
    contents: Contents, name: str, blobs: Mapping[str, Path | bytes]
) -> Iterator[tuple[str, Path | bytes]]:
    """Names and bytes of a layout; what says that it is one comes last."""
    for sha256 in sorted(blobs):
        yield blob(sha256), blobs[sha256]
    yield blob(contents.digest), contents.raw
    yield LAYOUT, MARK
    yield INDEX, index(contents, name)


def write_tar(to: BinaryIO, contents: Contents, name: str, blobs: Mapping[str, Path | bytes]) -> None:
    """One tar file, without times, owners or rights."""
    with tarfile.open(fileobj=to, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content in files(contents, name, blobs):
            about = tarfile.TarInfo(path)
            about.mode = 0o644
            if isinstance(content, bytes):
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))
            else:
                with content.open("rb") as file:
                    about.size = os.fstat(file.fileno()).st_size
                    tar.addfile(about, file)


class Folder:
    """A layout that is a folder. Links in it are not followed."""

    def __init__(self, path: Path) -> None:
        self.path, self.said = path, str(path)

    def manifest(self) -> bytes:
        return _manifest(self)

    def names(self) -> Iterator[str]:
        """All that is in it. Raises StepError for what is no plain file."""
        for here, folders, found in os.walk(self.path):
            for name in (*folders, *found):
                path = Path(here, name)
                shown = path.relative_to(self.path).as_posix()
                kind = path.lstat().st_mode
                if stat.S_ISDIR(kind):
                    if shown not in _FOLDERS:
                        raise StepError(
                            "pull", f"{self.said} holds {shown[:200]!r}, which belongs to no pack"
                        )
                elif stat.S_ISREG(kind):
                    yield shown
                else:
                    raise StepError("pull", f"{self.said}: {shown[:200]!r} is a link, or no plain file")

    def read(self, name: str) -> Iterator[bytes]:
        how = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with open(os.open(self.path / name, how), "rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except OSError as e:
            raise StepError("pull", f"{self.said}: {name!r} cannot be read: {e.strerror or e}") from None

    def blob(self, one: Descriptor) -> Iterator[bytes]:
        return self.read(blob(one.sha256))

    def alone(self, wanted: frozenset[str]) -> None:
        _alone(self.said, self.names(), wanted)


class Archive:
    """A layout that is one tar file, not compressed."""

    def __init__(self, path: Path) -> None:
        self.path, self.said = path, str(path)
        self._places = dict(self._walked())

    def _walked(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Names, and where the bytes of each begin and how many they are."""
        seen: set[str] = set()
        with open(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise UsageError(f"{self.said}: is no file")
            if about.st_size > LARGEST:
                raise StepError("pull", f"{self.said} has {about.st_size:,} bytes; {LARGEST:,} are the most")
            at = 0
            while head := file.read(tarfile.BLOCKSIZE):
                if not head.strip(b"\0"):  # the end: zeros, and no more than zeros
                    self._nothing_but_zeros(file)
                    break
                name, size, kind = self._entry(head)
                at += tarfile.BLOCKSIZE
                if kind == tarfile.DIRTYPE and name.rstrip("/") in _FOLDERS and not size:
                    continue
                if kind not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    what = f"{self.said} holds {name[:200]!r}, which is a link, or no plain file"
                    raise StepError("pull", what)
                if not (_BLOB.match(name) or name in (LAYOUT, INDEX)) or name in seen:
                    raise StepError("pull", f"{self.said} holds {name[:200]!r}, which belongs to no pack")
                if len(seen) > MOST_FILES + 10 or not 0 <= size <= about.st_size - at:
                    raise StepError(
                        "pull", f"{self.said} is cut short, or says that it holds more than it does"
                    )
                seen.add(name)
                yield name, (at, size)
                at += -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                file.seek(at)

    def _nothing_but_zeros(self, file: BinaryIO) -> None:
        while piece := file.read(_PIECE):
            if piece.count(0) < len(piece):
                raise StepError(
                    "pull", f"{self.said} holds something after its end, which belongs to no pack"
                )

    def _entry(self, head: bytes) -> tuple[str, int, bytes]:
        try:
            entry = tarfile.TarInfo.frombuf(head, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError, ValueError):
            hint = (
                "compressed"
                if head[:2] == b"\x1f\x8b" or head[:4] == b"\x28\xb5\x2f\xfd"
                else "none, or damaged"
            )
            raise StepError("pull", f"{self.said} is no pack: as a tar file it is {hint}") from None
        return entry.name, entry.size, entry.type

    def manifest(self) -> bytes:
        return _manifest(self)

    def names(self) -> Iterator[str]:
        yield from self._places

    def read(self, name: str) -> Iterator[bytes]:
        if name not in self._places:
            raise StepError("pull", f"{self.said} lacks {name!r}")
        at, left = self._places[name]
        with self.path.open("rb") as file:
            file.seek(at)
            while left and (piece := file.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece

    def blob(self, one: Descriptor) -> Iterator[bytes]:
        return self.read(blob(one.sha256))

    def alone(self, wanted: frozenset[str]) -> None:
        _alone(self.said, self.names(), wanted)


def whole(pieces: Iterator[bytes], most: int, said: str) -> bytes:
    """A small thing's bytes. Raises StepError for more than it may have."""
    raw = b""
    for piece in pieces:
        raw += piece
        if len(raw) > most:
            raise StepError("pull", f"{said} brings more bytes than it says")
    return raw


def _manifest(of: Folder | Archive) -> bytes:
    if b'"imageLayoutVersion"' not in whole(of.read(LAYOUT), 1 << 10, of.said):
        raise StepError("pull", f"{of.said} is no OCI image layout")
    one = described(whole(of.read(INDEX), MOST_MANIFEST, of.said), of.said)
    return whole(of.read(blob(one.sha256)), one.size, of.said)


def _alone(said: str, names: Iterator[str], wanted: frozenset[str]) -> None:
    """Raises StepError for a file that is none of the pack."""
    for name in names:
        if name not in wanted and name not in (LAYOUT, INDEX):
            raise StepError("pull", f"{said} holds {name[:200]!r}, which belongs to no pack")
