"""A signature over a whole folder, by a key that lies in a file: made and checked without any network.

`model.sig` lists each file with its sha256, signed by ECDSA. It is the format of the OpenSSF's model signing, version
1.0: a sigstore bundle that holds a DSSE envelope around an in-toto statement; so `model_signing verify key` checks what
is signed here, and here is checked what `model_signing sign key` signed.

- https://github.com/ossf/model-signing-spec
- https://github.com/secure-systems-lab/dsse/blob/master/protocol.md (what exactly is signed)
- https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import UsageError
from runner.results import folder as exported
from runner.results import keys
from runner.settings import Settings
from runner.store.files import write_atomic

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

NAME = "model.sig"
LARGEST = 64 << 20
"""Bytes of a signature that is read: some 300,000 files."""
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"


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


class _Unsigned(Exception):
    """Why a signature vouches for nothing."""


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
    payload = _statement(folder.name, files)
    write_atomic(folder / NAME, _bundle(payload, keys.signed(private, _enveloped(payload)), hint), folder)
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
        signed = _listed(_opened(_signature(folder), public, hint))
    except _Unsigned as e:
        return Checked(hint, 0, [Fault(NAME, str(e))])
    files, faults = _found(folder)
    return _compared(files, faults, signed, hint)


def vouched(signature: bytes, files: Mapping[str, str], key: Path) -> Checked:
    """The same for files that are known by name and sha256, the signature not among them. Raises UsageError for a key
    that cannot be used."""
    public = keys.public(key)
    hint = keys.hint(public)
    try:
        signed = _listed(_opened(_map(_json(signature)), public, hint))
    except _Unsigned as e:
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
    for path in _walked(folder):
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


def _walked(folder: Path) -> Iterator[Path]:
    """All below a folder that is no folder. Raises OSError where one cannot be read: it may hold anything."""

    def refused(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=refused):
        yield from (Path(here, n) for n in (*names, *(f for f in folders if Path(here, f).is_symlink())))


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _statement(name: str, files: dict[str, str]) -> bytes:
    """The in-toto statement; equal files in a folder of that name give equal bytes."""
    resources = [{"name": n, "algorithm": "sha256", "digest": files[n]} for n in sorted(files)]
    how = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [NAME]}
    said = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root(files[n] for n in sorted(files))}}],
        "predicateType": _PREDICATE,
        "predicate": {"serialization": how, "resources": resources},
    }
    return json.dumps(said, indent=1, sort_keys=True).encode()


def _root(digests: Iterator[str]) -> str:
    """One sha256 for all files: that over theirs, in the order of the list."""
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _bundle(payload: bytes, signature: bytes, hint: str) -> bytes:
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": _PAYLOAD,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    material = {"publicKey": {"hint": hint}, "tlogEntries": []}
    said = {"mediaType": _BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}
    return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"


def _signature(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    if path.is_symlink():
        raise _Unsigned("is a link, and no signature")
    if not path.exists():
        raise _Unsigned("is missing: the folder is not signed")
    if not path.is_file():
        raise _Unsigned("is no plain file, and no signature")
    with open(path, "rb", opener=_no_link) as f:
        raw = f.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise _Unsigned("is too large for a signature")
    return _map(_json(raw))


def _opened(bundle: dict[str, Any], public: ec.EllipticCurvePublicKey, hint: str) -> dict[str, Any]:
    """The statement of a bundle, once the key says that it is its own. What is not signed is believed in nothing."""
    from cryptography.exceptions import InvalidSignature

    named = _map(_map(bundle.get("verificationMaterial", {})).get("publicKey", {})).get("hint") or hint
    if named != hint:
        raise _Unsigned(f"is another key's: {str(named)[:16]}…, not {hint[:16]}…")
    envelope = _map(bundle.get("dsseEnvelope"))
    signatures = envelope.get("signatures")
    if envelope.get("payloadType") != _PAYLOAD or not isinstance(signatures, list) or len(signatures) != 1:
        raise _Unsigned("is damaged, or no signature of a folder")
    payload = _bytes(envelope.get("payload"))
    try:
        public.verify(_bytes(_map(signatures[0]).get("sig")), _enveloped(payload), keys.ecdsa(public))
    except InvalidSignature:
        raise _Unsigned(f"was changed, or is not the key's ({hint[:16]}…)") from None
    return _map(_json(payload))


def _listed(statement: dict[str, Any]) -> dict[str, str]:
    """Names and sha256 of a statement; names are compared only, never opened."""
    predicate = _map(statement.get("predicate"))
    how, resources = _map(predicate.get("serialization")), predicate.get("resources")
    if statement.get("_type") != _STATEMENT or statement.get("predicateType") != _PREDICATE:
        raise _Unsigned("vouches for something else than the files of a folder")
    if how.get("method") != "files" or not isinstance(resources, list):
        raise _Unsigned("lists no whole files; check it with model_signing")
    files: dict[str, str] = {}
    for one in map(_map, resources):
        name, digest = one.get("name"), one.get("digest")
        if one.get("algorithm") != "sha256":
            raise _Unsigned(
                f"gives other digests than sha256 ({one.get('algorithm')}); check it with model_signing"
            )
        if not isinstance(name, str) or not isinstance(digest, str) or name in files:
            raise _Unsigned("is damaged: its list of files is none")
        files[name] = digest.lower()
    return files


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise _Unsigned("is damaged, or no signature") from None


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unsigned("is damaged, or no signature of a folder")
    return value


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _Unsigned("is damaged, or no signature of a folder") from None


def _enveloped(payload: bytes) -> bytes:
    """What DSSE has signed: the payload and its type, each with its length before it."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)
