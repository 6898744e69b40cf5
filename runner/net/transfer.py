"""One attempt at one item: redirects by hand, only what is missing or new, and nothing but the whole.

The rules of a hop. Its address is checked like the first one; robots.txt is asked; secrets go along only to the
same scheme, host and port. From https it does not fall back to http: where the same host says http, https is
asked instead (Gutenberg's own site answers so); another HOST:PORT only if the user's settings name it. A POST is
repeated only at its own origin.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from typing import Literal

import msgspec

from runner.errors import safe
from runner.fetching import Keep, Unfetched
from runner.net import body, urls
from runner.net.cache import Entry, Facts, Part
from runner.net.failures import Again, Refused, TooMuch
from runner.net.guard import Guard
from runner.net.pace import Pace, Stop, retry_after
from runner.net.robots import Robots
from runner.net.urls import Address, Secrets
from runner.net.watched import Budget, Limits
from runner.net.wire import Answer, Wire
from runner.store import digest

REDIRECTS = {301, 302, 303, 307, 308}
TRY_AGAIN = {408, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_NO_RANGE = re.compile(r"bytes \*/(\d{1,18})", re.ASCII)
_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]{0,500}"')


@dataclass(frozen=True)
class Ask:
    """One request of a source, checked."""

    address: Address
    accept: str
    most: int
    keep: Keep
    secrets: Secrets
    content: bytes | None = None
    robots: Literal["ask", "elsewhere", "is it"] = "ask"
    """`elsewhere`: robots.txt rules only where a redirect leads to another origin. `is it`: this is a robots.txt."""
    rank: int = 0
    """Its place in the line: of those that wait for a host, the lowest goes first."""

    @property
    def method(self) -> str:
        return "GET" if self.content is None else "POST"

    @property
    def content_sha256(self) -> str:
        return "" if self.content is None else sha256(self.content).hexdigest()

    @cached_property
    def key(self) -> str:
        """Names the request in the cache; secrets are no part of it.

        A recording is kept apart: no other request for the same address may replace it.
        """
        apart = {"keep": "recorded"} if self.keep == "recorded" else {}
        return digest(
            {
                "method": self.method,
                "url": self.address.text,
                "accept": self.accept,
                "body": self.content_sha256,
            }
            | apart
        )

    def clean(self, facts: Facts) -> Facts:
        """What an answer's head says, without what we sent."""
        said = {
            n: v for n in facts.__struct_fields__ if isinstance(v := getattr(facts, n), str) and n != "url"
        }
        return msgspec.structs.replace(facts, **{n: self.secrets.hide(v) for n, v in said.items()})


@dataclass(frozen=True)
class Hop:
    """A request that goes out: where to, from which byte of the part on, or whether only if changed."""

    address: Address
    headers: dict[str, str]
    facts: Facts | None = None
    """Of the part that is resumed."""
    at: int = 0
    conditional: bool = False


class Transfer:
    def __init__(
        self, wire: Wire, guard: Guard, pace: Pace, robots: Robots, limits: Limits, agent: str
    ) -> None:
        self._wire, self._guard, self._pace, self._robots = wire, guard, pace, robots
        self._limits, self._agent = limits, agent

    def attempt(self, ask: Ask, part: Part, kept: Entry | None, budget: Budget, stop: Stop) -> bool:
        """True when the whole stands in `part.whole`; False when what is `kept` still holds. Raises Unfetched."""
        address = ask.address
        for _ in range(self._limits.redirects + 1):
            away = address.origin != ask.address.origin
            if ask.robots == "ask" or (ask.robots == "elsewhere" and away):
                self._robots.check(address, stop)
            hop = self._hop(ask, address, part, kept)
            sent = address if away else ask.secrets.sent(address)
            with (
                self._pace.turn(address.place, stop, ask.rank),
                self._wire.exchange(sent, hop.headers, ask.content, budget, stop) as answer,
            ):
                if answer.status not in REDIRECTS or not answer.get("location"):
                    return self._take(ask, hop, answer, part)
                answer.start(1 << 16)
                address = self._next(ask, address, answer)
        raise Unfetched(f"more than {self._limits.redirects} redirects")

    def _hop(self, ask: Ask, address: Address, part: Part, kept: Entry | None) -> Hop:
        headers = {
            "User-Agent": self._agent,
            "Accept": ask.accept,
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if ask.content is not None:
            headers["Content-Type"] = "application/json"
        if address.origin == ask.address.origin:
            headers |= ask.secrets.headers
        facts = part.facts()
        if facts and facts.resume and facts.url == address.text:
            # Of a part that seems to have all its bytes the next one is asked for, which brings none: nobody knows how
            # the answer ended, and a server that had announced too few tells so now.
            at = part.size()
            if at > 0:
                headers |= {"Range": f"bytes={at}-", "If-Range": facts.resume}
                return Hop(address, headers, facts, at)
        if kept and kept.final == address.text and ask.content is None:
            if kept.etag:
                headers["If-None-Match"] = kept.etag
            if kept.last_modified:
                headers["If-Modified-Since"] = kept.last_modified
            return Hop(address, headers, conditional=bool(kept.etag or kept.last_modified))
        return Hop(address, headers)

    def _next(self, ask: Ask, here: Address, answer: Answer) -> Address:
        location = answer.get("location")
        with suppress(UnicodeDecodeError):  # else it is Latin-1, as HTTP says
            location = location.encode("latin-1").decode("utf-8")
        there = ask.secrets.strip(urls.join(here, location))
        if ask.content is not None and (answer.status not in (307, 308) or there.origin != here.origin):
            raise Unfetched(f"a POST is redirected to {there.place}")
        return stay_secure(here, there, self._guard)

    def _take(self, ask: Ask, hop: Hop, answer: Answer, part: Part) -> bool:
        if answer.status == 304 and hop.conditional:
            return False
        if answer.status == 416 and hop.facts and _all_there(hop, hop.facts, answer):
            answer.start(1 << 16)
            part.note(msgspec.structs.replace(hop.facts, total=hop.at, proven=True))
            part.complete()
            return True
        if answer.status == 206 and hop.facts:
            end, total = self._range(hop, hop.facts, answer, part)
        elif answer.status == 200 or (answer.status == 201 and ask.content is not None):
            facts = ask.clean(_facts(hop.address, answer))
            if ask.robots != "is it":
                body.check_type(facts.content_type, ask.accept)
            end = total = facts.total
        else:
            raise self._refusal(ask, hop, answer, part)
        if total > ask.most:
            part.clear()
            raise TooMuch(f"it has {total:,} bytes, more than the {ask.most:,} allowed")
        chunks = ask.secrets.scrubber.stream(answer.chunks()) if ask.secrets.scrubber else answer.chunks()
        if answer.status == 206:
            part.append(hop.at, chunks, ask.most)
        else:
            part.begin(facts)
            part.append(0, chunks, ask.most)
        if answer.lied() or 0 <= end < part.size():
            part.clear()
            raise Unfetched("more bytes came than the server had announced")
        if part.size() < total:
            raise Again(f"{hop.address.place} sent less than it had announced")
        if answer.status == 206 and hop.facts:
            part.note(msgspec.structs.replace(hop.facts, total=total, proven=True))
        part.complete()
        return True

    def _range(self, hop: Hop, facts: Facts, answer: Answer, part: Part) -> tuple[int, int]:
        """Where the bytes that come end, and the whole. Raises Again if they do not fit what is there."""
        match = _RANGE.fullmatch(answer.get("content-range").strip())
        first, last, total = map(int, match.groups()) if match else (-1, -1, -1)
        fits = (
            first == hop.at
            and first <= last < total
            and facts.total in (-1, total)
            and answer.length in (-1, last - first + 1)
            and answer.get("etag") in ("", facts.etag)
            and not body.encoding_of(answer.get("content-encoding"))
        )
        if not fits:
            part.clear()
            raise Again("the rest that came does not fit what was there")
        return last + 1, total

    def _refusal(self, ask: Ask, hop: Hop, answer: Answer, part: Part) -> Unfetched:
        status, place = answer.status, hop.address.place
        if status == 416 and hop.facts:
            part.clear()
            return Again("it could not be resumed")
        seconds = None
        if status in (429, 503) and (asked := answer.get("retry-after")):
            seconds = retry_after(asked, answer.get("date"))
        if seconds is not None:
            self._pace.close(place, seconds)
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        reason = f"HTTP {status} {phrase}".strip()
        if said := _said(answer):
            reason += f": {said}"
        if seconds is not None and seconds > self._limits.longest_closed:
            return Unfetched(f"{reason}; {self._pace.closed(place, seconds)}", transient=True)
        if status in TRY_AGAIN:
            return Again(reason)
        return Refused(status, reason, transient=status >= 500)


def _all_there(hop: Hop, facts: Facts, answer: Answer) -> bool:
    """Whether a server that has nothing beyond a part says that the part is the whole."""
    match = _NO_RANGE.fullmatch(answer.get("content-range").strip())
    same = answer.get("etag") in ("", facts.etag)
    return match is not None and int(match[1]) == hop.at and facts.total in (-1, hop.at) and same


def stay_secure(here: Address, there: Address, guard: Guard) -> Address:
    """Where a redirect leads, without falling back from https to http. Raises Unfetched."""
    if (here.scheme, there.scheme) == ("https", "http"):
        if (there.host, there.port, here.port) == (here.host, 80, 443):
            return replace(there, scheme="https", port=443)
        if (there.host, there.port) not in guard.named:
            raise Unfetched(f"redirected from https to plain http, {there.place}")
    return there


def _said(answer: Answer) -> str:
    """What an API says in an error of its own, on one line; "" for pages."""
    text = answer.start(1 << 16)
    if "json" not in body.content_type(answer.get("content-type"))[0]:
        return ""
    try:
        said = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return ""
    for name in ("error", "reason", "detail", "message"):
        if isinstance(said, dict) and isinstance(found := said.get(name), (str, dict)):
            said = found
    return safe(" ".join(said.split()))[:200].rstrip(".") if isinstance(said, str) else ""


def _facts(address: Address, answer: Answer) -> Facts:
    kind, charset = body.content_type(answer.get("content-type"))
    encoding = body.encoding_of(", ".join(answer.all("content-encoding")))
    etag = etag if _ETAG.fullmatch(etag := answer.get("etag").strip()) else ""
    modified, date = _seconds(answer.get("last-modified")), _seconds(answer.get("date"))
    resume = ""
    if not encoding and answer.get("accept-ranges").strip().lower() != "none":
        if etag and not etag.startswith("W/"):
            resume = etag
        elif modified is not None and date is not None and date - modified >= 60:
            resume = answer.get("last-modified")  # a change within the same second would not show
    return Facts(
        url=address.text,
        content_type=safe(kind)[:200],
        charset=safe(charset)[:100],
        encoding=encoding,
        etag=etag,
        last_modified=answer.get("last-modified") if modified is not None else "",
        robots=safe(", ".join(answer.all("x-robots-tag")))[:500],
        resume=resume,
        total=answer.length,
        proven=answer.proven,
    )


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date and date.isascii() else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
