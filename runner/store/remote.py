"""Artifacts in a place that fsspec opens (runner/objectstore.py), for other machines, and for this one later.

    mirepoix.json                  the version of all this
    artifacts/ab/abcd….json        an artifact's manifest, as it lies in the store; written once all its files are there
    files/12/1234….                a file, under the sha256 of its bytes: what several artifacts have is there once

So two who put the same at once do each other no harm, and what a kill cuts short is no artifact. Each file is digested
as it comes; a place where one is missing or damaged has no such artifact, and gets it anew.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from runner import extras
from runner.errors import StepError, UsageError
from runner.objectstore import ObjectStore, scheme_of
from runner.store import Store
from runner.store.files import digest
from runner.store.manifest import Artifact, Manifest, read, within
from runner.store.statement import SHA256

STEP = "artifact_store"
_KEPT = "artifacts are kept below an absolute path, or"
_ABOUT = "mirepoix.json"
_VERSION = 1
ANSWERS = 60.0
"""Seconds that a place has to show that it is there."""
_LONGEST = 255
"""Bytes of a folder's or file's name, as most file systems have it."""
_LARGEST = 64 << 20
"""Bytes of a manifest that is read."""
Moves = Callable[[int, int], None]
"""objects that are there by now, of so many"""


class _About(msgspec.Struct):
    """What mirepoix.json says; a later version may say more."""

    artifact_store: int


class Damaged(Exception):
    """An artifact there is not what its manifest says: in words, what is wrong."""


class RemoteStore:
    """The artifacts below an address of the user's; `puts`: there are to be more. Raises UsageError, Missing and
    StepError as `ObjectStore` does."""

    def __init__(self, url: str, *, puts: bool = True) -> None:
        self._place, self._puts = opened(url), puts
        self.said = self._place.said
        self._bad: set[str] = set()  # files, and artifacts, that are damaged or missing there

    def open(self) -> None:
        """Look whether it can be read, and, the first time, written: before there is anything to put there. Raises
        UsageError for one of a later version, StepError for one that does not answer."""
        failed: list[BaseException] = []

        def look() -> None:
            try:
                self._look()
            except BaseException as e:
                failed.append(e)

        # Drivers that hear nothing ask again, for many minutes; a thread need not be waited for.
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(ANSWERS)
        if thread.is_alive():
            raise StepError(
                STEP,
                f"{self.said} has not answered for {ANSWERS:.0f} seconds; see to the network, or leave the setting out",
            )
        if failed:
            raise failed[0]

    def _look(self) -> None:
        if self._place.size(_ABOUT) is None:
            if not self._place.is_there():  # as the folder of a share that is not mounted
                raise UsageError(f"{STEP}: no folder {self.said}; make it first, or name another place")
            if self._puts:
                self._place.put(_ABOUT, json.dumps({"artifact_store": _VERSION}).encode() + b"\n")
            return
        try:
            form = msgspec.json.decode(self._read(_ABOUT), type=_About).artifact_store
        except (msgspec.DecodeError, RecursionError):
            form = 0
        if form > _VERSION:
            raise UsageError(
                f"{STEP}: {self.said} is of a later version of mirepoix (form {form}; this one knows form {_VERSION}); "
                "take that, or name another place"
            )
        if form < 1:
            raise UsageError(
                f"{STEP}: {self.said} holds no artifacts: its {_ABOUT} is none of mirepoix; name another place"
            )

    def _read(self, name: str) -> bytes:
        out = bytearray()
        for piece in self._place.read(name):
            out += piece
            if len(out) > _LARGEST:
                raise StepError(STEP, f"{self.said}: {name} has more than {_LARGEST:,} bytes")
        return bytes(out)

    def has(self, fingerprints: Iterable[str]) -> set[str]:
        """Those of which it has a manifest."""
        self._place.refresh()
        some = list(fingerprints)
        there = self._place.each(lambda f: self._place.size(_manifest(f)) is not None, some)
        return {f for f, found in zip(some, there, strict=True) if found}

    def bring(self, store: Store, fingerprint: str, moves: Moves = lambda done, of: None) -> bool:
        """Take an artifact into the store, whole; False where there is none. For whoever holds its lock. Raises
        Damaged."""
        if not self.has([fingerprint]):
            return False
        try:
            manifest = self._sound(raw := self._read(_manifest(fingerprint)), fingerprint)
            with store.taking(manifest, raw) as folder:
                self._each(lambda sha, names: self._get(folder, sha, names), manifest, moves)
        except Damaged:
            self._bad.add(fingerprint)
            raise
        return True

    def _sound(self, raw: bytes, fingerprint: str) -> Manifest:
        try:
            manifest = read(raw)
            if manifest is None or not _can_be(manifest.files):
                raise Damaged("its manifest is damaged, or of a later version")
            if not manifest.fingerprint == digest(manifest.ingredients) == fingerprint:
                raise Damaged("its manifest is of another one")
        except RecursionError:
            raise Damaged("its manifest is nested too deep") from None
        return manifest

    def _get(self, folder: Path, sha: str, names: list[str]) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        first = folder / names[0]
        if self._place.size(file_at(sha)) is None:
            self._bad.add(sha)
            raise Damaged(f"{names[0]} is missing")
        if not self._place.get(file_at(sha), first, sha):
            self._bad.add(sha)
            raise Damaged(f"{names[0]} is damaged")
        for name in names[1:]:
            shutil.copyfile(first, folder / name)

    def put(self, artifact: Artifact, moves: Moves = lambda done, of: None) -> bool:
        """Keep an artifact there; False where it is already. Its manifest comes last."""
        manifest = artifact.manifest
        bad = manifest.fingerprint in self._bad
        if not bad and self.has([manifest.fingerprint]) and not self._bad & {*manifest.files.values()}:
            return False
        if bad:  # the first file that was damaged is known, and nobody has looked at all others
            self._bad.update(manifest.files.values())
        self._each(lambda sha, names: self._put(artifact.file(names[0]), sha), manifest, moves)
        self._place.put(_manifest(manifest.fingerprint), artifact.file("manifest.json"))
        self._bad.discard(manifest.fingerprint)
        return True

    def _put(self, path: Path, sha: str) -> None:
        if sha in self._bad or self._place.size(file_at(sha)) != path.stat().st_size:
            self._place.put(file_at(sha), path)
            self._bad.discard(sha)

    def _each(self, work: Callable[[str, list[str]], None], manifest: Manifest, moves: Moves) -> None:
        """Do it with each object and the names of the files that it is, some at once. What the first that fails raises,
        all."""
        objects: dict[str, list[str]] = {}
        for name, sha in sorted(manifest.files.items()):
            objects.setdefault(sha, []).append(name)
        moves(0, len(objects))
        done = self._place.each(lambda one: work(*one), objects.items())
        for n, _ in enumerate(done, 1):
            moves(n, len(objects))


def address(url: str) -> str:
    """The address that the setting means, which may be an absolute path, or one from `~` on. Raises as
    `objectstore.scheme_of`."""
    if not url.isprintable():
        raise UsageError(f"{STEP}: {url[:200]!r} holds what is no letter of an address")
    try:
        url = str(Path(url).expanduser()) if url.startswith("~") else url
    except RuntimeError:
        raise UsageError(f"{STEP}: {url!r}: nobody's home is known by that name") from None
    url = f"file://{url}" if url.startswith("/") else url
    scheme, _, rest = url.partition("://")
    try:
        if scheme.lower() in ("file", "local") and not rest.startswith("/"):
            raise UsageError(f"{url!r} is no absolute path")
        scheme_of(url, _KEPT)
    except extras.Missing:
        raise
    except UsageError as e:
        raise UsageError(f"{STEP}: {e}") from None
    return url


def apart(url: str, workspace: Path) -> None:
    """Raises UsageError where an address means the workspace's own store, whose folders have the same names."""
    scheme, _, path = address(url).partition("://")
    own = (workspace / ".mirepoix").resolve()
    if scheme.lower() in ("file", "local") and Path(path).resolve().is_relative_to(own):
        raise UsageError(f"{STEP}: {url!r} lies in the workspace's own store; name another place")


def opened(url: str) -> ObjectStore:
    """The place that the setting names."""
    return ObjectStore(address(url), STEP, _KEPT)


def _can_be(files: Mapping[str, str]) -> bool:
    """Whether a manifest's files can lie beside it in one folder, and are named by digests."""
    folders = {str(above) for name in files for above in PurePosixPath(name).parents}
    return (
        not folders & {*files, "manifest.json"}
        and "manifest.json" not in files
        and all(len(part.encode()) <= _LONGEST for name in files for part in PurePosixPath(name).parts)
        and all(map(SHA256.fullmatch, files.values()))
        and all(within(n) and str(PurePosixPath(n)) == n and "\0" not in n for n in files)
    )


def _manifest(fingerprint: str) -> str:
    return f"artifacts/{fingerprint[:2]}/{fingerprint}.json"


def file_at(sha: str) -> str:
    """What the object is called that holds the bytes of that sha256."""
    return f"files/{sha[:2]}/{sha}"
