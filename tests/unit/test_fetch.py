"""Fetching in a run: locked by content, asked again only when told to, what is missing named in the ledger."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("trafilatura", reason="trafilatura is not installed")

from runner import fetch, ledger, lock
from runner.cli import main
from runner.errors import StepError
from runner.fetching import Item, Paid
from runner.load import load_recipe
from runner.plan import plan
from runner.run import _Walk
from runner.settings import load as load_settings
from runner.store import Store
from runner.store.garbage import collect
from runner.workspace import Workspace

STORY = "".join(
    f"<p>On day {n} the raft went on past the {place}, and nobody aboard had a word to say against it.</p>"
    for n, place in enumerate(("sandbar", "mill", "ferry", "woodyard", "island", "church"), 1)
)


class Site(ThreadingHTTPServer):
    """Three addresses of which one is not there; notes what was asked for."""

    daemon_threads = True
    pages: dict[str, str]
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        text = self.server.pages.get(self.path)
        if self.path.startswith("/unsaid"):
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + (text or "").encode())
            return
        body = (text or "no").encode()
        self.send_response(200 if text is not None else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/noted":
            self.send_header("X-Robots-Tag", "noindex")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    server = Site(("127.0.0.1", 0), Handler)
    server.asked = []
    server.pages = {
        f"/{n}": f"<html><head><title>Trip {n}</title></head><body><article><h1>Trip {n}</h1>{STORY}"
        f"<p>That was trip {n} of the summer, and the {n}th time that we came home wet.</p></article></body></html>"
        for n in (1, 2)
    }
    server.pages["/noted"] = server.pages["/1"]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("MIREPOIX_SETTINGS", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text(f'allow = "127.0.0.1:{server.server_port}"\npace = 1000\n')
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def home(site: Site, tmp_path: Path) -> Path:
    urls = [f"http://127.0.0.1:{site.server_port}/{p}" for p in ("1", "2", "3", "noted")]
    recipe = {
        "recipe": 1,
        "name": "raft",
        "sources": [
            {
                "web": {"urls": urls},
                "name": "press",
                "license": "CC0-1.0",
                "chat": {"passages": {"words": [5, 60]}},
            }
        ],
        "split": {"validation": 0},
    }
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "raft.yaml").write_text(json.dumps(recipe))
    return tmp_path / "w"


def recipe(home: Path, *arguments: str) -> Result:
    verb, *rest = arguments
    result = CliRunner().invoke(main, [verb, str(home / "raft.yaml"), "--workspace", str(home), *rest])
    assert "Traceback" not in result.output
    return result


def run(home: Path, *more: str) -> dict[str, Any]:
    result = recipe(home, "run", "--to", "prepare", "--json", *more)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def pages_asked(site: Site) -> list[str]:
    asked = [p for p in site.asked if p != "/robots.txt"]
    site.asked.clear()
    return asked


def test_a_second_run_asks_for_nothing(home: Path, site: Site) -> None:
    said = recipe(home, "plan").output
    assert "run   fetch.press" in said
    assert "not fetched yet" in said
    assert site.asked == []
    assert run(home)["executed"] > 1
    assert sorted(pages_asked(site)) == ["/1", "/2", "/3", "/noted"]
    for path in (home / ".mirepoix").rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    assert collect(Store(home)) == [], "the run needs all of it"
    again = run(home)
    assert again["executed"] == 0
    assert site.asked == []
    said = recipe(home, "plan").output
    assert "skip  fetch.press" in said
    assert "4 items, 1 not had: --refresh failed asks again" in said


def test_what_a_run_fetched_goes_with_it_and_is_fetched_again(home: Path, site: Site) -> None:
    planned = plan(load_recipe(home / "raft.yaml", Workspace(home)), Workspace(home))
    walk = _Walk(planned, Store(home), lambda event: None, load_settings())
    walk.fetch(walk.settings, "none")  # and then it is killed
    (home / "runs/raft").mkdir(parents=True, exist_ok=True)
    for path in (home / ".mirepoix").rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    assert collect(Store(home)) == [], "it goes on with that"
    then = plan(load_recipe(home / "raft.yaml", Workspace(home)), Workspace(home))
    assert [f.items is not None for f in then.fetches] == [True]
    (home / "runs/raft").rename(home / "raft")
    assert {"fetched", "raw"} <= {w.kind for w in collect(Store(home))}
    left = [p for p in (home / ".mirepoix/raw").rglob("*") if p.is_file()]
    assert len(left) < len(walk.plan.fetches[0].items or ())
    walk = _Walk(then, Store(home), lambda event: None, walk.settings)
    assert [f.items for f in walk.plan.fetches] == [None], (
        "planned before it was collected: it is fetched again"
    )


def test_what_is_missing_stands_in_ledger_and_log(home: Path, site: Site) -> None:
    run(home)
    fates = ledger.read(home / "runs/raft/ledger.parquet")
    url = f"http://127.0.0.1:{site.server_port}"
    lost = {f.id: f.reason for f in fates if f.by.startswith("source")}
    assert set(lost) == {f"press/{url}/3", f"press/{url}/noted"}
    assert "404" in lost[f"press/{url}/3"]
    assert "X-Robots-Tag" in lost[f"press/{url}/noted"]
    assert (home / "runs/raft/logs/fetch.press.log").read_text().count("\n") == 2
    kept = [f for f in fates if f.fate == "trained"]
    assert {f.origin for f in kept} == {f"{url}/1", f"{url}/2"}
    assert {f.license for f in kept} == {"CC0-1.0"}
    card = (home / "runs/raft/data-card.md").read_text()
    assert "| CC0-1.0 | press |" in card
    assert "404" in card


def test_the_same_bytes_after_a_refresh_rerun_nothing(home: Path, site: Site) -> None:
    run(home)
    pages_asked(site)
    assert run(home, "--refresh")["executed"] == 1  # the fetch alone
    assert sorted(pages_asked(site)) == ["/1", "/2", "/3", "/noted"]
    site.pages["/2"] = site.pages["/2"].replace("came home wet", "came home dry")
    assert run(home, "--refresh")["executed"] > 1
    assert "came home dry" in (home / "runs/raft/data/train.jsonl").read_text()


def sources(home: Path, *specs: dict[str, Any], **more: Any) -> None:
    """The recipe, with other sources."""
    file = home / "raft.yaml"
    old = json.loads(file.read_text())
    file.write_text(json.dumps(old | {"sources": list(specs)} | more))


def test_a_page_that_is_cut_without_a_word_is_not_trained_on(home: Path, site: Site) -> None:
    page = site.pages["/1"]
    site.pages |= {"/unsaid/whole": page, "/unsaid/cut": page[:400]}
    url = f"http://127.0.0.1:{site.server_port}"
    urls = [f"{url}/unsaid/whole", f"{url}/unsaid/cut"]
    sources(home, {"web": {"urls": urls}, "name": "press", "chat": {"passages": {"words": [5, 60]}}})
    run(home)
    fates = ledger.read(home / "runs/raft/ledger.parquet")
    assert {f.origin for f in fates if f.fate == "trained"} == {urls[0]}
    [lost] = [f for f in fates if f.by.startswith("source")]
    assert lost.id == f"press/{urls[1]}" and "the page is cut off" in lost.reason


def test_rows_that_may_be_cut_off_are_told(home: Path, site: Site) -> None:
    rows = "".join(json.dumps({"text": f"Day {n}: the raft went on past the mill."}) + "\n" for n in range(9))
    site.pages |= {"/unsaid/rows.jsonl": rows, "/rows.jsonl": rows.replace("mill", "ferry")}
    url = f"http://127.0.0.1:{site.server_port}"
    urls = [f"{url}/rows.jsonl", f"{url}/unsaid/rows.jsonl"]
    sources(home, {"files": {"urls": urls}, "name": "log", "chat": {"passages": {"words": [3, 60]}}})
    result = recipe(home, "run", "--to", "prepare")
    assert result.exit_code == 0, result.output
    assert "2 had, 1 of them perhaps cut off: see logs/fetch.log.log" in " ".join(result.output.split())
    log = (home / "runs/raft/logs/fetch.log.log").read_text()
    assert log == f"{urls[1]}: had, but {fetch.DOUBT}\n"


@pytest.mark.parametrize(
    ("items", "stops"),
    [
        ([Item("a", error="404", gone=True), Item("b", error="robots", gone=True)], False),
        ([Item("a", error="404", gone=True), Item("b", error="503")], True),
        ([Item("a", error="503")], True),
        ([Item("a", error="503"), Item("b", "0" * 64)], False),
        ([Item("a", error="503"), Item("b", error="not wanted", left_out=True)], False),
        ([], False),
    ],
)
def test_only_what_is_gone_makes_an_empty_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: list[Item], stops: bool
) -> None:
    monkeypatch.setattr(fetch, "items", lambda *_: iter(items))
    one: Any = SimpleNamespace(name="fetch.press", request={"fetch": "press"}, files={})
    net: Any = None
    if stops:
        with pytest.raises(StepError, match="nothing could be had: a: "):
            fetch.run(one, net, tmp_path, tmp_path / "log", "log")
        assert lock.read(tmp_path, one.request) is None
    else:
        fetch.run(one, net, tmp_path, tmp_path / "log", "log")
        assert list((tmp_path / "fetched/locks").iterdir())
    assert (tmp_path / "log").read_text().count("\n") == sum(bool(i.error) for i in items)


def test_only_what_failed_is_asked_again(home: Path, site: Site) -> None:
    run(home)
    pages_asked(site)
    site.pages["/3"] = site.pages["/1"].replace("trip 1", "trip 3")
    assert run(home)["executed"] == 0
    assert run(home, "--refresh", "failed")["executed"] > 1
    assert pages_asked(site) == ["/3"]
    assert "trip 3 of the summer" in (home / "runs/raft/data/train.jsonl").read_text()


def test_addresses_that_nobody_allowed_are_refused(
    home: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIREPOIX_ALLOW", "")
    result = recipe(home, "run", "--to", "prepare")
    assert result.exit_code == 3
    assert "127.0.0.1" in result.output
    assert "fetch.press: nothing could be had" in result.output
    assert site.asked == []
    pair = f"127.0.0.1:{site.server_port}"
    assert recipe(home, "run", "--to", "prepare", "--allow", pair).exit_code == 0


def test_show_sources_fetches_no_more_than_it_shows(home: Path, site: Site) -> None:
    result = recipe(home, "show", "sources", "--rows", "1")
    assert result.exit_code == 0, result.output
    assert "press: 1 records" in result.output
    assert "On day 1 the raft went on" in result.output
    assert not (home / "runs").exists()
    # What it fetched is kept: the run asks for the rest only.
    seen = pages_asked(site)
    run(home)
    assert set(pages_asked(site)).isdisjoint({p for p in seen if p in ("/1", "/2")})


def test_a_preview_asks_for_no_page_that_it_does_not_show(home: Path, site: Site) -> None:
    site.pages |= {f"/{n}": site.pages["/1"].replace("trip 1", f"trip {n}") for n in range(1, 31)}
    urls = [f"http://127.0.0.1:{site.server_port}/{n}" for n in range(1, 31)]
    spec = {"web": {"urls": urls}, "chat": {"passages": {"words": [5, 30]}}}
    sources(home, spec | {"name": "press"}, spec | {"name": "papers"})
    result = recipe(home, "show", "sources", "--rows", "2")
    assert result.exit_code == 0, result.output
    assert "press: 2 records" in result.output and "papers: 2 records" in result.output
    assert pages_asked(site) == ["/1"]


def test_bytes_that_were_damaged_are_not_trained_on(home: Path, site: Site) -> None:
    run(home)
    for file in (home / ".mirepoix/raw").rglob("*"):
        if file.is_file() and b"trip 1" in file.read_bytes():
            file.chmod(0o644)
            file.write_bytes(b"something else")
    recipe_file = home / "raft.yaml"
    recipe_file.write_text(recipe_file.read_text().replace('"name": "press"', '"name": "papers"'))
    result = recipe(home, "run", "--to", "prepare")
    assert result.exit_code == 3
    assert "damaged; run it again with --refresh" in result.output


def test_addresses_and_times_decide_no_fingerprint(home: Path, site: Site) -> None:
    run(home)
    place = Workspace(home)
    text = json.dumps([s.ingredients for s in plan(load_recipe(home / "raft.yaml", place), place).steps])
    assert str(home) not in text
    assert "allow" not in text


def test_what_a_fetch_came_to_is_told_on_one_line() -> None:
    gone = [Item(k, error="HTTP 404 Not Found", gone=True) for k in "ab"]
    assert fetch.told(gone, "logs/x.log") == (
        "NOTHING COULD BE HAD, a: HTTP 404 Not Found; 0 had, 2 not: see logs/x.log; --refresh failed asks again"
    )
    assert fetch.told([Item("a", "0" * 64, doubt="?"), Item("b", "0" * 64)], "logs/x.log") == (
        "2 had, 1 of them perhaps cut off: see logs/x.log"
    )
    had = [Item("a", "0" * 64), Item("b", "0" * 64, Paid(1, 100, 20, 0.5).meta())]
    assert fetch.told(had[:1], "logs/x.log") == "1 had"
    rest = [Item("c", error="no", left_out=True), Item("d", error="404")]
    assert fetch.told([*had, rest[0]], "logs/x.log").startswith(
        "2 had, 1 left out: see logs/x.log; paid: 120 "
    )
    assert fetch.told([*had, *rest], "logs/x.log") == (
        "2 had, 1 left out, 1 not: see logs/x.log; --refresh failed asks again; "
        "paid: 120 tokens (100 in, 20 out), cost 0.5000, for 1 row"
    )
