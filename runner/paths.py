"""Writing inside a folder whose links a stranger may have made: none of them is followed.

A workspace may come from elsewhere, by a clone or an archive, with links where we write: a log that is somebody's
`.bashrc`, a folder that lies in somebody's home. Folders are entered one by one, each opened without following links
(openat, O_NOFOLLOW); files are opened so as well. A link in the way is refused and stays as it is. The folder itself
(`root`) is the user's: how that is reached is not looked at.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from runner.errors import NeedsTrust

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CLOSED = os.O_CLOEXEC | os.O_NOFOLLOW
_MAKING = threading.Lock()


def refusal(path: Path, root: Path | None = None) -> NeedsTrust:
    """The error for a link where something is to be written."""
    name = path.relative_to(root) if root is not None and path.is_relative_to(root) else path
    what = "is a link, and what is written there would land elsewhere; remove it, and run again"
    return NeedsTrust(f"{name}: {what} (where room is short, put the whole workspace elsewhere: --workspace)")


@contextmanager
def named(path: Path) -> Iterator[None]:
    """What the system refuses meanwhile it refuses of this file: `write` and `fsync` know none by name."""
    try:
        yield
    except OSError as e:
        e.filename = e.filename or str(path)
        raise


def _names(names: tuple[str | PurePath, ...]) -> tuple[str, ...]:
    parts = PurePath(*names).parts
    if ".." in parts or PurePath(*names).is_absolute():
        raise ValueError(f"not a path below a folder: {names}")
    return parts


def folder(root: Path, *names: str | PurePath) -> Path:
    """The folder `root`/`names`, made where it is missing; each that is made is flushed into the one above.

    Raises NeedsTrust where one of `names` is a link.
    """
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)
    path, at = root, os.open(root, _FOLDER)
    try:
        for name in _names(names):
            path = path / name
            below = _enter(at, name, path, root)
            os.close(at)
            at = below
    finally:
        os.close(at)
    return path


def _enter(at: int, name: str, path: Path, root: Path) -> int:
    # Who finds it made by another thread may take it for flushed, too.
    with _MAKING, suppress(FileExistsError):
        if not _is_there(at, name):
            os.mkdir(name, dir_fd=at)
            os.fsync(at)
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
    except OSError:
        if is_link(path):
            raise refusal(path, root) from None
        raise


def _is_there(at: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_link(path: Path) -> bool:
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def check(root: Path, path: Path) -> None:
    """Raises NeedsTrust where a part of `path` below `root`, or `path` itself, is a link. What is not there passes."""
    here = root
    for name in path.relative_to(root).parts:
        here = here / name
        if is_link(here):
            raise refusal(here, root)


def check_all(root: Path, path: Path) -> None:
    """Raises NeedsTrust for a link on the way to the folder `path`, or for one in it that leads out of it.

    Links within are let be: libraries make them (a hub's snapshots, a tracker's latest run).
    """
    check(root, path)
    home = path.resolve()
    for link in _links(path):
        try:
            inside = link.resolve().is_relative_to(home)
        except (OSError, RuntimeError):  # a circle
            inside = False
        if not inside:
            raise refusal(link, root)


def leading_out(path: Path) -> list[Path]:
    """Links in a folder that lead out of it, or nowhere."""
    home = path.resolve()

    def inside(link: Path) -> bool:
        try:
            return link.resolve(strict=True).is_relative_to(home)
        except (OSError, RuntimeError):  # it leads nowhere, or in a circle
            return False

    return [link for link in _links(path) if not inside(link)]


def walked(path: Path) -> Iterator[Path]:
    """All below a folder that is no folder itself; links are not followed.

    Raises OSError for a folder that cannot be read: it may hold anything.
    """

    def refused(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(path, onerror=refused):
        yield from (Path(here, n) for n in (*files, *(f for f in folders if Path(here, f).is_symlink())))


def _links(path: Path) -> Iterator[Path]:
    """Links below a folder; none of them is entered."""
    for here, folders, files in os.walk(path, followlinks=False):
        yield from (p for name in (*folders, *files) if (p := Path(here, name)).is_symlink())


def read(path: Path) -> bytes:
    """A file's bytes. Raises OSError where there is none; a pipe, which would be waited for, and a device are none."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is a pipe or a device, and no file", str(path))
        return file.read()


def read_json(path: Path) -> Any:
    """A file's JSON, which a stranger may have written. Raises OSError as `read` does; ValueError where it is none."""
    try:
        return json.loads(read(path))
    except RecursionError:
        raise ValueError(f"{path}: nested too deep") from None


def create(path: Path) -> BinaryIO:
    """A new file to write; what had its name is no longer there, and stays whole where it has other names."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOSED, 0o666), "wb")


def append(path: Path, root: Path | None = None) -> BinaryIO:
    """A file to add to, made where it is missing. Raises NeedsTrust where it is a link, or one below `root` is."""
    if root is not None and path.absolute().is_relative_to(root.absolute()):
        folder(root.absolute(), path.absolute().parent.relative_to(root.absolute()))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(opened(path, os.O_WRONLY | os.O_APPEND), "ab")


def opened(path: Path, how: int) -> int:
    """A file's descriptor; the file is made where it is missing. Raises NeedsTrust where it is a link."""
    try:
        return os.open(path, how | os.O_CREAT | _CLOSED, 0o666)
    except OSError:
        if is_link(path):
            raise refusal(path) from None
        raise
