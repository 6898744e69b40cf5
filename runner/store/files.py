"""Files that are old or new, never half; and the one form of JSON that is ever digested."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from runner import paths

_CHUNK = 1 << 20


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


def copy_into(file: IO[bytes], source: Path) -> tuple[int, str]:
    """Copy a file to the end of an open one: how many bytes it had, and their sha256."""
    found, size = hashlib.sha256(), 0
    with source.open("rb", buffering=0) as f:
        while chunk := f.read(_CHUNK):
            found.update(chunk)
            size += file.write(chunk)
    return size, found.hexdigest()


def aside(path: Path) -> Path:
    """A name beside `path` for what is written and then takes its place: another one at each call, on any machine."""
    return path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")


def hidden(path: Path) -> Path:
    """As `aside`, for what is no business of who looks into the folder, and for the next one to sweep: `.*.tmp`."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.randbelow(10**8)}.tmp")


def fsync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        with paths.named(path):
            os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes, root: Path | None = None) -> None:
    """Write a file so that it is either the old one or the whole new one.

    Below `root`, where one is given, no link is followed: raises NeedsTrust for one on the way.
    """
    if root is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        paths.folder(root, path.parent.relative_to(root))
    temporary = hidden(path)
    try:
        with paths.named(path), paths.create(temporary) as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync(path.parent)


@contextmanager
def replacing(target: Path, refuse: Callable[[], None]) -> Iterator[Path]:
    """A path beside `target`, where a file or a folder is made, all of it flushed. On leaving without an error that
    takes the place of what `target` was; else nothing of it is left.

    `refuse` is asked just before: it raises where `target` may have become what must stay.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    filling = hidden(target)
    old = filling.with_suffix(".old")
    try:
        yield filling
        refuse()
        if target.exists():
            target.rename(old)
        filling.rename(target)
        fsync(target.parent)
    finally:
        if old.exists() and not target.exists():  # stopped between the two renames
            old.rename(target)
        _remove(filling)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link, or a copy where links are not to be had."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
