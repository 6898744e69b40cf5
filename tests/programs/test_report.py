"""The report page in a browser. `report.json` beside this file is a made-up run that has every part a report can have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pages
import pytest

from runner.page import render

REPORT = json.loads(Path(__file__).with_name("report.json").read_bytes())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(REPORT), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def axe(node_modules: Path) -> Path:
    found = node_modules / "axe-core/axe.min.js"
    if not found.is_file():
        pytest.skip("no axe-core here: bash .ci/tools")
    return found


def test_it_asks_nothing_and_fits(chromium: Any, file: Path) -> None:
    assert file.stat().st_size <= pages.MOST
    pages.quiet_and_fitting(chromium, file)


def test_axe_finds_nothing(chromium: Any, file: Path, axe: Path) -> None:
    pages.accessible(chromium, file, axe)


def test_by_keyboard(chromium: Any, file: Path) -> None:
    pages.by_keyboard(chromium, file)


def test_on_paper(chromium: Any, file: Path) -> None:
    pages.printed(chromium, file)


def test_every_part_is_there_and_filters_work(chromium: Any, file: Path) -> None:
    with pages.opened(chromium, file) as (page, said):
        links = page.eval_on_selector_all("nav a", "all => all.map((a) => a.getAttribute('href'))")
        assert links == [
            "#verdict", "#arms", "#data", "#training", "#judges", "#samples", "#forecast", "#origins", "#recipe",
        ]  # fmt: skip
        assert all(page.locator(link).count() == 1 for link in links)
        every = page.locator("details.sample").count()
        page.select_option("#of-verdict", "better")
        better = page.text_content("#filtered")
        assert better == f"{page.locator('details.sample:not([hidden])').count()} of {every} samples"
        assert 0 < int(better.split()[0]) < every
        page.select_option("#of-suite", "2")
        assert page.locator(".suite:not([hidden])").count() == 1
        page.fill("#filter", "no such words")
        assert page.text_content("#filtered") == f"0 of {every} samples"
        page.fill("#filter", "")
        page.select_option("#of-suite", "")
        page.select_option("#of-verdict", "")
        assert page.locator("details.sample:not([hidden])").count() == every
        assert said == []


def test_without_script_all_samples_are_there(chromium: Any, file: Path) -> None:
    with pages.opened(chromium, file, java_script_enabled=False) as (page, _):
        many = sum(len(s["samples"]) for s in REPORT["suites"])
        assert page.locator("details.sample").count() == many > 10
        assert not page.is_visible(".filters")
