"""A revision of git as a workspace: a folder outside the user's, into which files come as they are asked for.

What a recipe names is looked for in the revision first. What the revision has not, and mirepoix does not bring along,
is taken from the workspace as it is now, since data often lie outside of git; which files these are is noted.
"""

from __future__ import annotations

import fnmatch
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runner.diffing.git import Blobs, Entry, Repository
from runner.errors import RecipeError
from runner.workspace import Workspace
from runner.yaml12 import decode, parse

_FILES = ("100644", "100755", "100664")
_OURS = (".mirepoix", "runs")
_LISTED = ("evals/suites/*.yaml", "datasets/tools/*.yaml")
"""What is looked for by the names that there are."""
_DEEP = 20  # recipes that extend one another, as the loader allows


@dataclass(frozen=True)
class Tree(Workspace):
    """`top` is the revision's folder, in which the workspace is `root`; `outside` are names taken from the user's."""

    top: Path = Path()
    prefix: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    theirs: Workspace = field(default_factory=lambda: Workspace(Path()))
    blobs: Blobs = field(kw_only=True)
    outside: set[str] = field(default_factory=set)

    def find(self, name: str) -> Path | None:
        if self._leads_out(name):
            return self.theirs.find(name)
        self._bring_named(name)
        found = super().find(name)
        if found is None and (other := self.theirs.find(name)) is not None:
            self.outside.add(name)
            return other
        return found

    def glob(self, pattern: str) -> list[tuple[str, Path]]:
        plain = str(PurePosixPath(pattern))
        if self._leads_out(plain):
            return self.theirs.glob(pattern)
        if not set(plain) & set("*?["):
            return super().glob(pattern)
        self._bring_matching(plain)
        # Not by our own `find`, which would bring all that lies below the folder.
        found = Workspace(self.root, self.trust, self.allowed).glob(pattern)
        if not found and (found := self.theirs.glob(pattern)):
            self.outside.add(pattern)
        return found

    def bring_recipe(self, path: str) -> None:
        """A recipe at a path from the top, and those of the revision that it extends."""
        here = path
        for _ in range(_DEEP):
            self._bring([here])
            try:
                said = parse(decode((self.top / here).read_bytes(), here), here).data
            except (OSError, RecipeError):  # it is no file, or the loader will say what is wrong with it
                return
            name = said.get("extends") if isinstance(said, dict) else None
            if not isinstance(name, str) or not name or "://" in name:
                return
            here = os.path.normpath(PurePosixPath(here).parent / name)

    def _leads_out(self, name: str) -> bool:
        """Whether a name means nothing of the revision: beside our folder lies what is no one's."""
        at = os.path.normpath(self._prefix / name)
        return at.startswith(("/", "../")) or at == ".."

    def _bring_named(self, name: str) -> None:
        """A file, or all that is below a folder."""
        at = os.path.normpath(self._prefix / name)
        within = f"{at}/"
        self._bring([at] if at in self.entries else [p for p in self.entries if p.startswith(within)])

    def _bring_matching(self, pattern: str) -> None:
        parts = PurePosixPath(pattern).parts
        fixed = parts[: next(i for i, p in enumerate(parts) if set(p) & set("*?["))]
        below = os.path.normpath(self._prefix.joinpath(*fixed))
        fits = re.compile(fnmatch.translate(parts[-1])).match
        start = "" if below == "." else f"{below}/"
        within = [p for p in self.entries if p.startswith(start)]
        if within and self._may(f"{start}x"):
            (self.top / below).mkdir(parents=True, exist_ok=True)  # the folder is there, whatever is in it
        self._bring([p for p in within if fits(PurePosixPath(p).name)])

    @property
    def _prefix(self) -> PurePosixPath:
        return PurePosixPath(self.prefix)

    def _bring(self, paths: list[str]) -> None:
        for path in paths:
            entry, target = self.entries.get(path), self.top / path
            if entry is None or entry.mode not in _FILES or not self._may(path) or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            self.blobs.write(entry, target)

    def _may(self, path: str) -> bool:
        """Whether a path is one that git itself would check out, and no store's or run's."""
        parts = path.split("/")
        if any(p in ("", ".", "..") or p.lower() == ".git" for p in parts):
            return False
        own = PurePosixPath(path)
        return not (own.is_relative_to(self._prefix) and own.relative_to(self._prefix).parts[0] in _OURS)


@contextmanager
def tree(repository: Repository, commit: str, theirs: Workspace) -> Iterator[Tree]:
    """The workspace at a commit, as long as the block lasts. `theirs` is the user's own; its store is used, too."""
    entries = repository.files(commit)
    with repository.reading() as blobs, tempfile.TemporaryDirectory(prefix="mirepoix-") as scratch:
        top = Path(scratch).resolve()
        root = top / repository.prefix
        root.mkdir(parents=True, exist_ok=True)
        store = theirs.root / ".mirepoix"
        if store.is_dir():
            (root / ".mirepoix").symlink_to(store.resolve())
        allowed = theirs.allowed | {theirs.root.resolve()}
        place = Tree(
            root,
            theirs.trust,
            allowed,
            theirs.root,
            top=top,
            prefix=repository.prefix,
            entries=entries,
            theirs=theirs,
            blobs=blobs,
        )
        for pattern in _LISTED:
            place._bring_matching(pattern)
        yield place
