"""Files of stores that are not on the web (s3://, sftp:// …), which only the user's settings open.

The guarded client speaks http(s) alone. Other schemes go through fsspec's drivers with the user's own credentials, to
whatever host or bucket a recipe names: so none is allowed until the setting `filesystems` says so, and none that
reads this machine, the web past the client, or other addresses out of the file itself, can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import urlsplit

from runner.errors import UsageError
from runner.fetching import Fetcher, Unfetched
from runner.objectstore import SCHEMES

SETTING = "filesystems"
_CHUNK = 1 << 20


def scheme_of(url: str) -> str:
    """An address's scheme if it is one of SCHEMES, else "". fsspec's chains (`a::b`) have none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.scheme if parts.scheme in SCHEMES and parts.netloc and "::" not in url else ""


def allowed(setting: str) -> set[str]:
    """The schemes that the user allows. Raises UsageError for one that cannot be."""
    named = {name.strip().lower() for name in setting.split(",")} - {""}
    for name in sorted(named - set(SCHEMES)):
        raise UsageError(f"setting {SETTING}: {name!r} is none of {', '.join(SCHEMES)}")
    return named


def read(net: Fetcher, url: str, most: int) -> str:
    """Keep the bytes of an address that is allowed; their sha256. Raises Unfetched."""
    scheme = scheme_of(url)
    try:
        from fsspec.registry import (  # type: ignore[import-untyped,unused-ignore]
            get_filesystem_class,
            known_implementations,
        )
    except ImportError:
        raise Unfetched(f"{scheme}:// needs fsspec: pip install fsspec") from None
    try:
        driver = get_filesystem_class(scheme)
    except ImportError as e:
        needs = known_implementations.get(scheme, {}).get("err") or str(e)
        raise Unfetched(f"{scheme}:// needs a driver: {needs}") from None
    try:
        store = driver(**driver._get_kwargs_from_urls(url))
        with store.open(driver._strip_protocol(url), "rb") as file:
            return net.store(_chunks(file, most))
    except Unfetched:
        raise
    except Exception as e:  # each driver has errors of its own
        why = str(e).splitlines()[0][:200] if str(e) else "no reason given"
        raise Unfetched(f"it cannot be read: {type(e).__name__}: {why}") from None


def _chunks(file: BinaryIO, most: int) -> Iterator[bytes]:
    size = 0
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > most:
            raise Unfetched(f"it has more than the {most:,} bytes allowed")
        yield chunk
