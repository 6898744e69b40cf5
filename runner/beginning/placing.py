"""New files in a workspace: none is written over, no link is followed, and where one cannot be made all go again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner import library, paths
from runner.errors import UsageError
from runner.schema import all_schemas, text
from runner.workspace import Workspace


class Placing:
    """Writes new files and adds them to `files`."""

    def __init__(self, workspace: Workspace, files: list[Path]) -> None:
        self.workspace, self.files = workspace, files

    def suite(self, name: str) -> Path:
        """Where a suite of that name stands."""
        return self.workspace.root / "evals" / "suites" / f"{name}.yaml"

    def free(self, path: Path) -> None:
        """Raises UsageError where something is there already."""
        if path.exists() or path.is_symlink():
            root = self.workspace.root
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            what = "is there already, and is not written over; take another name, or remove it"
            raise UsageError(f"{shown} {what}")

    def write(self, path: Path, body: str) -> None:
        """A new file. Raises UsageError where there is one, NeedsTrust where a link leads there."""
        root = self.workspace.root
        if path.is_relative_to(root):
            paths.folder(root, path.parent.relative_to(root))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.free(path)
        at = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self.files.append(path)
        with os.fdopen(at, "w", encoding="utf-8") as file:
            file.write(body)

    def modeline(self, beside: Path, kind: str) -> str:
        """Where an editor finds the schema from `beside`: the checkout's own, or one written into the workspace."""
        folder = beside.parent.resolve()
        shelf = library.shelf("schemas").resolve()
        schema = shelf / f"{kind}.schema.json"
        if not folder.is_relative_to(shelf.parent):
            schema = self.workspace.root.resolve() / "schemas" / schema.name
            body = all_schemas()[schema.name]
            if not _ours(schema, str(body["title"])):
                self.write(schema, text(body))
        return Path(os.path.relpath(schema, folder)).as_posix()


def _ours(schema: Path, title: str) -> bool:
    """Whether a schema of that title is there, of this version or another."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return bool(paths.read_json(schema).get("title") == title)
    return False


@contextmanager
def undone() -> Iterator[list[Path]]:
    """The files that are written meanwhile; where something goes wrong, all of them go again."""
    files: list[Path] = []
    try:
        yield files
    except BaseException:
        for path in reversed(files):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                path.parent.rmdir()
        raise
