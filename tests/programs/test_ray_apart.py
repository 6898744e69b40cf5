"""Nodes that do not see the workspace: what they work on passes through the artifact store, and the bytes are the same."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from ray_nodes import DEAR, RECIPE, WHOLE, Nodes, digests, ended, joined, made, nodes, said, workspace
from test_ray_refused import apart

from runner import api
from runner.datafiles import spans
from runner.dedup import spill
from runner.errors import StepError
from runner.jobs.ray_node import LATE
from runner.jobs.warden import descendants
from runner.prepare import selected, written
from runner.staging import mirror

ROWS = 900
HIDES = """
while [ "$1" != -- ]; do mount -t tmpfs none "$1" || exit; shift; done
shift
exec "$@"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A head that works on nothing."""
    with nodes(0) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is to come of it, on this machine."""
    return made(workspace(tmp_path_factory.mktemp("local") / "w", ROWS), "--engine", "local")


@pytest.fixture(scope="module")
def wanted_whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same with all that data preparation can do."""
    return made(workspace(tmp_path_factory.mktemp("whole") / "w", ROWS, RECIPE + WHOLE), "--engine", "local")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return workspace(tmp_path / "w", ROWS)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (bucket := tmp_path / "bucket").mkdir()
    monkeypatch.setenv("MIREPOIX_ARTIFACT_STORE", str(bucket))
    return bucket


@contextmanager
def without(cluster: Nodes, *hidden: Path, name: str = "node") -> Iterator[None]:
    """A node with one core from which these folders are hidden."""
    before = [*apart("-m"), "sh", "-c", HIDES, "sh", *map(str, hidden), "--"]
    with joined(cluster.address, hidden[0].with_name(f"{name}.log"), before=before):
        yield


def run(root: Path, cluster: Nodes, to: str = "prepare", tell: Any = False) -> Any:
    where: dict[str, Any] = {"engine": "ray", "address": cluster.address, "workspace": root}
    return api.run(root / "r.yaml", to=to, progress=tell, **where)  # type: ignore[arg-type]


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def left(bucket: Path) -> list[str]:
    """What is there when a run is over and should not be: in the bucket, and on the node."""
    return [*files(bucket / "staging"), *files(mirror.base())]


def test_the_same_bytes(
    cluster: Nodes, root: Path, bucket: Path, wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that is cut into pieces, and written by nodes: parts of sources, runs of keys, shards."""
    small(monkeypatch)
    with without(cluster, root):
        done = run(root, cluster)
    assert digests(root) == wanted
    assert done.engine == f"ray: 1 node, 1 core, at {cluster.address}, files pass through {bucket}"
    assert left(bucket) == []


@DEAR
def test_all_that_data_preparation_can_do(
    cluster: Nodes, root: Path, bucket: Path, wanted_whole: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "r.yaml").write_text(RECIPE + WHOLE)
    small(monkeypatch)
    with without(cluster, root):
        run(root, cluster)
    assert digests(root) == wanted_whole and left(bucket) == []


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pieces; what comes of them does not hang on it."""
    monkeypatch.setattr(selected, "PIECE", 128)
    monkeypatch.setattr(spans, "RANGE", 20_000)
    monkeypatch.setattr(spill, "AT_ONCE", 400)
    monkeypatch.setattr(written, "SHARD", 100)


def test_what_wants_the_workspace_is_refused_before_any_work(
    cluster: Nodes, root: Path, bucket: Path
) -> None:
    (root / "r.yaml").write_text(RECIPE + WHOLE)
    with without(cluster, root), pytest.raises(StepError) as e:
        run(root, cluster, "evaluate")
    assert str(e.value).startswith(
        "ray: not all nodes see the workspace, so data alone can be made there (--to prepare); for preprocess, "
    )
    assert not list((root / ".mirepoix").glob("artifacts/*/*")) and left(bucket) == []


def test_a_node_that_sees_neither(cluster: Nodes, root: Path, bucket: Path) -> None:
    """A bucket of that name, and not that bucket: found before any work."""
    with without(cluster, root, bucket), pytest.raises(StepError) as e:
        run(root, cluster)
    why = f"sees neither the workspace nor the artifact store: file://{bucket}: staging/"
    assert str(e.value).startswith(f"ray: the node 127.0.0.1 {why}"), str(e.value)
    assert "Traceback" not in str(e.value) and not list((root / ".mirepoix").glob("artifacts/*/*"))


@DEAR
def test_beside_nodes_that_see_it(
    root: Path, bucket: Path, wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node reads where it can."""
    monkeypatch.setattr(selected, "PIECE", 128)
    monkeypatch.setattr(spans, "RANGE", 20_000)
    with nodes(1) as cluster, without(cluster, root):
        done = run(root, cluster)
    assert digests(root) == wanted
    assert "2 nodes, 2 cores" in done.engine and left(bucket) == []


@DEAR
def test_a_node_that_comes_to_a_cluster_without_cores(
    cluster: Nodes, root: Path, bucket: Path, wanted: dict[str, str]
) -> None:
    """As an autoscaler brings it. What it sees is not known before, so files pass through the store from the start."""
    with ExitStack() as stack:

        def tell(event: Any) -> None:
            if (event.what, event.step) == ("starts", "filter"):
                stack.enter_context(without(cluster, root))

        done = run(root, cluster, tell=tell)
        assert "0 cores" in done.engine and f"files pass through {bucket}" in done.engine
        assert digests(root) == wanted and left(bucket) == []


@DEAR
def test_a_node_that_comes_later(
    root: Path, bucket: Path, wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a cluster whose nodes all saw the workspace: it is refused, and the next run takes it."""
    monkeypatch.setattr(selected, "PIECE", 8)
    with nodes(1) as cluster, ExitStack() as stack:

        def tell(event: Any) -> None:
            if (event.what, event.step) == ("starts", "filter"):
                stack.enter_context(without(cluster, root))

        with pytest.raises(StepError) as e:
            run(root, cluster, tell=tell)
        assert f"the node 127.0.0.1 {LATE}" in str(e.value)
        run(root, cluster)
    assert digests(root) == wanted and left(bucket) == []


STEPS = ["source.a", "filter", "dedup", "decontaminate", "render", "split"]


@DEAR
@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_is_killed(
    step: str,
    cluster: Nodes,
    root: Path,
    bucket: Path,
    wanted_whole: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three times in a step; another takes its place, and brings what it lacks."""
    monkeypatch.setattr(selected, "PIECE", 32)
    monkeypatch.setattr(spans, "RANGE", 5_000)
    monkeypatch.setattr(written, "SHARD", 100)
    (root / "r.yaml").write_text(RECIPE + WHOLE)
    ended: set[int] = set()
    at = ""

    def tell(event: Any) -> None:
        nonlocal at
        if event.what == "starts":
            at = event.step
            if at == step:
                Thread(target=kill, daemon=True).start()

    def kill() -> None:
        while at == step and len(ended) < 3:
            for pid in descendants(os.getpid()):
                if said(pid).startswith("ray::do") and pid not in ended:
                    ended.add(pid)
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    with without(cluster, root):
        run(root, cluster, tell=tell)
    assert ended, "nobody was killed"
    assert digests(root) == wanted_whole and left(bucket) == []


@DEAR
def test_without_a_store_it_is_named(cluster: Nodes, root: Path) -> None:
    with without(cluster, root):
        code, told = ended(root, "--engine", "ray", "--address", cluster.address)
    assert code == 3 and "or name an artifact store (the setting artifact_store)" in told
