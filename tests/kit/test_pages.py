"""Source `web` on the kit's annotated pages (against trafilatura alone, run beside it) and on the stand-in's odd ones."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trafilatura", reason="trafilatura is not installed")

from runner import fetch
from runner.net.client import Client
from runner.record import Document, Rejected
from runner.registry import SourceContext, plugins
from runner.settings import load

ROOT = Path(__file__).resolve().parents[2]
StandIn = Callable[..., AbstractContextManager[str]]
KIT = Path(os.environ.get("MIREPOIX_KIT") or ROOT.parent / "shared" / "kit")
if not (KIT / "pages" / "truth.json").is_file():
    pytest.skip(
        f"needs the annotated pages of the kit: {KIT / 'pages'} (MIREPOIX_KIT)", allow_module_level=True
    )
WEB = plugins("source")["web"]


@pytest.fixture(scope="module")
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_pages", ROOT / "benchmarks" / "pages" / "bench.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_pages"] = module
    spec.loader.exec_module(module)
    return module


def test_no_worse_than_trafilatura_alone(bench: Any) -> None:
    alone, ours = (bench.measure(KIT / "pages", f) for f in (bench.trafilatura, bench.ours))
    print("", bench.HEAD, alone.row("trafilatura"), ours.row("mirepoix"), sep="\n")  # noqa: T201
    assert len(alone.pages) == 48
    assert ours.mean_f1 >= alone.mean_f1
    assert bench.f1(*ours.means) >= max(0.952, bench.f1(*alone.means))
    assert ours.found >= alone.found
    assert ours.leaked <= alone.leaked


@pytest.fixture(scope="module")
def base(stand_in: StandIn) -> Iterator[str]:
    with stand_in() as found:
        yield found


class Net(fetch.Net):
    """The guarded client behind a source's `fetch`, without a plan around it."""

    def __init__(self, client: Client) -> None:
        self.name, self.seed, self._client = "pages", 1, client

    def progress(self, done: int, of: int, what: str) -> None:
        assert not of or done <= of


def rows(base: str, folder: Path, **options: Any) -> tuple[dict[str, Document], dict[str, str]]:
    """(documents, reasons), each under the last part of its address."""
    settings = load(
        {
            "MIREPOIX_ALLOW": base.removeprefix("http://"),
            "MIREPOIX_PACE": "1000",
            "MIREPOIX_SETTINGS": os.devnull,
        }
    )
    assert WEB.fetch is not None
    with Client(settings, folder) as client:
        net = Net(client)
        items = list(WEB.fetch(net, **WEB.bind_fetch(options)))
        kept = [i for i in items if not i.error]
        context = SourceContext("pages", 1, {}, "", kept, lambda item: client.path(item.sha256))
        found = list(WEB.call(context, **WEB.bind(options)))
    reasons = {i.key.rpartition("/")[2]: i.error for i in items if i.error}
    reasons |= {r.id.rpartition("/")[2]: r.reason for r in found if isinstance(r, Rejected)}
    return {d.meta["origin"].rpartition("/")[2]: d for d in found if isinstance(d, Document)}, reasons


SPECIAL = {
    "spa": "without JavaScript",
    "cookiewall": "consent wall",
    "soft404": "soft 404",
    "metarefresh": "moves on to /special/article at once",
    "noindex": "noindex",
    "duplicate": "the same text as ",
    "pdf-as-html": "a PDF",
    "no-such-page": "404",
}
READ = ["article", "prompt-injection", "pii", "deepdom", "unclosed", "nul", "utf16", "latin1-undeclared"]


def test_odd_pages_of_the_stand_in(base: str, tmp_path: Path) -> None:
    # The article's text is the same on several pages; each is read by itself, so that none is a copy.
    for name in READ:
        documents, reasons = rows(base, tmp_path, urls=[f"{base}/special/{name}"])
        assert not reasons and list(documents) == [name]
        text = documents[name].text
        assert len(re.findall(r"The ferry left at dawn and the (?:town|café)", text)) == 12, name
        assert "SYSTEM" not in text and "Subscribe" not in text and "\0" not in text
    documents, reasons = rows(base, tmp_path, urls=[f"{base}/special/{n}" for n in ("article", *SPECIAL)])
    assert list(documents) == ["article"]
    assert reasons.keys() == SPECIAL.keys()
    assert all(SPECIAL[name] in reason for name, reason in reasons.items()), reasons


def test_a_browser_check_in_place_of_a_page(base: str, tmp_path: Path) -> None:
    documents, reasons = rows(base, tmp_path, urls=[f"{base}/special/article?_fault=html"])
    assert not documents and "check of the browser" in next(iter(reasons.values()))


@pytest.mark.parametrize("charset", ["utf-16", "cp1252", "latin-1"])
def test_recoded_pages(base: str, tmp_path: Path, charset: str) -> None:
    documents, _ = rows(base, tmp_path, urls=[f"{base}/special/article?_fault=transcode:{charset}"])
    assert next(iter(documents.values())).text.count("The ferry left at dawn") == 12
