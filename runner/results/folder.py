"""A folder that is whole or not there, and that never takes the place of one that is not ours.

`export.json`, written last, says which files we wrote, with their sha256. A folder that holds anything else, or one of
these changed, is left alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner import paths
from runner.errors import StepError, UsageError
from runner.shown import size
from runner.store import file_digest, fsync
from runner.store.files import replacing

MARK = "export.json"
VERSION = 1


def refuse(target: Path) -> None:
    """Raise UsageError where `target` may not be written."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{str(target)!r} is there already, and is no folder; name another with --to")
    if not target.is_dir() or not any(target.iterdir()):
        return
    ours = written(target)
    if ours is None:
        raise UsageError(
            f"{str(target)!r} holds files that this did not write; name another folder with --to"
        )
    for path in sorted(paths.walked(target)):
        name = path.relative_to(target).as_posix()
        if name == MARK:
            continue
        if name not in ours or path.is_symlink() or file_digest(path) != ours[name]:
            what = f"{str(target)!r} was exported before, but {name!r} was added or changed since"
            raise UsageError(f"{what}; move it away, or name another folder with --to")


def written(target: Path) -> dict[str, str] | None:
    """Names and sha256 of what was exported into a folder; None where it was not."""
    try:
        data = json.loads((target / MARK).read_bytes())
    except (OSError, ValueError):
        return None
    files = data.get("files") if isinstance(data, dict) and data.get("export") == VERSION else None
    return files if isinstance(files, dict) else None


def room(target: Path, needed: int, step: str = "export") -> int:
    """Free bytes where `target` will be. Raises StepError where that is less than `needed`."""
    place = target.parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        what = f"{size(needed)} are needed at {str(place)!r}, {size(free)} are free; free some, or name another disk"
        raise StepError(step, what)
    return free


@contextmanager
def whole(target: Path, about: dict[str, Any]) -> Iterator[Path]:
    """A folder to fill beside `target`; on leaving without an error it is `target`. `about` goes into export.json."""
    refuse(target)
    with replacing(target, lambda: refuse(target)) as filling:  # it may have been filled meanwhile
        filling.mkdir()
        yield filling
        files = sorted(p for p in filling.rglob("*") if p.is_file())
        digests = {p.relative_to(filling).as_posix(): file_digest(p) for p in files}
        mark = {"export": VERSION, **about, "files": digests}
        (filling / MARK).write_text(json.dumps(mark, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        for path in (*files, filling / MARK):
            path.chmod(0o644)
            fsync(path)
        for path in {filling, *(p.parent for p in files)}:
            fsync(path)
