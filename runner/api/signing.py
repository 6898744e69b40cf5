"""Who wrote a folder: signatures over all of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.api.common import Name, settings_of, told

if TYPE_CHECKING:
    from runner.results.signing import Checked

SIGNATURE = "model.sig"
"""What a signature is called in its folder."""


@told
def sign(folder: Name, key: Name | None = None, passphrase: Callable[[], str] | None = None) -> Checked:
    """Sign all files of a folder that was exported; `key` is a private one in PEM, by default that of `signing_key`.

    Its passphrase, where it has one, is the setting signing_passphrase, else what `passphrase` gives. Raises
    UsageError.
    """
    from runner.results import signing

    signer = signing.signer(None if key is None else Path(key), settings_of(), passphrase)
    return signing.sign(Path(folder), signer.key, signer.passphrase)


@told
def verify(folder: Name, key: Name) -> Checked:
    """Whether a folder is, file by file, what the owner of a public key (PEM) signed: `.holds`, `.faults`."""
    from runner.results import signing

    return signing.verify(Path(folder), Path(key))
