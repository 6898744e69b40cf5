"""Files of data as streams of bytes, plain, `.gz` or `.zst`, none of them trusted to be what it claims.

Memory stays bounded whatever is inside: lines are read up to a length and skipped past it, and a file that grows
out of all proportion when it is decompressed is refused.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from runner.datafiles.spans import Span, seek

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from zstandard import ZstdDecompressionObj

LONGEST = 8 << 20
"""Bytes of the longest line, row or element. A tree of JSON takes up to 25 times its text."""
PEEK = 1 << 16
_FREE, _RATIO = 256 << 20, 200  # text packs 30-fold; what is past both of these is a bomb
_PIECE = 512  # compressed bytes at once: Zstandard makes at most 16 MiB of them
PACKINGS = (".gz", ".zst")
MAGIC = (
    (b"\x1f\x8b", "gzip: its name should end in .gz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard: its name should end in .zst"),
    (b"BZh", "bzip2, which is not read: pack it as .gz or .zst"),
    (b"\xfd7zXZ\0", "xz, which is not read: pack it as .gz or .zst"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"PAR1", "Parquet: its name should end in .parquet"),
    (b"%PDF-", "a PDF"),
    (codecs.BOM_UTF32_LE, "UTF-32: write it as UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16: write it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16: write it as UTF-8"),
)


class Unreadable(Exception):
    """Why a file cannot be read, or not further; `str()` is for the person who wrote the recipe."""


class Bad(NamedTuple):
    """Why a row is none, and the row as far as it can be shown."""

    reason: str
    raw: str = ""


class Overlong(NamedTuple):
    """A line past LONGEST, skipped: its bytes, and how many of them are quotation marks."""

    size: int
    quotes: int

    @property
    def reason(self) -> str:
        return f"a line of {self.size:,} bytes; the most is {LONGEST:,}"


def ending(name: str) -> tuple[str, str]:
    """What a file's name says: its kind (".jsonl") and its packing (".gz", ".zst" or ""), in lower case."""
    path = PurePosixPath(name.lower())
    packing = path.suffix if path.suffix in PACKINGS else ""
    return PurePosixPath(path.stem if packing else path.name).suffix, packing


@contextmanager
def opened(path: Path, name: str, *, window: int = 1 << 27) -> Iterator[io.BufferedReader]:
    """The file's bytes, decompressed as its name says. `window` is the most that a `.zst` may look back.

    Raises Unreadable, at any moment of reading, for what is damaged, cut short or a bomb.
    """
    packing = ending(name)[1]
    try:
        raw: Any = path.open("rb", buffering=0)
        with io.BufferedReader(raw, PEEK) as file:
            if not packing:
                yield file
                return
            read = gzip.GzipFile(fileobj=file).read1 if packing == ".gz" else _Unzstd(file, window).read
            yield io.BufferedReader(_Grown(file, read), PEEK)
    except OSError as e:
        raise Unreadable(f"cannot be read: {e.strerror or e}") from e


def lines(stream: io.BufferedReader, span: Span | None = None) -> Iterator[tuple[int, bytes | Overlong]]:
    """(number, line) from 1, the line with its end; lines end in LF and nothing else. Of a `span`, those that begin in
    it."""
    number, left = 0, -1  # bytes until no more lines begin
    if span is not None:
        number, left = span.line - 1, max(span.end - seek(stream, span.begin), 0)
    while left and (raw := stream.readline(LONGEST + 1)):
        number += 1
        size = len(raw)
        if size <= LONGEST:
            yield number, raw
        else:
            quotes = raw.count(b'"')
            while not raw.endswith(b"\n") and (raw := stream.readline(1 << 20)):
                size, quotes = size + len(raw), quotes + raw.count(b'"')
            yield number, Overlong(size, quotes)
        if span is not None:
            left = max(left - size, 0)


def head(stream: io.BufferedReader) -> bytes:
    """The first bytes of a text, not taken off the stream. Raises Unreadable where it is none."""
    start = stream.peek(PEEK)
    if not start:
        raise Unreadable("is empty")
    for magic, what in MAGIC:
        if start.startswith(magic):
            raise Unreadable(f"is {what}")
    if start.count(0) > len(start) / 8:
        raise Unreadable("is no text: it is full of NUL bytes")
    return start


def whole(stream: io.BufferedReader, most: int) -> bytes:
    """All of it. Raises Unreadable past `most` bytes."""
    data = stream.read(most + 1)
    if len(data) > most:
        raise Unreadable(f"is larger than {most:,} bytes, the most that is read as one text")
    return data


class _Grown(io.RawIOBase):
    """What comes out of a decompressor, watched."""

    def __init__(self, source: BinaryIO, read: Callable[[int], bytes]) -> None:
        self._source, self._read, self._out = source, read, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            data = self._read(len(view))
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            if not isinstance(e, EOFError):
                raise Unreadable(f"is damaged: {e}") from None
            lacks = str(e) if isinstance(e, _Short) else "it does not say of how many"
            raise Unreadable(f"is cut short after {self._out:,} unpacked bytes; {lacks}") from None
        self._out += len(data)
        if self._out > _FREE and self._out > _RATIO * self._source.tell():
            raise Unreadable(f"grows more than {_RATIO}-fold when it is decompressed, which no text does")
        view[: len(data)] = data
        return len(data)


class _Short(EOFError):
    """A frame that breaks off; `str()` says what of it is missing."""


class _Unzstd:
    """Zstandard frames, one after the other. zstandard's own reader takes a frame cut short for a whole one."""

    def __init__(self, source: BinaryIO, window: int) -> None:
        import zstandard

        self._zstd = zstandard
        self._source, self._window = source, window
        self._frame = self._new()
        self._begun, self._ready, self._at = False, b"", 0
        self._start, self._made = b"", 0  # of the frame at hand: its first bytes, and how many it made

    def _new(self) -> ZstdDecompressionObj:
        return self._zstd.ZstdDecompressor(max_window_size=self._window).decompressobj()

    def read(self, size: int) -> bytes:
        while self._at >= len(self._ready):
            piece = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._begun = self._new(), False
                self._start, self._made = b"", 0
            piece = piece or self._source.read(_PIECE)
            if not piece:
                if self._begun:
                    raise _Short(self._missing())
                return b""
            self._begun = True
            self._start = self._start if len(self._start) > 18 else self._start + piece[:32]
            try:
                self._ready, self._at = self._frame.decompress(piece), 0
            except self._zstd.ZstdError as e:
                raise Unreadable(f"is damaged, or no Zstandard: {e}") from None
            self._made += len(self._ready)
        self._at += size
        return self._ready[self._at - size : self._at]

    def _missing(self) -> str:
        """What the frame that breaks off would have held, where its header says so."""
        try:
            size = self._zstd.frame_content_size(self._start)
        except self._zstd.ZstdError:
            size = -1
        return f"{size - self._made:,} are missing" if size > self._made else "it does not say of how many"
