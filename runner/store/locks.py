"""Locks that the kernel holds: one file a lock, there only while somebody holds or wants it.

Whoever is killed lets go of what it held. The file says which process holds it, for others to tell.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner import paths

PAUSES = (0.01, 0.25)
"""Seconds between two looks at a lock that another holds: the first, and the longest."""


def take(path: Path) -> int | None:
    """The descriptor of the lock, held until `release`; None where another holds it."""
    while True:
        fd = paths.opened(path, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, path):
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # who held it took the file away with it


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def release(path: Path, fd: int) -> None:
    """Let go. A fork of ours that still has the descriptor holds nothing by it."""
    try:
        path.unlink(missing_ok=True)
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def holder(path: Path) -> int | None:
    """The process that holds a lock, as far as it has said so."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        said = os.read(fd, 20).strip()
    finally:
        os.close(fd)
    return int(said) if said.isdigit() else None


class Locks:
    """The locks of one folder, as one walk through it takes them. What is held already is not waited for."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self.held: set[str] = set()

    @contextmanager
    def trying(self, name: str) -> Iterator[bool]:
        """Hold `name` if nobody else does: whether it is held."""
        if name in self.held:
            yield True
            return
        path = self._folder() / name
        if (fd := take(path)) is None:
            yield False
            return
        self.held.add(name)
        try:
            yield True
        finally:
            self.held.discard(name)
            release(path, fd)

    @contextmanager
    def waiting(
        self,
        name: str,
        waits: Callable[[int | None], None] = lambda holder: None,
        enough: Callable[[], bool] = lambda: False,
    ) -> Iterator[bool]:
        """Hold `name`, after waiting for whoever does; `waits` hears of each process that is waited for.

        False, and not held, as soon as there is `enough` without it.
        """
        pause, told = PAUSES[0], False
        heard: int | None = None
        while True:
            with self.trying(name) as mine:
                if mine or enough():
                    yield mine
                    return
            # What is over in a moment is not worth a word.
            if pause > PAUSES[0] and ((now := self.holder(name)) != heard or not told):
                waits(now)
                heard, told = now, True
            time.sleep(pause)
            pause = min(2 * pause, PAUSES[1])

    def holder(self, name: str) -> int | None:
        return holder(self._folder() / name)

    def is_held(self, name: str) -> bool:
        """Whether anybody holds it."""
        if name in self.held or not (self._folder() / name).exists():
            return name in self.held
        with self.trying(name) as mine:
            return not mine
