"""What a store holds, and what of it nobody needs: for `recipe list store` and `recipe gc`.

Needed is what a run of the workspace was made of or is to be made of (`runs/NAME/plan.json`, and what each run says
when it starts: `.mirepoix/runs/NAME.json`), what that was made of in turn, what a held lock names, and every digest in
a `*.lock` file that stands in the workspace or in a folder of it. So it is with what was fetched: what is locked for a
source goes when no run is made of it, and with it the answers that it was made of. Of other answers nothing says who
asked (pages on the way, judges); they stay. In doubt something stays: beside a run that does not say what it fetched,
all that was.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from runner import paths
from runner.errors import StepError
from runner.store import Store
from runner.store.files import canonical, digest, write_atomic

VERSION = 1
DAY = 86_400
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_GC = "gc"


@dataclass(frozen=True)
class Waste:
    """Something that nobody needs; `step` is empty where it is not known. `size` counts what removing it frees."""

    kind: str
    name: str
    step: str
    size: int
    days: float


def announce(store: Store, run: str, steps: Iterable[str], fetches: Iterable[str] = ()) -> None:
    """Say which fingerprints a run is going to need, before it takes the first of them, and what it is made of that was
    or will be fetched: digests of requests, and of items. It holds when it is killed."""
    path = store.folder("runs") / f"{run}.json"
    data = canonical({"version": VERSION, "steps": sorted(steps), "fetches": sorted(fetches)}) + b"\n"
    with store.waiting(_GC):  # else a collection that looked before would take what we are about to use
        if paths.is_link(path) or not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data, store.workspace)


def use(store: Store) -> dict[str, tuple[int, int]]:
    """Each folder of the store: how many things it holds, and their bytes on the disk."""
    seen: set[tuple[int, int]] = set()
    found = {}
    for path in sorted(p for p in store.root.glob("*") if p.is_dir() and not p.is_symlink()):
        many = {"artifacts": "*/*", "raw": "*/*", "fetched": "**/*.json", "runs": "*.json"}.get(
            path.name, "*"
        )
        found[path.name] = (sum(1 for _ in path.glob(many)), _size(path, seen))
    return found


def _size(path: Path, seen: set[tuple[int, int]] | None = None, *, freed: bool = False) -> int:
    """Bytes on the disk below a path, each file once; `freed`: only of files that have no other name."""
    seen, total = set() if seen is None else seen, 0
    for file in _files(path):
        with suppress(FileNotFoundError):
            about = file.lstat()
            if (about.st_dev, about.st_ino) in seen or (freed and about.st_nlink > 1):
                continue
            seen.add((about.st_dev, about.st_ino))
            total += about.st_blocks * 512
    return total


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir() or path.is_symlink():
        yield path
        return
    for here, _, names in os.walk(path, followlinks=False):
        yield from (Path(here, name) for name in names)


def _digests(path: Path) -> set[str]:
    try:
        return {found.decode() for found in _DIGEST.findall(path.read_bytes())}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def needed(store: Store) -> set[str]:
    """The fingerprints that runs and lock files need. Raises StepError where that cannot be told."""
    wanted: set[str] = set()
    for pattern in ("*.lock", "*/*.lock", "runs/*/*.lock"):
        for path in store.workspace.glob(pattern):
            wanted |= _digests(path) if path.is_file() else set()
    for plan in store.workspace.glob("runs/*/plan.json"):
        wanted |= _digests(plan) | _of_plan(plan)
        for kept in ("adapter", "model"):
            wanted |= _digests(plan.parent / kept / "mirepoix.json")
    for said in store.root.glob("runs/*.json"):
        if (store.workspace / "runs" / said.stem).is_dir() or store.is_held(f"run.{said.stem}"):
            wanted |= _digests(said)
    more = wanted
    while more:  # what they were made of
        more = set().union(*(_digests(store.path(f) / "manifest.json") for f in more)) - wanted
        wanted |= more
    return wanted


def _of_plan(path: Path) -> set[str]:
    try:
        steps = paths.read_json(path)
        return {digest(made) for made in steps.values()}
    except (OSError, ValueError, AttributeError):
        run = f"runs/{path.parent.name}"
        what = f"{run}/plan.json cannot be read, so what that run needs is not known; remove {run}, or run it again"
        raise StepError("gc", what) from None


def collect(store: Store, *, days: float = 0, dry: bool = False) -> list[Waste]:
    """Remove what nobody needs and nobody has used for so many days; what it was. Raises StepError.

    `dry`: remove nothing, only say it.
    """
    if not store.root.is_dir():
        return []
    aside, found = store.folder("tmp") / f"{_GC}.{os.getpid()}", list[Waste]()
    try:
        with store.waiting(_GC):
            wanted = needed(store)
            for kind, path, lock in _candidates(store, wanted):
                with ExitStack() as stack:
                    if path == aside or (lock and not stack.enter_context(store.trying(lock))):
                        continue  # somebody is at work on it
                    waste = _waste(store, kind, path)
                    if waste is None or waste.days < (max(days, 1) if kind in ("raw", "fetched") else days):
                        continue
                    found.append(waste)
                    if not dry:
                        aside.mkdir(exist_ok=True)
                        path.rename(aside / f"{len(found)}")
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return found


def _candidates(store: Store, wanted: set[str]) -> Iterator[tuple[str, Path, str]]:
    """What is not needed: its kind, where it is, and the lock that its maker would hold."""
    for kind, pattern in (("artifacts", "*/*"), ("work", "*"), ("tmp", "*"), ("quarantine", "*")):
        folder = store.folder(kind)
        for path in sorted(folder.glob(pattern)):
            paths.check(store.workspace, path.parent)
            name = path.name.partition(".")[0]
            if kind in ("tmp", "quarantine") or name not in wanted:
                yield kind, path, "" if kind == "quarantine" else name
    for said in sorted(p for p in store.folder("runs").iterdir() if p.suffix in (".json", ".now")):
        if not (store.workspace / "runs" / said.stem).is_dir():
            yield "runs", said, f"run.{said.stem}"
    if not _any_held(store, "serving.*"):
        yield from _served(store, wanted)
    if not _any_held(store, "run.*"):  # a fetch that is under way keeps bytes before it says what for
        for seen in sorted(
            store.folder("runs").glob("*.seen")
        ):  # by nodes, of a run on a cluster that was killed
            yield "runs", seen, ""
        gone = list(_fetched(store, wanted))
        yield from gone
        yield from _unread(store, wanted, {path for _, path, _ in gone})


def _any_held(store: Store, pattern: str) -> bool:
    return any(store.is_held(p.name) for p in store.folder("locks").glob(pattern))


def _served(store: Store, wanted: set[str]) -> Iterator[tuple[str, Path, str]]:
    """What vLLM needed of a run's model or for a step that no run needs; each says for which, in `for/`."""
    for path in sorted(p for p in (store.root / "served").glob("*") if p.is_dir()):
        paths.check(store.workspace, path / "for")
        if not any(p.name in wanted for p in (path / "for").glob("*")):
            yield "served", path, f"served.{path.name.partition('.')[0]}"


def _fetched(store: Store, wanted: set[str]) -> Iterator[tuple[str, Path, str]]:
    """What is locked for sources that no run has, and the answers that only those were made of."""
    if any(not _says_fetches(store, plan.parent.name) for plan in store.workspace.glob("runs/*/plan.json")):
        return
    named, free = set(wanted), dict[Path, set[str]]()
    for path in sorted((store.root / "fetched" / "locks").glob("*.json")):
        if _is_needed(path, wanted):
            named |= _digests(path)
        else:
            free[path] = _digests(path)
    for path in free:
        paths.check(store.workspace, path.parent)
        yield "fetched", path, f"fetch.{path.stem}"
    unneeded = set().union(*free.values()) - named
    for path in sorted((store.root / "fetched" / "requests").glob("*/*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(path.read_bytes())["sha256"] in unneeded:
                paths.check(store.workspace, path.parent)
                yield "fetched", path, ""


def _is_needed(lock: Path, wanted: set[str]) -> bool:
    """Whether a run has the source that a lock is of. Those of models are small, and stay."""
    try:
        said = json.loads(lock.read_bytes())
        of_source, items = "source" in said["request"], digest(said["items"])
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return not of_source or lock.stem in wanted or items in wanted


def _says_fetches(store: Store, run: str) -> bool:
    try:
        return "fetches" in json.loads((store.root / "runs" / f"{run}.json").read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def _unread(store: Store, wanted: set[str], gone: set[Path]) -> Iterator[tuple[str, Path, str]]:
    """Bytes of the network that no request, lock or lock file names, but for those that are `gone`."""
    named = set(wanted)
    for path in (store.root / "fetched").rglob("*.json"):
        named |= _digests(path) if path not in gone else set()
    for path in sorted((store.root / "raw").glob("*/*")):
        if path.name not in named:
            paths.check(store.workspace, path.parent)
            yield "raw", path, ""


def _waste(store: Store, kind: str, path: Path) -> Waste | None:
    try:
        used = path.lstat().st_mtime
    except FileNotFoundError:
        return None
    step = ""
    if kind in ("artifacts", "quarantine"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            step = str(json.loads((path / "manifest.json").read_bytes())["step"])
    return Waste(kind, path.name, step, _size(path, freed=True), max(0.0, (time.time() - used) / DAY))
