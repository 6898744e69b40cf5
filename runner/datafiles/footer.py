"""Whether Arrow survives the footer of a Parquet file: tried in a process of its own, which may die of it.

A footer whose columns are not what they should be makes Arrow throw where its Python binding expects nothing to be
thrown, and that ends the process: not an exception, an abort. So a child reads each footer first, in the same words as
we do, and what it does not outlive is no Parquet that can be read.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from threading import Lock
from typing import BinaryIO

_END = 8  # bytes: the footer's length, and the mark
_MARKS = (b"PAR1", b"PARE")
_LOCK = Lock()
_children: dict[int, subprocess.Popen[bytes]] = {}  # by our own process: a fork must not talk to its parent's


def survived(file: BinaryIO) -> bool:
    """False where reading the file's footer ends a process. A file that has none passes: Arrow says so in words."""
    footer = _footer(file)
    if footer is None:
        return True
    with _LOCK:
        child = _children.get(os.getpid()) or _start()
        assert child.stdin and child.stdout
        try:
            child.stdin.write(len(footer).to_bytes(8, "little") + footer)
            child.stdin.flush()
            alive = child.stdout.read(1) == b"."
        except BrokenPipeError:
            alive = False
        if not alive:
            _end(_children.pop(os.getpid()))
        return alive


def _footer(file: BinaryIO) -> bytes | None:
    size = file.seek(0, os.SEEK_END)
    if size < _END:
        return None
    file.seek(size - _END)
    end = file.read(_END)
    length = int.from_bytes(end[:4], "little")
    if end[4:] not in _MARKS or length > size - _END:
        return None
    file.seek(size - _END - length)
    return file.read(length + _END)


def _start() -> subprocess.Popen[bytes]:
    """A child that reads footers until we end or close its input."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import child; child()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=kept,
    )
    if not _children:
        atexit.register(_stop)
    _children[os.getpid()] = child
    return child


def _stop() -> None:
    if child := _children.pop(os.getpid(), None):
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was on its way to the dead
    child.wait()


def child() -> None:
    """The child's work: footers on stdin, each after its length; a stop for each that was outlived."""
    import io
    import resource

    import pyarrow as pa
    import pyarrow.parquet as pq

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while size := sys.stdin.buffer.read(8):
        footer = sys.stdin.buffer.read(int.from_bytes(size, "little"))
        try:
            metadata = pq.read_metadata(io.BytesIO(b"PAR1" + footer))
            for n in range(metadata.num_row_groups):
                group = metadata.row_group(n)
                for column in map(group.column, range(group.num_columns)):
                    # All that is asked of it later, in parquet.py.
                    _ = column.has_dictionary_page, column.dictionary_page_offset, column.data_page_offset
                    _ = column.total_uncompressed_size, column.num_values
        except (pa.ArrowException, OSError, ValueError, IndexError):
            pass  # told in words where the file is read
        sys.stdout.buffer.write(b".")
        sys.stdout.buffer.flush()
