"""Artifacts in a place that fsspec opens (runner/buckets.py): other machines, and this one later, take them from there.

    mirepoix.json                  the version of all this
    artifacts/ab/abcd….json        an artifact's manifest, as it lies in the store; written once all its files are there
    files/12/1234….                a file, under the sha256 of its bytes: what several artifacts have is there once

So two who put the same at once do each other no harm, and what a kill cuts short is no artifact. Each file is digested
as it comes; a place where one is missing or damaged has no such artifact, and gets it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from runner.buckets import Bucket
from runner.errors import StepError, UsageError
from runner.store import Store
from runner.store.files import digest, file_digest
from runner.store.manifest import Artifact, Manifest, read, within

STEP = "artifact_store"
_ABOUT = "mirepoix.json"
_VERSION = 1
_AT_ONCE = 8
"""Files that are asked for at once, at most."""
_LARGEST = 64 << 20
"""Bytes of a manifest that is read."""
Moves = Callable[[int, int], None]
"""files that are there by now, of so many"""


class Damaged(Exception):
    """An artifact there is not what its manifest says: in words, what is wrong."""


class Elsewhere:
    """The artifacts below an address of the user's. Raises UsageError, Missing and StepError as `Bucket` does."""

    def __init__(self, url: str) -> None:
        url = f"file://{url}" if url.startswith("/") else url
        self._bucket = Bucket(url, STEP, "artifacts are kept")
        self.said = url
        self._bad: set[str] = set()  # files, and artifacts, that are damaged or missing there

    def open(self) -> None:
        """Look whether it can be read, and, the first time, written: before there is anything to put there. Raises
        UsageError for one of a later version."""
        if self._bucket.size(_ABOUT) is None:
            self._bucket.put(_ABOUT, json.dumps({"artifact_store": _VERSION}).encode() + b"\n")
            return
        try:
            version = msgspec.json.decode(self._read(_ABOUT), type=dict[str, int])["artifact_store"]
        except (msgspec.DecodeError, KeyError):
            raise UsageError(f"{self.said} holds no artifacts of mirepoix; name another place") from None
        if version != _VERSION:
            raise UsageError(f"{self.said} is of a later version of mirepoix (version {version})")

    def _read(self, name: str) -> bytes:
        out = bytearray()
        for piece in self._bucket.read(name):
            out += piece
            if len(out) > _LARGEST:
                raise StepError(STEP, f"{self.said}: {name} has more than {_LARGEST:,} bytes")
        return bytes(out)

    def has(self, fingerprints: Iterable[str]) -> set[str]:
        """Those of which it has a manifest."""
        self._bucket.stale()
        some = list(fingerprints)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            there = pool.map(lambda f: self._bucket.size(_manifest(f)) is not None, some)
            return {f for f, found in zip(some, there, strict=True) if found}

    def bring(self, store: Store, fingerprint: str, moves: Moves = lambda done, of: None) -> bool:
        """Take an artifact into the store, whole; False where there is none. For whoever holds its lock. Raises
        Damaged."""
        if not self.has([fingerprint]):
            return False
        try:
            manifest = self._sound(raw := self._read(_manifest(fingerprint)), fingerprint)
            with store.taking(manifest, raw) as folder:
                self._each(lambda name, sha: self._get(folder / name, name, sha), manifest, moves)
        except Damaged:
            self._bad.add(fingerprint)
            raise
        return True

    def _sound(self, raw: bytes, fingerprint: str) -> Manifest:
        manifest = read(raw)
        if manifest is None or not all(map(within, manifest.files)):
            raise Damaged("its manifest is damaged, or of a later version")
        if not manifest.fingerprint == digest(manifest.ingredients) == fingerprint:
            raise Damaged("its manifest is of another one")
        return manifest

    def _get(self, path: Path, name: str, sha: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._bucket.size(_file(sha)) is None:
            self._bad.add(sha)
            raise Damaged(f"{name} is missing")
        self._bucket.get(_file(sha), path)
        if file_digest(path) != sha:
            self._bad.add(sha)
            raise Damaged(f"{name} is damaged")

    def put(self, artifact: Artifact, moves: Moves = lambda done, of: None) -> None:
        """Keep an artifact there, unless it is. Its manifest comes last."""
        manifest = artifact.manifest
        if self.has([manifest.fingerprint]) and not self._bad & {
            manifest.fingerprint,
            *manifest.files.values(),
        }:
            return
        self._each(lambda name, sha: self._put(artifact.file(name), sha), manifest, moves)
        self._bucket.put(_manifest(manifest.fingerprint), artifact.file("manifest.json"))
        self._bad.discard(manifest.fingerprint)

    def _put(self, path: Path, sha: str) -> None:
        if sha in self._bad or self._bucket.size(_file(sha)) != path.stat().st_size:
            self._bucket.put(_file(sha), path)
            self._bad.discard(sha)

    def _each(self, work: Callable[[str, str], None], manifest: Manifest, moves: Moves) -> None:
        """Do it with each file's name and sha256, some at once. What the first that fails raises, all."""
        moves(0, len(manifest.files))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            asked = [pool.submit(work, name, sha) for name, sha in sorted(manifest.files.items())]
            try:
                for n, one in enumerate(asked, 1):
                    one.result()
                    moves(n, len(asked))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _manifest(fingerprint: str) -> str:
    return f"artifacts/{fingerprint[:2]}/{fingerprint}.json"


def _file(sha: str) -> str:
    return f"files/{sha[:2]}/{sha}"
