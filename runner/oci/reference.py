"""References to packs in registries. Only one with a digest says what it stands for; a tag may be moved."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address

SCHEME = "oci://"
LONGEST = 512
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TEXT = re.compile(
    rf"oci://(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?)"
    rf"/(?P<name>{_PART}(?:/{_PART})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}))?"
    r"(?:@sha256:(?P<digest>[0-9a-f]{64}))?\Z"
)
FORM = "oci://HOST/NAME:TAG or oci://HOST/NAME@sha256:…"


@dataclass(frozen=True)
class Reference:
    """`host` with its port, where it has one; `tag` and `digest` (64 hexadecimal digits) are empty where none is."""

    host: str
    name: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@sha256:{self.digest}" if self.digest else ""
        return f"{SCHEME}{self.host}/{self.name}{tag}{digest}"

    def at(self, digest: str) -> Reference:
        """The same pack, pinned: what a recipe may extend."""
        return replace(self, tag="", digest=digest)

    @property
    def address(self) -> tuple[str, int]:
        """The registry's host, as people write it, and its port."""
        found = re.fullmatch(r"(.+?)(?::([0-9]+))?", self.host)
        assert found is not None
        return found[1], int(found[2] or (80 if is_loopback(found[1].strip("[]")) else 443))

    @property
    def here(self) -> bool:
        """Whether the registry is this very machine: only that is spoken to without TLS."""
        return is_loopback(self.address[0].strip("[]"))


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse(text: str) -> Reference | None:
    """The reference that a text is; None where it is none."""
    found = _TEXT.match(text) if len(text) <= LONGEST else None
    if found is None:
        return None
    return Reference(found["host"].lower(), found["name"], found["tag"] or "", found["digest"] or "")
