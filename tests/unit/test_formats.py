"""What a workspace keeps is read for ever: a store of each version, as it was written then, stands in tests/formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from runner import lock
from runner.errors import NeedsTrust
from runner.fetching import Item
from runner.net.cache import Cache
from runner.store import VERSION, Store, digest, marks
from runner.store.garbage import collect, needed
from runner.store.manifest import READERS, read

FORMATS = Path(__file__).parents[1] / "formats"
SPLIT = "f25fa2b3267ef78e213a7d51afc2baa500fa98e0f66f5ca411e9cc37588d40e9"
BYTES = "6203f94a87ca63c910e0eb227b41f5ae08288250b3ab2055873383f4e45bd807"
REQUEST = {"source": "gutenberg", "version": 1, "options": {"ids": [74]}, "files": {}, "seed": 17, "of": None}


@pytest.fixture(params=sorted(p.name for p in FORMATS.iterdir()))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    shutil.copytree(FORMATS / request.param, tmp_path / ".mirepoix")
    (tmp_path / "runs" / "t").mkdir(parents=True)
    with pytest.raises(NeedsTrust, match="--trust store"):
        Store(tmp_path).get(SPLIT)
    marks.trust(tmp_path / ".mirepoix")  # these have no mark of whoever made them
    return Store(tmp_path)


def test_each_version_that_is_read_stands_here() -> None:
    assert {int(p.name) for p in FORMATS.iterdir()} == set(READERS)
    assert max(READERS) == VERSION, "what is written now is read, too"


def test_an_artifact(store: Store) -> None:
    found = store.get(SPLIT)
    assert found is not None, "it would be made anew"
    assert found.manifest.step == "split"
    assert digest(found.manifest.ingredients) == SPLIT
    assert sorted(found.manifest.files) == ["data/train.jsonl", "summary.json"]
    assert not (store.root / "quarantine").exists()


def test_what_was_fetched(store: Store) -> None:
    items = lock.read(store.root, REQUEST)
    assert items == (Item("74", sha256=BYTES), Item("75", error="not found", gone=True))
    assert lock.raw(store.root, items[0]).read_bytes() == b"A text of the network.\n"
    (entry,) = (store.root / "fetched" / "requests").glob("*/*.json")
    kept = Cache(store.root).kept(entry.stem)
    assert kept is not None and kept.sha256 == BYTES and kept.proven


def test_what_runs_said_that_they_need(store: Store) -> None:
    assert SPLIT in needed(store)
    assert collect(store) == []


def test_a_later_version_is_not_taken_for_one_that_is_known(store: Store) -> None:
    manifest = json.loads((store.path(SPLIT) / "manifest.json").read_bytes())
    for version in (max(READERS) + 1, 0, -1, "1", None):
        assert read(json.dumps(manifest | {"version": version}).encode()) is None
    assert read(json.dumps(manifest | {"more": 1}).encode()) is None
