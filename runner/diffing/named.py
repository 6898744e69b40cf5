"""What the words on the command line mean: a recipe file, a revision of git, a run, a pack."""

from __future__ import annotations

import dataclasses
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from runner import library
from runner.catalogue import catalogue, is_run
from runner.diffing.elsewhere import renamed, under
from runner.diffing.git import Repository, repository
from runner.diffing.kept import of_run
from runner.diffing.packed import is_pack, of_pack
from runner.diffing.sides import Side, of_file, recipe_file
from runner.diffing.tree import tree
from runner.errors import MirepoixError, UsageError
from runner.hardware import Profile
from runner.load import load_recipe
from runner.settings import Settings
from runner.wording import nearest
from runner.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """One of two names, looked at: a `file`, a `run`, a `pack`, or a `revision` with the recipe's `path` in it from the
    top of the repository, None where the other side says which."""

    name: str
    file: Path | None = None
    run: str | None = None
    pack: bool = False
    revision: str | None = None
    path: str | None = None


class Names:
    """Looks names up in a workspace. The repository that it lies in is looked for once, and only where one is meant."""

    def __init__(
        self, place: Workspace, profile: Profile | None, settings: Settings, stack: ExitStack
    ) -> None:
        self.place, self.profile, self.settings, self.stack = place, profile, settings, stack
        self._found: tuple[Repository | None] | None = None

    @property
    def repository(self) -> Repository | None:
        if self._found is None:
            self._found = (repository(self.place.root),)
        return self._found[0]

    def look(self, name: str) -> Asked:
        """Raises UsageError where it means nothing here."""
        run = self._run(name)
        if run is not None:
            return Asked(name, run=run)
        if is_pack(name):
            return Asked(name, pack=True)
        if (file := recipe_file(name)) is not None:
            return Asked(name, file=file)
        revision, colon, path = name.partition(":")
        if colon and (self.repository is None or self.repository.commit(revision) is None):
            where = "" if self.repository else ": the workspace lies in no repository of git"
            where = where if which("git") else ": git is not installed here"
            raise UsageError(f"no revision {revision[:200]!r} of git{where}")
        if colon:
            return Asked(name, revision=revision, path=self._from_top(path))
        if self.repository is not None and self.repository.commit(name) is not None:
            return Asked(name, revision=name)
        recipes = library.shelf("recipes")
        known = [p.relative_to(recipes).as_posix() for p in recipes.rglob("*.yaml")]
        known += [row["name"] for row in catalogue("runs", self.place.root)]
        raise UsageError(f"no recipe, run, pack or revision {name[:200]!r}{nearest(name, known)}")

    def _run(self, name: str) -> str | None:
        """The run that a name, or its folder, means."""
        if is_run(name, self.place.root):
            return name
        folder = Path(name)
        runs = self.place.root / "runs"
        try:
            there = (folder / "plan.json").is_file() and folder.resolve().parent == runs.resolve()
        except (OSError, ValueError):
            return None
        return folder.resolve().name if there else None

    def _from_top(self, path: str) -> str:
        """A path of a revision as git reads it: from the top, with `./` from where we are."""
        here = self.repository.prefix if self.repository and path.startswith(("./", "../")) else ""
        return os.path.normpath(f"{here}{path}")

    def beside(self, asked: Asked, other: Asked) -> Asked:
        """A revision that was named alone, at the path of the other side's recipe."""
        if asked.revision is None or asked.path is not None:
            return asked
        path = other.path or (self.in_git(other.file) if other.file else None)
        if path is None:
            raise UsageError(f"say which recipe of {asked.name!r}: {asked.name}:PATH")
        return dataclasses.replace(asked, name=f"{asked.name}:{path}", path=path)

    def in_git(self, file: Path) -> str | None:
        """A file's path from the top of the repository that the workspace lies in; None where it is not below that."""
        where = file.absolute().parent.resolve() / file.name
        top = self.repository.top.resolve() if self.repository else None
        return where.relative_to(top).as_posix() if top and where.is_relative_to(top) else None

    def before(self, asked: Asked) -> Asked:
        """What a name alone is compared with: a file with git's HEAD, else with the last run of the recipe; a revision
        with the file of now. Raises UsageError where there is none."""
        if asked.run is not None or asked.pack or (asked.revision is not None and asked.path is None):
            raise UsageError(f"name two: recipe diff {asked.name} OTHER (a recipe, a run, a pack, REV:PATH)")
        if asked.file is None:
            assert asked.path is not None and self.repository is not None
            now = Path(os.path.relpath(self.repository.top / asked.path))
            if not now.is_file():
                raise UsageError(f"there is no {str(now)!r} now that {asked.name!r} could be compared with")
            return Asked(str(now), file=now)
        path = self.in_git(asked.file)
        head = self.repository.commit("HEAD") if path and self.repository else None
        if path and self.repository and head and path in self.repository.files(head):
            return Asked(f"HEAD:{path}", revision="HEAD", path=path)
        run = load_recipe(asked.file, self.place).recipe.name
        if is_run(run, self.place.root):
            return Asked(run, run=run)
        what = f"{asked.name} is not in git's HEAD, and was not run here, so there is nothing before it"
        raise UsageError(f"{what}; name two: recipe diff {asked.name} OTHER")

    def side(self, asked: Asked) -> Side:
        if asked.run is not None:
            return of_run(asked.run, self.place)
        if asked.file is not None:
            return of_file(asked.file, self.place, self.profile, asked.name)
        if asked.pack:
            return of_pack(asked.name, self.place, self.profile, self.settings, self.stack)
        return self._revision(asked)

    def _revision(self, asked: Asked) -> Side:
        assert self.repository is not None and asked.revision is not None and asked.path is not None
        commit = self.repository.commit(asked.revision)
        assert commit is not None
        place = self.stack.enter_context(tree(self.repository, commit, self.place))
        path = asked.path
        if path not in place.entries and (within := f"{self.repository.prefix}{path}") in place.entries:
            path = within
        if path not in place.entries:
            known = [p for p in place.entries if p.endswith((".yaml", ".yml"))]
            raise UsageError(f"no {path[:200]!r} in {asked.revision}{nearest(path, known)}")
        place.bring_recipe(path)
        try:
            side = of_file(place.top / path, place, self.profile, f"{asked.revision}:{path}", "revision")
        except MirepoixError as e:
            raise renamed(e, place.top, asked.revision) from None
        notes = [f"{asked.revision} is {commit[:12]}"]
        if place.outside:
            listed = sorted(place.outside)
            more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
            what = f"not in {asked.revision}, so taken as it is now: {', '.join(listed[:5])}{more}"
            notes.append(what)
        return dataclasses.replace(under(side, place.top, asked.revision), notes=(*notes, *side.notes))
