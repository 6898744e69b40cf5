"""Posts and comments as Reddit's dumps, its API and people's CSV files hold them → plain texts without names.

Users' names are never kept: no field that holds one is read, and mentions in a text (u/, /u/, links to a user's page
or profile) are replaced.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta, Struct

Column = Annotated[str, Meta(min_length=1, max_length=200)]
REMOVED = re.compile(r"\[ ?(?:removed|deleted)(?: by (?:reddit|user|moderator)\b[^\]]*)? ?\]", re.IGNORECASE)
_USER = r"(?:[A-Za-z0-9_-]|\\[_-]){2,}"  # Markdown may escape what is in a name
_MENTION = re.compile(
    rf"(?<![A-Za-z0-9_-])/?u\\?/{_USER}|(?<=reddit\.com/)user/{_USER}|(?<=\]\()/user/{_USER}", re.I
)
_PROFILE = re.compile(rf"(?<![A-Za-z0-9_-])r/u_{_USER}", re.I)
_MISSING = ("nan", "none", "<na>", "nat", "null")  # what pandas and its like write for a cell that is empty
_BY = {
    "deleted": "deleted by its user",
    "author": "deleted by its user",
    "moderator": "removed by a moderator",
    "automod_filtered": "removed by a moderator's rule",
    "reddit": "removed by Reddit",
    "anti_evil_ops": "removed by Reddit",
    "community_ops": "removed by Reddit",
    "copyright_takedown": "taken down for its copyright",
    "content_takedown": "taken down by law",
}
_NO = ("", "0", "false", "no", "none", "null", "nan")
_ID = re.compile(r"[a-z0-9]{1,12}")
_NAMES: dict[str, tuple[str, ...]] = {
    "title": ("title", "text"),  # a file without titles but with a column `text` has its titles there
    "selftext": ("selftext",),
    "url": ("url_overridden_by_dest", "url"),
    "domain": ("domain",),
    "score": ("score", "ups"),
    "subreddit": ("subreddit",),
    "id": ("id",),
    "removed": ("removed_by_category",),
}
KNOWN = (*(name for names in _NAMES.values() for name in names), "author", "body", "link_id")


class PostColumns(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which column of a table holds what, where the names are not Reddit's own."""

    title: Annotated[
        Column | None, Meta(description="The title; `title`, else `text`.", examples=["headline"])
    ] = None
    selftext: Annotated[
        Column | None, Meta(description="The text under it; `selftext`.", examples=["body"])
    ] = None
    url: Annotated[Column | None, Meta(description="What it links to; `url`.", examples=["link"])] = None
    domain: Annotated[
        Column | None,
        Meta(description="The site that it links to; `domain`, else the url's.", examples=["site"]),
    ] = None
    score: Annotated[Column | None, Meta(description="Votes; `score`.", examples=["ups"])] = None
    subreddit: Annotated[
        Column | None, Meta(description="Where it was posted; `subreddit`.", examples=["board"])
    ] = None
    id: Annotated[Column | None, Meta(description="Reddit's id of the post; `id`.", examples=["post_id"])] = (
        None
    )
    removed: Annotated[
        Column | None,
        Meta(description="Not empty where it was removed; `removed_by_category`.", examples=["removed_by"]),
    ] = None

    def of(self, field: str, columns: Collection[str]) -> str | None:
        """The column that holds a field, of those there are."""
        named = getattr(self, field)
        return next((c for c in ((named,) if named else _NAMES[field]) if c in columns), None)

    def named(self) -> list[str]:
        """The columns that the recipe names."""
        return [name for field in _NAMES if (name := getattr(self, field))]

    def missing(self, fields: Collection[str], columns: Collection[str]) -> str | None:
        """A column that is needed for `fields` or named by the recipe, and is not there."""
        for field in _NAMES:
            named = getattr(self, field)
            if (named or field in fields) and self.of(field, columns) is None:
                if field == "domain" and not named and self.of("url", columns):
                    continue
                return named or _NAMES[field][0]
        return None


class Post(Struct, frozen=True):
    """A post, or a comment (then `body` is its text). Texts are decoded, without names; "" is what is not known."""

    title: str
    text: str
    body: str
    domain: str
    score: float | None
    subreddit: str
    id: str
    thread: str
    removed: str
    """How it was removed or deleted, "" where it is there."""
    missing: bool
    """Its title is what stands for an empty cell in a table."""


def post_of(row: Mapping[str, Any], columns: PostColumns, *, table: bool = False) -> Post:
    """A row as it stands in a file, read. In a table, `nan` and `None` are what pandas wrote for nothing."""

    def cell(field: str) -> str:
        column = columns.of(field, row)
        value = row[column] if column else None
        empty = value is None or value is False or value != value  # the last is a float that is none
        return "" if empty or isinstance(value, list | dict) else str(value)

    comment = row.get("body") if row.get("title") is None else None
    title, text, body = cell("title"), cell("selftext"), comment if isinstance(comment, str) else ""
    missing = table and title.strip().lower() in _MISSING
    if table and text.strip().lower() in _MISSING:
        text = ""
    marks = [t.strip().lower() for t in (title, text, body) if REMOVED.fullmatch(t.strip())]
    id, thread = cell("id"), row.get("link_id")
    subreddit = cell("subreddit").strip().removeprefix("r/")
    return Post(
        title=" ".join(plain(title).split()) if not body else "",
        text=plain(text).strip(),
        body=plain(body).strip(),
        domain=_domain(cell("domain"), cell("url")),
        score=_number(cell("score")),
        subreddit="" if subreddit.startswith("u_") else subreddit,  # a profile: its name is a user's
        id=id if _ID.fullmatch(id) else "",
        thread=thread.removeprefix("t3_") if isinstance(thread, str) and _ID.fullmatch(thread[3:]) else "",
        removed=_removed(cell("removed").strip().lower(), marks, row.get("author") == "[deleted]"),
        missing=missing,
    )


def _removed(category: str, marks: list[str], gone: bool) -> str:
    if category not in _NO:
        return _BY.get(category, "removed")
    for by, word in (("deleted", "delet"), ("reddit", "by reddit"), ("moderator", "by moderator")):
        if any(word in mark for mark in marks):
            return _BY[by]
    if marks:
        return "removed"
    return "its user is gone" if gone else ""


def masked(text: str) -> str:
    """Text with `u/[user]` for every user that it mentions, and for every link to a user's page."""
    text = _MENTION.sub("u/[user]", text) if "u" in text or "U" in text else text
    return _PROFILE.sub("r/u_[user]", text) if "u_" in text or "U_" in text else text


def plain(text: str) -> str:
    """Text without HTML's entities, and with `u/[user]` for every user that it mentions."""
    if "&" in text:
        # Markdown may hold entities of its own, which no reader sees.
        text = html.unescape(text).replace("&#x200B;", "").replace("&nbsp;", " ")
    text = text.replace("\r\n", "\n").replace("\u200b", "")
    return masked(text)


def of_site(domain: str, sites: Collection[str]) -> bool:
    """Whether a domain is one of these sites, or under one."""
    return any(domain == site or domain.endswith("." + site) for site in sites)


def _domain(domain: str, url: str) -> str:
    if not domain and url:
        try:
            domain = urlsplit(html.unescape(url.strip())).hostname or ""
        except ValueError:  # an address that is none
            return ""
    return domain.strip().lower().removeprefix("www.").rstrip(".")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
