"""Pages as a browser shows them, once their scripts have run; for pages that are empty shells without.

The browser has no network: all that a page asks for is brought by the guarded client, or not at all, so that checks
of addresses, robots.txt, pace, caps and cache hold for scripts as for people. It has no clock either: its time is
virtual, starts at the same moment for every page, and stands still while something is being fetched. Thus the same
answers give the same bytes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator, Iterable
from types import TracebackType
from typing import Any, TypeVar

from runner import extras
from runner.errors import StepError
from runner.fetching import Fetcher, Got, Unfetched
from runner.rendering.chromium import Chromium
from runner.rendering.visit import Visit, off_limits
from runner.webtext import NoPage, refuses_use
from runner.webtext.charset import to_text
from runner.webtext.refuse import MOST_BYTES, refuse_bytes

T = TypeVar("T")
_PAGES = ("", "text/html", "application/xhtml+xml")


def _needs() -> str:
    return (
        f"render needs Playwright and a Chromium: {extras.install('browser')}, then `playwright install chromium`, "
        "or the system's own package of chromium"
    )


def rendered(
    net: Fetcher, answers: Iterable[tuple[str, Got | Unfetched]]
) -> Generator[tuple[str, Got | Unfetched], None, None]:
    """`net.get_all`'s answers, each page in them replaced by what it shows; one page at a time.

    What is no page, or asks not to be used, is handed on as it came. A page that cannot be shown is an Unfetched.
    Closing the iterator ends the browser. Raises StepError where there is no browser that starts.
    """
    with _Browser(net) as browser:
        for url, answer in answers:
            if isinstance(answer, Unfetched) or (html := _html(answer)) is None:
                yield url, answer
                continue
            try:
                data = browser.show(answer.url, html).encode()
            except Unfetched as e:
                yield url, e
                continue
            digest = net.store([data])
            yield url, Got(answer.url, net.path(digest), digest, "text/html", "utf-8", answer.robots)


def _html(got: Got) -> str | None:
    """The page's source; None for what no browser should see."""
    data = got.bytes()
    if got.content_type not in _PAGES or refuses_use(got.robots):
        return None
    try:
        refuse_bytes(data)
    except NoPage:
        return None
    return to_text(data, got.charset)[0]


class _Loop:
    """A loop of our own, run by who asks it; by a thread where they are in a loop already, as a notebook's cell is."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self._thread = threading.Thread(target=self._loop.run_forever, name="browser", daemon=True)
        self._thread.start()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """What it comes to. Whoever is interrupted as they wait for the thread leave its work under way: see `_end`."""
        if self._thread is None:
            return self._loop.run_until_complete(what)
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def close(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()


class _Browser:
    """A Chromium, started anew after a page that could not be shown, with the loop that its messages go through."""

    def __init__(self, net: Fetcher) -> None:
        try:
            import playwright.async_api  # noqa: F401
        except ImportError:
            raise StepError(net.name, _needs()) from None
        self._net, self._off_limits = net, off_limits(net)
        self._loop = _Loop()
        self._chromium: Chromium | None = None

    def __enter__(self) -> _Browser:
        try:
            self._loop.run(self._started())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def show(self, url: str, html: str) -> str:
        """What the page shows, as HTML. Raises Unfetched."""
        return self._loop.run(self._show(url, html))

    async def _started(self) -> Chromium:
        if self._chromium is None:
            self._chromium = Chromium()
            try:
                await self._chromium.start()
            except LookupError:
                raise StepError(self._net.name, _needs()) from None
            except OSError as e:
                raise StepError(self._net.name, f"the browser does not start: {e}") from None
        return self._chromium

    async def _show(self, url: str, html: str) -> str:
        chromium = await self._started()
        visit = Visit(self._net, url, html, self._off_limits, MOST_BYTES)
        try:
            return await visit.shown(chromium.browser)
        except Unfetched:  # whatever the page left running ends with it
            self._chromium = None
            await chromium.end()
            raise

    def close(self) -> None:
        """End the browser and all that belongs to it."""
        try:
            self._loop.run(self._end())
        finally:
            self._loop.close()

    async def _end(self) -> None:
        try:
            if self._chromium is not None:
                await self._chromium.end()
        finally:  # what was under way when we were interrupted
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
