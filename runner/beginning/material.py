"""The user's own files: what kind each is, and how a recipe names them."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Literal

from msgspec import Struct

from runner.datafiles.kinds import kind_of, rows
from runner.datafiles.opened import Bad, Unreadable
from runner.errors import NeedsTrust, UsageError
from runner.wording import nearest
from runner.workspace import Workspace

Kind = Literal["text", "jsonl", "reddit", "files"]
_TEXT = ("txt", "md")
_TABLES = ("csv", "tsv")
_CHAT = {"messages", "conversations", "prompt", "instruction", "question"}
_MOST_LISTED = 20
"""Files that are named one by one; more are named by a pattern where one means just them."""


class Lot(Struct, frozen=True):
    """Files that one source reads. `names` are what the recipe says: names, or patterns of them."""

    kind: Kind
    names: tuple[str, ...]
    files: tuple[tuple[str, Path], ...]


def lots(said: tuple[str, ...], workspace: Workspace) -> list[Lot]:
    """The files that names and patterns mean, sorted by the source that reads them.

    Raises UsageError for what is not there, or is no kind that any source reads.
    """
    named: dict[Kind, list[str]] = defaultdict(list)
    found: dict[Kind, dict[str, Path]] = defaultdict(dict)
    read: dict[str, list[tuple[str, Path]]] = {}
    for one in said:
        try:
            pattern = _relative(one, workspace)
            read[pattern] = workspace.glob(pattern)
        except NeedsTrust:  # a link; what would allow it is no flag of `recipe new`
            raise UsageError(_outside(one, workspace)) from None
    for pattern, matches in read.items():
        if not matches:
            raise UsageError(_missing(pattern, workspace))
        for name, _ in matches:
            if not name.isascii() and name != name.encode("utf-8", "replace").decode():
                raise UsageError(f"{name!r}: its name is not UTF-8, and a recipe is; rename it")
        kinds = {name: _kind(name, path) for name, path in matches}
        one_kind = len(set(kinds.values())) == 1
        for name, path in matches:
            found[kinds[name]][name] = path
            named[kinds[name]].append(pattern if one_kind else name)
    return [
        Lot(kind, _named(named[kind], found[kind], workspace), tuple(sorted(found[kind].items())))
        for kind in sorted(found)
    ]


def _relative(name: str, workspace: Workspace) -> str:
    """A name as the shell gave it → as a recipe has it, from the workspace."""
    path, root = Path(name), workspace.root.resolve()
    if path.is_absolute() and path.is_relative_to(root):
        path = path.relative_to(root)
    elif not path.is_absolute() and (".." in path.parts or not workspace.glob(name)):
        beside = Path(
            os.path.normpath(Path.cwd() / path)
        )  # the user may stand elsewhere than in the workspace
        path = beside.relative_to(root) if beside.is_relative_to(root) else path
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(_outside(name, workspace))
    if (root / path).is_dir():
        return f"{glob.escape(path.as_posix())}/*" if path.parts else "*"
    said = path.as_posix()
    return glob.escape(said) if (root / path).is_file() else said  # a file may be called [a].txt


def _outside(name: str, workspace: Workspace) -> str:
    what = "a recipe names files of its workspace only; put it there, or say --workspace"
    return f"{name!r} lies outside {str(workspace.root)!r}: {what}"


def _missing(pattern: str, workspace: Workspace) -> str:
    parent = str(PurePosixPath(pattern).parent)
    try:
        beside = [name for name, _ in workspace.glob("*" if parent == "." else f"{parent}/*")]
    except NeedsTrust:  # a link beside it leads out
        beside = []
    return f"no file {pattern!r}{nearest(pattern, beside) if len(beside) <= 200 else ''}"


def _kind(name: str, path: Path) -> Kind:
    kind = kind_of(name)
    if kind in _TEXT:
        return "text"
    if kind is None:
        endings = "text (.txt, .md), chat (.jsonl), tables (.csv, .tsv), .json, .parquet or .html"
        raise UsageError(f"{name!r}: its name says not what it is; a source reads {endings}")
    try:
        first = next((v for _, _, v in rows(path, name, kind) if not isinstance(v, Bad)), None)
    except Unreadable as e:
        raise UsageError(f"{name}: {e}") from None
    if first is None:
        raise UsageError(f"{name!r} has no row that can be read")
    if kind == "jsonl" and "messages" in first:
        return "jsonl"
    columns = {str(key).strip().lower().lstrip("\ufeff") for key in first}
    return "reddit" if kind in _TABLES and "title" in columns and not columns & _CHAT else "files"


def _named(said: list[str], files: dict[str, Path], workspace: Workspace) -> tuple[str, ...]:
    """How the recipe says it: patterns as they were said, and a long list of files as the pattern that means it.

    A shell turns books/*.txt into its files before we see it; a recipe should say what was meant.
    """
    names = list(dict.fromkeys(said))
    folders = {PurePosixPath(name).parent for name in files}
    endings = {PurePosixPath(name).suffix for name in files}
    if len(names) > 1 and len(folders) == len(endings) == 1:
        pattern = str(folders.pop() / f"*{endings.pop()}")
        if {name for name, _ in workspace.glob(pattern)} == set(files):
            return (pattern,)
    if len(names) > _MOST_LISTED * 50:
        raise UsageError(
            f"{len(names):,} files of several folders: name them by patterns, such as 'books/*.txt'"
        )
    return tuple(names)
