"""Finished lines that outlive a kill: appended batch by batch, put in order at the end.

While work goes on the lines stand in `OUT.partial`, one fsync a batch; `OUT` itself appears whole
or not at all. The first line names the work (a digest of everything that decides the answers), so
that lines of another model or prompt are thrown away and never mixed in.

Jobs that share the work have a journal each, `OUT.2of3.partial`, and each starts with what all that
are there hold of the same work, however many jobs shared it then.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


class Journal:
    """The lines of one job. `done` maps a key (`line_key`) to its finished JSON line, without newline."""

    def __init__(self, out: Path, work: str, share: str = "") -> None:
        """`share` is the name of the job where several share the work (`Share.name`)."""
        self.out = out
        self.partial = out.with_name(f"{out.name}{share and '.' + share}.partial")
        header = json.dumps({"work": work}).encode()
        out.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.partial, "ab+")  # noqa: SIM115  (closed by `finish` and `close`)
        self.file.seek(0)
        self.done, kept = _lines(self.file.read(), header)
        self.file.truncate(kept)
        if not kept:
            self._write([header])
        for other in self._others():
            self.done = _lines(other.read_bytes(), header)[0] | self.done

    def append(self, lines: dict[str, bytes]) -> None:
        """Keep a batch of finished lines, by key; on the disk when this returns."""
        self._write(list(lines.values()))
        self.done.update(lines)

    def finish(self, order: list[str]) -> None:
        """Write `out` with one line for every key of `order`, then drop all partial files of it."""
        self.file.close()
        temporary = self.out.with_name(self.out.name + ".tmp")
        with open(temporary, "wb") as file:
            file.writelines(self.done[key] + b"\n" for key in order)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.out)
        folder = os.open(self.out.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        for partial in (self.partial, *self._others()):
            partial.unlink()

    def close(self) -> None:
        """Leave the lines for whoever puts them together with those of other jobs."""
        self.file.close()

    def _others(self) -> list[Path]:
        names = self.out.parent.glob("*.partial")
        return sorted(p for p in names if p.name.startswith(self.out.name + ".") and p != self.partial)

    def _write(self, lines: list[bytes]) -> None:
        self.file.write(b"".join(line + b"\n" for line in lines))
        self.file.flush()
        os.fsync(self.file.fileno())


def line_key(id: str, repeat: int = 0) -> str:
    """What a line is known by: an id, and which of several answers to it."""
    return json.dumps([id, repeat])


def lines_of(path: Path) -> dict[str, bytes]:
    """The lines of a file that has no header, by key; none where it is absent."""
    return _by_key(path.read_bytes().split(b"\n")[:-1])[0] if path.is_file() else {}


def _lines(written: bytes, header: bytes) -> tuple[dict[str, bytes], int]:
    """The lines of a journal, and how many of its bytes are whole: none where it is of other work."""
    lines = written.split(b"\n")
    if lines[0] != header or len(lines) < 2:
        return {}, 0
    done, size = _by_key(lines[1:-1])  # what follows the last newline was torn by a kill
    return done, len(header) + 1 + size


def _by_key(lines: list[bytes]) -> tuple[dict[str, bytes], int]:
    """Lines by key up to the first that is none, and how long they are."""
    done: dict[str, bytes] = {}
    size = 0
    for line in lines:
        if (key := _key(line)) is None:
            break
        done[key] = line
        size += len(line) + 1
    return done, size


def _key(line: bytes) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    id = value.get("id") if isinstance(value, dict) else None
    return line_key(id, value.get("repeat", 0)) if isinstance(id, str) else None
