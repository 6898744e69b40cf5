"""The real Onion files of the kit, as found, and from an address."""

from __future__ import annotations

import csv
import hashlib
import html
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from runner import contract
from runner.datafiles.rows import Columns
from runner.fetching import InputFile, Item
from runner.net.client import Client
from runner.record import Document, Record, Rejected
from runner.registry import SourceContext
from runner.settings import SETTINGS, Settings
from runner.sources.files import fetch, files
from runner.sources.reddit import Shape, reddit

SHARED = Path(__file__).parents[2] / ".." / "shared"
StandIn = Callable[..., AbstractContextManager[str]]
KIT = Path(os.environ.get("MIREPOIX_KIT") or SHARED / "kit")
FOLDER = KIT / "reddit"
if not FOLDER.is_dir():
    pytest.skip(f"the test kit is not at {KIT} (set MIREPOIX_KIT)", allow_module_level=True)

NAMES = sorted(p.name for p in FOLDER.glob("*.csv"))


@lru_cache
def raw(name: str) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read(name: str, shape: Shape = "headline", **options: Any) -> tuple[list[Record], list[Rejected]]:
    path = FOLDER / name
    file = InputFile(name, path, hashlib.sha256(path.read_bytes()).hexdigest())
    rows = list(
        reddit(SourceContext("onion", 17, {"files": (file,)}, ""), files=[name], shape=shape, **options)
    )
    kept = [r for r in rows if isinstance(r, Record)]
    assert all(contract.broken(r) is None for r in kept)
    assert len({r.id for r in rows}) == len(rows)
    return kept, [r for r in rows if isinstance(r, Rejected)]


def gone(row: dict[str, str]) -> bool:
    return bool(row.get("removed_by_category")) or row.get("author") == "[deleted]"


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_a_record_or_a_removed_post(name: str) -> None:
    kept, refused = read(name)
    rows = raw(name)
    assert len(kept) + len(refused) == len(rows)
    assert all(r.reason.startswith("removed post") for r in refused)
    assert len(refused) == sum(map(gone, rows))
    title = "text" if "text" in rows[0] else "title"
    wanted = [" ".join(html.unescape(r[title]).split()) for r in rows if not gone(r)]
    said = [r.messages[-1].content for r in kept]
    assert said == [re.sub(r"/?\bu/[\w-]+", "u/[user]", t.replace("\u200b", "")) for t in wanted]


@pytest.mark.parametrize("name", NAMES)
def test_no_user_is_named(name: str) -> None:
    kept, refused = read(name)
    users = {r["author"] for r in raw(name) if r.get("author", "").startswith("user_")}
    for row in [*kept, *refused]:
        assert not re.findall(r"user_[0-9a-f]{10}", str(row))
    assert users or "author" not in raw(name)[0]


def test_a_third_of_the_onion_is_from_another_site() -> None:
    kept, refused = read("the_onion.csv", domains=["theonion.com"])
    assert len(kept) == sum(r["domain"].endswith("theonion.com") for r in raw("the_onion.csv"))
    assert {r.reason for r in refused} == {"links to another site"}
    assert 0.2 < len(refused) / (len(kept) + len(refused)) < 0.4


def test_labels_and_scores_pick() -> None:
    kept, _ = read("OnionOrNot_part1.csv", "satire", where={"label": "1"})
    assert len(kept) == sum(r["label"] == "1" for r in raw("OnionOrNot_part1.csv"))
    kept, _ = read("not_onion.csv", min_score=10)
    assert len(kept) == sum(int(r["score"]) >= 10 and not gone(r) for r in raw("not_onion.csv"))


@pytest.fixture(scope="module")
def base(stand_in: StandIn) -> Iterator[str]:
    with stand_in("--gzip") as found:
        yield found


def test_files_from_an_address_are_those_of_the_folder(base: str, tmp_path: Path) -> None:
    settings = {name: s.default for name, s in SETTINGS.items()}
    settings |= {"allow": base.removeprefix("http://"), "pace": "100"}
    urls = [f"{base}/reddit/the_onion.csv", f"{base}/reddit/none.csv", f"{base}/chat/identity.json"]
    with Client(Settings(settings, {}), tmp_path) as client:
        items: list[Item] = list(fetch(client, urls=urls))  # type: ignore[arg-type]
        assert [bool(i.error) for i in items] == [False, True, False]
        had = [i for i in items if not i.error]
        assert had[0].sha256 == hashlib.sha256((FOLDER / "the_onion.csv").read_bytes()).hexdigest()
        context = SourceContext("f", 17, {}, "", had, lambda item: client.path(item.sha256))
        rows = list(files(context, urls=urls, columns=Columns(text="title")))
    titles = [r.text for r in rows if isinstance(r, Document)]
    assert titles == [r["title"] for r in raw("the_onion.csv")]
    refused = [r for r in rows if isinstance(r, Rejected)]
    assert refused[-1].id == "f/identity" and "no column 'title'" in refused[-1].reason
