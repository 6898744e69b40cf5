"""Which addresses may be reached: public ones, and the HOST:PORT pairs that the user's own settings name.

A recipe, a page or a redirect may name any host; a name may mean another address each time it is looked up. So a
host is looked up once, when the connection is made, every address that comes back is checked, and the connection
goes to a checked address, never to the name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from runner.errors import UsageError
from runner.fetching import Unfetched
from runner.net import urls
from runner.net.failures import Again, NotHere, NotPublic
from runner.net.pace import number
from runner.settings import SETTINGS, Settings

IP = IPv4Address | IPv6Address
_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
# What `is_global` of some Python versions lets pass: the 6to4 relay, documentation.
_NOT_PUBLIC = (ip_network("192.88.99.0/24"), ip_network("3fff::/20"))
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")


def public(ip: IP) -> bool:
    """Whether an address belongs to the public internet, also as an IPv6 address that means an IPv4 one."""
    if any(ip.version == n.version and ip in n for n in _NOT_PUBLIC) or ip.is_multicast:
        return False
    if isinstance(ip, IPv4Address):
        return ip.is_global
    if ip in _NAT64:
        return public(IPv4Address(int(ip) & 0xFFFFFFFF))
    if (inner := ip.ipv4_mapped or ip.sixtofour) is not None:
        return public(inner)
    return ip in _UNICAST and ip.is_global


def _own(ip: IP) -> bool:
    """Whether an address means another machine on each machine, or on each wire."""
    inner = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    ip = inner or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified


def literal(host: str) -> IP | None:
    """The address that a host is, or None for a name. Raises Unfetched for 0x7f.1, 2130706433 and their like."""
    try:
        return ip_address(host)
    except ValueError:
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):  # what the C library reads as an address
            raise Unfetched(f"{host!r} is an address written in an odd way") from None
        return None


def lookup(host: str, port: int) -> list[IP]:
    """The addresses of a name. Raises Unfetched."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as e:
        if e.errno == socket.EAI_AGAIN:
            raise Again(f"the name {host!r} cannot be looked up now") from None
        raise Unfetched(f"there is no host {host!r}", transient=True) from None
    except (OSError, UnicodeError):
        raise Unfetched(f"there is no host {host!r}") from None
    # A scope ("fe80::1%2") is never public; without it the address says so.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _pair(name: str, address: str) -> tuple[str, int]:
    try:
        # The proxy's alone may hold a password, which is of no concern here.
        parsed = urls.parse(re.sub(r"//[^/@]*@", "//", address) if name == "proxy" else address)
    except Unfetched as e:
        raise UsageError(f"setting {name}: {e}") from None
    return parsed.host, parsed.port


def _named(settings: Settings) -> Iterator[tuple[str, int]]:
    for name, setting in SETTINGS.items():
        value = settings[name]
        # A default is a public service, and whoever meddles with its name must not reach into our network.
        if setting.address and name != "proxy" and value and value != setting.default:
            yield _pair(name, value)
    for url, _ in settings.endpoints.values():
        yield _pair("endpoints", url)
    for pair in filter(None, map(str.strip, settings["allow"].split(","))):
        if not re.fullmatch(r"(\[[^]]+\]|[^\[\]:/@]+):\d+", pair):
            raise UsageError(f"setting allow: {pair!r}: write HOST:PORT")
        yield _pair("allow", f"http://{pair}")


def check(settings: Settings) -> None:
    """Raises UsageError for settings that no fetch could use, before there is one."""
    Guard(settings)
    for name in ("pace", "at_once"):
        number(settings, name)


class Guard:
    """Says to which addresses a connection may be made. Raises UsageError for settings that name none."""

    def __init__(self, settings: Settings) -> None:
        self.named = frozenset(_named(settings))
        self._proxy = _pair("proxy", settings["proxy"]) if settings["proxy"] else None
        self._here = True

    @classmethod
    def of(cls, named: frozenset[tuple[str, int]], here: bool) -> Guard:
        """The guard of somebody else's settings. `here`: on his machine. On another one an address of the machine
        itself means another machine than he allowed."""
        guard = cls.__new__(cls)
        guard.named, guard._proxy, guard._here = named, None, here
        return guard

    def addresses(self, host: str, port: int) -> list[IP]:
        """The checked addresses of a host, to connect to one of them. Raises Unfetched."""
        ip = literal(host)
        found = lookup(host, port) if ip is None else [ip]
        if (host, port) not in self.named and (host, port) != self._proxy:
            _all_public(host, found)
        elif not self._here and any(_own(ip) for ip in found):
            raise NotHere(f"{host} is an address of the machine itself")
        return found

    def behind_proxy(self, host: str, port: int) -> None:
        """What can be checked where a proxy makes the connection: addresses, and names that we can look up too.

        A name that only the proxy knows is the proxy's business. Raises Unfetched.
        """
        if (host, port) in self.named:
            return
        if f".{host.rstrip('.')}".endswith(".localhost"):
            raise NotPublic(f"{host} is not a public host")
        ip = literal(host)
        try:
            found = lookup(host, port) if ip is None else [ip]
        except Unfetched:
            return
        _all_public(host, found)


def _all_public(host: str, found: list[IP]) -> None:
    for address in found:
        if not public(address):
            of = "" if str(address) == host else f" of {host}"
            raise NotPublic(f"the address {address}{of} is not a public one")
