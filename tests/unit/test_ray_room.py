"""The process that talks to Ray hands out no more than there is room for: of a Ray that is played here."""

from __future__ import annotations

import pickle
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from runner.jobs import ray_driver

MB = 1 << 20


class Played:
    """A Ray with one worker: what comes of a piece is so many bytes, which stay until they are taken."""

    exceptions = SimpleNamespace(RayError=RuntimeError)

    def __init__(self) -> None:
        self.under_way: list[bytes] = []
        self.most = 0

    def put(self, value: Any) -> Any:
        return value

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0, "object_store_memory": 100.0 * MB}

    def remote(self, **wanted: Any) -> Any:
        return lambda do: SimpleNamespace(remote=self._begun)

    def _begun(self, work: Any, piece: bytes) -> bytes:
        self.under_way.append(piece)
        self.most = max(self.most, len(self.under_way))
        return piece

    def wait(self, refs: list[bytes], **how: Any) -> tuple[list[bytes], list[bytes]]:
        return refs[:1], refs[1:]

    def get(self, piece: bytes) -> tuple[str, bytes]:
        self.under_way.remove(piece)
        return "done", bytes(int(piece) * MB)

    def cancel(self, piece: bytes, **how: Any) -> None:
        self.under_way.remove(piece)


def cluster(address: str = "") -> Any:
    made = ray_driver.Cluster.__new__(ray_driver.Cluster)
    vars(made).update(
        ray=Played(), address=address, waiting=deque(), held=deque(), needs=None, largest=0, came=False
    )
    return made


def through(one: Any, sizes: list[int]) -> list[int]:
    """Pieces handed over at once; what comes of them, in megabytes."""
    one.take(pickle.dumps((b"", 0, False)))
    for size in sizes:
        one.add(str(size).encode())
    came = []
    while one.waiting:
        came.append(len(one.come(False, lambda: True)[1]) // MB)
    assert not one.held
    return came


@pytest.mark.parametrize(
    ("sizes", "most"), [([0] * 40, 39), ([40] * 9, 2), ([30, 500, 1, 30, 30], 3), ([1000] * 5, 2)]
)
def test_no_more_is_under_way_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], most: int
) -> None:
    monkeypatch.setattr(ray_driver, "SPILL", 100 * MB)
    monkeypatch.setattr(ray_driver, "GUESS", 50 * MB)
    for one in (cluster(), cluster("ray-head:6379")):
        assert through(one, sizes) == sizes
        assert one.ray.most == most
    one = cluster()
    one.take(pickle.dumps((b"", 0, False)))
    for _ in range(5):
        one.add(b"60")
    assert len(one.waiting) == 2 and len(one.held) == 3
    one.come(False, lambda: True)
    assert len(one.waiting) == 1  # two of them would not have room
    one.forget()
    assert not one.waiting and not one.held and not one.ray.under_way


class _Memory(RuntimeError):
    pass


class _Disk(RuntimeError):
    pass


class _Worker(RuntimeError):
    pass


class _Node(RuntimeError):
    pass


class _Object(RuntimeError):
    pass


class _Ours(RuntimeError):
    pass


KNOWN = SimpleNamespace(
    RayError=RuntimeError,
    OutOfMemoryError=_Memory,
    OutOfDiskError=_Disk,
    WorkerCrashedError=_Worker,
    NodeDiedError=_Node,
    ObjectLostError=_Object,
    LocalRayletDiedError=_Ours,
)


@pytest.mark.parametrize(
    ("kind", "here", "there"),
    [
        (
            _Memory,
            "this machine has too little memory for what it works on at once: set compute.workers lower",
            "a node of the cluster has too little memory for what it works on at once: give nodes more memory, or fewer CPUs",
        ),
        (
            _Disk,
            "the disk of this machine that Ray writes to is full: make room there",
            "the disk of a node of the cluster that Ray writes to is full: make room there",
        ),
        (_Worker, died := "9 workers in turn died of the same piece (is memory short?)", died),
        (_Node, died, died),
        (
            _Ours,
            "the cluster that was started for the run has ended",
            "the node of this machine has ended: start it again (`ray start`)",
        ),
    ],
)
def test_what_a_piece_came_to_nothing_by_is_said(kind: type[Exception], here: str, there: str) -> None:
    """And that what was made before stays."""
    for address, words in (("", here), ("ray-head:6379", there)):
        one = cluster(address)

        def lost(piece: bytes) -> tuple[str, bytes]:
            raise kind("deep in Ray")

        one.ray.exceptions, one.ray.get = KNOWN, lost
        one.take(pickle.dumps((b"", 0, False)))
        one.add(b"1")
        assert one.come(False, lambda: True) == ("lost", f"{words}; run it again to go on".encode())


@pytest.mark.parametrize(("kind", "passes"), [(_Object, True), (RuntimeError, False)])
def test_to_run_again_is_said_of_what_may_pass(kind: type[Exception], passes: bool) -> None:
    one = cluster()
    one.ray.exceptions = KNOWN
    assert one._lost(kind("it is gone")) == "it is gone" + "; run it again to go on" * passes


@pytest.mark.parametrize(
    ("gpus", "nodes", "why"),
    [
        (0, [], "a core is left"),
        (0, [{"CPU": 8.0}], ""),
        (1, [{"CPU": 8.0}, {"GPU": 1.0}], "a GPU is left"),
        (1, [{"CPU": 8.0, "GPU": 1.0}], ""),
    ],
)
def test_a_piece_that_nobody_could_do_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, gpus: int, nodes: list[dict[str, float]], why: str
) -> None:
    monkeypatch.setattr(ray_driver, "ALONE", 0.0)
    one, looks = cluster(), iter(range(3))
    one.ray.wait = lambda refs, **how: ([], refs)
    one.ray.nodes = lambda: (
        [{"Alive": False, "Resources": {"CPU": 9.0, "GPU": 9.0}}]
        + [{"Alive": True, "Resources": has} for has in nodes]
    )
    one.take(pickle.dumps((b"", gpus, False)))
    one.add(b"1")
    came = one.come(False, lambda: next(looks, None) is not None)
    assert (came is None) if not why else (came[0] == "lost" and why in came[1].decode())
