"""Finished lines that outlive a kill: appended batch by batch, put in order at the end.

While work goes on the lines stand in `OUT.partial`, one fsync a batch; `OUT` itself appears whole
or not at all. The first line names the work (a digest of everything that decides the answers), so
that lines of another model or prompt are thrown away and never mixed in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


class Journal:
    """The lines of one job. `done` maps a key (`line_key`) to its finished JSON line, without newline."""

    def __init__(self, out: Path, work: str) -> None:
        self.out, self.partial = out, out.with_name(out.name + ".partial")
        self.done: dict[str, bytes] = {}
        header = json.dumps({"work": work}).encode()
        out.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.partial, "ab+")  # noqa: SIM115  (closed by `finish`)
        self.file.seek(0)
        lines = self.file.read().split(b"\n")
        kept = 0
        if lines[0] == header and len(lines) > 1:
            kept = len(header) + 1
            for line in lines[1:-1]:  # what follows the last newline was torn by a kill
                if (key := _key(line)) is None:
                    break
                self.done[key] = line
                kept += len(line) + 1
        self.file.truncate(kept)
        if not kept:
            self._write([header])

    def append(self, lines: dict[str, bytes]) -> None:
        """Keep a batch of finished lines, by key; on the disk when this returns."""
        self._write(list(lines.values()))
        self.done.update(lines)

    def finish(self, order: list[str]) -> None:
        """Write `out` with one line for every key of `order`, then drop the partial file."""
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
        self.partial.unlink()

    def _write(self, lines: list[bytes]) -> None:
        self.file.write(b"".join(line + b"\n" for line in lines))
        self.file.flush()
        os.fsync(self.file.fileno())


def line_key(id: str, repeat: int = 0) -> str:
    """What a line is known by: an id, and which of several answers to it."""
    return json.dumps([id, repeat])


def _key(line: bytes) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    id = value.get("id") if isinstance(value, dict) else None
    return line_key(id, value.get("repeat", 0)) if isinstance(id, str) else None
