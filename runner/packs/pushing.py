"""A pack to where others find it: a registry, a folder, a file, or what fsspec opens. What goes is checked first."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner import scrub
from runner.errors import UsageError
from runner.oci import bringing, opening
from runner.oci.layout import LAYOUT
from runner.oci.reference import SCHEME
from runner.packs import gathering, packing, pulling, showing
from runner.packs.packing import Pack
from runner.settings import Settings

Tell = Callable[[str], None]


@contextmanager
def parcel(
    what: str, workspace: Path, settings: Settings, trust: frozenset[str] = frozenset()
) -> Iterator[Pack]:
    """The pack that `what` names: one that was packed, file or folder, or a recipe, which is packed now.

    Raises UsageError where it is neither, and for a pack that holds a secret of this user.
    """
    path = Path(what)
    if not (path.suffix == packing.TAR or (path / LAYOUT).is_file() or "://" in what):
        with packing.packed(path, workspace, settings, trust=trust) as made:
            yield made
        return
    with (
        pulling.opened(what, settings, workspace, policy=False) as of,
        tempfile.TemporaryDirectory(prefix="mirepoix-push-") as scratch,
    ):
        weights, scrubber = Path(scratch), scrub.known(settings=settings)
        bringing.bring(of.holder, of.contents, weights, lambda file: file.weights)
        blobs: dict[str, Path | bytes] = {}
        for file in of.contents.files:
            blobs[file.sha256] = (weights if file.weights else of.folder) / file.name
            if not file.weights:
                gathering.looked_into(file.name, of.folder / file.name, scrubber)
        blobs[of.contents.config.sha256] = of.about
        objections = showing.objections(of.shown.licences, of.shown.sources)
        yield Pack(of.contents, of.config, blobs, of.shown.signed_by, objections)


def no_run(what: str, workspace: Path) -> None:
    """Raises UsageError for the name of a run, which goes elsewhere."""
    named = Path(what).name == what and not Path(what).exists()
    if named and (workspace / "runs" / what / "plan.json").is_file():
        raise UsageError(f"{what!r} is a run, and goes to a hub: --to hub:OWNER/NAME")


def destination(to: str) -> None:
    """Raises UsageError where nothing can be pushed to, before anything is packed for it."""
    if to.startswith(SCHEME):
        ref = opening.reference(to)
        if not ref.tag or ref.digest:
            raise UsageError(f"{ref}: a pack is pushed to a tag: say oci://HOST/NAME:TAG")
    elif "://" in to:
        from runner.oci.storage import Stored

        Stored(to)
    elif ":" in to.partition("/")[0]:
        raise UsageError(
            f"--to {to[:200]!r}: say oci://HOST/NAME:TAG, hub:OWNER/NAME, a folder, or an address"
        )
    else:
        packing.refuse(Path(to))


def push(pack: Pack, to: str, settings: Settings, tell: Tell = lambda said: None) -> str:
    """Push; how the pack is named there: pinned, where that is a registry. Raises UsageError, StepError."""
    destination(to)
    if to.startswith(SCHEME):
        ref = opening.reference(to)
        opening.remote(ref, settings).push(pack.contents, pack.blobs, tell)
        return str(ref.at(pack.contents.digest))
    if "://" in to:
        from runner.oci.storage import Stored

        Stored(to).push(pack.contents, pack.config.name, pack.blobs)
        return to
    packing.write(pack, Path(to))
    return to
