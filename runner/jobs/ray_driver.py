"""The process that talks to a Ray cluster for runner/engines/ray.py: `python -m runner.jobs.ray_driver FOLDER`.

It listens on FOLDER/s to whoever knows FOLDER/key, and does what that says: `hello` (what cluster it is: the first),
`work` (a batch function), `piece` (what to do it with), `next` (give what came of the oldest piece), `any` (of what is
done first), `forget` (all pieces), `where` (say where the cluster is), `room` (say what there is room for, by now).
Pieces that a dead worker or node had are done again elsewhere, by Ray.
"""

from __future__ import annotations

import logging
import pickle
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from runner.jobs import ray_fetch
from runner.jobs.ray_node import ROOM, Needs, do, installed, on_each, short, tidy, unfit
from runner.jobs.ray_reach import reachable
from runner.shown import size

RETRIES = 8  # of a piece whose worker or node died
STORE = 256 << 20  # bytes of memory for what comes of pieces and waits to be taken; more goes to the disk
SPILL = 4 << 30  # bytes of the disk
APART = {"max_fused_object_count": 1}  # each in a file of its own, which goes when that is taken
GUESS = 16 << 20  # bytes that come of a piece, until one has come
LOOK = 60.0  # seconds that a node has to say what it has
ALONE = 600.0  # seconds for which a piece may find no node that could do it: more are brought within that
ADD = "add one, and run this again to go on"
LISTEN = 0.2  # seconds between looks whether anybody still waits for a piece


class _Refused(Exception):
    """Why a cluster is of no use here, in words."""

    what = "refused"


class _Unseen(_Refused):
    """For a node does not see the workspace."""

    what = "unseen"


def main(place: Path) -> None:
    listener = Listener(str(place / "s"), "AF_UNIX", authkey=(place / "key").read_bytes())
    line = listener.accept()
    _, said = line.recv()
    wanted = pickle.loads(said)
    try:
        cluster = Cluster(wanted)
        line.send(("connected", b"", b""))
        cluster.look()
    except _Refused as e:
        line.send((e.what, str(e).encode(), b""))
        return
    line.send(("ready", pickle.dumps(cluster.room()), b""))
    fetch = (listener, cluster.ray, cluster.needs)  # lines that come after this one
    threading.Thread(target=ray_fetch.listen, args=fetch, daemon=True).start()
    serve(line, cluster)
    cluster.tidy()
    cluster.ray.shutdown()


def serve(line: Connection, cluster: Cluster) -> None:
    """Do what is said, until the line is closed. An answer names the question."""
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
        elif what == "where":
            line.send(("where", cluster.ray.get_runtime_context().gcs_address.encode(), said))
        elif what == "room":
            line.send(("room", pickle.dumps(cluster.room()), said))
        elif answer := cluster.come(what == "any", lambda: not line.poll()):
            line.send((*answer, said))


class Cluster:
    """Connected to Ray; `wanted` is what runner/engines/ray.py says of it. Raises _Refused."""

    apart = 0  # nodes without the workspace, as far as was looked
    staged = False  # whether work was handed out that such nodes can do

    def __init__(self, wanted: dict[str, Any]) -> None:
        if wanted["address"]:
            try:
                reachable(wanted["address"])
            except (OSError, ValueError) as e:
                raise _Refused(_why(e, wanted["address"], wanted["named"])) from None
        elif (free := shutil.disk_usage(wanted["place"]).free) < ROOM:
            where = f"Ray keeps its files in {Path(wanted['place']).parent}, where {size(free)} are free"
            raise _Refused(f"{where}: make room there, or name another folder (TMPDIR)")
        import ray

        self.ray, self.waiting, self.address = ray, deque[Any](), wanted["address"]
        self.held = deque[bytes]()
        self.largest, self.came, self.space = GUESS, False, 0
        self.work: Any = None
        self.do: Any = None
        self.needs = Needs(installed(wanted["libraries"]), *wanted["seen"])
        try:
            if self.address:
                ray.init(self.address, logging_level=logging.ERROR)
            else:
                ray.init(
                    address="local",
                    num_cpus=wanted["workers"],
                    num_gpus=wanted["gpus"],
                    include_dashboard=False,
                    object_store_memory=STORE,
                    _system_config=APART,
                    logging_level=logging.ERROR,
                    _temp_dir=str(Path(wanted["place"]) / "r"),
                )
        except Exception as e:  # Ray raises all kinds
            raise _Refused(_why(e, self.address, wanted["named"])) from None

    def room(self) -> dict[str, int]:
        """How much can be worked on at once, by now: "CPU", "GPU", and "nodes" that have a core; and how many nodes are
        "apart", without the workspace, as far as was looked."""
        there = self.ray.cluster_resources()
        nodes = sum(node["Alive"] and node["Resources"].get("CPU", 0) >= 1 for node in self.ray.nodes())
        return {
            "CPU": int(there.get("CPU", 0)),
            "GPU": int(there.get("GPU", 0)),
            "nodes": nodes,
            "apart": self.apart,
        }

    def take(self, said: bytes) -> None:
        """Work that wants so many GPUs for a piece."""
        self.forget()
        work, self.gpus, staged = pickle.loads(said)
        self.staged |= staged
        self.work = self.ray.put((work, self.needs, staged))
        wanted = {
            "num_cpus": 1,
            "num_gpus": self.gpus,
            "max_retries": RETRIES,
            "scheduling_strategy": "SPREAD",
        }
        self.do = self.ray.remote(**wanted)(do)
        self.largest, self.came, self.space = GUESS, False, SPILL
        if self.address:  # of a cluster that is not ours, what its nodes keep in memory
            self.space = int(self.ray.cluster_resources().get("object_store_memory", STORE))

    def add(self, piece: bytes) -> None:
        """A piece more for the work that was taken last."""
        self.held.append(piece)
        self._submit()

    def _submit(self) -> None:
        """Hand out pieces while there is room for what may come of those under way. Ray itself spills to the disk until
        that is nearly full, so it is never given more: the next piece waits until something is taken. One is always
        under way."""
        while self.held and (not self.waiting or (len(self.waiting) + 1) * self.largest <= self.space):
            self.waiting.append(self.do.remote(self.work, self.held.popleft()))

    def forget(self) -> None:
        """Of pieces that were added and not taken nobody waits for any."""
        for one in self.waiting:
            self.ray.cancel(one, force=False)
        self.waiting.clear()
        self.held.clear()

    def come(self, first: bool, wanted: Callable[[], bool]) -> tuple[str, bytes] | None:
        """What came of the oldest piece, or of the one that is done first, and how. None once nobody waits for it."""
        of = list(self.waiting) if first else [self.waiting[0]]
        able = look = time.monotonic()
        while not (done := self.ray.wait(of, num_returns=1, timeout=LISTEN)[0]):
            if not wanted():
                return None
            if (now := time.monotonic()) > look + min(ALONE, LOOK):
                look = now
                if self._able():
                    able = now
                elif now > able + ALONE:
                    what = "GPU" if self.gpus else "core"
                    return "lost", f"no node of the cluster with a {what} is left: {ADD}".encode()
        self.waiting.remove(done[0])
        try:
            came: tuple[str, bytes] = self.ray.get(done[0])
        except self.ray.exceptions.RayError as e:
            return "lost", self._lost(e).encode()
        self.largest = max(len(came[1]), self.largest if self.came else 0)
        self.came = True
        self._submit()
        return came

    def _able(self) -> bool:
        """Whether a node that is alive could do a piece, once it has the time."""
        least = {"CPU": 1, "GPU": self.gpus}
        alive = [node["Resources"] for node in self._alive()]
        return any(all(has.get(what, 0) >= n for what, n in least.items()) for has in alive)

    def _lost(self, error: Exception) -> str:
        """Why a piece came to nothing, and what to do."""
        known, where = self.ray.exceptions, "a node of the cluster" if self.address else "this machine"
        again = "; run it again to go on"
        if isinstance(error, known.OutOfMemoryError):
            fewer = "give nodes more memory, or fewer CPUs" if self.address else "set compute.workers lower"
            return f"{where} has too little memory for what it works on at once: {fewer}{again}"
        if isinstance(error, known.LocalRayletDiedError):
            if self.address:
                return f"the node of this machine has ended: start it again (`ray start`){again}"
            return f"the cluster that was started for the run has ended{again}"
        if isinstance(error, known.OutOfDiskError):
            return f"the disk of {where} that Ray writes to is full: make room there{again}"
        if isinstance(error, known.WorkerCrashedError | known.NodeDiedError):
            return f"{RETRIES + 1} workers in turn died of the same piece (is memory short?){again}"
        if isinstance(error, known.ObjectLostError):
            return f"{short(error)}{again}"
        return short(error)  # it may come again each time

    def look(self) -> None:
        """Every node must have what we have, and see the workspace, or the artifact store."""
        for host, said, silent in on_each(self.ray, self._alive(), LOOK, unfit, self.needs):
            why, without = said or (silent, False)
            if silent and self.needs.store:
                why += "; or it cannot reach the artifact store"
            if why:
                raise (_Unseen if without else _Refused)(f"the node {host} {why}")
            self.apart += without

    def tidy(self) -> None:
        """Nodes without the workspace have kept files for the run."""
        if self.staged:
            for _ in on_each(self.ray, self._alive(), LOOK, tidy, self.needs.token):
                continue

    def _alive(self) -> list[Any]:
        return [node for node in self.ray.nodes() if node["Alive"]]


def _why(error: Exception, address: str, named: str) -> str:
    """Why there is no cluster, and what to do. `named` says where the address stands."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)  # type: ignore[arg-type]
    whole, said = "\n".join(map(str, chain)), short(error)
    if not address:
        return f"no Ray could be started on this machine: {said}"
    if "ersion mismatch" in whole:
        versions = [line.strip() for line in whole.splitlines() if line.startswith("    ")]
        return (
            f"the cluster at {address} has another Ray or Python than this machine: "
            f"{', '.join(versions[:2])} there, {', '.join(versions[2:4])} here; have the same on all"
        )
    if "Unauthenticated" in whole or "AuthToken" in whole:
        return (
            f"the cluster at {address} lets in only who has its token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH "
            "as where it was started"
        )
    if "node info" in whole:
        return (
            f"this machine is no node of the cluster at {address}; join it (`ray start --address={address}`; with "
            "--num-cpus=0 nothing is worked on here), or run the recipe on a machine that is one"
        )
    return (
        f"no Ray cluster answers at {address}: {said}; start one (`ray start --head`), or leave {named} out"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
