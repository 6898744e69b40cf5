"""Recipes for others: packed, pushed to where others find them, and taken in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.api.common import Name, folder_of, settings_of, size, told, trust_store

if TYPE_CHECKING:
    from runner.api.recipes import Trust
    from runner.packs.packing import Pack as Pack
    from runner.packs.pulling import Opened as Opened


@contextmanager
def packed(
    recipe: Name,
    workspace: Name = ".",
    *,
    adapter: str = "",
    sign: bool = False,
    key: Name | None = None,
    passphrase: Callable[[], str] | None = None,
    trust: Collection[Trust] = (),
) -> Iterator[Pack]:
    """The pack of a recipe, while this is entered: `.digest`, `.contents.files`, `.config.left_out`.

    `adapter` names a run whose adapter goes along. With `sign`, or a `key`, it is signed as `runner.api.signing.sign`
    does. Raises what loading does, and UsageError for what must not go along.
    """
    from runner.packs import packing
    from runner.results import signing

    settings, folder = settings_of(), folder_of(workspace)
    if "store" in trust:
        trust_store(folder)
    named = None if key is None else Path(key)
    signer = signing.signer(named, settings, passphrase) if sign or key else None
    with packing.packed(
        Path(recipe), folder, settings, adapter=adapter, signer=signer, trust=frozenset(trust)
    ) as made:
        yield made


@told
def write(pack: Pack, to: Name) -> Path:
    """Write a pack as a folder, or as one file where the name ends in .tar: whole, or not at all; where it is."""
    from runner.packs import packing

    packing.write(pack, Path(to))
    return Path(to)


@contextmanager
def parcel(
    what: str,
    workspace: Name = ".",
    *,
    to: str | None = None,
    allow: Collection[str] = (),
    trust: Collection[Trust] = (),
) -> Iterator[Pack]:
    """What `push` sends: a pack that was made (file or folder), or a recipe, which is packed now. `.objections` are
    sentences of licences that forbid to pass it on. `to`: where it is to go, looked at before anything is packed."""
    from runner.packs import pushing

    folder = folder_of(workspace)
    pushing.no_run(what, folder)
    if to is not None:
        pushing.destination(to)
    if "store" in trust:
        trust_store(folder)
    with pushing.parcel(what, folder, settings_of(allow), frozenset(trust)) as made:
        yield made


@told
def push(
    pack: Pack, to: str, *, allow: Collection[str] = (), tell: Callable[[str], None] = lambda said: None
) -> str:
    """Push to oci://HOST/NAME:TAG, a folder, a file, or what fsspec opens; how it is called there, pinned where that
    is a registry. `allow`: addresses (`HOST:PORT`) that are not public. Raises UsageError, StepError."""
    from runner.packs import pushing

    return pushing.push(pack, to, settings_of(allow), tell)


@told
def pull(
    ref: str,
    to: Name | None = None,
    workspace: Name = ".",
    *,
    keep: bool = False,
    allow: Collection[str] = (),
    show: Callable[[Opened], None] = lambda pack: None,
    tell: Callable[[str], None] = lambda said: None,
) -> bool:
    """Have `show` told what a packed recipe would do (`.shown`, `.pinned`), then write its files into the new folder
    `to`, where that is given: whether they were written. Nothing of it is run. `keep`: in the workspace's store, for
    recipes to extend. Raises UsageError, StepError, RecipeError; then nothing is written."""
    from runner.packs import pulling

    folder, home = None if to is None else Path(to), folder_of(workspace).resolve()
    return pulling.pull(ref, folder, settings_of(allow), show, tell, home=home, keeps=keep)


def lines(pack: Opened) -> list[str]:
    """What a packed recipe would do, for people."""
    from runner.packs import showing

    return list(showing.lines(pack.shown, size))
