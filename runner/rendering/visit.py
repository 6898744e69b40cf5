"""One page in the browser: its scripts run for ten seconds of virtual time, and the client brings what they ask for."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from runner.errors import safe
from runner.fetching import Fetcher, Got, Unfetched
from runner.settings import SETTINGS

if TYPE_CHECKING:
    from playwright.async_api import Browser, CDPSession, Page, Request, Route

_PARTS = ("script", "stylesheet", "xhr", "fetch")
MOST_PARTS = 200
MOST_BYTES = 32 << 20
OWN_TIME = 30.0
"""Seconds that a page may take while nothing is being fetched for it."""
ALL_TIME = 300.0
"""And with that."""
_TICK = 0.1
_BEGAN = 1735689600
"""What the page takes for now: the first second of 2025."""
_SLICES, _SLICE = 10, 1000
"""Virtual milliseconds; between two slices, work in the background (storage, decoding) may catch up."""
_BREATH = 0.03
_EMPTY = "the answer is empty"
"""What the client says of a file of no bytes, which is suspicious in a book and common among scripts."""
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)

# The clock is Chromium's virtual one; what else differs from visit to visit is fixed here.
_SAME = """(() => {
  let state = 20250101;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  Math.random = random;
  Crypto.prototype.getRandomValues = (array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random() * 256;
    return array;
  };
  if (Crypto.prototype.randomUUID) Crypto.prototype.randomUUID = () =>
    '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (d) => (d ^ ((random() * 16) >> (d / 4))).toString(16));
  const began = Date.now();
  Performance.prototype.now = () => Date.now() - began;
  for (const name of ['RTCPeerConnection', 'webkitRTCPeerConnection', 'WebTransport', 'WebSocketStream'])
    delete globalThis[name];
})();"""
# Run beside the page's own scripts, which cannot meddle with it. What stands in for scripts is not shown with them.
_SHOWN = """(() => {
  for (const element of Document.prototype.querySelectorAll.call(document, 'noscript')) element.remove();
  const type = document.doctype ? new XMLSerializer().serializeToString(document.doctype) : '';
  const html = type + (document.documentElement ? document.documentElement.outerHTML : '');
  return html.length > %d ? null : html.toWellFormed();
})()"""


def _place(url: str) -> tuple[str, int]:
    """Host and port, as the client's guard reads them. Raises ValueError."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as e:
        raise ValueError(str(e)) from None
    return parsed.raw_host.decode().lower(), parsed.port or (443 if parsed.scheme == "https" else 80)


def off_limits(net: Fetcher) -> frozenset[tuple[str, int]]:
    """Places that only the user's settings open: scripts from elsewhere could carry away what is said there."""
    own = {n: net.setting(n) for n, s in SETTINGS.items() if s.address and net.setting(n) != s.default}
    allowed = [f"http://{pair.strip()}" for pair in net.setting("allow").split(",") if pair.strip()]
    return frozenset(_place(url) for url in (*own.values(), *allowed) if url)


class Visit:
    """The page at `url`, whose source is `html`; `most` are the most characters that it may show."""

    def __init__(
        self, net: Fetcher, url: str, html: str, off_limits: frozenset[tuple[str, int]], most: int
    ) -> None:
        self._net, self._url, self._html, self._most = net, url, html, most
        self._here = _place(url)
        self._off_limits = off_limits - {self._here}
        self._opened = ""
        self._parts = self._bytes = self._fetching = 0
        self._fault: Exception | None = None

    async def shown(self, browser: Browser) -> str:
        """What it shows, as HTML. Raises Unfetched, and the browser is to be ended then."""
        from playwright.async_api import Error

        try:
            task = asyncio.ensure_future(self._run(browser))
            task.add_done_callback(lambda t: t.cancelled() or t.exception())  # what comes too late is no news
            return await self._in_time(task)
        except Error as e:
            raise self._fault or Unfetched(f"the page broke the browser: {safe(e.message)[:200]}") from None

    async def _run(self, browser: Browser) -> str:
        context = await browser.new_context(
            accept_downloads=False,
            locale="en-US",
            permissions=[],
            reduced_motion="reduce",
            service_workers="block",
            timezone_id="UTC",
            viewport={"width": 1280, "height": 2000},
        )
        await context.add_init_script(_SAME)
        await context.route("**/*", self._route)
        page = await context.new_page()
        context.on("page", _shut)
        page.on("crash", self._broken)
        page.on("close", self._broken)
        session = await context.new_cdp_session(page)
        await self._live(page, session)
        html = await self._serialized(session)
        page.remove_listener("close", self._broken)
        await context.close()
        return html

    async def _live(self, page: Page, session: CDPSession) -> None:
        """Load the page and let its time run out."""
        expired = asyncio.Event()
        session.on("Emulation.virtualTimeBudgetExpired", lambda _: expired.set())
        await session.send(
            "Emulation.setVirtualTimePolicy", {"policy": "pause", "initialVirtualTime": _BEGAN}
        )
        await page.goto(self._url, wait_until="commit", timeout=0)
        for _ in range(_SLICES):
            expired.clear()
            policy = {"policy": "pauseIfNetworkFetchesPending", "budget": _SLICE}
            await session.send("Emulation.setVirtualTimePolicy", policy)
            await expired.wait()
            await asyncio.sleep(_BREATH)

    async def _serialized(self, session: CDPSession) -> str:
        tree: Any = await session.send("Page.getFrameTree")
        frame = {"frameId": tree["frameTree"]["frame"]["id"], "worldName": "mirepoix"}
        world: Any = await session.send("Page.createIsolatedWorld", frame)
        run = {
            "expression": _SHOWN % self._most,
            "contextId": world["executionContextId"],
            "returnByValue": True,
        }
        answer: Any = await session.send("Runtime.evaluate", run)
        if "exceptionDetails" in answer:
            raise Unfetched("what it shows cannot be read")
        html = answer["result"].get("value")
        if not isinstance(html, str):
            raise Unfetched(f"what it shows has more than {self._most:,} characters")
        return html

    async def _in_time(self, task: asyncio.Task[str]) -> str:
        """The task's result, unless something fails or takes too long first. Raises Unfetched."""
        own = total = 0.0
        try:
            while not (await asyncio.wait({task}, timeout=_TICK))[0]:
                self._check()
                total += _TICK
                own += 0.0 if self._fetching else _TICK
                if own > OWN_TIME:
                    raise Unfetched(f"its scripts take more than {OWN_TIME:.0f} s", transient=True)
                if total > ALL_TIME:
                    raise Unfetched(
                        f"what its scripts ask for takes more than {ALL_TIME:.0f} s", transient=True
                    )
            self._check()
            return task.result()
        finally:
            task.cancel()

    def _check(self) -> None:
        if self._fault:
            raise self._fault

    def _broken(self, _: Page) -> None:
        self._fail(Unfetched("the page broke the browser: out of memory?"))

    def _fail(self, e: Exception) -> None:
        self._fault = self._fault or e

    async def _route(self, route: Route) -> None:
        from playwright.async_api import Error

        try:
            await self._answer(route)
        except Error:
            return  # the page is gone, and with it who asked
        except Exception as e:  # told by `_in_time`: nobody waits for what is raised here
            self._fail(e)

    async def _answer(self, route: Route) -> None:
        request = route.request
        if request.resource_type == "document":
            if self._opened:
                await self._refuse_move(route)
            else:
                self._opened = request.url
                await route.fulfill(status=200, content_type="text/html; charset=utf-8", body=self._html)
        elif (got := await self._part(request)) is None:
            await route.abort()
        else:
            # 200, never 3xx: the client has followed redirects, and what a browser follows is not intercepted.
            await route.fulfill(status=200, body=got.bytes(), headers=_headers(got))

    async def _refuse_move(self, route: Route) -> None:
        """Frames are no part of what is kept, and a page that moves on is another page."""
        request = route.request
        await route.abort("aborted")
        if request.frame.parent_frame is None and request.url != self._opened:
            self._fail(Unfetched(f"not a page: it moves on to {safe(request.url)[:200]}"))

    async def _part(self, request: Request) -> Got | None:
        """What the client has for a request of the page; None where there is nothing for it."""
        if request.resource_type not in _PARTS or request.method != "GET" or self._fault:
            return None
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Unfetched(f"its scripts ask for more than {MOST_PARTS} parts")
        self._fetching += 1
        try:
            if _place(request.url) in self._off_limits:
                return None
            got = await asyncio.to_thread(self._net.get, request.url, most=self._most)
            if _place(got.url) in self._off_limits:
                return None
        except ValueError:
            return None
        except Unfetched as e:
            # A page without one of its own parts, which may come another time, is not the whole page.
            whole = not e.transient or str(e) == _EMPTY or request.resource_type == "stylesheet"
            if not whole and _place(request.url) == self._here:
                raise Unfetched(f"a part of it, {safe(request.url)[:200]}: {e}", transient=True) from None
            return None
        finally:
            self._fetching -= 1
        self._bytes += got.path.stat().st_size
        if self._bytes > MOST_BYTES:
            raise Unfetched(f"its parts have more than {MOST_BYTES:,} bytes")
        return got


def _headers(got: Got) -> dict[str, str]:
    if not _MEDIA_TYPE.fullmatch(got.content_type):
        return {}
    charset = f"; charset={got.charset}" if re.fullmatch(r"[\w.:-]+", got.charset, re.ASCII) else ""
    return {"content-type": got.content_type + charset}


async def _shut(page: Page) -> None:
    from playwright.async_api import Error

    try:
        await page.close()
    except Error:
        return  # it has gone by itself
