"""The keys that sign a folder and say whose signature it is: elliptic curves, in PEM files of the user's own.

The curves are those of the OpenSSF's model signing. A private key is read where it is used and kept nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import extras
from runner.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

LARGEST = 64 << 10
"""Bytes of a file with a key that are read."""
MAKE = "openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -v2 aes-256-cbc -out KEY.pem"
PUBLIC = "openssl pkey -in KEY.pem -pubout -out KEY.pub"


def signed(private: ec.EllipticCurvePrivateKey, what: bytes) -> bytes:
    """The key's signature; by RFC 6979 where OpenSSL can, so that the same folder and key give the same bytes."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return private.sign(what, ecdsa(private.public_key(), deterministic=True))
    except UnsupportedAlgorithm:  # OpenSSL before 3.2
        return private.sign(what, ecdsa(private.public_key()))


def ecdsa(public: ec.EllipticCurvePublicKey, deterministic: bool = False) -> ec.ECDSA:
    """The hash that goes with each curve, by sigstore's specification."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    by_size = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    return ec.ECDSA(by_size[public.curve.key_size], deterministic_signing=deterministic)


def hint(public: ec.EllipticCurvePublicKey) -> str:
    """By what the format names a key: the sha256 of its PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def read(key: Path) -> bytes:
    """Raises UsageError."""
    try:
        with key.open("rb") as f:
            raw = f.read(LARGEST)
    except OSError as e:
        raise UsageError(f"the key {str(key)!r} cannot be read: {e.strerror}") from None
    return raw


def private(raw: bytes, key: Path, passphrase: Callable[[], str]) -> ec.EllipticCurvePrivateKey:
    """The private key that was read from `key`; `passphrase` is asked where it has one. Raises UsageError."""
    _needed()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        try:
            found = load_pem_private_key(raw, None)
        except TypeError:  # it has a passphrase
            found = load_pem_private_key(raw, passphrase().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        what = f"{str(key)!r} is no private key in PEM, or its passphrase is another"
        raise UsageError(f"{what}; to make one: {MAKE}") from None
    _fits(found.public_key(), key)
    return found  # type: ignore[return-value]


def public(key: Path) -> ec.EllipticCurvePublicKey:
    """The public key in a file. Raises UsageError."""
    _needed()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    raw = read(key)
    if b"PRIVATE KEY-----" in raw:
        raise UsageError(f"{str(key)!r} is a private key; what is needed is the public one: {PUBLIC}")
    try:
        found = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{str(key)!r} is no public key in PEM; to write it: {PUBLIC}") from None
    _fits(found, key)
    return found  # type: ignore[return-value]


def _fits(public: Any, key: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    curves = ("secp256r1", "secp384r1", "secp521r1")
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in curves:
        what = f"{str(key)!r} is no key on one of the curves P-256, P-384, P-521"
        raise UsageError(f"{what}; to make one: {MAKE}")


def _needed() -> None:
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError:
        raise extras.Missing("signatures need cryptography", extras.install("sign")) from None
