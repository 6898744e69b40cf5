"""A signature's format, that of the OpenSSF's model signing, version 1.0: a sigstore bundle that holds a DSSE envelope
around an in-toto statement, which lists files with their sha256.

- https://github.com/ossf/model-signing-spec
- https://github.com/secure-systems-lab/dsse/blob/master/protocol.md (what exactly is signed)
- https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runner.results import keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

NAME = "model.sig"
"""The file that holds a folder's signature, in that folder, and is not signed itself."""
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"


class Unsigned(Exception):
    """Why a signature vouches for nothing."""


def written(name: str, files: dict[str, str], private: ec.EllipticCurvePrivateKey) -> bytes:
    """The signature of files, given by name and sha256, that lie in a folder called `name`."""
    payload = _statement(name, files)
    return _bundle(payload, keys.signed(private, _enveloped(payload)), keys.hint(private.public_key()))


def read(raw: bytes, public: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Names and sha256 of the files that a signature vouches for. Raises Unsigned where it is not this key's."""
    return _listed(_opened(_map(_json(raw)), public, keys.hint(public)))


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


def _opened(bundle: dict[str, Any], public: ec.EllipticCurvePublicKey, hint: str) -> dict[str, Any]:
    """The statement of a bundle, once the key says that it is its own. What is not signed is believed in nothing."""
    from cryptography.exceptions import InvalidSignature

    named = _map(_map(bundle.get("verificationMaterial", {})).get("publicKey", {})).get("hint") or hint
    if named != hint:
        raise Unsigned(f"is another key's: {str(named)[:16]}…, not {hint[:16]}…")
    envelope = _map(bundle.get("dsseEnvelope"))
    signatures = envelope.get("signatures")
    if envelope.get("payloadType") != _PAYLOAD or not isinstance(signatures, list) or len(signatures) != 1:
        raise Unsigned("is damaged, or no signature of a folder")
    payload = _bytes(envelope.get("payload"))
    try:
        public.verify(_bytes(_map(signatures[0]).get("sig")), _enveloped(payload), keys.ecdsa(public))
    except InvalidSignature:
        raise Unsigned(f"was changed, or is not the key's ({hint[:16]}…)") from None
    return _map(_json(payload))


def _listed(statement: dict[str, Any]) -> dict[str, str]:
    """Names and sha256 of a statement; names are compared only, never opened."""
    predicate = _map(statement.get("predicate"))
    how, resources = _map(predicate.get("serialization")), predicate.get("resources")
    if statement.get("_type") != _STATEMENT or statement.get("predicateType") != _PREDICATE:
        raise Unsigned("vouches for something else than the files of a folder")
    if how.get("method") != "files" or not isinstance(resources, list):
        raise Unsigned("lists no whole files; check it with model_signing")
    files: dict[str, str] = {}
    for one in map(_map, resources):
        name, digest = one.get("name"), one.get("digest")
        if one.get("algorithm") != "sha256":
            raise Unsigned(
                f"gives other digests than sha256 ({one.get('algorithm')}); check it with model_signing"
            )
        if not isinstance(name, str) or not isinstance(digest, str) or name in files:
            raise Unsigned("is damaged: its list of files is none")
        files[name] = digest.lower()
    return files


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Unsigned("is damaged, or no signature") from None


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unsigned("is damaged, or no signature of a folder")
    return value


def _bytes(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Unsigned("is damaged, or no signature of a folder") from None


def _enveloped(payload: bytes) -> bytes:
    """What DSSE has signed: the payload and its type, each with its length before it."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)
