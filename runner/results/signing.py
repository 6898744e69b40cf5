"""A signature over a whole folder, by a key that lies in a file: made and checked without any network.

`model.sig` lists each file with its sha256, signed by ECDSA, in the format of the OpenSSF's model signing (`bundle`):
`model_signing verify key` checks what is signed here, and here is checked what `model_signing sign key` signed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner import paths
from runner.errors import UsageError
from runner.results import bundle, keys
from runner.results import folder as exported
from runner.results.bundle import NAME as NAME
from runner.results.bundle import Unsigned
from runner.settings import Settings
from runner.store.files import write_atomic

LARGEST = 64 << 20
"""Bytes of a signature that is read: some 300,000 files."""


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was signed. `name` is a file's, below the folder."""

    name: str
    what: str


@dataclass(frozen=True)
class Checked:
    """`key` is the sha256 of the public key's PEM, as the format names keys; `files` is how many are as signed."""

    key: str
    files: int
    faults: list[Fault]

    @property
    def holds(self) -> bool:
        return not self.faults


@dataclass(frozen=True)
class Signer:
    """A private key's file, and who asks for its passphrase where it has one."""

    key: Path
    passphrase: Callable[[], str]


def signer(key: Path | None, settings: Settings, passphrase: Callable[[], str] | None) -> Signer:
    """By the key that is named, else by the setting's; its passphrase is the setting's, else what `passphrase` gives.

    Raises UsageError.
    """

    def said() -> str:
        if known := settings["signing_passphrase"]:
            return known
        if passphrase is None:
            what = "the key has a passphrase: set MIREPOIX_SIGNING_PASSPHRASE, or sign in a terminal"
            raise UsageError(what)
        return passphrase()

    if key is None and not settings["signing_key"]:
        raise UsageError("whose signature? say --key KEY.pem, or set signing_key")
    path = key if key is not None else Path(settings["signing_key"]).expanduser()
    return Signer(path, said)


def sign(folder: Path, key: Path, passphrase: Callable[[], str]) -> Checked:
    """Write `folder`/model.sig, in place of one that is there. `passphrase` is asked only where the key has one.

    Raises UsageError for a key that cannot be used, and for a folder that must not be signed: one that holds links,
    what is no file, the key itself, or a workspace; or an exported one in which something was changed since.
    """
    folder = _folder(folder)
    raw = keys.read(key)  # once: it may be a pipe
    private = keys.private(raw, key, passphrase)
    files, faults = _found(folder)
    if faults:
        raise UsageError(f"{faults[0].name}: {faults[0].what}; only plain files are signed")
    if key.resolve().is_relative_to(folder) or hashlib.sha256(raw).hexdigest() in files.values():
        raise UsageError(f"the private key lies in {str(folder)!r} itself; keep it elsewhere, then sign")
    if (folder / ".mirepoix").exists():
        raise UsageError(f"{str(folder)!r} is a workspace; sign what `recipe export` wrote from it")
    if not files:
        raise UsageError(f"{str(folder)!r} holds no files")
    for name, sha256 in (exported.written(folder) or {}).items():
        if files.get(name) != sha256:
            raise UsageError(f"{name} is not as it was exported; export it again, then sign")
    hint = keys.hint(private.public_key())
    write_atomic(folder / NAME, bundle.written(folder.name, files, private), folder)
    return Checked(hint, len(files), [])


def verify(folder: Path, key: Path) -> Checked:
    """What is not as the owner of the key signed it: changed, missing, added, or no plain file.

    Raises UsageError for a folder that is not there, and for a key that cannot be used, or that came with the folder.
    """
    folder = _folder(folder)
    if key.exists() and key.resolve().is_relative_to(folder):
        what = f"{str(key)!r} lies in the folder that it is to vouch for; get the key from its owner by another way"
        raise UsageError(what)
    public = keys.public(key)
    hint = keys.hint(public)
    try:
        signed = bundle.read(_signature(folder), public)
    except Unsigned as e:
        return Checked(hint, 0, [Fault(NAME, str(e))])
    files, faults = _found(folder)
    return _compared(files, faults, signed, hint)


def vouched(signature: bytes, files: Mapping[str, str], key: Path) -> Checked:
    """The same for files that are known by name and sha256, the signature not among them. Raises UsageError for a key
    that cannot be used."""
    public = keys.public(key)
    hint = keys.hint(public)
    try:
        signed = bundle.read(signature, public)
    except Unsigned as e:
        return Checked(hint, 0, [Fault(NAME, str(e))])
    return _compared(files, [], signed, hint)


def _compared(files: Mapping[str, str], faults: list[Fault], signed: dict[str, str], hint: str) -> Checked:
    strange = {fault.name for fault in faults}
    faults += [Fault(name, "is missing") for name in signed.keys() - files.keys() - strange]
    faults += [Fault(name, "was added; it is not signed") for name in files.keys() - signed.keys()]
    changed = {name for name in files.keys() & signed.keys() if files[name] != signed[name]}
    faults += [Fault(name, "was changed") for name in changed]
    good = len(files.keys() & signed.keys()) - len(changed)
    return Checked(hint, good, sorted(faults, key=lambda f: f.name))


def _folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"no folder {str(folder)!r}")
    return folder.resolve()


def _found(folder: Path) -> tuple[dict[str, str], list[Fault]]:
    """Names and sha256 of all files but the signature; and what is none, which is not opened."""
    files, faults = {}, []
    for path in paths.walked(folder):
        name = path.relative_to(folder).as_posix()
        if name == NAME:
            continue
        try:
            name.encode()
        except UnicodeEncodeError:
            faults.append(Fault(name, "has a name that is not UTF-8"))
            continue
        kind = path.lstat().st_mode
        if stat.S_ISLNK(kind):
            faults.append(Fault(name, "is a link"))
        elif not stat.S_ISREG(kind):
            faults.append(Fault(name, "is no plain file"))
        else:
            with open(path, "rb", opener=_no_link) as f:
                files[name] = hashlib.file_digest(f, "sha256").hexdigest()
    return files, faults


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _signature(folder: Path) -> bytes:
    path = folder / NAME
    if path.is_symlink():
        raise Unsigned("is a link, and no signature")
    if not path.exists():
        raise Unsigned("is missing: the folder is not signed")
    if not path.is_file():
        raise Unsigned("is no plain file, and no signature")
    with open(path, "rb", opener=_no_link) as f:
        raw = f.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise Unsigned("is too large for a signature")
    return raw
