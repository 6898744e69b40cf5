"""Raw bytes by content, answers by request, unfinished parts: what was whole once is never asked for twice.

    raw/ab/SHA256                   the bytes of answers, read-only
    fetched/requests/ab/KEY.json    which answer a request got; KEY.none: that there is none (of a robots.txt)
    fetched/parts/KEY.*             what is under way: .lock, .json (its facts; .new), .part, .whole, .plain
    fetched/parts/KEY.RUN-N.*       the same, where a worker on another machine writes it

A `.part` becomes `.whole` when all of it has come: from then on no kill costs a byte. The entry is written before
`.whole` moves to raw/; an entry whose bytes are missing or damaged counts as none. The kernel's lock on `.lock`
parts threads and processes that want the same thing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from runner import paths
from runner.net.failures import Stopped, TooMuch
from runner.net.pace import Stop
from runner.store import file_digest, fsync, write_atomic

VERSION = 1
_APART = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{16}-\d+\.(json|new|part|whole|plain)")


class Facts(Struct, frozen=True):
    """What a server said of a body: enough to go on with it, and to keep it."""

    url: str
    """Where it came from at last; without secrets."""
    content_type: str = ""
    charset: str = ""
    encoding: str = ""
    """"gzip" or "deflate" where the bytes are packed."""
    etag: str = ""
    last_modified: str = ""
    robots: str = ""
    resume: str = ""
    """For If-Range; "" where the body cannot be resumed safely."""
    total: int = -1
    proven: bool = False
    """Whether the end of the body was announced, or the server has said since that this is all."""


class Entry(Struct, frozen=True):
    """A request and the answer that it got."""

    version: int
    method: str
    url: str
    accept: str
    body: str
    """sha256 of what was posted, or ""."""
    final: str
    sha256: str
    size: int
    content_type: str
    charset: str
    etag: str
    last_modified: str
    robots: str = ""
    """Its X-Robots-Tag."""
    proven: bool = False
    """As `fetching.Got.proven`; of entries that do not say it, it is not known."""


def _try_lock(f: IO[bytes], path: Path) -> bool:
    """Take the kernel's lock on an open file; False if another holds it, or the file is no longer at `path`."""
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(f.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


@contextmanager
def _held(path: Path, stop: Stop) -> Iterator[IO[bytes]]:
    """Hold the lock on a file that is there only while somebody holds or wants it."""
    while True:
        with paths.append(path) as f:
            if _try_lock(f, path):
                try:
                    yield f
                finally:
                    path.unlink(missing_ok=True)
                return
        stop.check()
        time.sleep(0.02)


class Part:
    """What is under way for one request; its lock is held."""

    def __init__(self, folder: Path, key: str) -> None:
        self._part = folder / f"{key}.part"
        self._facts = folder / f"{key}.json"
        self.whole = folder / f"{key}.whole"
        self.plain = folder / f"{key}.plain"

    def facts(self) -> Facts | None:
        try:
            return msgspec.json.decode(self._facts.read_bytes(), type=Facts)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def begin(self, facts: Facts) -> None:
        """Start over, with another body. A kill within leaves no part that does not fit its facts."""
        self.clear()
        self.note(facts)

    def note(self, facts: Facts) -> None:
        """What is now known of the body that is there."""
        new = self._facts.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(facts))
        new.replace(self._facts)

    def append(self, at: int, chunks: Iterable[bytes], most: int) -> None:
        """Cut the part to `at` bytes and add to it; a kill loses no chunk. Raises TooMuch beyond `most` bytes."""
        with self._part.open("ab") as f:
            f.truncate(at)
            for chunk in chunks:
                at += len(chunk)
                if at > most:
                    raise TooMuch(f"it has more than the {most:,} bytes allowed")
                f.write(chunk)
                f.flush()

    def complete(self) -> None:
        """All of it has come."""
        fsync(self._part)
        self._part.replace(self.whole)

    def clear(self) -> None:
        for path in self._all():
            path.unlink(missing_ok=True)

    def sever(self) -> None:
        """Remove links to elsewhere: none of them is of ours, and what is written would land there."""
        for path in self._all():
            if paths.is_link(path):
                path.unlink()

    def _all(self) -> tuple[Path, ...]:
        return (self._part, self.whole, self.plain, self._facts, self._facts.with_suffix(".new"))


class Cache:
    """Everything under the store's folder that has to do with fetching."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._raw, self._requests = root / "raw", root / "fetched" / "requests"
        self._parts = root / "fetched" / "parts"
        self._numbers = count()

    def _folder(self, path: Path) -> Path:
        """A folder of ours, made where it is missing. Raises NeedsTrust where a link is in the way."""
        return paths.folder(self._root.parent, path.relative_to(self._root.parent))

    def path(self, sha256: str) -> Path:
        """Where the bytes of a digest are. Raises LookupError for what is no digest."""
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise LookupError(f"not a sha256: {sha256!r}")
        return self._raw / sha256[:2] / sha256

    def _entry(self, key: str) -> Path:
        return self._requests / key[:2] / f"{key}.json"

    def kept(self, key: str) -> Entry | None:
        """The answer that a request got, if it is here and undamaged."""
        try:
            entry = msgspec.json.decode(self._entry(key).read_bytes(), type=Entry)
            raw = self.path(entry.sha256)
            whole = (
                entry.version == VERSION
                and raw.stat().st_size == entry.size
                and file_digest(raw) == entry.sha256
            )
        except (FileNotFoundError, LookupError, msgspec.DecodeError):
            return None
        return entry if whole else None

    def has(self, key: str) -> bool:
        """Whether there seems to be an answer: its bytes are not looked at."""
        return self._entry(key).exists()

    def age(self, key: str, *, absent: bool = False) -> float:
        """Seconds since a request was last answered, be it with "not modified", or (`absent`) with "there is none".

        Infinite where it was not. Nothing that is made of an answer hangs on it.
        """
        path = self._entry(key)
        try:
            age = time.time() - (path.with_suffix(".none") if absent else path).stat().st_mtime
        except FileNotFoundError:
            return math.inf
        return age if age >= 0 else math.inf

    def note_absent(self, key: str, *, no_longer: bool = False) -> None:
        """The answer to a request is that there is no such thing."""
        note = self._entry(key).with_suffix(".none")
        if no_longer:
            note.unlink(missing_ok=True)
        else:
            write_atomic(note, b"", self._root.parent)

    def renew(self, key: str) -> None:
        """The kept answer still holds."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._entry(key), follow_symlinks=False)

    def forget(self, key: str) -> None:
        """Keep the answer to a request no longer."""
        self._entry(key).unlink(missing_ok=True)

    @contextmanager
    def holding(self, key: str, stop: Stop) -> Iterator[Part]:
        """The part of one request, for one thread of one process at a time."""
        with _held(self._folder(self._parts) / f"{key}.lock", stop):
            part = self.part(key)
            part.sever()
            yield part

    def part(self, name: str) -> Part:
        """A part by its name, for who holds its request, or works for who does."""
        return Part(self._parts, name)

    def keep(self, key: str, entry: Entry, body: Path) -> None:
        """Keep an answer for good: `body` moves to its place under raw/."""
        fsync(body)
        text = msgspec.json.format(msgspec.json.encode(entry), indent=1)
        write_atomic(self._entry(key), text + b"\n", self._root.parent)
        self._place(body, entry.sha256)

    def _place(self, body: Path, sha256: str) -> None:
        target = self.path(sha256)
        self._folder(target.parent)
        body.chmod(0o444)
        body.replace(target)
        fsync(target.parent)

    def store(self, chunks: Iterable[bytes]) -> str:
        """Keep bytes that came some other way; their sha256."""
        digest = hashlib.sha256()
        name = f"{os.getpid()}.{next(self._numbers)}.store"
        with _held(self._folder(self._parts) / name, Stop()) as f:
            for chunk in chunks:
                digest.update(chunk)
                f.write(chunk)
            f.flush()
            os.fsync(f.fileno())
            self._place(self._parts / name, digest.hexdigest())
        return digest.hexdigest()

    def sweep(self) -> None:
        """Remove what killed processes left behind of `store`, and what dead workers did: nobody holds it."""
        paths.check(self._root.parent, self._parts)
        for path in self._parts.glob("*.store"):
            if paths.is_link(path):
                continue
            with contextlib.suppress(FileNotFoundError), path.open("rb") as f:
                if _try_lock(f, path):
                    path.unlink()
        now = Stop()
        now.set()
        for path in self._parts.iterdir() if self._parts.is_dir() else ():
            if match := _APART.fullmatch(path.name):
                with contextlib.suppress(Stopped), _held(self._parts / f"{match[1]}.lock", now):
                    path.unlink(missing_ok=True)
