"""The engine `ray`: the same bytes as on one machine's cores, whoever dies meanwhile.

Clusters are on 127.0.0.1; each ends with its tests. MIREPOIX_RAY=1 kills in every step, and takes every example to
clusters of every shape.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import DEAR, RECIPE, WHOLE, Nodes, digests, ended, made, nodes, said, workspace

from runner import api
from runner.datafiles import spans
from runner.jobs.warden import descendants
from runner.prepare import selected
from runner.store import marks

ROOT = Path(__file__).parents[2]
ROWS = 1500
STEPS = ["source", "filter", "dedup", "decontaminate", "render", "mix", "split"]
SPREAD = set(STEPS) - {"mix"}  # whose pieces workers have
MANY = (
    RECIPE.partition("filters:")[0] + "dedup: {exact: false, near: null}\n"
)  # three shards are written of it


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pieces of few rows; what comes of them does not hang on it."""
    monkeypatch.setattr(selected, "PIECE", 128)
    monkeypatch.setattr(spans, "RANGE", 20_000)
    monkeypatch.setenv("MIREPOIX_WORKERS", "2")


def rows(recipe: str) -> int:
    return 70_000 if recipe == MANY else ROWS


class Alone:
    """Recipes that have run on the cores of this machine, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots: dict[str, Path] = {}

    def root(self, recipe: str) -> Path:
        """The workspace of one that has run."""
        if recipe not in self.roots:
            self.roots[recipe] = workspace(self.folder / str(len(self.roots)), rows(recipe), recipe)
            assert made(self.roots[recipe])
        return self.roots[recipe]

    def anew(self, root: Path, recipe: str = RECIPE) -> tuple[Path, dict[str, str]]:
        """Another workspace like it, in which nothing is made but what the base model is like (that takes longest, and
        is not done on a cluster); and what is to come of it."""
        first = self.root(recipe)
        workspace(root, rows(recipe), recipe)
        for manifest in first.glob(".mirepoix/artifacts/*/*/manifest.json"):
            if json.loads(manifest.read_bytes())["step"] == "model":
                shutil.copytree(manifest.parent, root / manifest.parent.relative_to(first))
        (root / ".mirepoix").mkdir(exist_ok=True)
        marks.make(root / ".mirepoix")
        return root, digests(first)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return Alone(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A node with one core; who wants another adds it."""
    with nodes() as one:
        yield one


def run(root: Path, address: str, tell: Callable[[Any], None] | bool = False) -> dict[str, str]:
    """What a run on a cluster makes."""
    made = api.run(
        root / "r.yaml", to="prepare", engine="ray", address=address, workspace=root, progress=tell
    )
    assert made.folder == root / "runs/r"
    assert made.engine.startswith("ray: ")
    assert made.engine.endswith(f", at {address}")
    return digests(root)


@DEAR
def test_a_cluster_that_is_started_for_the_run(alone: Alone, tmp_path: Path) -> None:
    """The same bytes, it is said where, and nothing of it is left."""
    root, same = alone.anew(tmp_path / "w")
    with tempfile.TemporaryDirectory(prefix="t-") as short:
        code, told = ended(root, "--engine", "ray", TMPDIR=short)
        assert code == 0, told
        assert not list(Path(short).glob("recipe-*"))
    assert digests(root) == same
    assert "  ray   1 node, 2 cores, started for this run\n" in told
    assert "ray_driver" in (root / "runs/r/logs/engine.log").read_text()
    assert (
        b'"engine":"ray: 1 node, 2 cores, started for this run"'
        in (root / ".mirepoix/runs/r.now").read_bytes()
    )
    assert not [*(root / ".mirepoix/tmp").iterdir(), *(root / ".mirepoix/runs").glob("*.seen")]


class Killer:
    """Kills, as soon as a run is in a step, a worker of a node's, or the node: `tell` hears of the run's events."""

    def __init__(self, step: str, raylet: int, *, whole_node: bool) -> None:
        self.step, self.raylet, self.whole_node, self.killed = step, raylet, whole_node, ""
        self._thread = threading.Thread(target=self._kill)

    def tell(self, event: Any) -> None:
        if event.what == "starts" and event.step.partition(".")[0] == self.step and not self._thread.ident:
            self._thread.start()
            if self.step not in SPREAD:
                self._thread.join()

    def _kill(self) -> None:
        wanted = ("ray::do",) if self.step in SPREAD else ("ray::do", "ray::IDLE")
        until = time.monotonic() + 60
        while not self.killed and time.monotonic() < until:
            workers = list(descendants(self.raylet))
            for _ in range(50):
                for pid in workers:
                    if (name := said(pid)).startswith(wanted):
                        os.kill(self.raylet if self.whole_node else pid, signal.SIGKILL)
                        self.killed = name
                        return
                time.sleep(0.001)

    def check(self) -> None:
        self._thread.join()
        assert self.killed


def test_whoever_dies(alone: Alone, cluster: Nodes, tmp_path: Path) -> None:
    """A worker is killed, and a node: what they were at is done elsewhere, and the bytes are the same. In the step whose
    pieces take longest: others may be over before anybody is seen at work."""
    root, same = alone.anew(tmp_path / "w")
    node = cluster.add()["raylet"]
    one, other = (
        Killer("filter", cluster.head["raylet"], whole_node=False),
        Killer("filter", node, whole_node=True),
    )
    assert run(root, cluster.address, lambda event: (one.tell(event), other.tell(event))) == same
    one.check()
    other.check()


def killed(alone: Alone, root: Path, cluster: Nodes, killer: Killer) -> None:
    recipe = MANY if killer.step == "split" else RECIPE
    recipe += WHOLE if killer.step in ("decontaminate", "render") else ""
    root, same = alone.anew(root, recipe)
    assert run(root, cluster.address, killer.tell) == same
    killer.check()


@DEAR
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_dies(step: str, alone: Alone, cluster: Nodes, tmp_path: Path) -> None:
    """Killed while it works on a piece, or waits for one where the step works here: the same bytes."""
    killed(alone, tmp_path / "w", cluster, Killer(step, cluster.head["raylet"], whole_node=False))


@DEAR
@pytest.mark.parametrize("step", STEPS)
def test_a_node_that_dies(step: str, alone: Alone, cluster: Nodes, tmp_path: Path) -> None:
    """Killed with the piece that it works on: the same bytes."""
    killed(alone, tmp_path / "w", cluster, Killer(step, cluster.add()["raylet"], whole_node=True))
