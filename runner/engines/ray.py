"""Engine `ray`: a Ray cluster, one that is there or one that is started for the run.

Ray itself lives in a job (runner/jobs/ray_driver.py): a process of its own that ends with us, with an environment
without secrets, in an empty folder (Ray lets workers import from the folder that it was called in, and a workspace may
be a stranger's). We talk to it over a socket in a folder that only we can enter. Rows do not travel: a piece is a list
of row numbers, and workers read the rows where they lie; those without the workspace, from files that they bring from
the artifact store (runner/staging).
"""

from __future__ import annotations

import os
import pickle
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import TypeVar

from runner import ending, paths, process
from runner.engines import deciding, places
from runner.engines.places import Place
from runner.engines.talk import Talk
from runner.errors import StepError
from runner.hardware import gpus
from runner.making import shown
from runner.process import Job
from runner.settings import Settings
from runner.staging.stager import Stager
from runner.steps import Plan, Stage
from runner.store import remote

P = TypeVar("P")
R = TypeVar("R")

PATIENCE = 120.0  # seconds that a cluster of our own has to start, and any to say what its nodes have
CONNECTS = 45.0  # seconds that one that is there has to let us in
PARTING = 10.0  # seconds that a cluster of our own has to end
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HERE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray takes 127.0.0.1 for another name of an address that others can reach, unless told that there are no others."""
PATIENT = {"RAY_task_oom_retries": "5", "RAY_gcs_server_request_timeout_seconds": "20"}
"""Ray tries a piece for which memory is short again for ever, after pauses of twice the length of the one before; and
asks a minute for a node on this machine."""
WAY_IN = ("RAY_AUTH_", "RAY_TLS_", "RAY_USE_TLS")
"""Of the user's environment: his token, and his certificates."""
NO_OTHER = {"RAY_ENABLE_AUTO_CONNECT": "0"}
"""Else Ray starts another cluster where a thread asks the first one for something when that has just ended."""


def run_job(job: Job) -> None:
    """In a worker: a job of ours. Ray has told the worker to use as many threads as it counts cores for it, one; a job
    has the node, or the cores beside its GPU, for itself."""
    threads = os.environ.pop("OMP_NUM_THREADS", None)
    try:
        job.run()
    finally:
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads


class Ray(Talk):
    """Maps on a cluster. `address` is where it is, HOST:PORT; "" starts one on this machine, with `workers` processes,
    when it is first needed, and ends it. `root` is the workspace, which all nodes must see at the same path; `log`
    takes what Ray and its workers say, `say` is told in words what cluster it is, `named` says where it was
    named, `libraries` what each node must have in the same version as this machine.

    With the artifact store `store`, nodes of a cluster that is there may be without the workspace (runner/staging), and
    do all but `jobs`: steps to be made that run jobs of their own."""

    name = "ray"
    spread = True

    def __init__(
        self,
        address: str,
        workers: int,
        root: Path,
        log: Path,
        say: Callable[[str], None] = lambda words: None,
        named: str = "--address",
        libraries: tuple[str, ...] = deciding.ALWAYS,
        store: str = "",
        jobs: tuple[str, ...] = (),
    ) -> None:
        self.address, self.workers, self.root, self.log = address, workers, root.resolve(), log
        self.say, self.named, self.libraries = say, named, libraries
        self.store, self.jobs = store if address else "", jobs
        self._stager: Stager | None = None
        self._without = 0  # nodes without the workspace
        self._child: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None
        self._place: Place | None = None
        self._seen: Path | None = None
        self._way_in: dict[str, str] = {}
        self._asked = 0
        self._key = secrets.token_bytes(32)

    def __enter__(self) -> Ray:
        """Raises StepError where a cluster is said to be there, and is not, or would not do: before any work."""
        places.sweep()
        if self.address:
            self._start()
        if self._without and self.jobs:
            self._end()
            raise self._apart(f"{', '.join(self.jobs[:5])}{' …' if len(self.jobs) > 5 else ''}")
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def mapped(self, work: Callable[[P], R], pieces: Iterable[P]) -> Iterator[R]:
        """See runner.engines. Raises StepError where there is no cluster, or none that could do it."""
        self._start()
        return self._mapped(work, pieces, gpus=0, watch=lambda: None, stager=self._stager)

    def replicas(self, gpu: bool) -> int:
        """One a GPU of the cluster's; without GPUs, one a node that has a core. By now: nodes come and go."""
        self._start()
        room = self._room()
        if gpu and not room["GPU"]:
            raise StepError(
                "ray",
                "no node of the cluster has a GPU, and the recipe wants one (compute.profile); add a node that has, or "
                "set it to cpu",
            )
        return room["GPU"] if gpu else room["nodes"]

    def run(self, jobs: Sequence[Job], *, gpu: bool, watch: Callable[[], None]) -> None:
        """Run jobs to their ends, each on a node with room for it. Raises Failed; StepError where nodes are without
        the workspace."""
        self.replicas(gpu)
        if self._without:
            raise self._apart("models at work")
        for _ in self._mapped(run_job, jobs, gpus=int(gpu), watch=watch, ask="any"):
            pass

    def joining(self) -> dict[str, str]:
        """What a job of ours must know to be another driver of the cluster: where it is, and the way in."""
        self._start()
        if self._without:
            raise self._apart("training")
        return self._way_in | {"RAY_ADDRESS": self._answer("where").decode()}

    @property
    def fetching(self) -> Callable[[], Connection] | None:
        """Makes a line to what sends requests on the nodes (runner/jobs/ray_fetch.py): who sees the workspace keeps the
        bytes there."""
        return self._fetching if self._stager is None else None

    def _fetching(self) -> Connection:
        self._start()
        assert self._place is not None
        return self._met(self._place.path / "s")

    def _apart(self, what: str) -> StepError:
        return StepError(
            "ray",
            f"not all nodes see the workspace, so data alone can be made there (--to prepare); for {what}, put the "
            "workspace into a folder that all nodes share, at the same path, or stay on this machine (--engine local)",
        )

    def _failed(self, why: str) -> StepError:
        return StepError("ray", why, shown(self.log, self.root))

    def _lost(self) -> StepError:
        self._end()
        if self.address:
            return self._failed(
                f"the cluster at {self.address} is gone, or let us go; see that it runs, and run this again to go on"
            )
        return self._failed("the cluster that was started for the run has ended; run this again to go on")

    def _start(self) -> None:
        """Connect, unless that is done. Raises StepError."""
        if self._child is not None:
            return
        self._place = Place()
        place = self._place.path
        (place / "empty").mkdir()
        # A name that no other machine of a shared folder draws; garbage only once no run is at work.
        self._seen = paths.folder(self.root, ".mirepoix", "runs") / f"{secrets.token_hex(8)}.seen"
        with paths.create(self._seen) as file:
            file.write((secret := secrets.token_hex(16)).encode("ascii"))
        stager: Stager | None = None
        wanted = {
            "address": self.address,
            "named": self.named,
            "workers": self.workers,
            "gpus": len(gpus(os.environ)),
            "place": str(place),
            "seen": [str(self._seen), secret],
            "libraries": self.libraries,
        }
        try:
            stager, refused = self._opened(secret)
            if stager is not None:
                wanted["seen"] = [str(self._seen), secret, self.store, self._seen.stem]
            (place / "key").write_bytes(self._key)
            self._way_in = self._more(place)
            self._child, _ = process.start(
                [sys.executable, "-m", "runner.jobs.ray_driver", str(place)],
                log=self.log,
                cwd=place / "empty",
                more=self._way_in | NO_OTHER,
            )
            self._line = self._met(place / "s")
            self._line.send(("hello", pickle.dumps(wanted)))
            for stage, patience in (
                ("connected", CONNECTS if self.address else PATIENCE),
                ("ready", PATIENCE),
            ):
                what, said = self._heard(patience=patience)
                if what != stage:
                    raise self._failed(said.decode() + refused * (what == "unseen"))
            room = pickle.loads(said)
            self._without = room["apart"]
            if self._without or not room["CPU"]:  # who knows what those see that come
                self._stager, stager = stager, None
        except BaseException:
            self._end()
            raise
        finally:
            if stager is not None:
                stager.end()
        self.say(self._words(room))

    def _opened(self, secret: str) -> tuple[Stager | None, str]:
        """What sends files through the artifact store; without one, why it is of no use, to be told where it is missed:
        only where a node is without the workspace."""
        if not self.store:
            return None, ""
        assert self._seen is not None
        stager = Stager(remote.opened(self.store), self.root, self._seen.stem)
        try:
            stager.open(secret)
        except StepError as e:
            return None, f"; the one that is named is of no use here: {e.message}"
        return stager, ""

    def _words(self, room: dict[str, int]) -> str:
        """What cluster it is."""
        counted = [
            f"{n:,} {what}{'' if n == 1 else 's'}"
            for what, n in (("node", room["nodes"]), ("core", room["CPU"]))
        ]
        counted += [f"{room['GPU']:,} GPU{'' if room['GPU'] == 1 else 's'}"] if room["GPU"] else []
        where = f"at {self.address}" if self.address else "started for this run"
        if self._stager is not None:
            where += f", files pass through {self.store}"
        waits = "" if room["CPU"] else ": nothing is worked on until more come"
        return f"{', '.join(counted)}, {where}{waits}"

    def _more(self, place: Path) -> dict[str, str]:
        """Ray's part of the environment. Its cluster listens on all addresses of the machine: whoever knows no token
        is not let in. One of the user's own has his token, which `ray` itself reads."""
        more = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
        more |= PATIENT
        if self.address.rpartition(":")[0] in LOOPBACK:
            more |= HERE
        if self.address:
            return more | {k: v for k, v in os.environ.items() if k.startswith(WAY_IN)}
        token = place / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32), encoding="ascii")
        return more | HERE | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}

    def _met(self, socket: Path) -> Connection:
        """The line to the job, once it listens."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self._child is not None
            if self._child.poll() is not None:
                break
            with suppress(FileNotFoundError, ConnectionRefusedError):  # it is there before it listens
                return Client(str(socket), "AF_UNIX", authkey=self._key)
            time.sleep(0.02)
        raise self._failed("the process that talks to the cluster did not start")

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
                self._place.end()
            if self._seen is not None:
                self._seen.unlink(missing_ok=True)
            if self._stager is not None:
                self._stager.end()
            self._stager = None
            self._line = self._child = self._place = self._seen = None


def opened(
    plan: Plan, to: Stage, settings: Settings, log: Path, say: Callable[[str], None]
) -> AbstractContextManager[Ray]:
    workers, most = plan.loaded.recipe.compute.workers, settings.workers
    return Ray(
        settings.cluster,
        min(workers or most, most),  # a recipe may be a stranger's
        plan.workspace.root,
        log,
        say,
        settings.named_cluster,
        deciding.libraries(plan, to),
        settings["artifact_store"],
        tuple(deciding.jobs(plan, to)),
    )
