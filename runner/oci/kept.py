"""Packs that recipes extend, kept by digest in a workspace's store: what was brought once is read without any network.

    .mirepoix/packs/DIGEST/manifest.json   as it came: its sha256 is DIGEST
    .mirepoix/packs/DIGEST/config.json     which of the files is the recipe
    .mirepoix/packs/DIGEST/about.json      how it was called, and the key that signed it, where one was asked for
    .mirepoix/packs/DIGEST/files/          the recipe and the parts that it extends; no data

Whoever changes a file there is found out: each is compared with the manifest before it is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner import paths
from runner.errors import StepError, UsageError
from runner.oci import manifest
from runner.oci.manifest import Contents
from runner.settings import Settings
from runner.store import Store, file_digest, fsync
from runner.store.files import replacing

PLACE = "packs"


@dataclass(frozen=True)
class Kept:
    """`folder` holds the pack's recipes; `recipe` is the one that is extended. `said` is how the pack was called when
    it was brought, `signed_by` the key that was found to have signed it then."""

    digest: str
    folder: Path
    recipe: Path
    said: str
    signed_by: str


def find(root: Path, digest: str) -> Kept | None:
    """The pack of that digest in the store of the workspace `root`; None where it is not there, or not as it came.

    Raises NeedsTrust for a store that is not the user's.
    """
    place = Store(root).root / PLACE / digest
    try:
        raw, about = (place / "manifest.json").read_bytes(), (place / "config.json").read_bytes()
        said = json.loads((place / "about.json").read_bytes())
        if hashlib.sha256(raw).hexdigest() != digest:
            return None
        contents = manifest.read(raw, digest)
        if hashlib.sha256(about).hexdigest() != contents.config.sha256:
            return None
        config = manifest.config(about, contents, digest)
    except (OSError, ValueError, StepError):
        return None
    known = {f.name: f.sha256 for f in contents.files}
    try:
        for path in paths.walked(place / "files"):
            name = path.relative_to(place / "files").as_posix()
            if path.is_symlink() or not path.is_file() or file_digest(path) != known.get(name):
                return None
    except OSError:
        return None
    recipe = place / "files" / config.recipe
    if not recipe.is_file():
        return None
    return Kept(digest, place / "files", recipe, str(said.get("said", "")), str(said.get("signed_by", "")))


def keep(
    root: Path,
    contents: Contents,
    about: bytes,
    folder: Path,
    names: Iterable[str],
    said: str,
    signed_by: str,
) -> Path:
    """Keep the recipes `names` of a pack whose files lie in `folder`; where they now are. Raises NeedsTrust for a
    link in the way, and for a store that is not the user's."""
    store = Store(root)
    final = store.folder(PLACE) / contents.digest
    with store.waiting(f"pack.{contents.digest}"), replacing(final, lambda: None) as filling:
        told = {"said": said, "signed_by": signed_by}
        small = {"manifest.json": contents.raw, "config.json": about, "about.json": json.dumps(told).encode()}
        for name in names:
            small[f"files/{name}"] = (folder / name).read_bytes()
        for name, raw in small.items():
            (filling / name).parent.mkdir(parents=True, exist_ok=True)
            (filling / name).write_bytes(raw)
            fsync(filling / name)
    return final


def called(root: Path, said: str) -> str:
    """The digest of a kept pack that was brought as `said`; empty where there is none, or are several."""
    found = {kept.digest for kept in _all(root) if kept.said == said}
    return found.pop() if len(found) == 1 else ""


def _all(root: Path) -> Iterator[Kept]:
    for path in sorted((Store(root).root / PLACE).glob("*")):
        if re.fullmatch(r"[0-9a-f]{64}", path.name) and (kept := find(root, path.name)) is not None:
            yield kept


def unfit(kept: Kept, settings: Settings) -> bool:
    """Whether the user's settings want another signature than was asked for when the pack was brought."""
    wanted = keys(settings)
    return bool(wanted) and kept.signed_by not in map(_hint, wanted)


def keys(settings: Settings) -> list[Path]:
    """The files of `pack_keys`. Raises UsageError for one that is named from where we are: that may be a stranger's."""
    found = [Path(one).expanduser() for part in settings["pack_keys"].split(",") if (one := part.strip())]
    for path in found:
        if not path.is_absolute():
            raise UsageError(f"the setting pack_keys must be absolute paths, not {str(path)!r}")
    return found


def _hint(path: Path) -> str:
    """By what a public key is named: the sha256 of its PEM as OpenSSL writes it. No library is loaded for that."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError) as e:
        raise UsageError(
            f"the key {path.name!r} of the setting pack_keys cannot be read: {type(e).__name__}"
        ) from None
    found = re.search(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----", text)
    try:
        der = (
            base64.b64encode(base64.b64decode("".join(found[1].split()), validate=True)).decode()
            if found
            else ""
        )
    except binascii.Error:
        der = ""
    lines = [der[at : at + 64] for at in range(0, len(der), 64)]
    pem = "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])
    return hashlib.sha256(pem.encode()).hexdigest()
