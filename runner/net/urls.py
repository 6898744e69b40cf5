"""Addresses, in the one form that is checked, sent and kept; and what is secret in a request.

One parser decides what an address means, and what goes over the wire is made of its parts: nothing is checked in
one reading and sent in another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, quote_plus, unquote_plus, urlencode

import httpx

from runner.errors import safe
from runner.fetching import Unfetched
from runner.scrub import Scrubber

LONGEST = 8000
PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_-]([a-z0-9_.-]*[a-z0-9_.-])?|[0-9a-f:.]+")


@dataclass(frozen=True)
class Address:
    """An http(s) address without user, password or fragment; `host` is ASCII, an IPv6 one without brackets."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query, percent-encoded."""

    @property
    def place(self) -> str:
        """The host as people write it: with its port where that is not the usual one. What a pace is kept for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.place}{self.target}"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def at(self, target: str) -> Address:
        return replace(self, target=target)


def parse(text: str) -> Address:
    """Raises Unfetched for what is no plain http(s) address."""
    if len(text) > LONGEST:
        raise Unfetched(f"the address is longer than {LONGEST} characters")
    if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise Unfetched("the address holds control characters")
    try:
        url = httpx.URL(text.strip(" "))
    except (httpx.InvalidURL, ValueError) as e:
        raise Unfetched(f"this is no address: {safe(str(e))}") from None
    return _checked(url)


def join(base: Address, reference: str) -> Address:
    """Where a Location or link of `base` leads. Raises Unfetched."""
    if len(reference) > LONGEST:
        raise Unfetched(f"a link is longer than {LONGEST} characters")
    try:
        return parse(str(httpx.URL(base.text).join(reference)))
    except (httpx.InvalidURL, ValueError):
        raise Unfetched("a link is no address") from None


def _checked(url: httpx.URL) -> Address:
    if url.scheme not in PORTS:
        raise Unfetched(f"only http and https addresses are fetched, not {safe(url.scheme)[:20] or 'others'}")
    if url.userinfo:
        raise Unfetched("an address may not hold a user or password")
    host = url.raw_host.decode("ascii").lower()
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise Unfetched("the address has no proper host name")
    port = PORTS[url.scheme] if url.port is None else url.port
    if not 0 < port < 65536:
        raise Unfetched(f"there is no port {port}")
    return Address(url.scheme, host, port, url.raw_path.decode("ascii"))


class Secrets:
    """Query parameters and headers that are sent, but never shown, kept, or told to another host."""

    def __init__(self, private: Mapping[str, str], headers: Mapping[str, str]) -> None:
        self.private, self.headers = dict(private), dict(headers)
        values = [*self.private.values(), *self.headers.values()]
        values += [word for value in self.headers.values() for word in value.split()]  # of "Bearer KEY"
        spelled = {s for v in values for s in (v, quote(v, safe=""), quote(v), quote_plus(v))}
        # A secret of three letters would be found in half of all texts; parameters go by their names too.
        self._shown = sorted((s for s in spelled if len(s) > 3), key=len, reverse=True)
        self.scrubber = Scrubber(
            [*self.private.values(), *(w for v in self.headers.values() for w in v.split()[-1:])]
        )
        """Covers them in what comes back: a server may say what it was sent."""

    def hide(self, text: str) -> str:
        """The text with every secret in it blotted out."""
        for secret in self._shown:
            text = text.replace(secret, "***")
        return self.scrubber.text(text)

    def strip(self, address: Address) -> Address:
        """The address as it may be shown and kept: a server may have put our secrets into its Location."""
        path, mark, query = address.target.partition("?")
        kept = [
            piece for piece in query.split("&") if unquote_plus(piece.partition("=")[0]) not in self.private
        ]
        query = "&".join(kept)
        return address.at(self.hide(path + (mark and query and f"?{query}")))

    def sent(self, address: Address) -> Address:
        """The address with the private parameters, as its own server gets it."""
        if not self.private:
            return address
        return address.at(f"{address.target}{'&' if '?' in address.target else '?'}{urlencode(self.private)}")
