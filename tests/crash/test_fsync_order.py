"""What is published was on the disk before: strace sees no rename without an fsync of the file, then of the folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

CALLS = "trace=openat,write,pwrite64,writev,ftruncate,rename,renameat,renameat2,fsync,fdatasync,mkdir,mkdirat"
UNPUBLISHED = {"quarantine", "tmp", "work"}
_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_FD = re.compile(r"^(?:AT_FDCWD|\d+)<([^>]*)>")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')


def unsafe(trace: Iterable[str], root: Path) -> Iterator[str]:
    """Each rename and each new folder below `root` that a loss of power could undo or empty, with why.

    What is moved inside the temporary and quarantine folders is not published, and passes.
    """
    written: dict[str, bool] = {}  # file → whether it was flushed since it was last written
    flushed: set[str] = set()  # folders
    waiting: dict[str, str] = {}  # folder that must still be flushed → for which rename
    made: dict[str, str] = {}  # new folder → the one above, which must still be flushed
    for line in trace:
        if (found := _LINE.match(line)) is None or int(found[3]) < 0:
            continue
        call, arguments = found[1], found[2]
        at = fd[1] if (fd := _FD.match(arguments)) else ""
        if call in ("write", "pwrite64", "writev", "ftruncate"):
            written[at] = False
        elif call in ("fsync", "fdatasync"):
            flushed.add(at)
            written[at] = True
            waiting.pop(at, None)
            made = {new: above for new, above in made.items() if above != at}
        elif call.startswith("mkdir"):
            new = str((Path(at) if call == "mkdirat" and at else root) / _PATH.findall(arguments)[0])
            if new.startswith(f"{root}/") and not set(Path(new).relative_to(root).parts) & UNPUBLISHED:
                made[new] = str(Path(new).parent)
        elif call.startswith("rename"):
            old, new = (str(root / p) for p in _PATH.findall(arguments)[:2])
            if not new.startswith(f"{root}/") or set(Path(new).relative_to(root).parts) & UNPUBLISHED:
                continue
            for folder in (f for f in made if new.startswith(f"{f}/")):
                yield f"{new}: {made[folder]} was not flushed before it, and so {folder} may be lost"
            inside = {p: ok for p, ok in written.items() if p == old or p.startswith(f"{old}/")}
            for path in sorted(p for p, ok in inside.items() if not ok):
                yield f"{new}: {path} was written and not flushed before the rename"
            if not inside:
                yield f"{new}: nothing of {old} was ever flushed"
            if old not in inside and old not in flushed:
                yield f"{new}: the folder {old} was not flushed before the rename"
            waiting[str(Path(new).parent)] = new
    yield from (f"{new}: {folder} was not flushed after it" for folder, new in waiting.items())


GOOD = """\
7  write(3</w/.a.tmp>, "x", 1) = 1
7  fsync(3</w/.a.tmp>) = 0
7  rename("/w/.a.tmp", "/w/a") = 0
7  fsync(3</w>) = 0
7  mkdirat(3</w/store>, "artifacts", 0777) = 0
7  fsync(3</w/store>) = 0
7  mkdir("/w/store/artifacts/ab", 0777) = 0
7  fsync(3</w/store/artifacts>) = 0
7  write(3</w/tmp/art/data>, "x", 1) = 1
7  fsync(3</w/tmp/art/data>) = 0
7  fsync(3</w/tmp/art>) = 0
7  rename("/w/tmp/art", "/w/store/artifacts/ab/art") = 0
7  fsync(3</w/store/artifacts/ab>) = 0
""".splitlines()


def test_the_check_lets_the_right_order_pass() -> None:
    assert list(unsafe(GOOD, Path("/w"))) == []


@pytest.mark.parametrize("lacks", [n for n, line in enumerate(GOOD) if "fsync" in line])
def test_the_check_sees_each_fsync_that_is_missing(lacks: int) -> None:
    assert list(unsafe(GOOD[:lacks] + GOOD[lacks + 1 :], Path("/w")))


def test_the_check_sees_a_write_after_the_fsync() -> None:
    late = [*GOOD[:2], '7  write(3</w/.a.tmp>, "y", 1) = 1', *GOOD[2:]]
    assert list(unsafe(late, Path("/w")))


def test_prepare_flushes_what_it_publishes(place: Any, strace: str) -> None:
    trace = place.root / "trace"
    done = place.run(strace, "-f", "-y", "-qq", "-e", CALLS, "-o", str(trace))
    assert done.returncode == 0, done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    published = [x for x in lines if " rename" in x and "artifacts/" in x]
    assert len(published) == 5, "one for each step"
    assert list(unsafe(lines, place.root)) == []
