"""A file of lines, a range of bytes at a time, so that many may read one file at once.

A file is cut every so many bytes, whatever stands there. A range's lines are those that begin in it, the last of them
to its end; so each line is of one range, wherever the cuts are, and where they are decides nothing else. A range says
which number its first line has, since that stands in the ids of rows: lines are counted first, which is cheap.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

RANGE = 16 << 20
"""Bytes of a range; more where files are so large that there would be more than MOST of them."""
MOST = 1 << 12
_CHUNK = 1 << 20


class Span(Struct, frozen=True):
    """Bytes `begin` to `end` (one past them) of a file; `line` is the number of the first line that begins there."""

    begin: int
    end: int
    line: int


def length(total: int) -> int:
    """Bytes of a range, where all files together have `total`."""
    return max(RANGE, -(-total // MOST))


def cut(size: int, most: int) -> list[tuple[int, int]]:
    """The ranges of a file of `size` bytes: where each begins, and ends."""
    return [(begin, min(begin + most, size)) for begin in range(0, size, most)]


def begun(path: Path, begin: int, end: int) -> int:
    """How many lines begin in a range of a file: after the file's start, one after each line's end but the last."""
    many, left = int(begin == 0 < end), end - max(begin, 1)
    with path.open("rb", buffering=0) as file:
        file.seek(max(begin - 1, 0))
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            many += chunk.count(b"\n")
            left -= len(chunk)
    return many


def numbered(ranges: list[tuple[int, int]], counts: list[int]) -> list[Span]:
    """The ranges of one file, of which each has so many lines, with the numbers of their first lines."""
    spans, line = [], 1
    for (begin, end), many in zip(ranges, counts, strict=True):
        spans.append(Span(begin, end, line))
        line += many
    return spans


def seek(stream: BinaryIO, begin: int) -> int:
    """Go to the first line that begins at a byte or after it; where that is."""
    if not begin:
        return 0
    at = stream.seek(begin - 1)
    while raw := stream.readline(1 << 20):
        at += len(raw)
        if raw.endswith(b"\n"):
            break
    return at


def lines(stream: BinaryIO, span: Span | None) -> Iterator[tuple[int, bytes]]:
    """(number, line) from 1, of a file of ours, or those that begin in a span: of any length. Strangers' files have
    their lines by runner.datafiles.opened."""
    if span is None:
        yield from enumerate(stream, 1)
        return
    at, number = seek(stream, span.begin), span.line
    while at < span.end and (raw := stream.readline()):
        yield number, raw
        at, number = at + len(raw), number + 1
