"""Packs in what fsspec opens (s3://, gs://, sftp://, file:// …), with the credentials of the user's own.

Only the user's command line names such an address, never a recipe. Nothing that reads the web past the guarded client,
or chains one file system to another, is opened.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner import extras
from runner.errors import StepError, UsageError
from runner.net.filesystems import SCHEMES, secret_in
from runner.oci import layout
from runner.oci.layout import INDEX, LARGEST, Archive
from runner.oci.manifest import MOST_MANIFEST, Contents, Descriptor

OPENED = frozenset(SCHEMES) - {"oci"} | {"file", "local", "memory"}
_PIECE = 1 << 20
TAR = ".tar"


class Stored:
    """A layout below an address. Raises StepError for what cannot be read or written."""

    def __init__(self, url: str) -> None:
        self.said = url
        scheme = url.partition("://")[0].lower()
        if scheme not in OPENED or "::" in url:
            raise UsageError(
                f"{url[:200]!r}: packs are opened in {', '.join(sorted(OPENED))} and in registries (oci://)"
            )
        if secret_in(url):
            raise UsageError(
                "an address may not hold a password; keep that where the store's own tools have it"
            )
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise extras.Missing(f"{scheme}:// needs fsspec", extras.install("share")) from None
        try:
            self._fs, path = url_to_fs(url)
        except ImportError as e:
            raise UsageError(f"{scheme}:// needs a driver: {_short(e)}") from None
        except Exception as e:  # each driver has errors of its own
            raise StepError("storage", f"{url} cannot be opened: {_short(e)}") from None
        self._path = str(path).rstrip("/")

    @property
    def is_file(self) -> bool:
        return self._path.endswith(TAR)

    def read(self, name: str) -> Iterator[bytes]:
        try:
            with self._fs.open(f"{self._path}/{name}" if name else self._path, "rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except Exception as e:
            raise StepError("storage", f"{self.said}: {name or 'it'} cannot be read: {_short(e)}") from None

    def archive(self, into: Path) -> Archive:
        """The tar file that this is, brought here."""
        came = 0
        with into.open("xb") as out:
            for piece in self.read(""):
                came += len(piece)
                if came > LARGEST:
                    raise StepError("storage", f"{self.said} has more than {LARGEST:,} bytes")
                out.write(piece)
        found = Archive(into)
        found.said = self.said
        return found

    def manifest(self) -> bytes:
        if b'"imageLayoutVersion"' not in layout.whole(self.read(layout.LAYOUT), 1 << 10, self.said):
            raise StepError("storage", f"{self.said} is no OCI image layout")
        one = layout.described(layout.whole(self.read(INDEX), MOST_MANIFEST, self.said), self.said)
        return layout.whole(self.read(layout.blob(one.sha256)), one.size, self.said)

    def blob(self, one: Descriptor) -> Iterator[bytes]:
        return self.read(layout.blob(one.sha256))

    def alone(self, wanted: frozenset[str]) -> None:
        for name in self._names():
            if name not in wanted and name not in (layout.LAYOUT, INDEX):
                raise StepError("storage", f"{self.said} holds {name[:200]!r}, which belongs to no pack")

    def _names(self) -> list[str]:
        try:
            found = [str(p) for p in self._fs.find(self._path)]
        except Exception as e:
            raise StepError("storage", f"{self.said} cannot be listed: {_short(e)}") from None
        home = self._path.lstrip("/")
        return [p.lstrip("/").removeprefix(f"{home}/") for p in found]

    def push(self, contents: Contents, name: str, blobs: Mapping[str, Path | bytes]) -> None:
        """Write a layout: what names the rest comes last. Another pack that is there already is left alone."""
        if self.is_file:
            self._push_file(contents, name, blobs)
            return
        index = layout.index(contents, name)
        if there := self._names():
            if INDEX in there and layout.whole(self.read(INDEX), MOST_MANIFEST, self.said) == index:
                return
            own = {layout.blob(s) for s in (*blobs, contents.digest)} | {layout.LAYOUT}
            if other := set(there) - own:  # what a push that was ended has left is gone on with
                raise UsageError(f"{self.said} holds {min(other)[:200]!r} already; name another place")
        for path, content in layout.files(contents, name, blobs):
            self._put(f"{self._path}/{path}", content)

    def _push_file(self, contents: Contents, name: str, blobs: Mapping[str, Path | bytes]) -> None:
        with tempfile.TemporaryFile() as file:
            layout.write_tar(file, contents, name, blobs)
            file.seek(0)
            try:
                if self._fs.exists(self._path):
                    raise UsageError(f"{self.said} is there already; name another")
                self._fs.makedirs(self._path.rpartition("/")[0], exist_ok=True)
                with self._fs.open(self._path, "wb") as out:
                    while piece := file.read(_PIECE):
                        out.write(piece)
            except UsageError:
                raise
            except Exception as e:
                raise StepError("storage", f"{self.said} cannot be written: {_short(e)}") from None

    def _put(self, path: str, content: Path | bytes) -> None:
        try:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self._fs.open(path, "wb") as out:
                if isinstance(content, bytes):
                    out.write(content)
                    return
                with content.open("rb") as file:
                    while piece := file.read(_PIECE):
                        out.write(piece)
        except Exception as e:
            raise StepError("storage", f"{self.said} cannot be written: {_short(e)}") from None


def _short(error: Any) -> str:
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0][:200]}" if said else type(error).__name__
