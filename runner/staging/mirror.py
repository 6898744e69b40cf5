"""Of a machine that works: the files that it was sent, laid out in a folder of this process's own.

Processes of one machine share what they fetch, under its sha256: the folder holds other names of the same files, so
nobody may write into one, and whoever writes makes a new one. A process holds the kernel's lock on its folder; what a
killed one left goes with the next.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from runner.errors import StepError
from runner.objectstore import ObjectStore
from runner.staging import Parcel, Staged, objects, pickled
from runner.store import file_digest
from runner.store.files import aside
from runner.store.locks import Locks, release, take

_INSIDE, _OUTSIDE = "in", "out"


def _folder() -> Path:
    # Of this machine's own: the system's folder may be a share, and locks may not reach from one machine to another.
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"mirepoix-{os.getuid()}-{machine}"


def base() -> Path:
    """The folder of this user's on this machine. Raises StepError where somebody else has made it."""
    path = _folder()
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise StepError("ray", f"{path} is not a folder of yours alone; remove it, or set TMPDIR")
    for name in ("files", "views", "locks"):
        (path / name).mkdir(exist_ok=True)
    return path


def tidy(token: str) -> None:
    """A run is at its end: what it had on this machine goes."""
    if _folder().exists():
        sweep(base(), token)


class Mirror:
    """For one run, in one process."""

    def __init__(self, place: ObjectStore, token: str) -> None:
        self._place, self._token, self._base = place, token, base()
        sweep(self._base)
        self._locks = Locks(lambda: self._base / "locks")
        self.folder = aside(self._base / "views" / token)
        while take(self._base / "locks" / self.folder.name) is None:  # held as long as we live
            time.sleep(0.01)  # somebody looks whether it is to be swept
        for name in (_INSIDE, _OUTSIDE):
            (self.folder / name).mkdir(parents=True)
        self._laid: dict[str, tuple[str, int]] = {}  # name → sha256, and which file it was

    def placed(self, name: str) -> Path:
        """Where a name is here. What is above it is there."""
        path = (
            self.folder / _OUTSIDE / name.lstrip("/")
            if name.startswith("/")
            else self.folder / _INSIDE / name
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def unpack(self, parcel: Parcel) -> object:
        """What was sent, once the files that came with it are here."""
        for file in parcel.files:
            if self._laid.get(file.name, ("", 0))[0] != file.sha256:
                self._lay(file)
        return pickled.unpacked(parcel.raw, self.placed)

    def _lay(self, file: Staged) -> None:
        path, kept = self.placed(file.name), self._base / "files" / file.sha256
        with self._locks.waiting(file.sha256):
            if not kept.is_file():
                made = aside(kept)
                try:
                    if not self._place.get(file.at, made, file.sha256):
                        self._place.remove(file.at)  # so that it is sent anew
                        raise StepError(
                            "ray", f"{file.at} was not what was sent for {file.name}; run it again"
                        )
                    made.chmod(0o444)
                    made.replace(kept)
                finally:
                    made.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            self._laid[file.name] = file.sha256, kept.stat().st_ino
            os.link(kept, path)

    def pack(self, what: object) -> Parcel:
        """What came of it, with the files that were written, which are then in the store and no more here."""
        raw, _ = pickled.packed(what, self.folder / _INSIDE, self.folder / _OUTSIDE)
        sent = []
        for name, path in self._written():
            file = Staged(name, objects.back(self._token), file_digest(path))
            self._place.put(file.at, path)
            path.unlink()
            sent.append(file)
        return Parcel(raw, sent)

    def drop(self) -> None:
        """Nothing came of it: what was written meanwhile goes."""
        for _, path in self._written():
            path.unlink()

    def _written(self) -> Iterator[tuple[str, Path]]:
        """What was not laid here by us, where steps may write."""
        inside = self.folder / _INSIDE
        for here, _, names in os.walk(inside / objects.WORK):
            for file in sorted(names):
                path = Path(here, file)
                name = path.relative_to(inside).as_posix()
                if self._laid.get(name, ("", 0))[1] != path.stat().st_ino:
                    self._laid.pop(name, None)
                    yield name, path


def sweep(base: Path, token: str = "") -> None:
    """Remove folders of processes that are gone, or of a run that is at its end, and files that no folder names."""
    views = {p.name for p in (base / "views").iterdir()}
    for name in sorted(views | {p.name for p in (base / "locks").iterdir() if "." in p.name}):  # not of files
        lock = base / "locks" / name
        fd, ended = take(lock), bool(token) and name.startswith(f"{token}.")
        if fd is not None or ended:
            shutil.rmtree(base / "views" / name, ignore_errors=True)
        if fd is not None:
            release(lock, fd)
        elif ended:
            lock.unlink(missing_ok=True)  # its process does nothing more
    for kept in (base / "files").iterdir():
        lock = base / "locks" / kept.name.partition(".")[0]
        with suppress(FileNotFoundError):  # somebody else has swept it
            if kept.stat().st_nlink > 1 or (fd := take(lock)) is None:
                continue
            try:
                if kept.stat().st_nlink == 1:
                    kept.unlink()
            finally:
                release(lock, fd)
