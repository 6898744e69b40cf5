"""What all of the API shares: the user's settings, whose store it is, errors that tell no secret, room to work in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.errors import MirepoixError, Problem, StepError, UsageError
from runner.trouble import no_memory, os_error

if TYPE_CHECKING:
    from runner.scrub import Scrubber
    from runner.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
Name = str | os.PathLike[str]
"""A file or folder, as a text or a path."""


def told(function: Callable[P, R]) -> Callable[P, R]:
    """A function of the API: what its errors say has the user's secrets covered, which servers may have said back."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except MirepoixError as e:
            _cover(e)
            raise

    return wrapped


def _cover(error: MirepoixError) -> None:
    """Cover secrets in an error, in place: its class, its problems and its exit code stay."""
    from runner import scrub

    if not (known := scrub.known()):
        return
    before, error.args = str(error), tuple(known.text(a) if isinstance(a, str) else a for a in error.args)
    if str(error) != before:
        error.__suppress_context__ = True  # what led to it says the same, uncovered
    if isinstance(error, StepError):
        error.message = known.text(error.message)
    for problems in (p for p in (getattr(error, "problems", None),) if p):
        problems[:] = [_covered(p, known) for p in problems]


def _covered(problem: Problem, known: Scrubber) -> Problem:
    again: Callable[..., Problem] = replace
    said = {f.name: getattr(problem, f.name) for f in fields(problem)}
    return again(problem, **{k: known.text(v) for k, v in said.items() if isinstance(v, str)})


def covered(text: str) -> str:
    """A text with the user's secrets covered: libraries and servers may say what they were given."""
    return covering()(text)


def covering() -> Callable[[str], str]:
    """The same for many texts: the secrets are looked for once."""
    from runner import scrub

    return scrub.known().text


def shown(path: Path) -> str:
    """A path as the user would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def nearest(said: str, known: Iterable[str]) -> str:
    """` (did you mean …?)` where something that there is comes near to what was said; else ""."""
    from runner.wording import nearest as found

    return found(said, known)


def one_line(text: str, most: int) -> str:
    """A text on one line, of so many characters at most."""
    from runner.shown import one_line as said

    return said(text, most)


def size(many: int) -> str:
    """Bytes in words."""
    from runner.shown import size as said

    return said(many)


def unworded(error: BaseException) -> str:
    """What an error of the machine means, in words: a full disk, no memory, no thread. "" where it is a defect."""
    return no_memory(error) or (os_error(error) if isinstance(error, OSError) else "")


def chosen(what: str, said: str | None, known: Collection[str]) -> None:
    """Raises UsageError unless `said` is one of those, or None. Types tell a checker; a notebook has none."""
    if said is not None and said not in known:
        raise UsageError(f"{what} is one of {', '.join(known)}, not {str(said)[:200]!r}")


def trusted(said: Collection[str], known: Collection[str]) -> frozenset[str]:
    """What is trusted, as a set. A text is a collection, too: of letters. Raises UsageError."""
    for one in (said,) if isinstance(said, str) else said:
        chosen("trust", one, known)
    if isinstance(said, str):
        raise UsageError(f"trust is a collection: say trust=({said!r},)")
    return frozenset(said)


def settings_of(allow: Collection[str] = ()) -> Settings:
    """The user's settings, with the addresses (`HOST:PORT`) that may be fetched from besides. Raises UsageError."""
    from runner import settings

    found = settings.load(allow=tuple(allow))
    if any(found.origin[name] != "default" for name in ("allow", "pace", "at_once", "proxy")):
        from runner.net.guard import check

        check(found)  # even where nothing is fetched; the defaults need no look
    return found


def folder_of(workspace: Name) -> Path:
    """A workspace as a path. Raises UsageError where it is no folder."""
    path = Path(workspace)
    if not path.is_dir():
        raise UsageError(f"no folder {str(workspace)!r} to work in")
    return path


_believed: set[Path] = set()


def trust_store(workspace: Name) -> None:
    """Believe the store of a workspace from now on, although somebody else made it. Raises NeedsTrust for a link."""
    from runner.store import marks

    store = Path(workspace) / ".mirepoix"
    if (known := store.resolve()) not in _believed:
        marks.trust(store)
        _believed.add(known)


def forgotten() -> list[str]:
    """What of the stores that are believed will not be known next time, and why: a sentence each."""
    known = sys.modules.get("runner.store.marks")
    return [] if known is None else list(known.forgotten)


_IMPORT = """
import mmap, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (3, 3))
taken = mmap.mmap(-1, int(sys.argv[1]))
import numpy
"""


def enough_memory() -> None:
    """Raises MemoryError where a limit on our memory (`ulimit -v`) leaves numpy none.

    Its library of linear algebra would look for some without end, and hear no signal. Another process, as large as ours
    is by now, tries it, where there is a limit at all.
    """
    import resource
    import subprocess

    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    safe_path = os.environ | {"PYTHONSAFEPATH": "1"}
    pages = Path("/proc/self/statm")
    ours = int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 0
    argv = [sys.executable, "-c", _IMPORT, str(max(ours - (16 << 20), 1))]  # a bare Python has some itself
    try:
        done = subprocess.run(argv, env=safe_path, capture_output=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        raise MemoryError from None
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode < 0 or "MemoryError" in said or no_memory(ImportError(said)):
        raise MemoryError


def as_data(problem: Problem) -> dict[str, Any]:
    """A problem as plain data. `end_column` is the column after what is meant, None where that is not known."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "end_column": problem.end or None,
        "where": problem.where,
        "what": problem.what,
        "suggestion": problem.suggestion,
    }
