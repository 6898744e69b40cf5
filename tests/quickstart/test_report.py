"""The page that `make quickstart` left, in a browser: what every report must hold holds for a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "runs/quickstart/report.html"
AXE = ROOT / "build/node/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not PAGE.is_file():
        pytest.skip("there is no quickstart report to look at: make quickstart")
    with pages.chromium() as found:
        yield found


def test_it_is_quiet_light_and_fits(browser: Any) -> None:
    assert PAGE.stat().st_size <= pages.MOST
    pages.quiet_and_fitting(browser, PAGE)
    pages.printed(browser, PAGE)


def test_axe_finds_nothing(browser: Any) -> None:
    if not AXE.is_file():
        pytest.skip("no axe-core here: bash .ci/tools")
    pages.accessible(browser, PAGE, AXE)
