"""The documentation's site, built as `make docs` builds it: every link and anchor leads somewhere, from disk as well as served;
in a browser no request leaves it and nothing is wrong on the console.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEEN = ("index.html", "tutorial.html", "reference/recipe.html", "security.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("zensical", reason="zensical is not installed: pip install 'mirepoix[docs]'")
    build = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT / "docs", build / "docs")
    shutil.move(build / "docs/zensical.toml", build / "zensical.toml")
    program = Path(sys.executable).parent / "zensical"
    command = [program, "build", "--strict", "--clean", "-f", build / "zensical.toml"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return build / "site"


class Page(HTMLParser):
    """What a page points to, and what in it can be pointed to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attrs}
        self.ids |= {found[k] for k in ("id", "name") if k in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and "href" in found:
            self.sources.append(found["href"])
        elif "src" in found:
            self.sources.append(found["src"])


def test_the_recipe_of_make_is_this_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "zensical build --strict --clean -f build/zensical.toml" in makefile


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "docs/zensical.toml").read_text(encoding="utf-8")
    named = set(re.findall(r'"([\w/-]+\.md)"', text))
    there = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert named == there


def test_all_links_lead_somewhere_within_the_site(site: Path) -> None:
    pages = {p.resolve(): Page(p) for p in site.rglob("*.html") if p.name != "404.html"}
    assert len(pages) > 35
    gone = []
    for path, page in pages.items():
        for link in {*page.links, *page.sources}:
            where, anchor = urldefrag(unquote(link))
            if re.match(r"[a-z]+:", where):
                assert link in page.links, f"{path.name} takes {link} from elsewhere"
                continue
            target = (path.parent / where).resolve() if where else path
            known = pages[target].ids | {""} if target in pages else {""}
            if not target.exists() or anchor not in known:
                gone.append(f"{path.relative_to(site.resolve())} → {link}")
    assert gone == []


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize("way", ["served", "disk"])
def test_in_a_browser_nothing_leaves_and_nothing_is_wrong(
    way: str, site: Path, chromium: Any, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue("served") if way == "served" else site.as_uri() + "/"
    context = chromium.new_context()
    page = context.new_page()
    asked, wrong = [], []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: wrong.append(str(e)))
    for name in SEEN:
        page.goto(base + name, wait_until="load")
        assert page.locator("h1").first.inner_text()
    page.keyboard.press("/")  # search works without a server, too
    page.wait_for_timeout(1000)
    page.keyboard.type("decontaminate")
    page.wait_for_timeout(3000)
    page.keyboard.press("Enter")  # the first that was found
    page.wait_for_url(re.compile("#decontaminate"), timeout=20_000)
    context.close()
    away = [url for url in asked if not url.startswith((base, "data:", "blob:"))]
    assert away == []
    assert wrong == []
