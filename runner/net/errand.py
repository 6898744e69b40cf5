"""A request that is to be sent, who sends it, and what came of it: what `runner.net.transfer`, which asks, and
`runner.net.hop`, which sends, know of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal, Protocol

import msgspec

from runner.fetching import Keep, Unfetched
from runner.net.cache import Entry, Facts
from runner.net.pace import Stop, Turn
from runner.net.urls import Address, Secrets
from runner.store import digest


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
    apart: bool = False
    """Whether others may send it for us: it holds no secret, and is one of many."""

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
class Errand:
    """A request to be sent: of `ask`, by now to `address`."""

    ask: Ask
    address: Address
    part: str
    """Names the part that its bytes go to."""
    kept: Entry | None
    """What is kept of an earlier answer."""
    seconds: float
    """That it may take on the wire."""


@dataclass(frozen=True)
class Outcome:
    """What came of a request: the whole, which is kept now; what was kept holds; it is elsewhere; or why not."""

    entry: Entry | None = None
    same: bool = False
    elsewhere: tuple[int, str] | None = None
    """Status and Location."""
    error: Unfetched | None = None


class Sender(Protocol):
    """Sends requests: this process, or others."""

    @property
    def apart(self) -> bool:
        """Whether others do."""
        ...

    def send(self, errand: Errand, stop: Stop, turn: Turn) -> Outcome:
        """Send one whose turn has come. Raises Stopped, OSError where nothing can be written, StepError where there is
        nobody to send it."""
        ...

    def part(self, key: str, lost: int) -> str:
        """Names the part of a request, of which so many were lost with their workers: those may be writing yet."""
        ...


@dataclass(frozen=True)
class Hop:
    """A request that goes out: where to, from which byte of the part on, or whether only if changed."""

    address: Address
    headers: dict[str, str]
    facts: Facts | None = None
    """Of the part that is resumed."""
    at: int = 0
    conditional: bool = False
