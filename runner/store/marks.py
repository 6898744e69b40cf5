"""Whose a store is: a mark in it, which the user's own state folder knows.

A folder `.mirepoix/` may come along with a workspace, by an archive or a clone, with artifacts, answers and checkpoints
that nobody here made. So a store that we make gets a mark, a random token in `.mirepoix/mark`; its digest, and nothing
else of it, is remembered in the folder that the setting `state` names, one empty file a store. A store with anything in
it whose mark is not remembered is not believed: NeedsTrust, until the user says `--trust store`.

The mark is remembered before it is there, and is there before anything else is: whoever finds a store of ours at any
moment, after a kill too, knows it. It moves with the workspace, and holds for its copies. What gets into a store of
ours from elsewhere later is not told apart.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from runner import paths, settings
from runner.errors import NeedsTrust
from runner.store.files import hidden

MARK = "mark"
CAP = 10_000
"""Stores that are remembered; beyond that, those go that were not used for longest."""
DAY = 86_400
_HOW = "to believe it all the same, say --trust store (once: it is remembered), or remove the folder"
_known: set[str] = set()
"""Digests of marks, and stores, that this process made or was told to trust: where nothing can be remembered."""
forgotten: list[str] = []
"""What will not be known next time, and why: one sentence each, for the command line to say."""


def check(root: Path) -> bool:
    """Whether a store is marked as the user's; False where there is none yet. Raises NeedsTrust for a stranger's."""
    if str(root.resolve()) in _known:
        return True
    token, why = _read(root)
    if token is None and not why and _is_empty(root):
        return False
    if token is None and not why:
        token, why = _read(root)  # whoever made it meanwhile marked it first
    if token is not None and _is_remembered(_print(token)):
        return True
    raise NeedsTrust(
        f"{_shown(root)}: {why or 'nothing says that you made this store'}, so none of it is believed; {_HOW}"
    )


def make(root: Path) -> None:
    """Mark a store that is empty. Whoever does so at the same time, any mark that wins is remembered."""
    token = secrets.token_hex(32)
    _remember(root, token)
    _write(root, token)


def trust(root: Path) -> None:
    """Believe a store from now on, because the user says so. Raises NeedsTrust where it or its mark is a link."""
    paths.check(root.parent, root / MARK)
    token, why = _read(root)
    if token is None and not why and _is_empty(root):
        return
    _known.add(str(root.resolve()))
    if token is None:
        token = secrets.token_hex(32)
        try:
            if (root / MARK).exists() and (root / MARK).stat().st_uid != os.geteuid():
                _note(root, why)  # others know it by that mark
                return
            _write(root, token)
        except OSError as e:
            _note(root, f"it cannot be marked: {e.strerror}")
            return
    _remember(root, token)


def hand_on(root: Path, other: Path) -> None:
    """Mark an empty store of ours as what another one is: it lies within that, and nothing more is to be remembered."""
    token, _ = _read(root)
    if token is not None and _is_empty(other):
        _write(other, token)


def sweep(root: Path) -> None:
    """Remove what killed processes left half written of a mark."""
    for left in root.glob(f".{MARK}.*.tmp"):
        left.unlink(missing_ok=True)


def _shown(root: Path) -> str:
    return root.name if root.parent.resolve() == Path.cwd() else str(root)


def _print(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(root: Path) -> tuple[str | None, str]:
    """The token of a store; else None, and why there is none, where that is not because it has no mark."""
    try:
        fd = os.open(root / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except PermissionError:
        return None, f"its mark, {MARK}, may not be read by you"
    except OSError:
        return None, f"its mark, {MARK}, is no file"
    try:
        text = os.read(fd, 100) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
    if not re.fullmatch(rb"[0-9a-f]{64}\n", text):
        return None, f"its mark, {MARK}, is damaged"
    return text.decode().strip(), ""


def _write(root: Path, token: str) -> None:
    """A mark is for the eyes of those who may write in the store, and could forge anything in it anyway."""
    mode = 0o640 if root.stat().st_mode & stat.S_IWGRP else 0o600
    temporary = hidden(root / MARK)
    try:
        with paths.create(temporary) as f:
            os.fchmod(f.fileno(), mode)
            f.write(f"{token}\n".encode())
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(root / MARK)
    except FileNotFoundError:  # taken for a killed one's, by who marked it meanwhile
        if not (root / MARK).is_file():
            raise
    finally:
        temporary.unlink(missing_ok=True)
    fd = os.open(root, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _is_empty(root: Path) -> bool:
    """Whether there is nothing in a store, or no store; a mark that is being written is nothing yet."""
    try:
        return all(re.fullmatch(rf"\.{MARK}\.[\d.]+\.tmp", path.name) for path in root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return True


def _folder() -> Path | None:
    home = settings.load().state
    return home / "stores" if home else None


def _is_remembered(print_: str) -> bool:
    if print_ in _known:
        return True
    if (folder := _folder()) is None:
        return False
    entry = folder / print_
    try:
        if time.time() - entry.lstat().st_mtime > DAY:
            with suppress(OSError):
                os.utime(entry)
    except OSError:
        return False
    return True


def _remember(root: Path, token: str) -> None:
    """Know a token from now on: at least as long as this process lives."""
    _known.add(_print(token))
    folder = _folder()
    if folder is None:
        _note(root, "you have no home folder")
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(folder / _print(token), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.utime(folder / _print(token))
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        _cap(folder)
    except OSError as e:
        _note(root, f"{folder} cannot be written to: {e.strerror}")


def _note(root: Path, why: str) -> None:
    forgotten.append(
        f"{_shown(root)} will not be known as yours next time ({why}): say --trust store then, or keep the folder that "
        "MIREPOIX_STATE names"
    )


def _cap(folder: Path) -> None:
    found = list(folder.iterdir())
    if len(found) <= CAP:
        return
    used = []
    for path in found:
        with suppress(FileNotFoundError):
            used.append((path.lstat().st_mtime, path))
    for _, path in sorted(used)[: len(used) - CAP]:
        path.unlink(missing_ok=True)
