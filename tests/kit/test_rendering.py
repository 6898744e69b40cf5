"""Source `web` with `render: true` on the stand-in: an article stays the article, and a shell whose script is gone a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("trafilatura", reason="trafilatura is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from runner import fetch
from runner.net.client import Client
from runner.record import Document, Rejected
from runner.registry import SourceContext, plugins
from runner.rendering.chromium import NAMES
from runner.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("MIREPOIX_KIT") or ROOT.parent / "shared" / "kit")
UPSTREAM = Path(os.environ.get("MIREPOIX_UPSTREAM") or KIT.parent / "upstream") / "upstream.py"
if not UPSTREAM.is_file():
    pytest.skip(f"needs the stand-in: {UPSTREAM} (MIREPOIX_UPSTREAM)", allow_module_level=True)
if not any(map(shutil.which, NAMES)):
    pytest.skip(f"needs a Chromium: none of {', '.join(NAMES)} is on PATH", allow_module_level=True)

WEB = plugins("source")["web"]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    command = [sys.executable, str(UPSTREAM), "--kit", str(KIT), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            server.terminate()


class Net(fetch.Net):
    """The guarded client behind a source's `fetch`, without a plan around it."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.name, self.seed, self._client, self._settings = "pages", 1, client, settings

    def progress(self, done: int, of: int, what: str) -> None:
        assert not of or done <= of


def rows(base: str, folder: Path, names: list[str], render: bool) -> tuple[dict[str, str], dict[str, str]]:
    """(texts, reasons), each under the last part of its address."""
    place = base.removeprefix("http://")
    settings = load({"MIREPOIX_ALLOW": place, "MIREPOIX_PACE": "1000", "MIREPOIX_SETTINGS": os.devnull})
    options = {"urls": [f"{base}/special/{name}" for name in names], "render": render}
    assert WEB.fetch is not None
    with Client(settings, folder) as client:
        items = list(WEB.fetch(Net(client, settings), **WEB.bind_fetch(options)))
        kept = [i for i in items if not i.error]
        context = SourceContext("pages", 1, {}, "", kept, lambda item: client.path(item.sha256))
        found = list(WEB.call(context, **WEB.bind(options)))
    reasons = {i.key.rpartition("/")[2]: i.error for i in items if i.error}
    reasons |= {r.id.rpartition("/")[2]: r.reason for r in found if isinstance(r, Rejected)}
    return {d.meta["origin"].rpartition("/")[2]: d.text for d in found if isinstance(d, Document)}, reasons


def test_rendered_pages_of_the_stand_in(base: str, tmp_path: Path) -> None:
    names = ["article", "spa", "cookiewall", "soft404", "metarefresh", "noindex", "pdf-as-html"]
    plain, _ = rows(base, tmp_path / "plain", names, render=False)
    shown, reasons = rows(base, tmp_path / "shown", names, render=True)
    assert shown == plain and list(shown) == ["article"]
    said = {
        "spa": "no main text",
        "cookiewall": "consent wall",
        "soft404": "soft 404",
        "metarefresh": "moves on to",
        "noindex": "noindex",
        "pdf-as-html": "a PDF",
    }
    assert reasons.keys() == said.keys()
    assert all(said[name] in reason for name, reason in reasons.items()), reasons
    for name in ("unclosed", "utf16", "latin1-undeclared", "nul"):
        assert rows(base, tmp_path / name, [name], True) == rows(base, tmp_path / name, [name], False), name
