"""Files of a workspace that may be a stranger's: no link on the way is followed, no pipe waited for, nothing read whole
that may be of any length."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MOST = 32 << 20
"""Bytes of a file that is read whole; a report of thousands of samples has a few million."""
TAIL = 24 << 10
"""Bytes of a log that its last lines are looked for in."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LINES = 60


@contextmanager
def opened(root: Path, *names: str) -> Iterator[int]:
    """The descriptor of the file `root`/`names`. Raises OSError where a part is a link, or it is no plain file.

    How `root` itself is reached is not looked at: that is the user's.
    """
    if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in names):
        raise FileNotFoundError(str(names))
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            below = os.open(name, _FOLDER, dir_fd=at)
            os.close(at)
            at = below
        fd = os.open(names[-1], _FILE, dir_fd=at)
    finally:
        os.close(at)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{names[-1]} is no file")
        yield fd
    finally:
        os.close(fd)


def state(root: Path, *names: str) -> tuple[int, int, int] | None:
    """What changes when a file does: inode, size, time in ns. None where it is not to be had."""
    with suppress(OSError), opened(root, *names) as fd:
        found = os.fstat(fd)
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None


def whole(root: Path, *names: str) -> bytes:
    """A file's bytes. Raises OSError, also where it is longer than `MOST`."""
    with opened(root, *names) as fd:
        if os.fstat(fd).st_size > MOST:
            raise OSError(f"{names[-1]} is longer than {MOST >> 20} MiB")
        pieces = list(iter(lambda: os.read(fd, 1 << 20), b""))
    return b"".join(pieces)


def data(root: Path, *names: str) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is none."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(whole(root, *names))
        if isinstance(found, dict):
            return found
    return {}


def folders(root: Path, *names: str) -> list[str]:
    """The folders in the folder `root`/`names`, links aside, by name; none where a part is a link, or not there."""
    return _listed(root, names, stat.S_ISDIR)


def files(root: Path, *names: str) -> list[str]:
    """The files in it, likewise."""
    return _listed(root, names, stat.S_ISREG)


def _listed(root: Path, names: tuple[str, ...], is_kind: Callable[[int], bool]) -> list[str]:
    with suppress(OSError):
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                below = os.open(name, _FOLDER, dir_fd=at)
                os.close(at)
                at = below
            found = []
            for name in os.listdir(at):  # noqa: PTH208  (of a descriptor)
                with suppress(OSError):  # gone meanwhile
                    if is_kind(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                        found.append(name)
            return sorted(found)
        finally:
            os.close(at)
    return []


def tail(root: Path, *names: str) -> list[str]:
    """The last lines of a log, as a terminal would have left them: a bar that is drawn over and over is its last
    state, colours are gone."""
    try:
        with opened(root, *names) as fd:
            size = os.fstat(fd).st_size
            raw = os.pread(fd, TAIL, max(0, size - TAIL))
    except OSError:
        return []
    if size > TAIL:
        raw = raw.partition(b"\n")[2] or raw
    lines = _COLOUR.sub("", raw.decode("utf-8", "replace")).split("\n")
    kept = [drawn for line in lines if (drawn := line.rstrip("\r").rpartition("\r")[2].rstrip())]
    return kept[-_LINES:]
