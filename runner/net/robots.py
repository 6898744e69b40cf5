"""robots.txt (RFC 9309): read once per origin, before anything else is asked there; good for a day.

None there (4xx) and a web page in its place mean no rules; one that cannot be read now (5xx, no connection, 429)
means that nothing may be fetched. `Crawl-delay` and `Request-rate` slow the pace.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from protego import Protego

from runner.fetching import Unfetched
from runner.net.body import is_html
from runner.net.failures import NotPublic, Refused, Stopped
from runner.net.pace import Pace, Stop
from runner.net.urls import Address

NAME = "mirepoix"
MOST = 1 << 20
GOOD_FOR = 86400.0
"""Seconds after which a kept one is asked for again."""


def absent(refused: Refused) -> bool:
    """Whether a server that gives no robots.txt has none."""
    return 400 <= refused.status < 500 and refused.status != 429


def parse(raw: bytes) -> Protego:
    return Protego.parse("" if is_html(raw) else raw.decode("utf-8-sig", "replace"))


def delay(rules: Protego) -> float:
    """Seconds between two requests that the rules ask for."""
    asked = [rules.crawl_delay(NAME) or 0.0]
    if (rate := rules.request_rate(NAME)) and rate.requests > 0:
        asked.append(rate.seconds / rate.requests)
    return max((s for s in asked if math.isfinite(s)), default=0.0)


class _Once:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rules: Protego | Unfetched | None = None


class Robots:
    """`fetch` brings the bytes of a robots.txt, or raises Unfetched."""

    def __init__(self, fetch: Callable[[Address, Stop], bytes], pace: Pace) -> None:
        self._fetch, self._pace = fetch, pace
        self._lock = threading.Lock()
        self._origins: dict[tuple[str, str, int], _Once] = {}

    def check(self, address: Address, stop: Stop) -> None:
        """Raises Unfetched where the address may not be fetched."""
        if address.path == "/robots.txt":
            return
        with self._lock:
            once = self._origins.setdefault(address.origin, _Once())
        with once.lock:
            if once.rules is None:
                once.rules = self._read(address, stop)
            rules = once.rules
        if isinstance(rules, Unfetched):
            raise Unfetched(str(rules), transient=rules.transient)
        if not rules.can_fetch(address.text, NAME):
            raise Unfetched(f"robots.txt of {address.place} forbids it", gone=True)

    def _read(self, address: Address, stop: Stop) -> Protego | Unfetched:
        try:
            rules = parse(self._fetch(address.at("/robots.txt"), stop))
        except Stopped:
            raise
        except NotPublic as e:
            return e
        except Refused as e:
            if absent(e):
                return Protego.parse("")
            return _unreadable(address, e)
        except Unfetched as e:
            return _unreadable(address, e)
        try:
            self._pace.slow(address.place, delay(rules))
        except Unfetched as e:
            return e
        return rules


def _unreadable(address: Address, why: Unfetched) -> Unfetched:
    return Unfetched(f"robots.txt of {address.place} cannot be read: {why}", transient=why.transient)
