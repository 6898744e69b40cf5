"""twain-smollm2, whose sources are public services: the same data on this machine's cores and on a Ray cluster.

twain-llama and twain-mistral have the same data, for models of a hub's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from ray_nodes import DEAR, digests, nodes

from runner import api

ROOT = Path(__file__).parents[2]
KIT = Path(os.environ.get("MIREPOIX_KIT") or ROOT / ".." / "shared" / "kit")


@DEAR
def test_the_same_data(
    stand_in: Callable[..., AbstractContextManager[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fetched, too, by each for itself: books, and the figures of a weather service."""
    with stand_in() as base, nodes(1) as cluster:
        cluster.add()
        for name in ("GUTENDEX_URL", "GUTENBERG_MIRROR", "OPEN_METEO_URL", "OPEN_METEO_GEOCODING_URL"):
            monkeypatch.setenv(f"MIREPOIX_{name}", base)
        monkeypatch.setenv("MIREPOIX_PACE", "1000")
        monkeypatch.setenv("MIREPOIX_WORKERS", "2")
        found = []
        for name, address in (("here", None), ("ray", cluster.address)):
            root = tmp_path / name
            for folder in ("recipes", "datasets", "evals"):
                shutil.copytree(ROOT / folder, root / folder)
            (root / "data_sources/reddit-theonion").mkdir(parents=True)
            shutil.copy(KIT / "reddit/the_onion.csv", root / "data_sources/reddit-theonion/a.csv")
            api.run(
                root / "recipes/twain-smollm2.yaml",
                to="prepare",
                workspace=root,
                engine="ray" if address else "local",
                address=address,
            )
            found.append(digests(root, "twain-smollm2"))
    assert found[0] == found[1]
    assert any(name.endswith("data/train.jsonl") for name in found[0])
