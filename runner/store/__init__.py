"""Artifacts: folders named by a fingerprint, whole or not there at all.

An artifact is written under a temporary name; its files are fsynced, `manifest.json` is written last, the
folder is renamed into place and its parent fsynced. So a manifest means done, whatever was killed when.
Digests are checked when an artifact is used; one that does not hold is set aside in `quarantine/`.

    files      old or new, never half; canonical JSON
    locks      one process at a time, held by the kernel
    manifest   what an artifact says of itself
    statement  the same in the words of in-toto and SLSA
    marks      whose a store is
    remote     the same artifacts in an object store, for other machines
    garbage    what nobody needs

Several runs may be at work at once: a step is made under the lock of its fingerprint, a run is laid out under the
lock of its name. No link below `.mirepoix/` is followed where something is written. Nothing of a store is read, nor is
it written to, before it is known to be the user's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from runner import paths
from runner.errors import Locked
from runner.store import marks
from runner.store.files import aside, canonical, copy_into, digest, file_digest, fsync, place, write_atomic
from runner.store.locks import Locks
from runner.store.manifest import VERSION, Artifact, Manifest, read, within, write
from runner.store.statement import folder_digest, here, stated

__all__ = (
    "VERSION", "Artifact", "Manifest", "Store", "aside", "canonical", "copy_into", "digest", "file_digest", "fsync",
    "place", "write_atomic",
)  # fmt: skip


class Store:
    """The artifacts of one workspace, under `.mirepoix/`. Locks are those of this object: another one waits.

    `shown`: what is read is only shown, as what the store says, and nothing is made of it; a stranger's will do, too.
    All else raises NeedsTrust for a store that is not the user's (see `marks`).
    """

    def __init__(self, workspace: Path, *, shown: bool = False) -> None:
        self.workspace = workspace
        self._root = workspace / ".mirepoix"
        self._marked, self._shown = False, shown
        self._locks = Locks(lambda: self.folder("locks"))

    @property
    def root(self) -> Path:
        """Where it is, to read in; who writes takes `folder`. Raises NeedsTrust for a stranger's."""
        if not (self._marked or self._shown):
            self._marked = marks.check(self._root)
        return self._root

    def folder(self, *names: str) -> Path:
        """A folder of the store, made where it is missing. Raises NeedsTrust where a link is in the way, and for a
        stranger's."""
        if not self._marked:
            root = paths.folder(self.workspace, ".mirepoix")
            if not marks.check(root):
                marks.make(root)
            self._marked = True
        return paths.folder(self.workspace, ".mirepoix", *names)

    def beget(self, workspace: Path) -> Store:
        """The store of a workspace that lies within this store, empty so far: it is known where this one is."""
        marks.hand_on(self.folder(), paths.folder(workspace, ".mirepoix"))
        return Store(workspace)

    def work(self, fingerprint: str) -> Path:
        """A folder for a step's unfinished work; it outlives a kill, so that the step can resume."""
        path = self.folder("work", fingerprint)
        paths.check_all(self.workspace, path)
        return path

    def path(self, fingerprint: str) -> Path:
        return self.root / "artifacts" / fingerprint[:2] / fingerprint

    def get(self, fingerprint: str, *, verify: bool = True) -> Artifact | None:
        """The artifact, or None if it is not there. A damaged one is quarantined, and so not there."""
        found = self._look(fingerprint, verify)
        if isinstance(found, Artifact):
            return found
        if not found or not verify:  # a mere look changes nothing
            return None
        with self.trying(fingerprint) as mine:
            if not mine:  # who makes it has set it aside, or will
                return None
            found = self._look(fingerprint, verify)
            if isinstance(found, Artifact):  # made anew since we looked
                return found
            if found:
                self._quarantine(self.path(fingerprint))
            return None

    def _look(self, fingerprint: str, verify: bool) -> Artifact | bool:
        """The artifact; else whether there is something in its place."""
        path = self.path(fingerprint)
        try:
            manifest = read((path / "manifest.json").read_bytes())
        except FileNotFoundError:
            return False
        except OSError:
            return True
        if manifest is None or manifest.fingerprint != fingerprint or not all(map(within, manifest.files)):
            return True
        try:
            whole = all(
                (path / name).is_file() and (not verify or file_digest(path / name) == sha)
                for name, sha in manifest.files.items()
            )
        except OSError:
            whole = False
        return Artifact(path, manifest) if whole else True

    def _quarantine(self, path: Path) -> None:
        paths.check(self.workspace, path.parent)
        aside = self.folder("quarantine")
        n = 0
        while (aside / f"{path.name}.{n}").exists():
            n += 1
        path.rename(aside / f"{path.name}.{n}")

    @contextmanager
    def making(self, step: str, fingerprint: str, ingredients: dict[str, Any]) -> Iterator[Path]:
        """A temporary folder to fill; on leaving without an error it becomes the artifact."""
        with self._filling(fingerprint) as temporary:
            yield temporary
            names = sorted(p.relative_to(temporary).as_posix() for p in temporary.rglob("*") if p.is_file())
            files = {name: file_digest(temporary / name) for name in names}
            made = self._manifest(step, fingerprint, ingredients, files)
            self._publish(temporary, made, write(made))

    @contextmanager
    def taking(self, manifest: Manifest, raw: bytes) -> Iterator[Path]:
        """The same for an artifact that was made elsewhere, whose manifest, `raw`, stays as it is: the folder is to be
        filled with its files, as they are digested there."""
        with self._filling(manifest.fingerprint) as temporary:
            yield temporary
            self._publish(temporary, manifest, raw)

    @contextmanager
    def _filling(self, fingerprint: str) -> Iterator[Path]:
        with self.waiting(fingerprint):
            temporary = self.folder("tmp") / f"{fingerprint}.{os.getpid()}"
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            try:
                yield temporary
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def _publish(self, temporary: Path, manifest: Manifest, raw: bytes) -> None:
        for name in manifest.files:
            fsync(temporary / name)
            (temporary / name).chmod(0o444)  # runs/ links to it: an edit there would damage it here
        with (temporary / "manifest.json").open("wb") as f:
            f.write(raw)
            f.flush()
            os.fsync(f.fileno())
        for folder in {temporary, *(p for p in temporary.rglob("*") if p.is_dir())}:
            fsync(folder)
        final = self.folder("artifacts", manifest.fingerprint[:2]) / manifest.fingerprint
        if final.exists() or final.is_symlink():
            self._quarantine(final)
        temporary.rename(final)
        fsync(final.parent)

    def _manifest(
        self, step: str, fingerprint: str, ingredients: dict[str, Any], files: dict[str, str]
    ) -> Manifest:
        needs = {}
        for name, needed in ingredients.get("needs", {}).items():
            with suppress(OSError):
                if (there := read((self.path(needed) / "manifest.json").read_bytes())) is not None:
                    needs[name] = folder_digest(there.files)
        said = stated(step, fingerprint, ingredients, files, needs, here())
        return Manifest(VERSION, step, fingerprint, ingredients, files, said)

    def used(self, artifact: Artifact) -> None:
        """Note that it was of use now: `recipe gc --older` goes by that, and nothing else."""
        with suppress(OSError):
            os.utime(artifact.path, follow_symlinks=False)

    def is_held(self, name: str) -> bool:
        """Whether any run holds a lock."""
        return self._locks.is_held(name)

    def trying(self, name: str) -> AbstractContextManager[bool]:
        """Hold a lock (of a fingerprint, or of another name) if no other run does: whether it is held."""
        return self._locks.trying(name)

    def waiting(
        self,
        name: str,
        waits: Callable[[int | None], None] = lambda holder: None,
        enough: Callable[[], bool] = lambda: False,
    ) -> AbstractContextManager[bool]:
        """Hold a lock once no other run does; see Locks.waiting."""
        return self._locks.waiting(name, waits, enough)

    @contextmanager
    def locked(self, run: str) -> Iterator[None]:
        """Hold the folder of a run, `runs/NAME`: nobody waits for that. Raises Locked."""
        name = f"run.{run}"
        again = name in self._locks.held
        with self.trying(name) as mine:
            if again or not mine:
                holder = self._locks.holder(name) or "unknown"
                raise Locked(f"another run (process {holder}) is working in runs/{run}")
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what runs that were killed left of steps that nobody makes now."""
        marks.sweep(self.root)
        for left in self.folder("tmp").iterdir():
            with self.trying(left.name.partition(".")[0]) as mine:
                if mine:
                    shutil.rmtree(left, ignore_errors=True)
        for left in self.folder("work").iterdir():  # of steps that were made when the kill came
            if (self.path(left.name) / "manifest.json").is_file():
                with self.trying(left.name) as mine:
                    if mine:
                        shutil.rmtree(left, ignore_errors=True)
