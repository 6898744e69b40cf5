"""What every page of ours must hold, seen in a browser: nothing asked, nothing said, nothing wider than the screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.rendering.chromium import NAMES

LOOKS = ((390, "dark"), (1280, "light"))
"""What a theme changes hangs on no width, and the other way round: each once is enough."""
MOST = 2_000_000

_AXE = """async () => (await axe.run(document)).violations.map(
  (v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join(", "))"""
_REACHABLE = """() => Array.from(document.querySelectorAll(
  "a[href], summary, input, select, button, [tabindex='0']"
)).filter((e) => e.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true}))
  .map((e) => { if (!e.dataset.nth) e.dataset.nth = String(window.nth = (window.nth || 0) + 1); return e.dataset.nth; })"""
_LISTEN = """() => { window.reached = []; window.unseen = [];
  document.addEventListener("focusin", (event) => { const e = event.target, s = getComputedStyle(e);
    window.reached.push(e.dataset.nth || e.outerHTML.slice(0, 80));
    if (s.outlineStyle === "none" || !(parseFloat(s.outlineWidth) > 0)) window.unseen.push(e.outerHTML.slice(0, 80)); }); }"""
_OPEN = "() => document.querySelectorAll('details').forEach((d) => { d.open = true; })"
_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Text that is there but cannot be seen: print must have none.
_FOLDED = """() => Array.from(document.querySelectorAll("details > *:not(summary)"))
  .filter((e) => !e.checkVisibility({contentVisibilityAuto: true}) || e.getBoundingClientRect().height === 0)
  .map((e) => e.closest("details").querySelector("summary").textContent.trim().slice(0, 60))"""


_RUNNING: list[Any] = []


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser that can resolve no name; skips where there is none. A process has one: Playwright's own loop
    cannot run twice."""
    if _RUNNING:
        yield _RUNNING[0]
        return
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: bash .ci/tools")
    if (program := next((found for name in NAMES if (found := shutil.which(name))), None)) is None:
        pytest.skip("no Chromium here: bash .ci/tools")
    with api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        _RUNNING.append(browser)
        try:
            yield browser
        finally:
            _RUNNING.clear()
            browser.close()


@contextmanager
def opened(browser: Any, file: Path, **how: Any) -> Iterator[tuple[Any, list[str]]]:
    """The page from disk, without a network, and all that it asked for or complained of."""
    context = browser.new_context(offline=True, **how)
    page, said = context.new_page(), list[str]()
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else said.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.goto(file.as_uri())
    try:
        yield page, said
    finally:
        context.close()


def quiet_and_fitting(browser: Any, file: Path) -> None:
    """No request, no word on the console, no sideways scrolling, on a phone in the dark and on a wide light screen."""
    for width, theme in LOOKS:
        how = {"viewport": {"width": width, "height": 900}, "color_scheme": theme}
        with opened(browser, file, **how) as (page, said):
            assert page.evaluate(_WIDE) <= 0, f"it is wider than {width} px"
            ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, ground[4:-1].split(","))) < 200) == (theme == "dark")
            page.evaluate(_OPEN)
            assert page.evaluate(_WIDE) <= 0, f"opened, it is wider than {width} px"
            assert said == []


def accessible(browser: Any, file: Path, axe: Path) -> None:
    """axe-core finds nothing, with all that folds opened. It is put in past the page's own policy, which lets no script in."""
    for width, theme in LOOKS:
        how = {"viewport": {"width": width, "height": 900}, "color_scheme": theme, "bypass_csp": True}
        with opened(browser, file, **how) as (page, _):
            page.evaluate(_OPEN)
            page.add_script_tag(path=axe)
            assert page.evaluate(_AXE) == [], (width, theme)


def by_keyboard(browser: Any, file: Path) -> None:
    """Tab alone gets to every control in turn, each with an outline, and out again: no trap."""
    with opened(browser, file, viewport={"width": 1280, "height": 900}) as (page, _):
        wanted = page.evaluate(_REACHABLE)
        page.evaluate(_LISTEN)
        page.keyboard.press("Tab")
        assert "Skip" in page.evaluate("() => document.activeElement.textContent")
        for _ in wanted:  # once more than there are: out of the page again
            page.keyboard.press("Tab")
        assert page.evaluate("() => window.reached") == wanted
        assert page.evaluate("() => window.unseen") == [], "these show no focus"
        assert page.evaluate("() => document.activeElement === document.body"), "it does not let go"
        page.focus("summary")
        shut = "() => document.activeElement.parentElement.open"
        before = page.evaluate(shut)
        page.keyboard.press("Enter")
        assert page.evaluate(shut) != before


def printed(browser: Any, file: Path) -> None:
    """On paper all is open, black on white, and no table is cut at the edge of A4 with its margins."""
    with opened(browser, file, viewport={"width": 673, "height": 980}, color_scheme="dark") as (page, _):
        assert page.evaluate(_FOLDED) != []  # folded on the screen, or this shows nothing
        page.emulate_media(media="print", color_scheme="light")
        page.wait_for_function(
            f"() => ({_FOLDED})().length === 0"
        )  # what is laid out anew is there a moment later
        ground, ink = (
            page.evaluate(f"() => getComputedStyle(document.body).{c}") for c in ("backgroundColor", "color")
        )
        assert (ground, ink) == ("rgb(255, 255, 255)", "rgb(0, 0, 0)")
        cut = "() => Array.from(document.querySelectorAll('.scroll')).filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.getAttribute('aria-label'))"
        assert page.evaluate(cut) == []
