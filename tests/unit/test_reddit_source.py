"""The source `reddit`: CSV as found, dumps, and the API by PRAW itself against a server of our own."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import zstandard

from runner import contract
from runner.errors import StepError
from runner.fetching import InputFile, Item
from runner.posts import PostColumns, plain
from runner.record import Record, Rejected
from runner.registry import SourceContext, plugins
from runner.sources.reddit import fetch, reddit

Rows = list[Record | Rejected]


def context(*paths: Path, seed: int = 7, items: Iterable[Item] = (), raw: Any = None) -> SourceContext:
    found = tuple(InputFile(p.name, p, sha256(p.read_bytes()).hexdigest()) for p in paths)
    return SourceContext("r", seed, {"files": found} if found else {}, "", items, raw)


def read(path: Path, seed: int = 7, **options: Any) -> Rows:
    rows = list(reddit(context(path, seed=seed), files=[path.name], **options))
    assert all(contract.broken(r) is None for r in rows if isinstance(r, Record))
    return rows


def csv_of(folder: Path, text: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def said(rows: Rows) -> list[str | None]:
    return [r.messages[-1].content for r in rows if isinstance(r, Record)]


def asked(rows: Rows) -> list[str | None]:
    return [r.messages[0].content for r in rows if isinstance(r, Record)]


def refused(rows: Rows) -> list[str]:
    return [r.reason for r in rows if isinstance(r, Rejected)]


POSTS = (
    "id,title,selftext,author,domain,score,subreddit,removed_by_category\n"
    "aa1,Ben &amp; Jerry&#39;s  Melts,,iceman77,local.theonion.com,12,TheOnion,\n"
    "aa2,Gone,[removed],iceman77,theonion.com,50,TheOnion,\n"
    "aa3,Gone too,,[deleted],theonion.com,50,TheOnion,\n"
    "aa4,Taken down,,iceman77,theonion.com,50,TheOnion,moderator\n"
    "aa5,[deleted by user],,iceman77,theonion.com,50,TheOnion,\n"
    'aa6,Thanks to /u/Some_One-9,"Ask u/other or\nreddit.com/user/third.\n\n&amp;#x200B;\n\nBye.",iceman77,self.TheOnion,3,TheOnion,\n'
    "aa7,Elsewhere,,iceman77,nottheonion.com,40,nottheonion,\n"
    "aa8, ,,iceman77,theonion.com,40,TheOnion,\n"
)


def test_titles_are_decoded_and_removed_posts_are_named(tmp_path: Path) -> None:
    rows = read(csv_of(tmp_path, POSTS))
    assert said(rows) == ["Ben & Jerry's Melts", "Thanks to u/[user]", "Elsewhere"]
    assert refused(rows) == [
        "removed post",
        "removed post: its user is gone",
        "removed post: removed by a moderator",
        "removed post: deleted by its user",
        "no title",
    ]
    first = rows[0]
    assert isinstance(first, Record)
    assert first.meta == {
        "id": "r/a/2",
        "group": "reddit/aa1",
        "origin": "https://www.reddit.com/comments/aa1",
        "title": "Ben & Jerry's Melts",
        "subreddit": "TheOnion",
        "attribution": "Reddit, r/TheOnion",
        "license": "its users' own, under Reddit's terms; no open licence",
        "sha256": sha256(POSTS.encode()).hexdigest(),
    }


@pytest.mark.parametrize("shape", ["headline", "satire", "post", "reply", "comment"])
def test_no_name_of_a_user_is_kept(tmp_path: Path, shape: str) -> None:
    comment = {
        "body": "As u/Some_One-9 said",
        "author": "iceman77",
        "id": "c1",
        "link_id": "t3_aa1",
        "subreddit": "u_iceman77",
    }
    dump = csv_of(tmp_path, json.dumps(comment) + "\n" + '{"author":"iceman77", bad\n', "b.jsonl")
    for path in (csv_of(tmp_path, POSTS + "iceman77,ragged\n"), dump):
        everything = json.dumps([str(r) for r in read(path, shape=shape)])
        for name in ("iceman77", "Some_One-9", "u/other", "user/third"):
            assert name not in everything


def test_a_post_is_asked_for_in_many_ways_and_always_the_same(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "title\n" + "".join(f"Headline number {n} is here\n" for n in range(200)))
    one, two, other = read(path), read(path), read(path, seed=8)
    assert one == two
    assert len(set(asked(one))) > 5 and asked(one) != asked(other)
    assert said(one) == said(other)
    assert all("{" not in str(a) and "r/" not in str(a) for a in asked(one))
    assert any("satirical" in str(a) for a in asked(read(path, shape="satire")))


def test_shapes_with_a_text(tmp_path: Path) -> None:
    path = csv_of(tmp_path, POSTS)
    text = "Ask u/[user] or\nreddit.com/u/[user].\n\n\n\nBye."
    assert said(read(path, shape="post")) == [f"Thanks to u/[user]\n\n{text}"]
    reply = read(path, shape="reply")
    assert (asked(reply), said(reply)) == (["Thanks to u/[user]"], [text])
    assert refused(reply).count("no text under its title") == 2


def test_what_the_recipe_picks(tmp_path: Path) -> None:
    path = csv_of(tmp_path, POSTS)
    assert said(read(path, domains=["theonion.com"])) == ["Ben & Jerry's Melts"]
    assert "links to another site" in refused(read(path, domains=["theonion.com"]))
    assert said(read(path, min_score=10)) == ["Ben & Jerry's Melts", "Elsewhere"]
    assert "a score below 10" in refused(read(path, min_score=10))
    some = read(path, subreddits=["THEonion"])
    assert "Elsewhere" not in said(some) and refused(some)[-1] == "1 rows of other subreddits"
    assert said(read(path, where={"id": "aa7"})) == ["Elsewhere"]
    assert refused(read(path, where={"label": "1"})) == [
        "a.csv: has no column 'label'; there are 'id', 'title', 'selftext', 'author', 'domain', 'score', 'subreddit', 'removed_by_category'"
    ]


def test_a_site_is_known_by_its_address_too(tmp_path: Path) -> None:
    path = csv_of(
        tmp_path,
        "title,url\nA b,https://www.theonion.com/x?a=1&amp;b=2\nC d,http://nottheonion.com\nE f,http://[bad\n",
    )
    assert said(read(path, domains=["theonion.com"])) == ["A b"]


def test_columns_of_other_names(tmp_path: Path) -> None:
    path = csv_of(tmp_path, "Kopf,votes\nOne thing,5\nOther thing,x\n")
    columns = PostColumns(title="Kopf", score="votes")
    rows = read(path, columns=columns, min_score=1)
    assert (said(rows), refused(rows)) == (["One thing"], ["no score"])
    assert refused(read(path)) == ["a.csv: has no column 'title'; there are 'Kopf', 'votes'"]
    assert "has no column 'none'" in refused(read(path, columns=PostColumns(title="Kopf", url="none")))[0]
    shouted = csv_of(tmp_path, " TITLE ,Label,gone\nOne,1,False\nTwo,1,yes\nThree,0,\n")
    rows = read(shouted, columns=PostColumns(title="TITLE", removed="gone"), where={"Label": "1"})
    assert (said(rows), refused(rows)) == (["One"], ["removed post", "its Label is another"])
    assert said(read(shouted, where={"label": "1"})) == ["One", "Two"]
    assert said(read(csv_of(tmp_path, "text,label\r\nFirst\n,1\r\nSecond,0\r\n"), where={"label": "1"})) == [
        "First"
    ]


def test_a_row_that_is_wrong_costs_no_other(tmp_path: Path) -> None:
    rows = read(csv_of(tmp_path, 'title,score\nA,1\nB\n"C" d,3\nE\0,4\nF,5\n'))
    assert said(rows) == ["A", "F"]
    assert len(refused(rows)) == 3 and all(r.raw == "" for r in rows if isinstance(r, Rejected))
    assert [r.origin.rpartition(":")[2] for r in rows if isinstance(r, Rejected)] == ["3", "4", "5"]
    assert all(r.origin.partition(":")[0].endswith(".csv") for r in rows if isinstance(r, Rejected))


def test_how_a_post_was_removed_is_told(tmp_path: Path) -> None:
    how = ["deleted", "moderator", "automod_filtered", "reddit", "copyright_takedown", "odd", ""]
    marks = ["[ Removed by Reddit ]", "[removed by moderator]", "[removed]"]
    rows = "".join(f"A,{w}\n" for w in how) + "".join(f"{m},\n" for m in marks)
    assert refused(read(csv_of(tmp_path, "title,removed_by_category\n" + rows))) == [
        "removed post: deleted by its user",
        "removed post: removed by a moderator",
        "removed post: removed by a moderator's rule",
        "removed post: removed by Reddit",
        "removed post: taken down for its copyright",
        "removed post",
        "removed post: removed by Reddit",
        "removed post: removed by a moderator",
        "removed post",
    ]


def test_what_pandas_writes_for_nothing_is_no_title(tmp_path: Path) -> None:
    rows = read(csv_of(tmp_path, "title,selftext\nnan,x\nNaN,x\nNone,x\nNaN bread,nan\nNanny,x\n"))
    assert said(rows) == ["NaN bread", "Nanny"]
    assert refused(rows) == [f"no title: {t!r} stands for an empty cell" for t in ("nan", "NaN", "None")]
    assert said(read(tmp_path / "a.csv", shape="reply")) == ["x"]
    assert said(read(csv_of(tmp_path, '{"title": "None"}\n', "b.jsonl"))) == ["None"]


DUMP = [
    {
        "id": "p1",
        "title": "One &lt;b&gt;",
        "selftext": "",
        "subreddit": "TheOnion",
        "score": 3,
        "author": "x",
        "removed_by_category": None,
    },
    {
        "id": "c1",
        "body": "A comment about weather &amp; such",
        "link_id": "t3_p1",
        "subreddit": "TheOnion",
        "score": -1,
        "author": "y",
    },
    {
        "id": "c2",
        "body": "[removed]",
        "link_id": "t3_p1",
        "subreddit": "TheOnion",
        "score": 1,
        "author": "[deleted]",
    },
    {"id": "p2", "title": "Two of TheOnion", "selftext": "", "subreddit": "pics", "score": 3, "author": "x"},
    {"id": "p3", "title": "Three", "selftext": "", "subreddit": "pics", "score": 3, "author": "x"},
]


def dump(folder: Path, name: str = "RS_2021-06.zst") -> Path:
    compressor = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=30)
    )
    packer = compressor.compressobj()
    path = folder / name
    path.write_bytes(packer.compress("".join(json.dumps(r) + "\n" for r in DUMP).encode()) + packer.flush())
    return path


def test_dumps_hold_posts_and_comments(tmp_path: Path) -> None:
    path = dump(tmp_path)
    posts = read(path)
    assert said(posts) == ["One <b>", "Two of TheOnion", "Three"]
    assert refused(posts) == ["a comment, not a post", "removed post"]
    comments = read(path, shape="comment", subreddits=["TheOnion"])
    assert said(comments) == ["A comment about weather & such"]
    assert refused(comments) == ["a post, not a comment", "removed post", "2 rows of other subreddits"]
    (comment,) = [r for r in comments if isinstance(r, Record)]
    assert comment.meta["group"] == "reddit/p1"
    assert comment.meta["origin"] == "https://www.reddit.com/comments/p1/_/c1"


def test_a_dump_that_breaks_off_is_never_whole(tmp_path: Path) -> None:
    path = dump(tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    assert any("RS_2021-06.zst: is cut short" in r for r in refused(read(path)))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("u/bob_1 and /u/Al-ice, U/CAPS", "u/[user] and u/[user], u/[user]"),
        ("https://www.reddit.com/u/bob/comments", "https://www.reddit.com/u/[user]/comments"),
        ("https://reddit.com/user/bob?x", "https://reddit.com/u/[user]?x"),
        ("menu/lunch, r/TheOnion, you/me, user/server", "menu/lunch, r/TheOnion, you/me, user/server"),
        ("[he](/user/bob_1) and u/some\\_one", "[he](u/[user]) and u/[user]"),
        ("r/u_bob/comments", "r/u_[user]/comments"),
        ("AT&amp;T &lt;3 &#39;", "AT&T <3 '"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_plain_text(text: str, cleaned: str) -> None:
    assert plain(text) == cleaned


def test_what_is_fetched_hangs_on_four_options() -> None:
    plugin = plugins("source")["reddit"]
    assert plugin.file_options == {"files": "glob"}
    assert set(plugin.bind_fetch({"subreddit": "TheOnion"})) == {"subreddit", "listing", "period", "limit"}


# -- PRAW -----------------------------------------------------------------------------------------


class Site(ThreadingHTTPServer):
    """Reddit, as far as PRAW asks: a token for the right credentials, listings in pages of 100."""

    daemon_threads = True

    def __init__(self, posts: int = 250, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts, self.status = posts, status
        self.asked: list[tuple[str, dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _answer(self, status: int, data: Any, **headers: str) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers)))
        right = self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:hush").decode()
        token = {"access_token": "token", "token_type": "bearer", "expires_in": 3600, "scope": "*"}
        self._answer(200 if right else 401, token if right else {"error": 401})

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        if self.server.status == 302:
            self._answer(302, {}, Location="http://127.0.0.2:9/stolen")
            return
        if self.server.status != 200 or self.headers["Authorization"] != "bearer token":
            self._answer(self.server.status if self.server.status != 200 else 401, {"message": "no"})
            return
        after = parse_qs(urlsplit(self.path).query).get("after", ["t3_0"])[0]
        start = int(after.removeprefix("t3_"))
        end = min(start + 100, self.server.posts)
        posts = [{"kind": "t3", "data": self._post(n)} for n in range(start, end)]
        more = f"t3_{end}" if end < self.server.posts else None
        if self.server.posts < 0:
            self._answer(
                200, {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": {"author": 7}}]}}
            )
            return
        self._answer(200, {"kind": "Listing", "data": {"children": posts, "after": more, "before": None}})

    def _post(self, n: int) -> dict[str, Any]:
        return {
            "id": f"a{n}", "name": f"t3_{n}", "title": f"Man Eats &amp; Number {n}", "score": n,
            "selftext": r"by /u/iceman77 and u\/ice\_man77 of r/u_iceman77" if n == 6 else "",
            "subreddit": "TheOnion", "domain": "theonion.com",
            "url": "https://old.reddit.com/user/iceman77/comments/1" if n == 7 else "https://theonion.com/x",
            "author": {3: "[deleted]", 5: None}.get(n, "iceman77"), "removed_by_category": "moderator" if n == 4 else None,
        }  # fmt: skip


class Net:
    """What `fetch` uses of its world, for PRAW's sake without a client."""

    name, seed = "onion", 7

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.settings = folder, settings

    def setting(self, name: str) -> str:
        return self.settings.get(name, "")

    def store(self, chunks: Iterable[bytes]) -> str:
        data = b"".join(chunks)
        name = sha256(data).hexdigest()
        (self.folder / name).write_bytes(data)
        return name

    def progress(self, done: int, of: int, what: str) -> None:
        assert 0 < done <= of and what == "posts"


@contextmanager
def site(folder: Path, *, secret: str = "hush", **how: int) -> Iterator[tuple[Site, Net]]:
    with Site(**how) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield (
                server,
                Net(
                    folder,
                    reddit_url=url,
                    reddit_login_url=url,
                    reddit_client_id="me",
                    reddit_client_secret=secret,
                    contact="me@a.test",
                ),
            )
        finally:
            server.shutdown()
            thread.join()


def fetched(net: Net, **options: Any) -> list[Item]:
    pytest.importorskip("praw", reason="PRAW is not installed")
    whole: dict[str, Any] = {
        "subreddit": "TheOnion",
        "listing": "top",
        "period": "all",
        "limit": 1000,
    } | options
    return list(fetch(net, **whole))  # type: ignore[arg-type]


def test_praw_fetches_all_pages_and_keeps_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A stranger's praw.ini in the folder at hand sends nothing elsewhere.
    (tmp_path / "praw.ini").write_text("[DEFAULT]\nratelimit_seconds=1\nusername=evil\npassword=evil\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with site(tmp_path) as (server, net):
        (item,) = fetched(net, limit=230)
    assert item.key == "r/TheOnion/top/all" and not item.error
    assert item.meta == {"origin": "https://www.reddit.com/r/TheOnion/top"}
    raw = (tmp_path / item.sha256).read_bytes()
    assert b"u/[user] and u/[user] of r/u_[user]" in raw and b"reddit.com/u/[user]/comments" in raw
    lines = raw.splitlines()
    assert len(lines) == 230 and not any(b"iceman77" in line or b"man77" in line for line in lines)
    assert [urlsplit(path).path for path, _ in server.asked] == ["/api/v1/access_token"] + [
        "/r/TheOnion/top"
    ] * 3
    assert all(
        h["User-Agent"].startswith("mirepoix/") and "me@a.test" in h["User-Agent"] for _, h in server.asked
    )
    rows = list(reddit(context(items=[item], raw=lambda i: tmp_path / i.sha256), subreddit="TheOnion"))
    # With raw_json=1 the API's texts bear no entities: what is written there is meant.
    assert said(rows)[:2] == ["Man Eats &amp; Number 0", "Man Eats &amp; Number 1"]
    assert len(said(rows)) == 227
    gone = "removed post: its user is gone"
    assert refused(rows) == [gone, "removed post: removed by a moderator", gone]
    assert isinstance(rows[0], Record) and rows[0].id == "r/r/TheOnion/top/all/1"


def test_the_same_posts_are_the_same_bytes(tmp_path: Path) -> None:
    with site(tmp_path, posts=5) as (_, net):
        assert fetched(net)[0].sha256 == fetched(net)[0].sha256


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"secret": "wrong"}, "does not know the credentials"),
        ({"status": 403}, "private"),
        ({"status": 404}, "no such subreddit"),
        ({"status": 302}, "no such subreddit"),
        ({"status": 429}, "too many requests"),
        ({"posts": 0}, "has no posts"),
        ({"posts": -1}, "cannot be understood"),
    ],
)
def test_what_reddit_does_not_give_is_an_item_that_says_why(
    tmp_path: Path, how: dict[str, Any], why: str
) -> None:
    with site(tmp_path, **how) as (_, net):
        (item,) = fetched(net, listing="new")
    assert item.key == "r/TheOnion/new" and why in item.error and not item.sha256
    assert "hush" not in item.error


def test_a_site_that_is_not_there(tmp_path: Path) -> None:
    with site(tmp_path) as (_, net):
        pass
    assert "cannot be reached" in fetched(net)[0].error


def test_missing_credentials_name_the_settings(tmp_path: Path) -> None:
    with pytest.raises(
        StepError, match=r"reddit_client_id \(or MIREPOIX_REDDIT_CLIENT_ID\) and reddit_client_secret"
    ):
        fetched(Net(tmp_path))
    assert fetched(Net(tmp_path), subreddit=None) == []
