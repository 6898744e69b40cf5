"""Packs in what fsspec opens (runner/objectstore.py): as a layout below an address, or as one tar file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner.errors import StepError, UsageError
from runner.objectstore import ObjectStore
from runner.oci import layout
from runner.oci.layout import INDEX, LARGEST, Archive
from runner.oci.manifest import MOST_MANIFEST, Contents, Descriptor

TAR = ".tar"


class Stored:
    """A layout below an address. Raises StepError for what cannot be read or written."""

    def __init__(self, url: str) -> None:
        self.said = url
        self._bucket = ObjectStore(url, "storage", "packs are opened in registries (oci://), and")

    @property
    def is_file(self) -> bool:
        return self._bucket.path.endswith(TAR)

    def archive(self, into: Path) -> Archive:
        """The tar file that this is, brought here."""
        came = 0
        with into.open("xb") as out:
            for piece in self._bucket.read():
                came += len(piece)
                if came > LARGEST:
                    raise StepError("storage", f"{self.said} has more than {LARGEST:,} bytes")
                out.write(piece)
        found = Archive(into)
        found.said = self.said
        return found

    def manifest(self) -> bytes:
        read = self._bucket.read
        if b'"imageLayoutVersion"' not in layout.whole(read(layout.LAYOUT), 1 << 10, self.said):
            raise StepError("storage", f"{self.said} is no OCI image layout")
        one = layout.described(layout.whole(read(INDEX), MOST_MANIFEST, self.said), self.said)
        return layout.whole(read(layout.blob(one.sha256)), one.size, self.said)

    def blob(self, one: Descriptor) -> Iterator[bytes]:
        return self._bucket.read(layout.blob(one.sha256))

    def alone(self, wanted: frozenset[str]) -> None:
        for name in self._bucket.names():
            if name not in wanted and name not in (layout.LAYOUT, INDEX):
                raise StepError("storage", f"{self.said} holds {name[:200]!r}, which belongs to no pack")

    def push(self, contents: Contents, name: str, blobs: Mapping[str, Path | bytes]) -> None:
        """Write a layout: what names the rest comes last. Another pack that is there already is left alone."""
        if self.is_file:
            self._push_file(contents, name, blobs)
            return
        index = layout.index(contents, name)
        if there := self._bucket.names():
            if INDEX in there and layout.whole(self._bucket.read(INDEX), MOST_MANIFEST, self.said) == index:
                return
            own = {layout.blob(s) for s in (*blobs, contents.digest)} | {layout.LAYOUT}
            if other := set(there) - own:  # what a push that was ended has left is gone on with
                raise UsageError(f"{self.said} holds {min(other)[:200]!r} already; name another place")
        for path, content in layout.files(contents, name, blobs):
            self._bucket.put(path, content)

    def _push_file(self, contents: Contents, name: str, blobs: Mapping[str, Path | bytes]) -> None:
        if self._bucket.size() is not None:
            raise UsageError(f"{self.said} is there already; name another")
        with tempfile.TemporaryDirectory() as folder:
            with (path := Path(folder) / "pack.tar").open("xb") as file:
                layout.write_tar(file, contents, name, blobs)
            self._bucket.put("", path)
