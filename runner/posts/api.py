"""Posts of a subreddit through Reddit's API, by PRAW: what it gives → JSON Lines in the form of the dumps.

PRAW does its own talking, to the two addresses of the user's settings and nowhere else: no redirects, no proxy or
password from the environment, no look for updates. No user's name is kept, not even in the cache: no field that holds
one is written, and in titles, texts and addresses every mention of a user is replaced first.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Literal

import msgspec

from runner import extras
from runner.errors import StepError
from runner.fetching import Fetcher, Unfetched
from runner.posts import masked
from runner.scrub import Scrubber

Listing = Literal["top", "new", "hot"]
Period = Literal["all", "year", "month", "week", "day"]
_FIELDS = ("id", "subreddit", "url", "domain", "score", "created_utc", "over_18", "removed_by_category")
_ANSWER, _SECONDS = 16 << 20, 120.0  # a page of 100 posts is some 300 kB
# Of a user who is gone, PRAW knows this spelling only, and on the other it gives up the whole listing.
_NO_AUTHOR = re.compile(rb'(?<!\\)"author"\s*:\s*null\b')
_SECRETS = ("reddit_client_id", "reddit_client_secret")


def posts(net: Fetcher, subreddit: str, listing: Listing, period: Period, limit: int) -> Iterator[bytes]:
    """One JSON line a post, in the order of the listing; Reddit gives no more than 1000 of any.

    Raises StepError where credentials or PRAW are missing, Unfetched where Reddit does not give the posts.
    """
    if missing := [name for name in _SECRETS if not net.setting(name)]:
        named = " and ".join(f"{name} (or MIREPOIX_{name.upper()})" for name in missing)
        raise StepError(net.name, f"reading r/{subreddit} from Reddit's API needs your settings {named}")
    try:
        import praw
        from praw.exceptions import PRAWException
        from prawcore.exceptions import PrawcoreException
    except ImportError:
        raise StepError(net.name, f"Reddit's API needs PRAW: {extras.install('reddit')}") from None
    reddit = _reddit(net, praw)
    more: dict[str, Any] = {"time_filter": period} if listing == "top" else {}
    try:
        for n, post in enumerate(getattr(reddit.subreddit(subreddit), listing)(limit=limit, **more), 1):
            net.progress(n, limit, "posts")
            yield _line(vars(post))
    except (PrawcoreException, PRAWException) as e:
        raise Unfetched(f"Reddit does not give r/{subreddit}: {_why(e)}") from None
    except (TypeError, KeyError, AttributeError, ValueError):  # PRAW's own, on an answer that is not Reddit's
        raise Unfetched(f"what Reddit gives for r/{subreddit} cannot be understood") from None


def _session(scrubber: Scrubber) -> Any:
    """What PRAW talks through: as `requests` has it, but an answer has an end, in bytes and in time."""
    import requests  # type: ignore[import-untyped, unused-ignore]

    class Session(requests.Session):
        def send(self, request: Any, **kwargs: Any) -> Any:
            started, content = time.monotonic(), bytearray()
            response = super().send(request, **kwargs | {"stream": True})
            for chunk in response.iter_content(1 << 16):
                content += chunk
                if len(content) > _ANSWER or time.monotonic() - started > _SECONDS:
                    response.close()
                    raise requests.exceptions.ContentDecodingError("the answer does not end")
            response._content = _NO_AUTHOR.sub(b'"author": "[deleted]"', scrubber.data(bytes(content)))
            return response

    session = Session()
    session.trust_env = False
    return session


def _reddit(net: Fetcher, praw: Any) -> Any:
    session = _session(Scrubber(map(net.setting, _SECRETS)))
    if proxy := net.setting("proxy"):
        session.proxies = {"http": proxy, "https": proxy}
    contact = re.sub(r"[^\x21-\x7e]|[()\\]", "", net.setting("contact"))
    return praw.Reddit(
        client_id=net.setting("reddit_client_id"),
        client_secret=net.setting("reddit_client_secret"),
        user_agent=f"mirepoix/{version('mirepoix')}" + (f" (+{contact})" if contact else ""),
        # All that a praw.ini in the current folder could say otherwise.
        oauth_url=net.setting("reddit_url"),
        reddit_url=net.setting("reddit_login_url"),
        short_url=net.setting("reddit_login_url"),
        username=None,
        password=None,
        refresh_token=None,
        redirect_uri=None,
        check_for_updates=False,
        check_for_async=False,
        requestor_kwargs={"session": session},
    )


def _line(post: dict[str, Any]) -> bytes:
    """A post as the dumps write it, with their entities and without whoever wrote it."""
    out = {name: _json(post[name]) for name in _FIELDS if name in post}
    if str(out.get("subreddit", "")).startswith("u_"):  # a profile: its name is a user's
        out |= {"subreddit": "", "domain": ""}
    for name in ("title", "selftext"):
        out[name] = html.escape(masked(str(post.get(name) or "")), quote=False)
    if post.get("author") is None:
        out["author"] = "[deleted]"
    return msgspec.json.encode(out, order="sorted") + b"\n"


def _json(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else masked(str(value))


def _why(error: Exception) -> str:
    """PRAW's words, for people."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    known = {
        401: "it does not know the credentials (reddit_client_id, reddit_client_secret)",
        403: "it is private, or closed to applications",
        404: "there is no such subreddit, or it is banned",
        429: "too many requests; try again later",
    }
    status = {"Redirect": 404, "OAuthException": 401}.get(type(error).__name__, status)
    if status in known:
        return known[status]
    return f"it answers {status}" if status else f"it cannot be reached ({type(error).__name__})"
