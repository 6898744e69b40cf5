"""Whose packs are taken: those that the owner of one of the user's `pack_keys` has signed, where that setting names
any.

A signature lists each file of a pack with its sha256, and so does the manifest: it is checked before any other file is
asked for. No recipe and no pack has a say in which keys these are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from runner.errors import StepError
from runner.oci import kept, layout, manifest
from runner.oci.bringing import Holder
from runner.oci.manifest import Contents, Descriptor
from runner.packs.gathering import SIGNATURE
from runner.results import signing
from runner.settings import Settings


def checked(of: Holder, contents: Contents, settings: Settings) -> str:
    """The key that signed a pack, as the sha256 of its PEM; empty where the user's settings want none.

    Raises StepError for a pack that none of the wanted keys signed, UsageError for a key that cannot be used.
    """
    wanted = kept.keys(settings)
    if not wanted:
        return ""
    (signature, files), why = _parts(of, contents), "is not signed"
    for key in wanted if signature else ():
        found = signing.vouched(signature, files, key)
        if found.holds:
            return found.key
        why = _worst(found.faults, why)
    raise StepError(
        "pull", f"{of.said} {why}, and your setting pack_keys wants packs signed by {_named(wanted)}"
    )


def _parts(of: Holder, contents: Contents) -> tuple[bytes, dict[str, str]]:
    """The signature, empty where there is none, and the files that it has to list."""
    files = {f.name: f.sha256 for f in contents.files}
    if SIGNATURE not in files:
        return b"", files
    one = next(f for f in contents.files if f.name == SIGNATURE)
    raw = layout.whole(
        of.blob(Descriptor(manifest.FILE, f"sha256:{one.sha256}", one.size)), one.size, of.said
    )
    if hashlib.sha256(raw).hexdigest() != files.pop(SIGNATURE):
        raise StepError("pull", f"{of.said}: its signature was changed on its way")
    return raw, files


def _worst(faults: list[signing.Fault], before: str) -> str:
    """What to say of several keys: that files are not as signed weighs more than that a key is another."""
    one = faults[0]
    if one.name != signing.NAME:
        return f"is not as it was signed ({one.name} {one.what})"
    return before if before.startswith("is not as") else "is signed by somebody else, or wrongly"


def _named(wanted: list[Path]) -> str:
    return " or ".join(path.name for path in wanted)
