"""Places that fsspec opens (s3://, gs://, sftp://, file:// …), with the credentials of the user's own.

Only the user's settings and command line name such a place, never a recipe. Nothing that reads the web past the guarded
client, or chains one file system to another, is opened.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from runner import extras
from runner.errors import StepError, UsageError

T = TypeVar("T")
R = TypeVar("R")
SCHEMES = (
    "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "sftp", "ssh", "ftp", "hdfs", "smb",
)  # fmt: skip
"""What is on the network, and not on the web."""
OPENED = frozenset(SCHEMES) - {"oci"} | {"file", "local", "memory"}
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"})
"""Where an object appears once all of it is there. Elsewhere it is written beside its place, and moved there."""
_ALONE = frozenset({"sftp", "ssh", "ftp", "smb", "hdfs", "memory"})
"""Whose drivers are not for several threads at once: they wait for ever, or mix up answers."""
_STAYS = frozenset({"smb", "hdfs", "ftp"})
"""Whose drivers move nothing to where something is: that is taken away before."""
_AT_ONCE = 8
"""Objects that are on their way at once, at most, elsewhere."""
_PIECE = 1 << 20
_UNSAID = logging.NullHandler()
"""What a driver logs of an error that it raises besides: tracebacks, which Python writes where nobody takes them."""


def secret_in(url: str) -> bool:
    """Whether an address holds a password, which would be shown and handed on."""
    host = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    return ":" in host.rpartition("@")[0]


def scheme_of(url: str, what: str) -> str:
    """The scheme of an address that can be opened here. `what` begins the sentence that says in which kinds of places
    something is kept. Raises UsageError for an address that is none, Missing without fsspec; nothing is asked of it."""
    scheme, found, rest = url.partition("://")
    if not found or (scheme := scheme.lower()) not in OPENED or "::" in url:
        raise UsageError(f"{url[:200]!r}: {what} in {', '.join(f'{s}://' for s in sorted(OPENED))}")
    if secret_in(url):
        raise UsageError("an address may not hold a password; keep that where the store's own tools have it")
    if scheme in _WHOLE - {"memory"} and not rest.strip("/"):
        raise UsageError(f"{url} names no bucket: {scheme}://BUCKET/FOLDER")
    try:
        from fsspec.registry import (  # type: ignore[import-untyped,unused-ignore]
            get_filesystem_class,
            known_implementations,
        )
    except ImportError:
        raise extras.Missing(f"{scheme}:// needs fsspec", extras.install("share")) from None
    try:
        driver = get_filesystem_class(scheme).__module__.partition(".")[0]
    except ImportError as e:
        needs = known_implementations.get(scheme, {}).get("err") or str(e)
        raise UsageError(f"{scheme}:// needs a driver: {needs}") from None
    logging.getLogger(driver).addHandler(_UNSAID)
    return scheme


class ObjectStore:
    """All below an address. Raises as `scheme_of`; whatever is asked of it raises StepError of `step` where that cannot
    be done."""

    def __init__(self, url: str, step: str, what: str) -> None:
        self.said, self._step = url, step
        scheme = scheme_of(url, what)
        from fsspec.core import url_to_fs  # type: ignore[import-untyped,unused-ignore]

        try:
            self._fs, path = url_to_fs(f"{scheme}://{url.partition('://')[2]}")
        except Exception as e:  # each driver has errors of its own
            raise StepError(step, f"{url} cannot be opened: {_short(e)}") from None
        self.path = str(path).rstrip("/")
        self._whole, self._stays = scheme in _WHOLE, scheme in _STAYS
        self._at_once = 1 if scheme in _ALONE else _AT_ONCE

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path

    @contextmanager
    def _doing(self, name: str, what: str) -> Iterator[None]:
        try:
            yield
        except (StepError, UsageError):
            raise
        except Exception as e:  # each driver has errors of its own
            subject = f"{self.said}: {name}" if name else self.said
            raise StepError(self._step, f"{subject} cannot be {what}: {_short(e)}") from None

    def read(self, name: str = "") -> Iterator[bytes]:
        """The bytes of an object, in pieces; without a name, of what the address itself is."""
        with self._doing(name, "read"), self._fs.open(self._at(name), "rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def size(self, name: str = "") -> int | None:
        """How many bytes an object has; None where there is none, or a folder."""
        with self._doing(name, "read"):
            try:
                found = self._fs.info(self._at(name))
            except FileNotFoundError:
                return None
            return None if found["type"] == "directory" else int(found["size"])

    def is_there(self) -> bool:
        """Whether the folder is, in a place where folders are made; elsewhere there is nothing to be made."""
        with self._doing("", "read"):
            return self._whole or bool(self._fs.isdir(self.path))

    def get(self, name: str, into: Path, sha256: str) -> bool:
        """Bring an object here; whether its bytes are those that are wanted."""
        with self._doing(name, "brought here"):  # it may be here that there is no room
            self._fs.get_file(self._at(name), str(into))
            with into.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def names(self) -> list[str]:
        """All objects there are."""
        with self._doing("", "listed"):
            found = [str(p) for p in self._fs.find(self.path)]
        home = self.path.lstrip("/")
        return [p.lstrip("/").removeprefix(f"{home}/") for p in found]

    def each(self, work: Callable[[T], R], things: Iterable[T]) -> Iterator[R]:
        """What `work` says of each, in order, some at once where that can be. What the first that fails raises, all."""
        with ThreadPoolExecutor(self._at_once) as pool:
            asked = [pool.submit(work, thing) for thing in things]
            try:
                for one in asked:
                    yield one.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def put(self, name: str, content: Path | bytes) -> None:
        """Write an object, all of it or nothing; what was there is replaced."""
        final = self._at(name)
        with self._doing(name, "written"):
            if self._whole:
                self._write(final, content)
                return
            self._make(final.rpartition("/")[0])
            beside = f"{final}.{secrets.token_hex(8)}"
            try:
                self._write(beside, content)
                if self._stays and self._fs.exists(final):
                    self._fs.rm_file(final)
                self._fs.mv(beside, final)
            except BaseException:
                # It may not be there, or the place may be gone: what brought us here is told.
                with suppress(Exception):
                    self._fs.rm_file(beside)
                raise

    def _write(self, path: str, content: Path | bytes) -> None:
        if isinstance(content, Path):
            self._fs.put_file(str(content), path)
        else:
            self._fs.pipe_file(path, content)

    def _make(self, folder: str) -> None:
        """Drivers look whether a folder is there, and then make it; another may have done so meanwhile."""
        try:
            self._fs.makedirs(folder, exist_ok=True)
        except Exception:  # each driver has errors of its own; what stops us twice is raised
            if not self._fs.isdir(folder):  # one above it was made meanwhile, and that stopped us
                self._fs.makedirs(folder, exist_ok=True)

    def remove(self, name: str) -> None:
        """Take an object away, if it is there."""
        with self._doing(name, "removed"), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def clear(self, name: str) -> None:
        """Take away all below a name."""
        with self._doing(name, "removed"), suppress(FileNotFoundError):
            self._fs.rm(self._at(name), recursive=True)

    def refresh(self) -> None:
        """Look anew from now on: some drivers remember what they have seen."""
        self._fs.invalidate_cache()


def _short(error: Any) -> str:
    said = [line for line in map(str.strip, str(error).splitlines()) if line]
    if not said:
        return type(error).__name__
    first = " ".join(said[:2]) if said[0].endswith(":") else said[0]  # what it is comes on the next line
    return f"{type(error).__name__}: {first[:200]}"
