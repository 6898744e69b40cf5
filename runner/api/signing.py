"""Who wrote a folder: signatures over all of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.api.common import Name, settings_of, told
from runner.errors import UsageError

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

    settings = settings_of()
    if key is None and not settings["signing_key"]:
        raise UsageError("whose signature? say --key KEY.pem, or set signing_key")

    def said() -> str:
        if known := settings["signing_passphrase"]:
            return known
        if passphrase is None:
            variable = "MIREPOIX_SIGNING_PASSPHRASE"
            raise UsageError(f"the key has a passphrase: set {variable}, or sign in a terminal")
        return passphrase()

    path = Path(key) if key is not None else Path(settings["signing_key"]).expanduser()
    return signing.sign(Path(folder), path, said)


@told
def verify(folder: Name, key: Name) -> Checked:
    """Whether a folder is, file by file, what the owner of a public key (PEM) signed: `.holds`, `.faults`."""
    from runner.results import signing

    return signing.verify(Path(folder), Path(key))
