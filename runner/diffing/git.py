"""Git, asked for what a revision holds, and for nothing else: names and bytes, as they were committed.

A repository may come from a stranger, and its `.git/config` names programs: file system monitors, hooks, filters and
text converters, helpers that fetch what is missing. Only plumbing is called that knows nothing of converters and
filters (`rev-parse`, `ls-tree`, `cat-file`), with the rest turned off, and with no way to the network: git may then
start no program at all. Neither the working tree nor the index is read or written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from runner import warded
from runner.errors import UsageError
from runner.workspace import LOOKED_AT

PATIENCE = 60.0
"""Seconds that an answer may take: a pipe in place of one of git's files, or a tree that holds itself many times over,
would be waited for for ever."""
READING = 600.0
"""Seconds that the bytes of files may take."""
MOST = 4 << 30
"""Bytes that are taken out of a revision, in all."""
_OFF = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "safe.bareRepository=explicit")
_LONGEST = 1 << 16  # bytes of a path
_KEPT = ("HOME", "PATH", "XDG_CONFIG_HOME", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT")
"""What git gets of our environment: none of GIT_*, which may name programs and other repositories."""


@dataclass(frozen=True)
class Entry:
    """A file of a revision. `mode` as git writes it: 100644 and 100755 are files, 120000 a link."""

    mode: str
    id: str
    size: int


def environment() -> dict[str, str]:
    """For git alone: no system configuration, no prompt, no fetching of what is missing, no other bytes for an id."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "LC_ALL": "C",
    }


def argv(folder: Path, *arguments: str) -> list[str]:
    off = [word for setting in _OFF for word in ("-c", setting)]
    return ["git", "--no-pager", *off, "-C", str(folder), *arguments]


@contextmanager
def _asking(
    folder: Path, *arguments: str, stdin: int = subprocess.DEVNULL, patience: float | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Git at work. Raises UsageError where it takes longer than it may."""
    child = warded.start(
        argv(folder.resolve(), *arguments),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    patience = PATIENCE if patience is None else patience
    late = threading.Event()

    def stop() -> None:
        late.set()
        child.terminate()  # whoever reads from it then comes to an end

    timer = threading.Timer(patience, stop)
    timer.daemon = True
    timer.start()
    try:
        yield child
    except (UsageError, OSError):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
        warded.end(child, 0)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
    if late.is_set():
        raise UsageError(f"git {arguments[0]} takes longer than {patience:.0f} s in {folder}")


def _answer(folder: Path, *arguments: str) -> str:
    """What git says, in one go. Raises UsageError with git's own reason."""
    with _asking(folder, *arguments) as child:
        out, err = child.communicate()
        if child.returncode:
            raise UsageError(_reason(err))
    return os.fsdecode(out)


def _reason(said: bytes) -> str:
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    first = next(
        (line for line in lines if line.startswith("fatal: ")), lines[0] if lines else "no reason given"
    )
    return f"git: {first.removeprefix('fatal: ')[:500]}"


@dataclass(frozen=True)
class Repository:
    """`prefix` is where the workspace lies in it: "" at the top, else with a slash at its end. What was asked of it
    once is not asked again: as long as it lives, a name means one commit."""

    top: Path
    prefix: str
    _commits: dict[str, str | None] = field(default_factory=dict, compare=False)
    _files: dict[str, dict[str, Entry]] = field(default_factory=dict, compare=False)

    def commit(self, revision: str) -> str | None:
        """The id of the commit that a revision names; None where it names none."""
        if revision not in self._commits:
            self._commits[revision] = self._commit(revision)
        return self._commits[revision]

    def _commit(self, revision: str) -> str | None:
        if not revision or revision.startswith("-") or "\0" in revision:
            return None
        try:
            asked = f"{revision}^{{commit}}"
            return _answer(self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", asked).strip()
        except UsageError:
            return None

    def files(self, commit: str) -> dict[str, Entry]:
        """All files of a commit, by their paths from the top. Raises UsageError for more than LOOKED_AT."""
        if commit not in self._files:
            self._files[commit] = dict(self._listed(commit))
        return self._files[commit]

    def _listed(self, commit: str) -> Iterator[tuple[str, Entry]]:
        with _asking(self.top, "ls-tree", "-r", "-z", "--long", "--full-tree", commit) as child:
            assert child.stdout and child.stderr
            for n, record in enumerate(_records(child.stdout)):
                if n >= LOOKED_AT:
                    what = f"the revision has more than {LOOKED_AT:,} files; that is not looked through"
                    raise UsageError(what)
                about, _, path = record.partition(b"\t")
                mode, kind, id, size = about.split()
                if kind == b"blob":  # else a submodule's commit
                    long = int(size) if size.isdigit() else 0
                    yield os.fsdecode(path), Entry(mode.decode(), id.decode(), long)
            if child.wait():
                raise UsageError(_reason(child.stderr.read()))

    @contextmanager
    def reading(self) -> Iterator[Blobs]:
        with _asking(self.top, "cat-file", "--batch", stdin=subprocess.PIPE, patience=READING) as child:
            yield Blobs(child)


class Blobs:
    """The bytes of files, as they were committed, as long as git is at it."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child, self._taken = child, 0

    def write(self, entry: Entry, target: Path) -> None:
        """Write a file where nothing is yet. Raises UsageError for more than MOST in all, or what git lacks."""
        self._taken += entry.size
        if self._taken > MOST:
            raise UsageError(f"more than {MOST:,} bytes of that revision would be read, which are the most")
        asking, answer = self._child.stdin, self._child.stdout
        assert asking and answer
        asking.write(entry.id.encode() + b"\n")
        asking.flush()
        head = answer.readline().split()
        if len(head) != 3 or head[1] != b"blob":
            raise UsageError(f"git has no bytes of {target.name} ({entry.id[:12]}) here; fetch them first")
        with target.open("xb") as file:
            _copy(answer, file, int(head[2]))
        answer.read(1)


def repository(folder: Path) -> Repository | None:
    """The repository that a folder lies in; None where it lies in none, or there is no git. Raises UsageError where git
    refuses to look."""
    if shutil.which("git") is None:
        return None
    try:
        said = _answer(folder, "rev-parse", "--show-toplevel", "--show-prefix").split("\n")
    except UsageError as e:
        if "not a git repository" in str(e):
            return None
        raise
    if len(said) != 3:
        raise UsageError(f"{str(folder)!r} lies in a repository of git whose path has more lines than one")
    return Repository(Path(said[0]), said[1])


def _records(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(1 << 16):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
        if len(rest) > _LONGEST:
            raise UsageError("the revision has a file whose path is longer than any can be")


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        block = source.read(min(size, 1 << 20))
        if not block:
            raise UsageError("git ended before all was read")
        target.write(block)
        size -= len(block)
