"""`recipe report --serve` in a browser: it lists, compares, and changes while a run goes on; it asks nobody else for
anything, says no error, and axe finds no fault."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_compare import Made
from test_report_serve import lay_out, logged, recipe

from runner import run as runs
from runner.noting import Now, StepNow
from runner.watching.server import serving

MARK = "ab" * 32
OPEN = "() => document.querySelectorAll('details').forEach((d) => { d.open = true; })"
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
AXE = """async () => (await axe.run(document)).violations.map(
  (v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join(", "))"""
KEPT = """\
recipe: 1
name: NAME
description: A model that calls the right tool, most of the time.
sources:
  - jsonl: {files: [talk.jsonl]}
model: {base: tiny}
train: {learning_rate: RATE}
"""


def report(right: int) -> dict[str, Any]:
    """What the list shows of a run whose tuned model had so many of 40 right."""
    share, gate = right / 40, "pass" if right > 30 else "fail"
    cell = {"value": share, "low": share - 0.1, "high": min(share + 0.08, 1.0), "n": 40}
    metric = {"metric": "few_calls.right_call", "unit": "share", "better": "higher",
              "arms": {"base": {"value": 0.25, "low": 0.14, "high": 0.4, "n": 40}, "tuned": cell}}  # fmt: skip
    return {
        "report": 1, "exit": gate, "description": "A model that calls the right tool, most of the time.",
        "rows": {"in": 500, "trained": 391, "validation": 12, "dropped": 97}, "training": {"settings": {"base": "tiny"}},
        "gates": [{"gate": "few_calls.right_call >= 0.7", "metric": "few_calls.right_call", "verdict": gate, "counts": gate}],
        "suites": [{"name": "few-calls", "metrics": [metric]}],
    }  # fmt: skip


class Going:
    """A run that trains, as far as another process sees it: it holds its note, and its log grows."""

    def __init__(self, root: Path) -> None:
        names = [("source.talk", "prepare"), ("split", "prepare"), ("train", "train"), ("answers.tuned.calls", "evaluate"),
                 ("report", "report")]  # fmt: skip
        steps = [StepNow(name=n, stage=stage) for n, stage in names]  # type: ignore[arg-type]
        for step in steps[:2]:
            step.state, step.took = "made", 3.2
        steps[2].state, steps[2].fingerprint = "running", MARK
        began = time.time() - 100
        self.root, self.step = root, 0
        self.now = Now(run="going-on", process=1, to="report", base="tiny", about="Another rate on the same data.",
                       began=began, at="train", at_since=began + 20, of=1000, steps=steps)  # fmt: skip
        self.log = root / "runs/going-on/logs/train.log"
        self.log.parent.mkdir(parents=True)
        self.held = lay_out(root, "going-on", self.now).open("rb")
        fcntl.flock(self.held, fcntl.LOCK_EX)
        self.train(12)

    def train(self, steps: int) -> None:
        with self.log.open("a") as log:
            for step in range(self.step + 1, self.step + steps + 1):
                log.write(logged(step, 40, 3 / step**0.5))
        self.step += steps
        self.now.done, self.now.what = self.step * 25, "loss 0.866"
        lay_out(self.root, "going-on", self.now)

    def killed(self) -> None:
        self.held.close()


@contextmanager
def going_on(root: Path) -> Iterator[Going]:
    going = Going(root)
    try:
        yield going
    finally:
        going.killed()
        shutil.rmtree(root / "runs/going-on")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that were judged, one that made its data and a report, and one that failed."""
    root = tmp_path_factory.mktemp("work") / "river-town"
    root.mkdir()
    runs.run(recipe(root, "data"))
    made = Made(root)
    for name, right, rate in (("first", 28, "1e-3"), ("second", 38, "2e-3")):
        made.run(name, right)
        (root / f"runs/{name}/recipe.yaml").write_text(KEPT.replace("NAME", name).replace("RATE", rate))
        (root / f"runs/{name}/report.json").write_text(json.dumps(report(right)))
        os.utime(root / f"runs/{name}/report.json", times=(1e9 + right, 1e9 + right))
    lay_out(root, "broken", Now(run="broken", process=1, to="report", began=1e9, ended=1e9 + 70, state="failed", at="split",
                                error="split: too few rows are left", log="runs/broken/logs/split.log"))  # fmt: skip
    return root


@pytest.fixture
def site(workspace: Path) -> Iterator[str]:
    with serving(workspace) as there:
        yield there.url


@contextmanager
def opened(chromium: Any, url: str, **how: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page, and all that it asked of others or complained of."""
    context = chromium.new_context(**how)
    page, said = context.new_page(), list[str]()
    home = "/".join(url.split("/")[:3]) + "/"
    page.on("request", lambda r: None if r.url.startswith((home, "data:")) else said.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.goto(url)
    try:
        yield page, said
    finally:
        context.close()


def faults(page: Any, axe: Path) -> list[str]:
    """What axe finds. It looks from a world of its own, which the page's policy is not asked about."""
    session = page.context.new_cdp_session(page)
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = session.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]
    session.send("Runtime.evaluate", {"expression": axe.read_text(), "contextId": world})
    ask = {"expression": f"({AXE})()", "contextId": world, "awaitPromise": True, "returnByValue": True}
    return list(session.send("Runtime.evaluate", ask)["result"]["value"])


@pytest.fixture(scope="module")
def axe(node_modules: Path) -> Path:
    found = node_modules / "axe-core/axe.min.js"
    if not found.is_file():
        pytest.skip("no axe-core here: bash .ci/tools")
    return found


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_every_page_is_quiet_fits_and_is_accessible(
    chromium: Any, workspace: Path, site: str, axe: Path, width: int, scheme: str
) -> None:
    with going_on(workspace):
        _look(chromium, site, axe, width, scheme)


def _look(chromium: Any, site: str, axe: Path, width: int, scheme: str) -> None:
    paths = ["", "runs/going-on", "compare?run=first&run=second"]
    paths += ["runs/broken", "runs/data", "runs/data/live"] if width == 390 else []
    how = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for path in paths:
        with opened(chromium, site + path, **how) as (page, said):
            page.evaluate(OPEN)
            assert page.evaluate(WIDE) <= 0, path
            assert faults(page, axe) == [], path
            assert said == [], path


def test_runs_are_chosen_and_compared(chromium: Any, site: str) -> None:
    with opened(chromium, site) as (page, said):
        assert page.text_content("#chosen") == "Choose two or more."
        page.check("#pick-first")
        page.check("#pick-second")
        assert page.text_content("#chosen") == "2 runs"
        page.click("button")
        page.wait_for_selector("h1:has-text('Compared')")
        text = page.inner_text("main")
        for words in (
            "+25.0 points",
            "better",
            "few_calls.right_call",
            "train.learning_rate",
            "0.001",
            "0.002",
        ):
            assert words in text, words
        page.click("text=The other way round")
        page.wait_for_selector("text=−25.0")
        page.go_back()
        page.wait_for_selector("text=+25.0")
        page.click("summary >> nth=0")
        assert "second tuned says 1.0" in page.inner_text("details[open]")
        assert said == []


def test_a_page_moves_on_with_its_run(chromium: Any, workspace: Path, site: str) -> None:
    """Numbers, curve and log change without a word of the reader's, who keeps what was chosen; a kill is seen."""
    both = (opened(chromium, site), opened(chromium, f"{site}runs/going-on"))
    with going_on(workspace) as going, both[0] as (listed, said), both[1] as (page, also):
        listed.check("#pick-first")
        page.evaluate("() => { window.same = true; }")
        page.wait_for_selector("text=30.0%")
        assert page.inner_text("[data-part=state]") == "Running: train"
        before = page.get_attribute(".curve.train", "points")
        going.train(12)
        page.wait_for_selector("text=60.0%")
        assert "24 of 40" in page.inner_text("[data-part=facts]").replace("\n", " ")
        assert page.get_attribute(".curve.train", "points") != before and "24/40" in page.inner_text("#log")
        listed.wait_for_selector("text=60.0%")
        going.killed()
        page.wait_for_selector("text=Interrupted during train")
        listed.wait_for_selector("text=It was ended during train.")
        assert page.evaluate("() => window.same") and listed.is_checked("#pick-first")
        assert said == also == []


def test_without_script_the_page_loads_itself_anew(chromium: Any, site: str) -> None:
    with opened(chromium, site, java_script_enabled=False) as (page, said):
        assert page.locator("noscript meta[http-equiv=refresh]").count() == 1
        assert page.locator("input[name=run]").count() == 3 and said == []


def test_a_strange_report_does_nothing(chromium: Any, workspace: Path, site: str) -> None:
    """What came along with a workspace may not send its reader away, ask for other runs, or run a script."""
    folder = workspace / "runs/strange"
    folder.mkdir(exist_ok=True)
    (folder / "report.json").write_text("{}")
    (folder / "report.html").write_text(
        "<title>strange</title><p id=p>Read me</p><meta http-equiv=refresh content='0;url=http://127.0.0.1:1/away'>"
        "<script>document.title = 'ran'; fetch('/api/1/runs').then(() => { document.title = 'read'; });</script>"
        "<img src='/runs/first' onerror='document.title = 1'><iframe src='/'></iframe><form action='/'><button>x</button></form>"
    )
    context = chromium.new_context()
    page, asked = context.new_page(), list[str]()
    page.on("response", lambda r: asked.append(r.url))
    page.on("request", lambda r: asked.append(r.url) if "away" in r.url else None)
    page.goto(f"{site}runs/strange")
    page.wait_for_timeout(500)
    assert page.title() == "strange" and page.inner_text("#p") == "Read me"
    assert [url for url in asked if not url.endswith("/runs/strange")] == []
    context.close()
