"""One request, and what becomes of its answer: into the part, and into the store when it is whole.

It is sent here, or by another process that sees the same folder (`runner.net.away`). So it knows nothing of a host's
pace, of robots.txt, or whether a redirect may be followed: that is for who asks for it (`runner.net.transfer`).
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import msgspec

from runner.errors import safe
from runner.fetching import Unfetched
from runner.net import body
from runner.net.cache import VERSION, Cache, Entry, Facts, Part
from runner.net.errand import Ask, Errand, Hop, Outcome
from runner.net.failures import Again, Refused, TooMuch
from runner.net.pace import Stop, Turn, retry_after
from runner.net.urls import Address
from runner.net.watched import Budget, Limits
from runner.net.wire import Answer, Wire
from runner.store import file_digest

REDIRECTS = {301, 302, 303, 307, 308}
TRY_AGAIN = {408, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_NO_RANGE = re.compile(r"bytes \*/(\d{1,18})", re.ASCII)
_ETAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]{0,500}"')


class Exchange:
    """Sends requests from this process."""

    apart = False

    def __init__(self, wire: Wire, cache: Cache, limits: Limits, agent: str) -> None:
        self._wire, self._cache, self._limits, self._agent = wire, cache, limits, agent

    def part(self, key: str, lost: int) -> str:
        return key

    def send(self, errand: Errand, stop: Stop, turn: Turn) -> Outcome:
        """See Sender. What was wrong with the answer comes as the outcome's `error`."""
        part = self._cache.part(errand.part)
        before = part.size()
        try:
            return self._send(errand, part, stop, turn)
        except Unfetched as e:
            facts = part.facts()
            if facts is None or not facts.resume or not e.transient:
                part.clear()
            if isinstance(e, Again):
                e.grew = part.size() - before
            return Outcome(error=e)

    def _send(self, errand: Errand, part: Part, stop: Stop, turn: Turn) -> Outcome:
        ask, address = errand.ask, errand.address
        hop = self._hop(errand, part)
        sent = address if address.origin != ask.address.origin else ask.secrets.sent(address)
        budget = Budget(errand.seconds)
        with self._wire.exchange(sent, hop.headers, ask.content, budget, stop, sent=turn.sent) as answer:
            if answer.status in REDIRECTS and (location := answer.get("location")):
                answer.start(1 << 16)
                return Outcome(elsewhere=(answer.status, location))
            if not self._take(ask, hop, answer, part):
                return Outcome(same=True)
        turn.over()
        return Outcome(entry=self.keep(errand))

    def _hop(self, errand: Errand, part: Part) -> Hop:
        ask, address, kept = errand.ask, errand.address, errand.kept
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
        status = answer.status
        if status == 416 and hop.facts:
            part.clear()
            return Again("it could not be resumed")
        seconds = None
        if status in (429, 503) and (asked := answer.get("retry-after")):
            seconds = retry_after(asked, answer.get("date"))
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        reason = f"HTTP {status} {phrase}".strip()
        if said := _said(answer):
            reason += f": {said}"
        if status in TRY_AGAIN:
            return Again(reason, seconds)
        return Refused(status, reason, status >= 500, seconds)

    def keep(self, errand: Errand) -> Entry:
        """Check what came whole, and keep it. Raises Unfetched."""
        ask, part = errand.ask, self._cache.part(errand.part)
        facts, came = part.facts(), part.whole
        if facts is None:
            part.clear()
            raise Unfetched("what had been fetched was damaged", transient=True)
        try:
            if facts.encoding:
                body.unpack(part.whole, part.plain, facts.encoding, ask.most)
                came = part.plain
                ask.secrets.scrubber.file(came)
            proven = facts.proven or bool(facts.encoding)  # what is packed says where it ends
            if ask.robots != "is it":
                posted, kind = ask.content is not None, facts.content_type
                proven = body.check_bytes(came, ask.accept, kind=kind, proven=proven, posted=posted)
        except Unfetched:
            part.clear()
            raise
        entry = Entry(
            version=VERSION,
            method=ask.method,
            url=ask.address.text,
            accept=ask.accept,
            body=ask.content_sha256,
            final=facts.url,
            sha256=file_digest(came),
            size=came.stat().st_size,
            content_type=facts.content_type,
            charset=facts.charset,
            etag=facts.etag,
            last_modified=facts.last_modified,
            robots=facts.robots,
            proven=proven,
        )
        self._cache.keep(ask.key, entry, came)
        part.clear()
        return entry


def _all_there(hop: Hop, facts: Facts, answer: Answer) -> bool:
    """Whether a server that has nothing beyond a part says that the part is the whole."""
    match = _NO_RANGE.fullmatch(answer.get("content-range").strip())
    same = answer.get("etag") in ("", facts.etag)
    return match is not None and int(match[1]) == hop.at and facts.total in (-1, hop.at) and same


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
