"""What is published was on the disk before: strace sees no rename without an fsync of the file, then of the folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

CALLS = "trace=openat,write,pwrite64,writev,ftruncate,rename,renameat,renameat2,fsync,fdatasync,mkdir,mkdirat"
# What is under way, and what nothing hangs on; a download's parts are asked for again where they are not whole.
UNPUBLISHED = {"quarantine", "tmp", "work", "parts", "logs"}
_LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_FD = re.compile(r"^(?:AT_FDCWD|\d+)<([^>]*)>")
_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BEGAN = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$")
_ENDED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")


def joined(trace: Iterable[str]) -> Iterator[str]:
    """Calls in the order in which they ended: of several threads, strace tells beginning and end apart."""
    began: dict[str, str] = {}
    for line in trace:
        if found := _BEGAN.match(line):
            began[found[1]] = found[2]
        elif (found := _ENDED.match(line)) and found[1] in began:
            yield f"{found[1]} {began.pop(found[1])}{found[2]}"
        else:
            yield line


def unsafe(trace: Iterable[str], root: Path) -> Iterator[str]:
    """Each rename and each new folder below `root` that a loss of power could undo or empty, with why.

    What is moved inside the temporary and quarantine folders is not published, and passes.
    """
    written: dict[str, bool] = {}  # file → whether it was flushed since it was last written
    flushed: set[str] = set()  # folders
    waiting: dict[str, str] = {}  # folder that must still be flushed → for which rename
    made: dict[str, str] = {}  # new folder → the one above, which must still be flushed
    for line in joined(trace):
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


def test_the_check_sees_through_threads() -> None:
    """A rename that ends before the fsync of another thread does, which began before it."""
    early = ["7  write(3</w/a.tmp>, \"x\", 1) = 1", "7  fsync(3</w/a.tmp> <unfinished ...>", '8  rename("/w/a.tmp", "/w/a") = 0',
             "7  <... fsync resumed>) = 0", "7  fsync(3</w>) = 0"]  # fmt: skip
    assert list(unsafe(early, Path("/w")))
    assert list(unsafe([*early[:2], early[3], early[2], early[4]], Path("/w"))) == []


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A server on the loopback that has three files of records; its HOST:PORT."""
    row = (
        '{"messages": [{"role": "user", "content": "%d?"}, {"role": "assistant", "content": "It is %d."}]}\n'
    )
    for n in range(3):
        (tmp_path / f"{n}.jsonl").write_text("".join(row % (k + 50 * n, k) for k in range(30)))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_fetch_flushes_what_it_keeps(place: Any, strace: str, site: str) -> None:
    recipe = {
        "recipe": 1,
        "name": "t",
        "sources": [{"files": {"urls": [f"http://{site}/{n}.jsonl" for n in range(3)]}}],
    }
    (place.root / "r.yaml").write_text(json.dumps(recipe))
    (place.root / "settings.toml").write_text(f'allow = ["{site}"]\npace = 100\n')
    trace = place.root / "trace"
    settings = {"MIREPOIX_SETTINGS": str(place.root / "settings.toml")}
    done = place.run(strace, "-f", "-y", "-qq", "-e", CALLS, "-o", str(trace), **settings)
    assert done.returncode == 0, done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    assert len({m[0] for x in lines if (m := re.search(r'"[^"]*/raw/\w\w/\w+"', x))}) == 3, (
        "one for each file"
    )
    assert list(unsafe(lines, place.root)) == []


def test_prepare_flushes_what_it_publishes(place: Any, strace: str) -> None:
    trace = place.root / "trace"
    done = place.run(strace, "-f", "-y", "-qq", "-e", CALLS, "-o", str(trace))
    assert done.returncode == 0, done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    published = [x for x in lines if " rename" in x and "artifacts/" in x]
    assert len(published) == 5, "one for each step"
    assert list(unsafe(lines, place.root)) == []
