"""What a source's `fetch` gets and gives: items, their raw bytes by content, and the one guarded client.

A source that needs the network has two functions. `fetch` names items and brings their raw bytes into the
store; nothing is parsed there that parsing could get wrong. The source itself then reads those bytes like any
file, as often as its options change, without the network. What was fetched stands in a lock file, and the
digests in it, never addresses or times, decide the fingerprints of what follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct, field

from runner.record import Record

Keep = Literal["normal", "recorded", "live"]
"""Whether bytes once fetched will do: `normal` until `--refresh`, `recorded` for ever, `live` never."""


@dataclass(frozen=True)
class InputFile:
    """A file that a recipe named: `name` as the recipe's world knows it (never an absolute path).

    `seen` is how the file looked when it was digested, where that tells later whether it was written to since
    (`runner.unchanged`).
    """

    name: str
    path: Path
    sha256: str
    seen: tuple[int, ...] = dataclasses.field(default=(), compare=False, repr=False)


class Item(Struct, frozen=True, omit_defaults=True):
    """One thing that was fetched (a book, a page, a dump), or could not be: then `error` says why.

    `key` names it for good, and its rows with it: a book's id, a page's address as the recipe or catalogue has
    it. `meta` goes into the rows' provenance (origin, license, attribution, title, author …), and holds nothing
    that differs between two fetches of the same thing. `left_out`: it was not wanted after all (`error` says why), as
    against not to be had. `gone`: as `Unfetched.gone`. `doubt`: why what was had may be less than the whole; who runs
    the fetch fills it in (see `Fetcher.vouch`).
    """

    key: str
    sha256: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    error: str = ""
    left_out: bool = False
    gone: bool = False
    doubt: str = ""


@dataclass(frozen=True)
class Paid:
    """What answers of a model came to, of which some may have been no good: they were paid for all the same.

    It stands in each item's `meta`, as the endpoint counted it in the answers that are kept; so the same answers, newly
    asked for or not, make the same records. `cost` is in the recipe's currency, None where it names no price.
    """

    rows: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None

    def meta(self) -> dict[str, str]:
        """As it stands in an item."""
        tokens = {"tokens_in": str(self.tokens_in), "tokens_out": str(self.tokens_out)}
        return tokens if self.cost is None else tokens | {"cost": f"{self.cost:.9f}".rstrip("0").rstrip(".")}

    def __str__(self) -> str:
        tokens = (
            f"{self.tokens_in + self.tokens_out:,} tokens ({self.tokens_in:,} in, {self.tokens_out:,} out)"
        )
        return (
            tokens
            + ("" if self.cost is None else f", cost {self.cost:.4f}")
            + f", for {self.rows:,} row{'s' * (self.rows != 1)}"
        )


def paid(items: Iterable[Item]) -> Paid | None:
    """What the items of a source came to in all; None where nothing was to be paid."""
    metas = [i.meta for i in items if "tokens_in" in i.meta]
    if not metas:
        return None
    tokens_in, tokens_out = (sum(int(m[k]) for m in metas) for k in ("tokens_in", "tokens_out"))
    cost = sum(float(m["cost"]) for m in metas) if "cost" in metas[0] else None
    return Paid(len(metas), tokens_in, tokens_out, cost)


@dataclass(frozen=True)
class Got:
    """An answer, whole and kept: `path` holds its raw bytes, decompressed, named by their `sha256`.

    `url` is the address where the bytes came from at last, after redirects; `content_type`, `charset` and `robots`
    (its X-Robots-Tag) are what the server claimed, "" where it claimed nothing.
    """

    url: str
    path: Path
    sha256: str
    content_type: str = ""
    charset: str = ""
    robots: str = ""
    request: str = ""
    """Names the request in the client's cache."""
    proven: bool = True
    """Whether it is known to be whole: its end was announced, or its bytes show it. Else a cut passes for the end."""

    def bytes(self) -> bytes:
        return self.path.read_bytes()


class Unfetched(Exception):
    """One thing could not be had; `str()` says why, for the person who wrote the recipe.

    `transient`: it may be had later (a time-out, 429, 5xx), as against never (404, robots, refused by us).
    `gone`: its host answered, and this one thing is not there, may not be fetched or is more than is taken. Of other
    things of that host nothing follows, so a source whose items are all gone is empty, and no reason to stop. Never of
    an API (`robots=False`), which has what it is asked for, or is not the one that was meant.
    """

    def __init__(self, reason: str, *, transient: bool = False, gone: bool = False) -> None:
        super().__init__(reason)
        self.transient, self.gone = transient, gone


class Fetcher(Protocol):
    """What a source's `fetch` may reach the world with. Everything goes through the guarded client."""

    name: str
    """The source's name in the recipe."""
    seed: int
    files: Mapping[str, tuple[InputFile, ...]]
    """Per option, the files that it named, as in `registry.SourceContext`."""

    def get(
        self,
        url: str,
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        robots: bool = True,
        private: Mapping[str, str] = ...,
        headers: Mapping[str, str] = ...,
        body: bytes | None = None,
    ) -> Got:
        """The answer to one request, from the cache or the network. Raises Unfetched.

        `most` is the most bytes, after decompression. `private` are query parameters and `headers` request headers
        that hold secrets: sent, but never part of a cache key, a log, an error or what comes back. A `body` makes
        it a POST of JSON, kept by address and body. `robots=False` is for documented APIs that the user's settings
        name; pages and texts are asked for only where robots.txt lets us.
        """
        ...

    def get_all(
        self,
        urls: Iterable[str],
        *,
        accept: str = "*/*",
        most: int = 64 << 20,
        keep: Keep = "normal",
        robots: bool = True,
    ) -> Iterator[tuple[str, Got | Unfetched]]:
        """Several, some of them at once as far as each host's pace allows, in the order of `urls`."""
        ...

    def forget(self, got: Got) -> None:
        """This answer proved to be no good: it is asked for again next time."""
        ...

    def vouch(self, got: Got) -> None:
        """What stands in this answer shows that it is whole, though it is not `proven`.

        Items whose bytes are neither proven nor vouched for are told as doubtful.
        """
        ...

    def store(self, chunks: Iterable[bytes]) -> str:
        """Keep bytes that some library brought (rows of a hub, posts of an API); their sha256."""
        ...

    def path(self, sha256: str) -> Path:
        """The raw bytes of that digest."""
        ...

    def setting(self, name: str) -> str:
        """One of the user's settings (runner.settings), "" where it is not set."""
        ...

    def records(self, source: str) -> Iterator[Record]:
        """The records of an earlier source of the recipe (an option typed `registry.SourceName` names it)."""
        ...

    def progress(self, done: int, of: int, what: str) -> None:
        """Tell how far the fetch is; `of` is 0 where that is unknown."""
        ...


def failed(key: str, error: Unfetched, meta: Mapping[str, str] | None = None) -> Item:
    """The item that could not be had."""
    return Item(key, meta=dict(meta or {}), error=str(error), gone=error.gone)


def items_of(
    answers: Iterable[tuple[str, Got | Unfetched]], metas: Sequence[Mapping[str, str]] = ()
) -> Iterator[Item]:
    """`get_all`'s answers as items, each under its address, with the n-th of `metas` if given."""
    for n, (url, got) in enumerate(answers):
        meta = {"origin": url} | dict(metas[n] if n < len(metas) else {})
        yield failed(url, got, meta) if isinstance(got, Unfetched) else Item(url, got.sha256, meta)
