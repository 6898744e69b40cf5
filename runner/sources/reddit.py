"""Source `reddit`: posts and comments from CSV files, dumps and Reddit's API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from runner.datafiles.kinds import Kind, accounted, kind_of, listed, rows
from runner.datafiles.opened import Bad, Unreadable, ending
from runner.fetching import Fetcher, Item, Unfetched, failed
from runner.posts import KNOWN, Post, PostColumns, of_site, post_of
from runner.posts.api import Listing, Period, posts
from runner.record import Message, Record, Rejected
from runner.registry import Files, SourceContext, Unit, source

Shape = Literal["headline", "satire", "post", "reply", "comment"]
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_]{2,21}$")]
_WINDOW = 1 << 31  # how far back the dumps of Pushshift refer; takes that much memory only where they do
_WORD = re.compile(r"[A-Za-z]{5,}")
LICENSE = "its users' own, under Reddit's terms; no open licence"


def fetch(
    net: Fetcher, *, subreddit: str | None, listing: Listing, period: Period, limit: int
) -> Iterator[Item]:
    """The posts of a subreddit as one item of JSON Lines, in the form of the dumps and without names."""
    if not subreddit:
        return
    key = f"r/{subreddit}/{listing}" + (f"/{period}" if listing == "top" else "")
    meta = {"origin": f"https://www.reddit.com/r/{subreddit}/{listing}"}
    try:
        # All of it first: what breaks off in the middle is not kept for whole.
        lines = list(posts(net, subreddit, listing, period, limit))
        if not lines:
            raise Unfetched(f"r/{subreddit} has no posts under {listing!r}")
    except Unfetched as e:
        yield failed(key, e, meta)
        return
    yield Item(key, net.store(lines), meta)


def _wrong(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not options["files"] and not options["subreddit"]:
        yield (), "name `files` or a `subreddit`, or both"
    usual = reddit.__kwdefaults__ or {}
    for option in ("listing", "period", "limit") if not options["subreddit"] else ():
        if options[option] != usual[option]:
            yield (option,), "says what to fetch of a `subreddit`, and none is named"
    if options["subreddit"] and options["listing"] != "top" and options["period"] != usual["period"]:
        yield ("period",), f"goes with the listing top, not with {options['listing']}"


def _units(context: SourceContext) -> Iterator[Unit]:
    if context.files.get("files"):
        for label, file in context.labelled("files"):
            yield Unit(f"{context.name}/{label}", file.name, file.path, file.sha256, file.name)
    for item in context.items:
        path, id = context.raw(item), f"{context.name}/{item.key}"
        yield Unit(id, item.key, path, item.sha256, item.key, {"kind": "jsonl"})


def _read(
    context: SourceContext,
    unit: Unit,
    *,
    shape: Shape,
    columns: PostColumns | None,
    where: dict[str, str] | None,
    subreddits: list[str] | None,
    domains: list[str] | None,
    min_score: int | None,
) -> Iterator[Record | Rejected]:
    wanted = _Wanted(
        shape, columns or PostColumns(), where or {}, subreddits or [], domains or [], min_score, context.seed
    )
    about = {"license": context.license or LICENSE, "sha256": unit.sha256}
    kind: Kind = "jsonl" if unit.meta else _kind(unit.name)
    yield from _records(_File(unit.id, unit.name, unit.path, about), kind, wanted)


@source(
    "reddit",
    version=2,
    fetch=fetch,
    fetches=lambda o: o["subreddit"] is not None,
    check=_wrong,
    license=LICENSE,
    units=_units,
    read=_read,
)
def reddit(
    context: SourceContext,
    *,
    files: Annotated[
        Files | None,
        Meta(
            description="CSV or TSV files of posts, and dumps of JSON Lines (.zst), or globs of them.",
            extra={"files": "glob"},
            examples=[["reddit/*.csv"]],
        ),
    ] = None,
    subreddit: Annotated[
        Name | None,
        Meta(
            description="Fetch its posts from Reddit's API, with the credentials of your settings.",
            examples=["TheOnion"],
        ),
    ] = None,
    listing: Annotated[Listing, Meta(description="Which of its posts to fetch.")] = "top",
    period: Annotated[Period, Meta(description="The top posts of which time.")] = "all",
    limit: Annotated[
        int, Meta(ge=1, le=1000, description="How many posts to fetch; Reddit has no more than 1000.")
    ] = 1000,
    shape: Annotated[
        Shape,
        Meta(
            description="What is learnt: `headline` and `satire` to give a title where one is asked for, `post` a "
            "title and its text, `reply` the text where the title is said, `comment` a comment."
        ),
    ] = "headline",
    columns: Annotated[
        PostColumns | None, Meta(description="Names of columns, where not Reddit's own.")
    ] = None,
    where: Annotated[
        dict[str, str] | None,
        Meta(
            description='Keep only rows whose column holds exactly this: {label: "1"}.',
            examples=[{"label": "1"}],
        ),
    ] = None,
    subreddits: Annotated[
        Annotated[list[Name], Meta(min_length=1)] | None,
        Meta(description="Keep only posts of these subreddits.", examples=[["TheOnion"]]),
    ] = None,
    domains: Annotated[
        Annotated[list[Annotated[str, Meta(pattern=r"^[a-z0-9.-]+\.[a-z]{2,}$")]], Meta(min_length=1)] | None,
        Meta(
            description="Keep only posts that link to these sites, such as theonion.com.",
            examples=[["theonion.com"]],
        ),
    ] = None,
    min_score: Annotated[
        int | None, Meta(description="Keep only posts with at least this score.", examples=[10])
    ] = None,
) -> Iterator[Record | Rejected]:
    """Reddit's posts and comments, from CSV files, dumps (.zst) or its API; users' names are never kept.

    Removed and deleted posts are rejected, each with how it went as far as that is told, and so are those that the
    options leave out; posts of other subreddits are only counted, as most of a dump is that. Entities are decoded,
    zero-width spaces dropped, spaces in a title made one, mentions become u/[user]. Repeated titles pass: dedup sees
    them; so does a title of one letter: the filter `words` does.

    Decided, for tables as found: names of columns are found whatever their case, spaces or byte order mark; a bare
    line feed in a CSV of CRLF rows is text of its field; a title of `nan` or `None` is no title; rows with a NUL, in
    another charset than UTF-8, or of another width are rejected by their line. Where a quote is left open, its line
    is, and those after it are read as rows if they are such by themselves.
    """
    wanted: dict[str, Any] = {
        "shape": shape,
        "columns": columns,
        "where": where,
        "subreddits": subreddits,
        "domains": domains,
        "min_score": min_score,
    }
    for unit in _units(context):
        yield from accounted(unit.id, unit.origin, _read(context, unit, **wanted))


@dataclass(frozen=True)
class _File:
    id: str
    name: str
    path: Path
    meta: dict[str, str]


@dataclass
class _Wanted:
    """Which posts the recipe asks for, and as what."""

    shape: Shape
    columns: PostColumns
    where: dict[str, str]
    subreddits: list[str]
    domains: list[str]
    min_score: int | None
    seed: int
    others: int = 0  # posts of other subreddits in the file at hand
    _low: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._low = [s.lower().encode() for s in self.subreddits]

    def check(self, names: list[str]) -> None:
        """Raises Unreadable for a table that lacks a column."""
        fields = [
            f
            for f, needed in (
                ("title", self.shape != "comment"),
                ("selftext", self.shape in ("post", "reply")),
                ("subreddit", bool(self.subreddits)),
                ("domain", bool(self.domains)),
                ("score", self.min_score is not None),
            )
            if needed
        ]
        missing = self.columns.missing(fields, names) or next((c for c in self.where if c not in names), None)
        if missing:
            raise Unreadable(f"has no column {missing!r}; there are {listed(names)}")

    def maybe(self, raw: bytes) -> bool:
        """Whether a line of a dump may be of a wanted subreddit: its name is somewhere in it."""
        low = raw.lower()
        found = any(s in low for s in self._low)
        self.others += not found
        return found

    def elsewhere(self, post: Post) -> bool:
        out = bool(self.subreddits) and post.subreddit.lower() not in {s.lower() for s in self.subreddits}
        self.others += out
        return out

    def unfit(self, post: Post) -> str | None:
        """Why a post is left out, or None."""
        if post.removed:
            return f"removed post: {post.removed}" if post.removed != "removed" else "removed post"
        if self.domains and not of_site(post.domain, self.domains):
            return "links to another site"
        if self.min_score is not None and (post.score is None or post.score < self.min_score):
            return f"a score below {self.min_score}" if post.score is not None else "no score"
        if self.shape == "comment":
            return None if post.body else "a post, not a comment"
        if post.body:
            return "a comment, not a post"
        if not post.title or post.missing:
            return "no title" if not post.title else f"no title: {post.title!r} stands for an empty cell"
        return "no text under its title" if self.shape in ("post", "reply") and not post.text else None


def _kind(name: str) -> Kind:
    """A dump's name may be RS_2021-06.zst: nothing but packed."""
    kind = kind_of(name)
    return "jsonl" if kind is None and ending(name)[1] else kind or "txt"


def _records(file: _File, kind: Kind, wanted: _Wanted) -> Iterator[Record | Rejected]:
    if kind not in ("csv", "tsv", "jsonl", "json", "parquet"):
        raise Unreadable("its name says not what it is: .csv, .tsv, .jsonl, .ndjson or .zst")
    table, wanted.others = kind in ("csv", "tsv", "parquet"), 0
    written = kind in ("csv", "tsv")  # where nothing can stand but text
    only: Callable[[bytes], bool] | None = wanted.maybe if wanted.subreddits else None
    known = (*KNOWN, *wanted.columns.named(), *wanted.where)  # the recipe's spelling counts
    found = rows(file.path, file.name, kind, known=known, window=_WINDOW, only=only)
    for number, _, row in found:
        id, origin = f"{file.id}/{number}", f"{file.name}:{number}"
        if isinstance(row, Bad):
            yield Rejected(id, row.reason, origin=origin)  # not the row itself: it may hold a user's name
            continue
        if table:
            wanted.check(list(row))
            table = False
        post = post_of(row, wanted.columns, table=written)
        if wanted.elsewhere(post):
            continue
        reason = wanted.unfit(post)
        for column, value in wanted.where.items() if reason is None else ():
            if str(row.get(column, "")) != value:
                reason = f"its {column} is another"
        if reason:
            yield Rejected(id, reason, (post.title or post.body)[:1000], left_out=True, origin=origin)
        else:
            yield _record(post, id, file, number, wanted)
    if wanted.others:
        why = f"{wanted.others} rows of other subreddits"
        yield Rejected(f"{file.id}/others", why, file.name, left_out=True, origin=file.name)


def _record(post: Post, id: str, file: _File, number: int, wanted: _Wanted) -> Record:
    origin = f"{file.name}:{number}"
    if post.id:
        at = f"{post.thread}/_/{post.id}" if post.body and post.thread else post.id
        origin = f"https://www.reddit.com/comments/{at}"
    meta = {
        "id": id,
        "group": f"reddit/{post.thread or post.id}" if post.thread or post.id else origin,
        "origin": origin,
        "title": post.title,
        "subreddit": post.subreddit,
        "attribution": f"Reddit, r/{post.subreddit}" if post.subreddit else "Reddit",
        **file.meta,
    }
    if wanted.shape == "reply":
        asked, said = post.title, post.text
    else:
        said = post.body or post.title
        asked = _ask(wanted.shape, said, post.subreddit, wanted.seed, id)
        if wanted.shape == "post":
            said = f"{post.title}\n\n{post.text}"
    return Record(
        [Message("user", asked), Message("assistant", said)], meta={k: v for k, v in meta.items() if v}
    )


def _ask(shape: Shape, said: str, subreddit: str, seed: int, id: str) -> str:
    """One of the phrasings of datasets/prompts/reddit.yaml, by a hash that is the same everywhere."""
    from runner.passages import draw
    from runner.passages.english import read

    known = {"subreddit": subreddit, "words": _two_words(said)}
    texts: list[str] = [
        text for text in read("reddit")[shape] if all(v or f"{{{k}}}" not in text for k, v in known.items())
    ]
    return texts[int(draw(seed, id) * len(texts))].format_map(known)


def _two_words(said: str) -> str:
    """The two longest words that say what it is about, in order; "" where there are not two."""
    from runner.passages.english import words

    found = {w: None for w in _WORD.findall(said[:500]) if w.lower() not in words("function")}
    longest = sorted(found, key=len, reverse=True)[:2]
    first = [w for w in found if w in longest]
    return f"“{first[0]}” and “{first[1]}”" if len(first) == 2 else ""
