"""A recipe → a pack: an OCI image layout, as one tar file or a folder, the same to the byte for the same files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner import locking, scrub
from runner.errors import RecipeError, StepError, UsageError
from runner.licences import licences
from runner.load import load_recipe, located
from runner.locking import RecipeLock
from runner.locking.drift import INPUTS
from runner.oci import bringing, layout, manifest
from runner.oci.manifest import Config, Contents
from runner.packs import card, gathering, showing
from runner.plan import plan as make_plan
from runner.results import export, find, folder, signing
from runner.results.signing import Signer
from runner.settings import Settings
from runner.steps import Plan
from runner.store import Store, file_digest, fsync
from runner.store.files import replacing
from runner.workspace import Workspace

TAR = ".tar"


@dataclass(frozen=True)
class Pack:
    """What was packed: `blobs` are the files by sha256, in a folder that goes when this is left; `signed_by` names the
    key, empty where it is not signed; `objections` are sentences of licences that forbid to pass it on."""

    contents: Contents
    config: Config
    blobs: Mapping[str, Path | bytes]
    signed_by: str
    objections: list[str]

    @property
    def digest(self) -> str:
        return f"sha256:{self.contents.digest}"


@contextmanager
def packed(
    recipe: Path,
    workspace: Path,
    settings: Settings,
    *,
    adapter: str = "",
    signer: Signer | None = None,
    trust: frozenset[str] = frozenset(),
) -> Iterator[Pack]:
    """The pack of a recipe: a file, or the name of one that is shipped. `adapter` names a run of the workspace.

    Raises what loading does; UsageError for what must not go along, by name; Drifted where the lock beside the recipe
    is of another one.
    """
    if "paths" in trust:
        raise UsageError(
            "--trust paths reads what nobody else has: a pack holds files of the workspace alone"
        )
    if not workspace.is_dir():
        raise UsageError(f"no folder {str(workspace)!r} to work in")
    recipe, place = located(recipe), Workspace(workspace.resolve(), trust)
    loaded = load_recipe(recipe, place)
    # With a GPU's profile nothing is refused that another machine could do.
    plan, store = make_plan(loaded, place, "gpu"), Store(place.root)
    recipes = gathering.chain(recipe, place)
    wanted = gathering.files(recipes, plan, place)
    name = next(iter(recipes))
    if (lock := _lock(recipe, place, plan, store)) is not None:
        wanted[str(Path(name).with_suffix(".lock").as_posix())] = lock
    scrubber = scrub.known(settings=settings)
    left_out = {}
    for one in sorted(wanted):
        if wanted[one].stat().st_size > manifest.SMALL:
            left_out[one] = file_digest(wanted.pop(one))
        else:
            gathering.looked_into(one, wanted[one], scrubber)
    with tempfile.TemporaryDirectory(prefix="mirepoix-pack-") as scratch:
        into = Path(scratch, loaded.recipe.name)  # a signature names the folder that it is of
        into.mkdir()
        for one, path in wanted.items():
            (into / one).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into / one)
        if adapter:
            _adapter(adapter, place, into, scrubber)
        about = card.text(plan, name, left_out, locked=lock is not None, adapter=bool(adapter))
        if scrubber.text(about) != about:
            raise UsageError("the recipe holds one of your secrets; keep that in your settings")
        (into / gathering.CARD).write_text(about, encoding="utf-8")
        if not left_out:
            _alike(locking.facts(plan, store), into, name, place)
        config = Config(manifest.VERSION, loaded.recipe.name, name, left_out)
        signed = signing.sign(into, signer.key, signer.passphrase).key if signer else ""
        sources = [showing.seen(s) for s in loaded.recipe.sources]
        yield _made(into, config, signed, showing.objections(licences(loaded.recipe, place), sources))


def _made(into: Path, config: Config, signed: str, objections: list[str]) -> Pack:
    files = sorted(p for p in into.rglob("*") if p.is_file())
    told = [gathering.told(p.relative_to(into).as_posix(), p) for p in files]
    contents = manifest.made(config, told)
    blobs: dict[str, Path | bytes] = {f.sha256: p for f, p in zip(told, files, strict=True)}
    blobs[contents.config.sha256] = manifest.encoded(config)
    return Pack(contents, config, blobs, signed, objections)


def _lock(recipe: Path, place: Workspace, plan: Plan, store: Store) -> Path | None:
    """The lock beside the recipe, where there is one. Raises Drifted where it is of another recipe, or other inputs."""
    path = locking.beside(recipe, place.root)
    if not path.is_file():
        return None
    again = f"recipe lock {recipe}"
    known = locking.read(path, again)
    now = make_plan(locking.pinned(plan.loaded, known), place, "gpu")
    if found := [d for d in locking.drifts(known, now, store) if d.kind in INPUTS]:
        raise locking.Drifted(found, now, path.name, again, undone="packed")
    return path


def _alike(facts: RecipeLock, into: Path, name: str, of: Workspace) -> None:
    """Whether the folder means the same: a pattern may take more there, and what is missing is seen here."""
    place, later = Workspace(into, of.trust, store=of.root), into / signing.NAME
    later.touch()
    try:
        plan = make_plan(locking.pinned(load_recipe(into / name, place), facts), place, "gpu")
    except RecipeError as e:
        raise UsageError(f"in a folder of its own the recipe would not be sound: {e}") from None
    finally:
        later.unlink()
    found = [d for d in locking.drifts(facts, plan, Store(into)) if d.kind in INPUTS]
    if found:
        told = "; ".join(f"{d.name}: {d}" for d in found[:5])
        raise UsageError(f"in a folder of its own the recipe would mean something else: {told}")


def _adapter(run: str, place: Workspace, into: Path, scrubber: scrub.Scrubber) -> None:
    """What a run trained, as `recipe export --as adapter` writes it, in the folder `adapter/`."""
    if (into / manifest.ADAPTER).exists():
        raise UsageError(
            "adapter/ is the folder that --adapter fills, and the recipe reads files of that name"
        )
    with tempfile.TemporaryDirectory(prefix="adapter-", dir=Store(place.root).folder()) as scratch:
        done = export(find(run, place.root), Path(scratch, "adapter"), "adapter")
        (done.folder / folder.MARK).unlink()
        for name, _ in done.files:
            if (path := done.folder / name).is_file():
                gathering.looked_into(f"{manifest.ADAPTER}{name}", path, scrubber)
        shutil.copytree(done.folder, into / manifest.ADAPTER)


def write(pack: Pack, to: Path) -> None:
    """Write the pack as a folder, or as one tar file where the name ends in .tar: whole, or not at all.

    Only another pack is taken the place of. Raises UsageError, StepError.
    """
    to = to.absolute()
    refuse(to)
    folder.room(to, pack.contents.size + (1 << 20), "pack")
    with replacing(to, lambda: refuse(to)) as filling:  # it may have come meanwhile
        if to.suffix == TAR:
            with filling.open("xb") as file:
                layout.write_tar(file, pack.contents, pack.config.name, pack.blobs)
                file.flush()
                os.fsync(file.fileno())
        else:
            for name, content in layout.files(pack.contents, pack.config.name, pack.blobs):
                (filling / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    (filling / name).write_bytes(content)
                else:
                    shutil.copyfile(content, filling / name)
                fsync(filling / name)


def refuse(to: Path) -> None:
    """Raise UsageError where something is in the way that is no pack."""
    if not to.exists() and not to.is_symlink():
        return
    what = f"{to.name!r} is there already, and is no pack; name another"
    if to.is_symlink() or to.is_dir() == (to.suffix == TAR):
        raise UsageError(what)
    if to.is_dir() and not any(to.iterdir()):
        return
    try:
        bringing.contents(layout.Archive(to) if to.suffix == TAR else layout.Folder(to))
    except StepError:
        raise UsageError(what) from None
