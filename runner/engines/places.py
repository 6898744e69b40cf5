"""A folder of a run's own in the system's for temporary files: for sockets, whose names must be short.

It goes with the run. What a killed run left there goes with the next one: whoever has a folder holds the kernel's lock
on a file in it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "recipe-ray-"
_HELD = "held"
_LONG = 20  # bytes of a folder's name; a socket of Ray's, whose name may have 107, takes the others


def _temporary() -> Path:
    """The system's folder for temporary files, or the usual one where that has too long a name."""
    said = tempfile.gettempdir()
    return Path("/tmp" if len(os.fsencode(said)) > _LONG and os.access("/tmp", os.W_OK) else said)


class Place:
    """A folder that only we can enter; `end` removes it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_temporary()))
        self._file = os.open(self.path / "new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        (self.path / "new").rename(self.path / _HELD)  # held before anybody can find it

    def end(self) -> None:
        """Remove it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._file)


def sweep() -> None:
    """Remove folders of killed runs: ours, and nobody holds them."""
    for folder in _temporary().glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is another user's, or is being removed by who has it
            file = os.open(folder / _HELD, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if folder.stat().st_uid == os.getuid():
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(file)
