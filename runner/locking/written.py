"""The file: JSON with sorted keys, one fact a line; no time and no path of this machine in it."""

from __future__ import annotations

import dataclasses
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runner import hubcache
from runner.errors import UsageError
from runner.fetching import Item
from runner.load import Loaded
from runner.store import write_atomic

VERSION = 1
MOST = 256 << 20
"""Bytes of a lock file: a million pages fit, and no file fills the memory."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fetched(Struct, frozen=True, forbid_unknown_fields=True):
    """What a source fetched: the digest of its request, and the items with the sha256 of their bytes."""

    request: str
    items: list[Item]


class Dataset(Struct, frozen=True, forbid_unknown_fields=True):
    """The data of one of lm-eval's own tasks: of which commit, and the sha256 of each file that it became."""

    path: str
    commit: str
    files: dict[str, str]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """What one stage rests on: files → sha256, packages → version, and versions of our own steps and plug-ins."""

    files: dict[str, str]
    packages: dict[str, str]
    plugins: dict[str, int]
    steps: dict[str, int]


class RecipeLock(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`recipe` is the effective one; `template` the sha256 of its chat template, None where that is the model's own;
    `tools` are mirepoix and Python; `turns` is the order of a mix in turn, which the sorted `recipe` does not keep."""

    lock: int
    name: str
    recipe: dict[str, Any]
    template: str | None
    model: dict[str, Any] | None
    datasets: dict[str, Dataset]
    fetched: dict[str, Fetched]
    stages: dict[str, Part]
    tools: dict[str, str]
    turns: list[str] = []


def beside(recipe: Path, workspace: Path) -> Path:
    """Where the lock of a recipe lies: beside it, as `NAME.lock`. A shipped one's lies in the workspace.

    Raises UsageError for a recipe that has such a name itself.
    """
    if recipe.suffix == ".lock":
        raise UsageError(f"{str(recipe)[:200]!r} is a lock's name; name the recipe NAME.yaml")
    return recipe.with_suffix(".lock") if _is_file(recipe) else workspace / f"{recipe.stem}.lock"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a name can be
        return False


def encoded(lock: RecipeLock) -> bytes:
    return msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=1) + b"\n"


def write(path: Path, lock: RecipeLock, root: Path) -> bool:
    """Write the lock, whole or not at all; whether it is another one than was there. Raises NeedsTrust for links below
    the workspace `root`."""
    data = encoded(lock)
    with suppress(OSError):  # none is there, or it cannot be read: writing says what is wrong
        if path.read_bytes() == data:
            return False
    path, root = path.absolute(), root.absolute()
    write_atomic(path, data, root if path.is_relative_to(root) else None)
    return True


def read(path: Path, again: str) -> RecipeLock:
    """The lock in `path`; `again` is the command that writes one. Raises UsageError where there is none to be had."""
    if not _is_file(path):
        raise UsageError(f"no lock {path.name[:200]!r} beside the recipe; write it: {again}")
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as e:
        raise UsageError(f"{path.name}: cannot be read: {e.strerror or e}") from None
    try:
        if len(data) > MOST:
            raise ValueError(f"it has more than {MOST:,} bytes")
        version = msgspec.json.decode(data, type=_Version).lock
        if version != VERSION:
            raise ValueError(f"it has version {version}, and this mirepoix reads version {VERSION}")
        lock = msgspec.json.decode(data, type=RecipeLock)
        for sha256 in _digests(lock):
            if not _SHA256.fullmatch(sha256):
                raise ValueError(f"{sha256[:80]!r} is no sha256")
        revision = (lock.model or {}).get("revision")
        if revision is not None and not isinstance(revision, str):
            raise ValueError("the model's revision is no text")
    except (ValueError, RecursionError) as e:  # msgspec's errors are ValueErrors
        raise UsageError(f"{path.name}: is no lock that can be used: {e}; write it anew: {again}") from None
    return lock


class _Version(Struct):
    lock: int


def _digests(lock: RecipeLock) -> list[str]:
    """All that is a digest, where it stands in; items that could not be had have none."""
    found = [sha for part in lock.stages.values() for sha in part.files.values()]
    found += [sha for data in lock.datasets.values() for sha in data.files.values()]
    for fetched in lock.fetched.values():
        found += [fetched.request, *(i.sha256 for i in fetched.items if i.sha256)]
    return found if lock.template is None else [*found, lock.template]


def pinned(loaded: Loaded, lock: RecipeLock) -> Loaded:
    """The recipe with its hub model at the commit that was locked for it: nobody is asked where its name points now."""
    model, known = loaded.recipe.model, lock.model or {}
    revision = known.get("revision")
    if model is None or known.get("base") != model.base or not hubcache.is_commit(revision):
        return loaded
    if hubcache.is_commit(model.revision):
        return loaded
    recipe = msgspec.structs.replace(loaded.recipe, model=msgspec.structs.replace(model, revision=revision))
    return dataclasses.replace(loaded, recipe=recipe)
