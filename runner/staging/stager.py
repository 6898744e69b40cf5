"""Of the machine that hands out work: files below the paths in it go out, and those that come back to their places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from runner import paths
from runner.errors import StepError
from runner.objectstore import ObjectStore
from runner.staging import Parcel, Staged, objects, pickled
from runner.store import file_digest
from runner.store.files import hidden

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".h5", ".msgpack", ".onnx")
"""Ends of names of models' weights: gigabytes, which no batch function reads."""


class Stager:
    """For one run of the workspace `root`; `token` is drawn for it. Whatever the store refuses raises StepError."""

    def __init__(self, place: ObjectStore, root: Path, token: str) -> None:
        self._place, self._root, self._token = place, root, token
        self._known: dict[tuple[int, ...], str] = {}  # what a file was when it was digested
        self._there: set[str] = set()

    def open(self, secret: str) -> None:
        """Put what others look for, to know that it is the same store."""
        self._place.put(objects.seen(self._token), secret.encode())

    def pack(self, what: object) -> Parcel:
        """A pickle of it, once all files below its paths are there."""
        raw, found = pickled.packed(what, self._root)
        files = [self._passed(name, path) for top, at in found.items() for name, path in _below(top, at)]
        wanted = {file.at: path for file, path in files if file.at not in self._there}
        for _ in self._place.each(lambda one: self._put(*one), wanted.items()):
            continue
        self._there.update(wanted)
        return Parcel(raw, [file for file, _ in files])

    def _passed(self, name: str, path: Path) -> tuple[Staged, Path]:
        about = path.stat()
        key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        if (sha := self._known.get(key)) is None:
            sha = self._known[key] = file_digest(path)
        return Staged(name, objects.out(self._token, name, sha), sha), path

    def _put(self, at: str, path: Path) -> None:
        if self._place.size(at) != path.stat().st_size:
            self._place.put(at, path)

    def unpack(self, parcel: Parcel) -> Any:
        """What comes back, once the files that came with it are in their places."""
        for _ in self._place.each(self._take, parcel.files):
            continue
        return pickled.unpacked(parcel.raw, self._root.joinpath)

    def _take(self, file: Staged) -> None:
        if not file.name.startswith(objects.WORK) or ".." in PurePosixPath(file.name).parts:
            raise StepError("ray", f"a node wrote {file.name!r}, where no step keeps its work")
        path = self._root / file.name
        paths.folder(self._root, path.parent.relative_to(self._root))
        made = hidden(path)
        try:
            if not self._place.get(file.at, made, file.sha256):
                raise StepError("ray", f"{file.name} is not what a node has sent; run it again")
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
        with suppress(StepError):  # `end` clears all of it
            self._place.remove(file.at)

    def end(self) -> None:
        """Take away what is of use to this run alone, as far as that can be done: what is left is in nobody's way."""
        with suppress(StepError):
            self._place.clear(objects.home(self._token))


def _below(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    """The files that a path stands for, with their names. Links are followed; what is hidden below it is no data."""
    if path.is_file():
        yield name, path
        return
    seen: set[Path] = set()
    for here, folders, files in os.walk(path, followlinks=True):
        if (real := Path(here).resolve()) in seen:  # a circle of links
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            if (full := Path(here, file)).is_file() and not file.endswith(_WEIGHTS):
                yield f"{name}/{full.relative_to(path).as_posix()}", full
