"""A pack taken in: what it would do is told first, then its files are written into a folder of their own. Nothing is
run.

All that came is checked before anything of it stands where the user asked for it: digests, sizes, names, the signature
where the user's settings want one, and the recipe itself as `recipe check` does.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner import paths
from runner.errors import UsageError
from runner.oci import bringing, kept, manifest, opening
from runner.oci.bringing import Holder
from runner.oci.manifest import Config, Contents
from runner.oci.reference import SCHEME
from runner.packs import gathering, showing, signed
from runner.packs.showing import Shown
from runner.results import folder
from runner.settings import Settings
from runner.store import file_digest, fsync
from runner.store.files import replacing
from runner.workspace import Workspace

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Opened:
    """A pack whose small files lie in `folder`, checked, until this is left. `about` are the bytes of `config`;
    `pinned` names it for good, where it came from a registry; else it is empty."""

    holder: Holder
    contents: Contents
    config: Config
    about: bytes
    folder: Path
    shown: Shown
    pinned: str


@contextmanager
def opened(
    ref: str, settings: Settings, home: Path | None = None, *, policy: bool = True
) -> Iterator[Opened]:
    """The pack that `ref` names (oci://…, a file, a folder, what fsspec opens), and what it would do. `home` is the
    workspace whose store may hold what it extends; without `policy` nobody has to have signed it.

    Raises UsageError where there is none, StepError for one that is not as it says, RecipeError for a
    recipe that is none.
    """
    with (
        opening.opened(ref, settings) as holder,
        tempfile.TemporaryDirectory(prefix="mirepoix-pull-") as scratch,
    ):
        named = opening.reference(ref) if ref.startswith(SCHEME) else None
        contents = bringing.contents(holder, named.digest if named else "")
        key = signed.checked(holder, contents, settings) if policy else ""
        about = bringing.about(holder, contents)
        config = manifest.config(about, contents, holder.said)
        into = Path(scratch).resolve() / config.name
        into.mkdir()
        bringing.bring(holder, contents, into, lambda file: not file.weights)
        seen = showing.shown(into, config, contents, settings, key, home)
        pinned = str(named.at(contents.digest)) if named else ""
        yield Opened(holder, contents, config, about, into, seen, pinned)


def pull(
    ref: str,
    to: Path | None,
    settings: Settings,
    show: Callable[[Opened], None],
    tell: Tell = lambda said: None,
    *,
    home: Path,
    keeps: bool = False,
) -> bool:
    """Show what a pack would do, and then write its files into `to`, where that is given; whether they were written.
    With `keeps`, its recipe is kept in the store of the workspace `home`, for others to extend.

    `to` is a new folder, or an empty one; one that holds just these files stays. Raises as `opened` does.
    """
    if to is not None:
        to = to.absolute()
        _refuse_links(to)
    with opened(ref, settings, home) as pack:
        show(pack)
        if keeps:
            keep(pack, ref, home)
        if to is None or _there(to, pack.contents):
            return False
        folder.room(to, pack.contents.size + (1 << 20), "pull")
        _write(pack, to, tell)
        return True


def keep(pack: Opened, ref: str, home: Path) -> Path:
    """Keep what a pack's recipe says in the store of the workspace `home`, by its digest: other recipes may extend it.

    Raises NeedsTrust for a store that is not the user's.
    """
    place = Workspace(pack.folder, store=home)
    own = {f.name for f in pack.contents.files}  # shipped parts may be missing in what others have packed
    names = [n for n in gathering.chain(pack.folder / pack.config.recipe, place) if n in own]
    return kept.keep(
        home,
        pack.contents,
        pack.about,
        pack.folder,
        names,
        ref if ref.startswith(SCHEME) else "",
        pack.shown.signed_by,
    )


def _refuse_links(to: Path) -> None:
    if to.is_symlink() or (to.exists() and not to.is_dir()):
        raise UsageError(f"{str(to)!r} is there already, and is no folder; name another with --to")


def _there(to: Path, contents: Contents) -> bool:
    """Whether the folder holds just this pack. Raises UsageError where it holds anything else."""
    if not to.is_dir() or not any(to.iterdir()):
        return False
    wanted = {f.name: f.sha256 for f in contents.files}
    for path in paths.walked(to):
        shown = path.relative_to(to).as_posix()
        if shown not in wanted or path.is_symlink() or file_digest(path) != wanted.pop(shown):
            what = f"{str(to)!r} holds {shown!r}, which is not of this pack; name a new folder with --to"
            raise UsageError(what)
    if wanted:
        raise UsageError(f"{str(to)!r} lacks {min(wanted)!r} of this pack; name a new folder with --to")
    return True


def _write(pack: Opened, to: Path, tell: Tell) -> None:
    """All files in a folder beside `to`, flushed, which then takes its name."""

    def refuse() -> None:
        empty = to.is_dir() and not any(to.iterdir())
        if to.is_symlink() or (to.exists() and not empty):
            raise UsageError(f"{str(to)!r} was filled meanwhile; name another folder with --to")

    with replacing(to, refuse) as filling:
        shutil.copytree(pack.folder, filling)
        bringing.bring(pack.holder, pack.contents, filling, lambda file: file.weights, tell)
        for path in (*filling.rglob("*"), filling):
            path.chmod(0o755 if path.is_dir() else 0o644)
            fsync(path)
