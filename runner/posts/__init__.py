"""Posts and comments as Reddit's dumps, its API and people's CSV files hold them → plain texts without names.

Users' names are never kept: no field that holds one is read, and mentions in a text are replaced.
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
_MENTION = re.compile(
    r"(?<![A-Za-z0-9_-])/?u/[A-Za-z0-9_-]{2,}|(?<=reddit\.com/)user/[A-Za-z0-9_-]{2,}", re.I
)
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

    title: Annotated[Column | None, Meta(description="The title; `title`, else `text`.")] = None
    selftext: Annotated[Column | None, Meta(description="The text under it; `selftext`.")] = None
    url: Annotated[Column | None, Meta(description="What it links to; `url`.")] = None
    domain: Annotated[
        Column | None, Meta(description="The site that it links to; `domain`, else the url's.")
    ] = None
    score: Annotated[Column | None, Meta(description="Votes; `score`.")] = None
    subreddit: Annotated[Column | None, Meta(description="Where it was posted; `subreddit`.")] = None
    id: Annotated[Column | None, Meta(description="Reddit's id of the post; `id`.")] = None
    removed: Annotated[
        Column | None, Meta(description="Not empty where it was removed; `removed_by_category`.")
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
    removed: bool


def post_of(row: Mapping[str, Any], columns: PostColumns) -> Post:
    """A row as it stands in a file, read."""

    def cell(field: str) -> str:
        column = columns.of(field, row)
        value = row[column] if column else None
        return "" if value is None or value is False or isinstance(value, list | dict) else str(value)

    comment = row.get("body") if row.get("title") is None else None
    title, text, body = cell("title"), cell("selftext"), comment if isinstance(comment, str) else ""
    marked = any(REMOVED.fullmatch(t.strip()) for t in (title, text, body))
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
        removed=marked or cell("removed").strip().lower() not in _NO or row.get("author") == "[deleted]",
    )


def plain(text: str) -> str:
    """Text without HTML's entities, and with `u/[user]` for every user that it mentions."""
    if "&" in text:
        # Markdown may hold entities of its own, which no reader sees.
        text = html.unescape(text).replace("&#x200B;", "").replace("&nbsp;", " ")
    text = text.replace("\r\n", "\n").replace("\u200b", "")
    return _MENTION.sub("u/[user]", text) if "u" in text or "U" in text else text


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
