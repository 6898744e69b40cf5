"""Which files of a recipe go into its pack, under which names: as they lie in the workspace, so that all stays so.

The parts that it extends go along as files, shipped ones too, and so do the shipped suites, tasks and tool sets that it
uses: under another version of mirepoix it is still the same recipe, and each key is still set by the same file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from runner import library, load, locking, scrub
from runner.datafiles.opened import PACKINGS, Unreadable, opened
from runner.errors import UsageError
from runner.load import Loaded
from runner.oci import manifest, names
from runner.plan import task_files
from runner.registry import plugins
from runner.steps import Plan
from runner.store import file_digest
from runner.workspace import Workspace

CARD, SIGNATURE = "README.md", "model.sig"
_PIECE = 8 << 20


def chain(recipe: Path, place: Workspace) -> dict[str, Path]:
    """The recipe's file, first, and those that it extends, by the names that they will have. Raises UsageError."""
    found: dict[str, Path] = {}
    name = ""
    for said, path in load.chain(recipe, place):
        name = (
            posixpath.normpath(posixpath.join(posixpath.dirname(name), said)) if said else _own(path, place)
        )
        if name.startswith(("..", "/")) or Path(said).is_absolute():
            what = f"extends {said!r}, which lies above all that would go along"
            raise UsageError(f"{what}; put both recipes into one workspace, and name it with --workspace")
        if found.get(name, path).resolve() != path.resolve():
            raise UsageError(f"{name}: two recipes of this chain would have this name; rename one")
        found[name] = path
    return found


def _own(recipe: Path, place: Workspace) -> str:
    """The name of the recipe itself: where it lies in the workspace or among shipped ones, else its file's."""
    full = recipe.resolve()
    for home in (place.root.resolve(), library.shelf("recipes").resolve()):
        if full.is_relative_to(home):
            return full.relative_to(home).as_posix()
    return full.name


def files(recipes: dict[str, Path], plan: Plan, place: Workspace) -> dict[str, Path]:
    """All files that go along, by name. Raises UsageError for what must not, by name."""
    if out := locking.outside(plan):
        raise UsageError(f"lies outside the workspace, so nobody else would find it: {', '.join(out[:5])}")
    found = dict(recipes)
    for name, path in {**locking.carried(plan), **dict(_of_suites(plan.loaded, place))}.items():
        if found.get(name, path).resolve() != path.resolve():
            raise UsageError(f"{name}: is a recipe, and also a file that it reads; rename one")
        found[name] = path
    for name, path in found.items():
        if name in (CARD, SIGNATURE):
            raise UsageError(f"{name}: the pack's own is called so; rename yours in the recipe")
        if why := names.wrong(name):
            raise UsageError(f"{name}: {why}, which never goes along; take it out of what the recipe names")
        _plain(name, path, place)
    return dict(sorted(found.items()))


def _of_suites(loaded: Loaded, place: Workspace) -> Iterator[tuple[str, Path]]:
    """What suites name, also where a recipe without a model asks them nothing: the check of a suite looks for it."""
    for suite in loaded.suites:
        common = suite.common
        if (path := place.find(f"evals/suites/{common.name}.yaml")) is not None:
            yield f"evals/suites/{common.name}.yaml", path
        if common.probes:
            yield from place.named("evals", common.probes).items()
        for task in common.lm_eval.tasks if common.lm_eval else ():
            yield from ((f.name, f.path) for f in task_files(task, place))
        for globs in common.perplexity.texts.values() if common.perplexity else ():
            yield from place.named("glob", globs).items()
        if suite.judge:
            for option, how in plugins("judge")[suite.judge.plugin].file_options.items():
                if (value := suite.judge.options[option]) is not None:
                    yield from place.named(how, value).items()


def _plain(name: str, path: Path, place: Workspace) -> None:
    """Raises UsageError for a link, and for what is no file of the workspace nor a shipped one."""
    root = place.root.resolve()
    here = root
    for part in name.split("/"):
        here = here / part
        if here.is_symlink():
            raise UsageError(f"{name}: is a link, which never goes along; put the file itself there")
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{name}: is a link, or no file, and never goes along")


def looked_into(name: str, path: Path, scrubber: scrub.Scrubber) -> None:
    """Raises UsageError where a file holds a secret of this user, packed ones too, or is a pickle by another name."""
    with path.open("rb") as file:
        if names.pickled(file.read(16)) and not manifest.is_weights(name):
            raise UsageError(f"{name}: is a pickle, or what may hold one, and never goes along")
    if not scrubber:
        return
    if _tells(path, scrubber) or (name.lower().endswith(PACKINGS) and _tells(path, scrubber, name)):
        raise UsageError(f"{name} holds one of your secrets, so it does not go along; take that out of it")


def _tells(path: Path, scrubber: scrub.Scrubber, packed: str = "") -> bool:
    """Whether a secret stands in a file, or in what it unpacks to, wherever two pieces of it meet."""
    held = b""
    try:
        with opened(path, packed) if packed else path.open("rb") as file:
            while piece := file.read(_PIECE):
                held = held[-scrubber.longest :] + piece
                if scrubber.data(held) != held:
                    return True
    except Unreadable:
        return False  # nobody reads it, then
    return False


def told(name: str, path: Path) -> manifest.File:
    return manifest.File(name, file_digest(path), path.stat().st_size)
