"""A pack as a side: its recipe, with the files that came along, and this workspace's store for what is prepared."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path

from runner.diffing.elsewhere import renamed, under
from runner.diffing.sides import Side, of_file
from runner.errors import MirepoixError, NeedsTrust
from runner.hardware import Profile
from runner.settings import Settings
from runner.store import file_digest
from runner.workspace import Workspace

_TAR = (257, b"ustar")


def is_pack(name: str) -> bool:
    """Whether a name means a pack: an address, an archive, or a folder with an image layout."""
    if "://" in name:
        return True
    path = Path(name)
    try:
        if path.is_dir():
            return (path / "oci-layout").is_file()
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as file:
            file.seek(_TAR[0])
            return file.read(len(_TAR[1])) == _TAR[1]
    except (OSError, ValueError):
        return False


def of_pack(
    ref: str, theirs: Workspace, profile: Profile | None, settings: Settings, stack: ExitStack
) -> Side:
    """The recipe of a pack, which lies in a scratch folder as long as `stack` does. Raises as `packs.pulling.opened`.

    It reads its own files alone, whatever is trusted here; of what was too large to go along, files of the workspace
    with the very bytes stand in.
    """
    from runner.packs.pulling import opened  # it brings an HTTP library along

    pack = stack.enter_context(opened(ref, settings))
    top, said = pack.folder, ref.rstrip("/").rpartition("/")[2]
    if (store := theirs.root / ".mirepoix").is_dir():
        (top / ".mirepoix").symlink_to(store.resolve())
    stand_in = []
    for name, sha256 in pack.config.left_out.items():
        if (path := _same(name, sha256, theirs)) is not None and not (top / name).exists():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).symlink_to(path)
            stand_in.append(path)
    place = Workspace(top, theirs.trust - {"paths"}, frozenset(stand_in), theirs.root)
    try:
        side = of_file(top / pack.config.recipe, place, profile, f"pack {ref}", "pack")
    except MirepoixError as e:
        raise renamed(e, top, said) from None
    notes = [f"pack {said} is sha256:{pack.contents.digest[:12]}"]
    if pack.config.left_out:
        notes.append(f"too large to go along: {', '.join(sorted(pack.config.left_out)[:5])}")
    return dataclasses.replace(under(side, top, said), notes=(*notes, *side.notes))


def _same(name: str, sha256: str, workspace: Workspace) -> Path | None:
    """The workspace's file of that name, resolved, if it has those bytes."""
    try:
        path = workspace.find(name)
        return path.resolve() if path and path.is_file() and file_digest(path) == sha256 else None
    except (OSError, NeedsTrust):
        return None
