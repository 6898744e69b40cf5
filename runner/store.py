"""Artifacts: folders named by a fingerprint, whole or not there at all.

An artifact is written under a temporary name; its files are fsynced, `manifest.json` is written last, the
folder is renamed into place and its parent fsynced. So a manifest means done, whatever was killed when.
Digests are checked when an artifact is used; one that does not hold is set aside in `quarantine/`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner.errors import Locked

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


def canonical(data: Any) -> bytes:
    """JSON with sorted keys and no spaces: the only form that is ever digested."""
    return json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(data: Any) -> str:
    """sha256 of canonical JSON."""
    return hashlib.sha256(canonical(data)).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def fsync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync(path.parent)


def place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link, or a copy where links are not to be had."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class Store:
    """The artifacts of one workspace, under `.mirepoix/`."""

    def __init__(self, workspace: Path) -> None:
        self.root = workspace / ".mirepoix"

    def work(self, fingerprint: str) -> Path:
        """A folder for a step's unfinished work; it outlives a kill, so that the step can resume."""
        path = self.root / "work" / fingerprint
        path.mkdir(parents=True, exist_ok=True)
        return path

    def path(self, fingerprint: str) -> Path:
        return self.root / "artifacts" / fingerprint[:2] / fingerprint

    def get(self, fingerprint: str, *, verify: bool = True) -> Artifact | None:
        """The artifact, or None if it is not there. A damaged one is quarantined, and so not there."""
        path = self.path(fingerprint)
        try:
            raw = (path / "manifest.json").read_bytes()
        except FileNotFoundError:
            return None
        try:
            manifest = msgspec.json.decode(raw, type=Manifest)
            whole = manifest.version == VERSION and manifest.fingerprint == fingerprint
            if verify:
                whole = whole and all(file_digest(path / name) == sha for name, sha in manifest.files.items())
            else:
                whole = whole and all((path / name).is_file() for name in manifest.files)
        except (msgspec.DecodeError, OSError):
            whole = False
        if not whole:
            if verify:  # a mere look changes nothing
                self._quarantine(path)
            return None
        return Artifact(path, manifest)

    def _quarantine(self, path: Path) -> None:
        aside = self.root / "quarantine"
        aside.mkdir(parents=True, exist_ok=True)
        n = 0
        while (aside / f"{path.name}.{n}").exists():
            n += 1
        path.rename(aside / f"{path.name}.{n}")

    @contextmanager
    def making(self, step: str, fingerprint: str, ingredients: dict[str, Any]) -> Iterator[Path]:
        """A temporary folder to fill; on leaving without an error it becomes the artifact."""
        temporary = self.root / "tmp" / f"{fingerprint}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            names = sorted(p.relative_to(temporary).as_posix() for p in temporary.rglob("*") if p.is_file())
            files = {name: file_digest(temporary / name) for name in names}
            for name in names:
                fsync(temporary / name)
                (temporary / name).chmod(0o444)  # runs/ links to it: an edit there would damage it here
            manifest = Manifest(VERSION, step, fingerprint, ingredients, files)
            with (temporary / "manifest.json").open("wb") as f:
                f.write(msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1))
                f.flush()
                os.fsync(f.fileno())
            for folder in {temporary, *(p for p in temporary.rglob("*") if p.is_dir())}:
                fsync(folder)
            final = self.path(fingerprint)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():
                self._quarantine(final)
            temporary.rename(final)
            fsync(final.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace. The lock is the kernel's, so a killed holder frees it. Raises Locked."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                f.seek(0)
                holder = f.read().strip() or "unknown"
                raise Locked(f"another run (process {holder}) is working in this workspace") from None
            f.seek(0)
            f.truncate()
            f.write(f"{os.getpid()}\n")
            f.flush()
            shutil.rmtree(self.root / "tmp", ignore_errors=True)  # of runs that were killed
            for left in (self.root / "work").glob("*"):  # of steps that were made when the kill came
                if (self.path(left.name) / "manifest.json").is_file():
                    shutil.rmtree(left, ignore_errors=True)
            yield
