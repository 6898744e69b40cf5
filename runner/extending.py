"""One document of a recipe's file and of all that it extends: files beside it, shipped ones, packs by their digest.

Maps are merged, lists and values replaced; each key keeps the place of the file that set it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from runner import library, settings, wording
from runner.errors import NeedsTrust, Problem, RecipeError, UsageError
from runner.oci.reference import SCHEME
from runner.oci.reference import parse as reference
from runner.workspace import Workspace
from runner.yaml12 import MAX_BYTES, Yaml, decode, parse
from runner.yaml12 import Path as Keys


def _shown(path: Path) -> str:
    """A file's name as the user would type it; shipped ones by their place on the shelf."""
    full = path.resolve()
    for kind in library.KINDS:
        shelf = library.shelf(kind).resolve()
        if full.is_relative_to(shelf):
            return f"{kind}/{full.relative_to(shelf).as_posix()}"
    cwd = Path.cwd()
    return full.relative_to(cwd).as_posix() if full.is_relative_to(cwd) else str(path)


def read(path: Path, shown: str | None = None) -> Yaml:
    """One YAML file as it stands, called `shown` where it is told of. Raises UsageError where it cannot be read,
    RecipeError where it is no YAML."""
    shown = shown or _shown(path)
    try:
        # Without waiting: a pipe that nobody writes to would be waited for for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            kind = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(kind):
                what = "it is a folder" if stat.S_ISDIR(kind) else "it is a pipe or a device, and no file"
                raise UsageError(f"{shown}: cannot be read: {what}")
            raw = file.read(4 * MAX_BYTES + 1)  # so that no file fills the memory
    except OSError as e:
        raise UsageError(f"{shown}: cannot be read: {e.strerror or e}") from None
    return parse(decode(raw, shown), shown)


def _merge(base: Yaml, child: Yaml) -> None:
    """Lay `child` over `base`, in place: maps are merged, lists and values replaced."""
    replaced = set(_lay(base.data, child.data, ()))
    for mine, theirs in ((base.places, child.places), (base.values, child.values)):
        for old in [p for p in mine if _within(p, replaced)]:
            del mine[old]
        mine.update(theirs)
    base.texts |= child.texts


def _lay(base: dict[str, Any], child: dict[str, Any], path: Keys) -> Iterator[Keys]:
    """Do so with the data; the paths that were replaced."""
    for key, value in child.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            yield from _lay(base[key], value, (*path, key))
        else:
            base[key] = value
            yield (*path, key)


def _within(path: Keys, of: set[Keys]) -> bool:
    return any(path[:n] in of for n in range(1, len(path) + 1))


def _parent(path: Path, name: str, workspace: Workspace) -> Path | None:
    """The file that `extends: name` means: one beside this one, or a shipped one."""
    try:
        beside = (path.parent / name).resolve()
        there = beside.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a circle of links
        return None
    root, home = workspace.root.resolve(), path.parent.resolve()
    allowed = beside.is_relative_to(root) or beside.is_relative_to(home) or "paths" in workspace.trust
    if there:
        shelf = library.shelf("recipes").resolve()
        if not allowed and not beside.is_relative_to(shelf):
            raise NeedsTrust(f"{name!r} lies outside the workspace; allow it with --trust paths")
        return beside
    shipped = library.find(f"recipes/{name}")
    return shipped if shipped and shipped.is_file() else None


def with_parents(
    path: Path, workspace: Workspace, below: tuple[Path, ...] = (), pack: tuple[Path, str] | None = None
) -> Yaml:
    """A recipe's document, laid over what it extends. `below` are the files that extend it; `pack` is the folder of the
    pack that it is of, and how that is called: then `workspace` is that folder. Raises RecipeError, UsageError,
    NeedsTrust.
    """
    doc = read(path, f"{pack[1]}/{path.relative_to(pack[0]).as_posix()}" if pack else None)
    if not isinstance(doc.data, dict):
        if doc.data is None:
            raise RecipeError([Problem(doc.file, 1, 1, "", "the file is empty")])
        raise RecipeError([doc.problem((), "the file is not a map of keys", at_value=True)])
    name = doc.data.get("extends")
    if not isinstance(name, str) or not name:
        return doc
    if name.startswith(SCHEME):
        if len(below) > 20:
            raise RecipeError([doc.problem(("extends",), "the chain of recipes has no end", at_value=True)])
        return _onto(_of_pack(doc, name, workspace, (*below, path.resolve())), doc)
    try:
        parent = _parent(path, name, workspace)
    except NeedsTrust as e:
        if pack:  # nobody can allow that of it
            what = f"{wording.show(name)} lies outside the pack"
            raise RecipeError([doc.problem(("extends",), what, at_value=True)]) from None
        raise NeedsTrust([doc.problem(("extends",), str(e), at_value=True)]) from None
    if parent is None:
        known = [p.relative_to(library.shelf("recipes")) for p in library.shelf("recipes").rglob("*.yaml")]
        hint = wording.nearest(name, map(str, known))
        what = f"no recipe {wording.show(name)}{hint}"
        if "://" in name:
            pinned = f"{SCHEME}HOST/NAME@sha256:…"
            what = f"{wording.show(name)}: nothing is fetched by its address but a pinned pack, {pinned}"
        raise RecipeError([doc.problem(("extends",), what, at_value=True)])
    if parent in (*below, path.resolve()) or len(below) > 20:
        raise RecipeError([doc.problem(("extends",), f"{name!r} leads back to itself", at_value=True)])
    of = pack if pack and parent.is_relative_to(pack[0]) else None
    return _onto(with_parents(parent, workspace, (*below, path.resolve()), of), doc)


def _onto(base: Yaml, doc: Yaml) -> Yaml:
    _merge(base, doc)
    base.file = doc.file
    return base


def _of_pack(doc: Yaml, name: str, workspace: Workspace, below: tuple[Path, ...]) -> Yaml:
    """What a pinned pack says, from the workspace's store: nobody is asked for it here."""

    def refuse(what: str) -> NoReturn:
        raise RecipeError([doc.problem(("extends",), what, at_value=True)])

    from runner.oci import kept

    ref, home = reference(name), workspace.store or workspace.root
    if ref is None:
        refuse(f"{wording.show(name)} is no reference to a pack; write oci://HOST/NAME@sha256:…")
    if not ref.digest:
        known = kept.called(home, str(ref))
        hint = f" (did you mean {ref.at(known)}?)" if known else f"; `recipe pull {ref}` says its digest"
        refuse(f"a tag may come to mean another pack, so only a digest is extended: {ref.at('…')}{hint}")
    found = kept.find(home, ref.digest)
    there = "" if home.resolve() == Path.cwd() else f" --workspace {_shown(home)}"
    bring = f"bring it: recipe pull {ref.at(ref.digest)} --keep{there}"
    if found is None:
        refuse(f"this pack is not here yet; {bring}")
    if kept.unfit(found, settings.load()):
        refuse(f"no key of your setting pack_keys was found to have signed this pack; {bring}")
    folder = found.folder.resolve()
    inside = Workspace(folder, store=home)
    called = f"{SCHEME}{ref.host}/{ref.name}@sha256:{ref.digest[:12]}…"
    return with_parents(found.recipe.resolve(), inside, below, (folder, called))


def chain(path: Path, workspace: Workspace) -> list[tuple[str, Path]]:
    """The file of a recipe that was loaded, and those that it extends: what each is called by the one before, and where
    it is. Raises as loading does."""
    found = [("", path)]
    while isinstance(data := read(path).data, dict) and isinstance(name := data.get("extends"), str):
        parent = None if name.startswith(SCHEME) else _parent(path, name, workspace)
        if parent is None or len(found) > 21:
            break
        found.append((name, path := parent))
    return found
