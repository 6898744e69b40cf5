"""The guarded client: what is kept is served, what is missing is fetched, gently, whole or not at all."""

from __future__ import annotations

import re
import ssl
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType

import stamina
from stamina.instrumentation import set_on_retry_hooks

from runner.errors import StepError
from runner.fetching import Got, Keep, Unfetched
from runner.net import urls
from runner.net.away import Setup, loopback
from runner.net.cache import Cache, Entry
from runner.net.errand import Ask, Errand, Sender
from runner.net.failures import Again, Lost, Refused, TooMuch
from runner.net.guard import Guard
from runner.net.hop import Exchange
from runner.net.lanes import Lanes
from runner.net.pace import Pace, Stop, number
from runner.net.remote import Remote
from runner.net.robots import GOOD_FOR, Robots, absent
from runner.net.robots import MOST as ROBOTS_MOST
from runner.net.transfer import Transfer
from runner.net.urls import Secrets
from runner.net.watched import Budget, Limits
from runner.net.wire import Wire
from runner.settings import Settings

WORKERS = 16
AHEAD = 32
WORKERS_AWAY = 256
"""Threads where others send the requests: they do nothing but wait."""
AHEAD_AWAY = 4096
"""Of lists that go host by host, many hosts are to be asked at once."""
PROGRESS = 1 << 20
"""A cut connection that brought so many bytes is gone on with at once, and counts for no attempt."""
_OURS = {
    "accept", "accept-encoding", "connection", "content-length", "host", "if-range", "range", "transfer-encoding",
    "user-agent",
}  # fmt: skip
_NONE: Mapping[str, str] = MappingProxyType({})


class Client:
    """The network half of `runner.fetching.Fetcher`, for one store folder. May be used from several threads.

    `refresh` asks again, once and conditionally, for what is kept as "normal". `ahead` is how many `get_all` asks for
    before the first of them is taken: with 1, none before it is needed. `progress` gets a line when there is
    something to wait for, from any thread. `away` makes a line to other processes, which then send what `get_all` asks
    for (`runner.net.remote`); the turns of hosts are given here all the same. Raises UsageError for settings that make
    no sense.
    """

    def __init__(
        self,
        settings: Settings,
        root: Path,
        *,
        refresh: bool = False,
        ahead: int = AHEAD,
        progress: Callable[[str], None] | None = None,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        away: Callable[[], Connection] | None = None,
    ) -> None:
        set_on_retry_hooks(())  # else stamina logs each retry, on stdout where structlog is installed
        self._limits = limits or Limits()
        guard = Guard(settings)
        pace, self._at_once = number(settings, "pace"), max(1, int(number(settings, "at_once")))
        say = progress or (lambda _: None)
        self._pace = Pace(pace, self._at_once, self._limits.longest_closed, say)
        self._robots = Robots(self._robots_txt, self._pace)
        wire = Wire(guard, self._limits, settings["proxy"], tls)
        self._cache = Cache(root)
        self._cache.sweep()
        self._here = Exchange(wire, self._cache, self._limits, agent(settings))
        self._transfer = Transfer(self._here, guard, self._pace, self._robots, self._limits)
        self._away: Remote | None = None
        if away is not None and not settings["proxy"]:  # a proxy may have a password, and knows us
            there = root.parent.resolve() / root.name  # as the others see it, who need not have our links
            setup = Setup(there, guard.named, self._limits, agent(settings), loopback())
            self._away = Remote(away, setup)
        self._refresh = refresh
        self._ahead = ahead
        self._ranks = count(1)
        self._too_much: dict[str, tuple[int, str]] = {}
        self._asked: set[str] = set()
        self._replayed: set[str] = set()
        self._stop = Stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way; nothing is fetched after it."""
        self._stop.set()
        if self._away is not None:
            self._away.close()

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        private: Mapping[str, str] = _NONE,
        headers: Mapping[str, str] = _NONE,
        body: bytes | None = None,
        robots: bool = True,
    ) -> Got:
        """As `Fetcher.get`. `robots=False` is for documented APIs alone: robots.txt of their own host is not asked."""
        secrets = Secrets(private, headers)
        try:
            ask = _ask(url, accept, most, keep, secrets, body, robots, next(self._ranks))
            return self._get(ask, self._stop)
        except Unfetched as e:
            e.gone = e.gone and robots  # an API that has no such thing is not the one that was meant
            if (hidden := secrets.hide(str(e))) != str(e):  # a server may say what we sent
                raise Unfetched(hidden, transient=e.transient, gone=e.gone) from None
            raise

    def get_all(
        self,
        urls: Iterable[str],
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        robots: bool = True,
    ) -> Generator[tuple[str, Got | Unfetched]]:
        """As `Fetcher.get_all`. Takes a bounded number of `urls` ahead; closing the iterator ends its threads."""
        stop = Stop(self._stop)
        away = self._away

        def one(url: str, rank: int) -> Got | Unfetched:
            try:
                ask = _ask(url, accept, most, keep, Secrets({}, {}), None, robots, rank)
                return self._get(replace(ask, apart=away is not None), stop)
            except Unfetched as e:
                e.gone = e.gone and robots
                return e

        waiting: deque[tuple[str, Future[Got | Unfetched]]] = deque()
        threads, ahead = min(WORKERS, self._ahead), self._ahead
        each = threads
        if away is not None:  # more than the host lets in: some are on their way to where redirects led them
            threads, ahead, each = WORKERS_AWAY, AHEAD_AWAY, self._at_once + 1
        lanes = Lanes(threads, each)
        try:
            for url in urls:
                if away is not None and not away.started and self._missing(url, accept, most, keep):
                    away.start()  # not in a thread: what it starts ends by signals that we alone hear
                lane = _lane(url) if away is not None else ""
                waiting.append((url, lanes.submit(lane, partial(one, url, next(self._ranks)))))
                if len(waiting) >= ahead:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            stop.set()
            lanes.end()

    def forget(self, got: Got) -> None:
        """As `Fetcher.forget`. The bytes stay; another request may have brought the same. A recording that was there
        before stays too: who has no use for it need not be the one that recorded it."""
        if got.request in self._replayed:
            return
        self._cache.forget(got.request)
        self._asked.discard(got.request)

    def store(self, chunks: Iterable[bytes]) -> str:
        """Keep bytes that came some other way; their sha256."""
        return self._cache.store(chunks)

    def path(self, sha256: str) -> Path:
        """The raw bytes of a digest. Raises LookupError if they are not here."""
        path = self._cache.path(sha256)
        if not path.is_file():
            raise LookupError(f"no bytes are kept under {sha256}")
        return path

    def _robots_txt(self, address: urls.Address, stop: Stop) -> bytes:
        ask = Ask(address, "text/plain, */*;q=0.5", ROBOTS_MOST, "live", Secrets(_NONE, _NONE), None, "is it")
        if not self._refresh and self._cache.age(ask.key, absent=True) <= GOOD_FOR:
            return b""
        try:
            found = self._get(ask, stop).bytes()
        except Refused as e:
            if absent(e):
                self._cache.note_absent(ask.key)
                return b""
            raise
        self._cache.note_absent(ask.key, no_longer=True)
        return found

    def _get(self, ask: Ask, stop: Stop) -> Got:
        try:
            return self._got(ask, self._entry(ask, stop))
        except OSError as e:  # what is wrong on the network is an Unfetched
            raise StepError("fetch", f"cannot write what was fetched: {e.strerror or e}") from None

    def _got(self, ask: Ask, entry: Entry) -> Got:
        if entry.size > ask.most:
            raise TooMuch(f"it has {entry.size:,} bytes, more than the {ask.most:,} allowed")
        path = self._cache.path(entry.sha256)
        return Got(
            url=entry.final,
            path=path,
            sha256=entry.sha256,
            content_type=entry.content_type,
            charset=entry.charset,
            robots=entry.robots,
            request=ask.key,
            proven=entry.proven,
        )

    def _anew(self, ask: Ask) -> bool:
        """Whether a kept answer will not do."""
        if ask.robots == "is it":
            return self._refresh or self._cache.age(ask.key) > GOOD_FOR
        if ask.keep == "normal":
            return self._refresh and ask.key not in self._asked
        return ask.keep == "live"

    def _missing(self, url: str, accept: str, most: int, keep: Keep) -> bool:
        """Whether a request will have to be sent, as far as can be told at a glance."""
        try:
            ask = _ask(url, accept, most, keep, Secrets({}, {}), None, True, 0)
        except Unfetched:
            return False
        return self._anew(ask) or not self._cache.has(ask.key)

    def _entry(self, ask: Ask, stop: Stop) -> Entry:
        if not self._anew(ask) and (kept := self._cache.kept(ask.key)):
            if ask.keep == "recorded" and ask.key not in self._asked:
                self._replayed.add(ask.key)
            return kept
        with self._cache.holding(ask.key, stop) as part:
            kept, anew = self._cache.kept(ask.key), self._anew(ask)
            if kept and not anew:  # another thread or process was faster
                return kept
            tried, why = self._too_much.get(ask.key, (-1, ""))
            if tried >= ask.most:
                raise TooMuch(why)
            left = part.whole.exists() and not anew  # we were killed just before keeping it
            try:
                if left:
                    entry = self._here.keep(Errand(ask, ask.address, ask.key, kept, 0))
                elif (brought := self._bring(ask, kept, stop)) is not None:
                    entry = brought
                else:
                    assert kept is not None
                    entry = kept
                    self._cache.renew(ask.key)
            except TooMuch as e:
                self._too_much[ask.key] = ask.most, str(e)
                raise
            self._asked.add(ask.key)
            return entry

    def _bring(self, ask: Ask, kept: Entry | None, stop: Stop) -> Entry | None:
        """As `Transfer.attempt`, as often as it makes sense."""
        limits, budget = self._limits, Budget(self._limits.total + ask.most / self._limits.steady)
        sender: Sender = self._away if self._away is not None and ask.apart else self._here
        parts = [sender.part(ask.key, 0)]
        try:
            for attempt in stamina.retry_context(
                on=lambda e: isinstance(e, Again) and not stop.is_set(),
                attempts=limits.attempts,
                timeout=None,
                wait_initial=limits.first_wait,
                wait_max=limits.longest_wait,
                wait_jitter=limits.jitter,
            ):
                with attempt:
                    while True:
                        try:
                            return self._transfer.attempt(ask, sender, parts[-1], kept, budget, stop)
                        except Unfetched as e:
                            if isinstance(e, Lost):
                                parts.append(sender.part(ask.key, len(parts)))
                            elif not e.transient:
                                self._cache.part(parts[-1]).clear()
                            if not isinstance(e, Again) or e.grew < PROGRESS:
                                raise
        finally:
            for part in parts if sender.apart else ():
                self._cache.part(part).clear()
        raise AssertionError("unreachable")


def agent(settings: Settings) -> str:
    """The one user agent: who asks, and where to complain."""
    contact = re.sub(r"[^\x21-\x7e]|[()\\]", "", settings["contact"])
    return f"mirepoix/{version('mirepoix')}" + (f" (+{contact})" if contact else "")


def _lane(url: str) -> str:
    """What an address waits with; it may be none at all."""
    try:
        return urls.parse(url).place
    except Unfetched:
        return ""


def _ask(
    url: str,
    accept: str,
    most: int,
    keep: Keep,
    secrets: Secrets,
    body: bytes | None,
    robots: bool,
    rank: int,
) -> Ask:
    for name, value in secrets.headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or name.lower() in _OURS:
            raise ValueError(f"a source may not set the header {name!r}")
        if not re.fullmatch(r"[\x20-\x7e\xa0-\xff]*", value):
            raise Unfetched(f"the value for the header {name} holds what HTTP cannot say")
    address = secrets.strip(urls.parse(url))
    return Ask(address, accept, most, keep, secrets, body, "ask" if robots else "elsewhere", rank)
