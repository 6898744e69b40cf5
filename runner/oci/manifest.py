"""The manifest of a pack: one layer a file, each with its name, size and digest; nothing in it is not of the files.

So the same files have the same manifest, to the byte, and its sha256 names the pack. What comes from elsewhere is read
strictly: types as ours, names that may be written, sizes within bounds, before any file of it is asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import msgspec
from msgspec import Struct

from runner.errors import StepError
from runner.oci import names

ARTIFACT = "application/vnd.mirepoix.pack.v1"
CONFIG = "application/vnd.mirepoix.pack.config.v1+json"
FILE = "application/vnd.mirepoix.pack.file.v1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
VERSION = 1

MOST_MANIFEST, MOST_CONFIG = 4 << 20, 1 << 20
"""Bytes."""
MOST_FILES = 5_000
SMALL = 50_000_000
"""Bytes of one file, but for an adapter's weights."""
WHOLE = 500_000_000
"""Bytes of all files, but for an adapter's weights."""
WEIGHTS = 8_000_000_000
"""Bytes of an adapter's weights."""
ADAPTER = "adapter/"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")


class Descriptor(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """As the image specification has it. `digest` is `sha256:` and 64 hexadecimal digits, `size` bytes."""

    mediaType: str
    digest: str
    size: int
    annotations: dict[str, str] = {}

    @property
    def sha256(self) -> str:
        return self.digest.removeprefix("sha256:")


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    schemaVersion: int
    mediaType: str
    artifactType: str
    config: Descriptor
    layers: list[Descriptor]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What a pack says of itself: the recipe's name and file, and what was too large to go along (names → sha256)."""

    pack: int
    name: str
    recipe: str
    left_out: dict[str, str] = {}


class File(Struct, frozen=True):
    """A file of a pack: its name, sha256 (hexadecimal) and bytes."""

    name: str
    sha256: str
    size: int

    @property
    def weights(self) -> bool:
        return is_weights(self.name)


@dataclass(frozen=True)
class Contents:
    """A manifest with its files, all checked. `digest` is the sha256 of `raw`, which names the pack."""

    raw: bytes
    digest: str
    config: Descriptor
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)


def is_weights(name: str) -> bool:
    return name.startswith(ADAPTER) and name.endswith(".safetensors")


def most(name: str) -> int:
    """Bytes that a file of this name may have."""
    return WEIGHTS if is_weights(name) else SMALL


def encoded(config: Config) -> bytes:
    return msgspec.json.encode(config, order="sorted")


def made(config: Config, files: Iterable[File]) -> Contents:
    """The manifest of some files. Raises StepError for what no pack may hold, as `read` does."""
    raw_config = encoded(config)
    about = Descriptor(CONFIG, f"sha256:{hashlib.sha256(raw_config).hexdigest()}", len(raw_config))
    layers = [
        Descriptor(FILE, f"sha256:{f.sha256}", f.size, {TITLE: f.name})
        for f in sorted(files, key=lambda f: f.name)
    ]
    manifest = Manifest(2, MANIFEST, ARTIFACT, about, layers)
    return read(msgspec.json.encode(manifest, order="sorted"), "the pack", "pack")


def read(raw: bytes, said: str, step: str = "pull") -> Contents:
    """The manifest that some bytes are. Raises StepError, with one sentence, for one that is not of a pack that may be
    written. `said` names what it came from."""

    def refuse(what: str) -> NoReturn:
        raise StepError(step, f"{said} {what}")

    if len(raw) > MOST_MANIFEST:
        refuse(f"has a manifest of more than {MOST_MANIFEST:,} bytes")
    try:
        found = msgspec.json.decode(raw, type=Manifest)
    except (ValueError, RecursionError) as e:  # msgspec's errors are ValueErrors
        refuse(f"is no pack of a recipe: its manifest is another kind of thing ({_short(e)})")
    kinds = (found.schemaVersion, found.mediaType, found.artifactType, found.config.mediaType)
    if kinds != (2, MANIFEST, ARTIFACT, CONFIG):
        refuse(f"is no pack of a recipe that this version reads: its type is {found.artifactType[:100]!r}")
    if not found.layers or len(found.layers) > MOST_FILES:
        refuse(f"holds {len(found.layers):,} files; from 1 to {MOST_FILES:,} may be in a pack")
    if not 0 <= found.config.size <= MOST_CONFIG or not _DIGEST.match(found.config.digest):
        refuse("has a damaged manifest: its config is none")
    files = []
    for layer in found.layers:
        name = layer.annotations.get(TITLE, "")
        if layer.mediaType != FILE or layer.annotations.keys() != {TITLE}:
            refuse(f"holds a layer of another type than ours: {layer.mediaType[:100]!r}")
        if why := names.wrong(name):
            refuse(f"holds {name[:200]!r}, which {why}")
        if not _DIGEST.match(layer.digest):
            refuse(f"has a damaged manifest: {name!r} has no sha256")
        if not 0 <= layer.size <= most(name):
            refuse(f"holds {name!r} of {layer.size:,} bytes; {most(name):,} are the most")
        files.append(File(name, layer.sha256, layer.size))
    if two := names.clash(f.name for f in files):
        refuse(f"holds names that mean the same on some machines: {two}")
    if (whole := sum(f.size for f in files if not f.weights)) > WHOLE:
        refuse(f"holds {whole:,} bytes beside an adapter's weights; {WHOLE:,} are the most")
    if sum(f.size for f in files if f.weights) > WEIGHTS:
        refuse(f"holds an adapter of more than {WEIGHTS:,} bytes")
    return Contents(raw, hashlib.sha256(raw).hexdigest(), found.config, tuple(files))


def config(raw: bytes, of: Contents, said: str) -> Config:
    """What a pack says of itself, from bytes that have its config's digest. Raises StepError."""
    try:
        found = msgspec.json.decode(raw, type=Config)
    except (ValueError, RecursionError) as e:
        raise StepError("pull", f"{said} says nothing of itself that can be read ({_short(e)})") from None
    named: Mapping[str, File] = {f.name: f for f in of.files}
    if found.pack != VERSION:
        raise StepError("pull", f"{said} has version {found.pack}, and this mirepoix reads version {VERSION}")
    if found.recipe not in named or not found.recipe.endswith((".yaml", ".yml")):
        raise StepError("pull", f"{said} names no recipe among its files")
    if not _NAME.match(found.name) or len(found.name) > 64:
        raise StepError("pull", f"{said} has a name that no recipe can have: {found.name[:100]!r}")
    for name, sha256 in found.left_out.items():
        if names.wrong(name) or name in named or not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise StepError(
                "pull", f"{said} leaves out {name[:200]!r}, which is no file that could be put there"
            )
    return found


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
