"""The process that talks to a Ray cluster for runner/engines/ray.py: `python -m runner.jobs.ray_driver FOLDER`.

It listens on FOLDER/s to whoever knows FOLDER/key, and does what that says: `work` (a batch function), `piece` (what
to do it with), `next` (give what came of the oldest piece), `any` (of whichever is done first), `forget` (all pieces).
Pieces that a dead worker or node had are done again elsewhere, by Ray.
"""

from __future__ import annotations

import logging
import pickle
import socket
import sys
from collections import deque
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

RETRIES = 8  # of a piece whose worker or node died
STORE = 256 << 20  # bytes of memory for pieces and what comes of them; more goes to the disk
SPILL = 4 << 30  # bytes of the disk

ANSWER = 10.0  # seconds that a cluster's port has to answer; Ray itself asks for minutes


class _Refused(Exception):
    """Why a cluster is of no use here, in words."""


def main(place: Path) -> None:
    with Listener(str(place / "s"), "AF_UNIX", authkey=(place / "key").read_bytes()) as listener:
        line = listener.accept()
    _, said = line.recv()
    try:
        cluster = Cluster(pickle.loads(said))
    except _Refused as e:
        line.send(("refused", str(e).encode()))
        return
    line.send(("ready", pickle.dumps(cluster.room())))
    serve(line, cluster)
    cluster.ray.shutdown()


def serve(line: Connection, cluster: Cluster) -> None:
    """Do what is said, until the line is closed."""
    while True:
        try:
            what, said = line.recv()
        except EOFError:
            return
        if what == "work":
            cluster.take(said)
        elif what == "piece":
            cluster.add(said)
        elif what == "forget":
            cluster.forget()
        else:
            line.send(cluster.oldest() if what == "next" else cluster.first())


def reachable(address: str) -> None:
    """Raises OSError, ValueError where nobody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()


class Cluster:
    """Connected to Ray; `wanted` is what runner/engines/ray.py says of it. Raises _Refused."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        import ray

        self.ray, self.waiting = ray, deque[Any]()
        self.work: Any = None
        try:
            if wanted["address"]:
                reachable(wanted["address"])
                ray.init(wanted["address"], log_to_driver=False, logging_level=logging.ERROR)
            else:
                ray.init(
                    address="local",
                    num_cpus=wanted["workers"],
                    num_gpus=0,
                    include_dashboard=False,
                    object_store_memory=STORE,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(Path(wanted["place"]) / "r"),
                )
        except (OSError, RuntimeError, ValueError) as e:
            raise _Refused(_why(e, wanted["address"])) from None
        self._look(wanted)
        self.do: Any = None

    def room(self) -> dict[str, int]:
        """How much can be worked on at once, by now."""
        there = self.ray.cluster_resources()
        nodes = sum(node["Alive"] for node in self.ray.nodes())
        return {"CPU": max(1, int(there.get("CPU", 1))), "GPU": int(there.get("GPU", 0)), "nodes": nodes}

    def take(self, said: bytes) -> None:
        """Work that wants so many GPUs for a piece."""
        self.forget()
        work, gpus = pickle.loads(said)
        self.work = self.ray.put(work)
        wanted = {"num_cpus": 1, "num_gpus": gpus, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
        self.do = self.ray.remote(**wanted)(do)

    def add(self, piece: bytes) -> None:
        self.waiting.append(self.do.remote(self.work, piece))

    def forget(self) -> None:
        for one in self.waiting:
            self.ray.cancel(one, force=False)
        self.waiting.clear()

    def oldest(self) -> tuple[str, bytes]:
        """What came of the oldest piece, and how."""
        return self._got(self.waiting.popleft())

    def first(self) -> tuple[str, bytes]:
        """What came of the piece that is done first."""
        (one,), _ = self.ray.wait(list(self.waiting), num_returns=1)
        self.waiting.remove(one)
        return self._got(one)

    def _got(self, one: Any) -> tuple[str, bytes]:
        try:
            done: tuple[str, bytes] = self.ray.get(one)
        except self.ray.exceptions.RayError as e:
            return "lost", _short(e).encode()
        return done

    def _look(self, wanted: dict[str, Any]) -> None:
        """Every node must have what we have, and see the workspace."""
        ours = _installed(wanted["libraries"])
        path, secret = wanted["seen"]
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        asked = {}
        for node in self.ray.nodes():
            if node["Alive"]:
                only = strategy(node["NodeID"], soft=False)
                there = self.ray.remote(num_cpus=0, max_retries=1, scheduling_strategy=only)(look)
                asked[node["NodeManagerAddress"]] = there.remote(path, wanted["libraries"])
        for host, answer in asked.items():
            try:
                has, seen = self.ray.get(answer, timeout=60)
            except self.ray.exceptions.RayError as e:
                if "No module named 'runner'" in str(e):
                    has = {"mirepoix": None}
                else:
                    raise _Refused(f"the node {host} cannot be used: {_short(e)}") from None
            if why := _unfit(has, ours) or ("" if seen == secret else UNSEEN):
                raise _Refused(f"the node {host} {why}")


UNSEEN = "does not see the workspace; put it into a folder that all nodes share, at the same path"


def _unfit(has: dict[str, str | None], ours: dict[str, str | None]) -> str:
    """Why a node that has this would not do."""
    if has["mirepoix"] is None:
        return "has no mirepoix; install the same as here: pip install 'mirepoix[ray]'"
    other = [f"{n} {has[n] or 'absent'} instead of {ours[n]}" for n in ours if has[n] != ours[n]]
    return f"has other versions, and would make other data: {', '.join(other)}" if other else ""


def look(path: str, libraries: tuple[str, ...]) -> tuple[dict[str, str | None], str]:
    """What a node has, and what it sees at a path."""
    try:
        seen = Path(path).read_text(encoding="ascii")
    except OSError:
        seen = ""
    return _installed(libraries), seen


def _installed(libraries: tuple[str, ...]) -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


_ready: tuple[int, Any] = (0, None)


def do(work: bytes, piece: bytes) -> tuple[str, bytes]:
    """In a worker: the batch function on a piece. What it raises is no fault of Ray's, and comes back as it is."""
    global _ready
    if _ready[0] != (mine := hash(work)):
        _ready = mine, pickle.loads(work)
    try:
        return "done", pickle.dumps(_ready[1](pickle.loads(piece)))
    except Exception as e:
        return "raised", pickle.dumps(e)


def _why(error: Exception, address: str) -> str:
    said = _short(error)
    if not address:
        return f"no Ray could be started on this machine: {said}"
    if "ersion mismatch" in str(error):
        return f"the cluster at {address} has another Python or Ray than this machine: {said}"
    return (
        f"no Ray cluster answers at {address}: {said}; start one (`ray start --head`), or leave --address out"
    )


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


if __name__ == "__main__":
    from runner.jobs import ray_driver  # so that workers find `do` by its name

    ray_driver.main(Path(sys.argv[1]))
