"""Where work is done: the local engine knows nothing of Ray, and the parts of the engine `ray` that need none."""

from __future__ import annotations

import http.server
import json
import pickle
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.engines import places
from runner.engines.deciding import ALWAYS
from runner.engines.places import Place
from runner.engines.ray import Ray
from runner.errors import StepError
from runner.jobs import ray_driver, ray_node, ray_reach
from runner.jobs.ray_node import Needs

LOCAL = """
import json, sys
from runner.api import run
assert run("r.yaml", to="prepare", engine="local").engine == "local"
print(json.dumps(sorted(m for m in sys.modules if m.partition(".")[0] == "ray" or m.startswith("runner."))))
"""


def python(code: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True
    )
    said: list[str] = json.loads(done.stdout)
    return said


def test_a_run_on_this_machine_imports_no_ray(tmp_path: Path) -> None:
    """Neither Ray, nor what talks to it."""
    talk = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "The river ran by."}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [a.jsonl]}\nfilters: [words: {min: 1}]\nsplit: {validation: 0}\n"
    )
    imported = python(LOCAL, tmp_path)
    assert "runner.engines.local" in imported
    assert not {"ray", "runner.engines.ray", "runner.jobs.ray_driver"} & set(imported)


@pytest.mark.parametrize("module", ["runner.engines.ray", "runner.jobs.ray_driver", "runner.jobs.ray_node"])
def test_what_talks_to_ray_imports_it_when_it_does(module: str, tmp_path: Path) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    assert not {m for m in python(code, tmp_path) if m.partition(".")[0] == "ray"}


# -- a folder for sockets -----------------------------------------------------------------------------


KILLED = "import os; from runner.engines.places import Place; p = Place(); (p.path / 'token').touch(); print(p.path, flush=True); os._exit(9)"


def test_what_a_killed_run_left_goes_with_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And only that: not what another run has, nor what is no run's."""
    monkeypatch.setattr(places, "_temporary", lambda: tmp_path)
    code = f"from runner.engines import places; from pathlib import Path; places._temporary = lambda: Path({str(tmp_path)!r}); {KILLED}"
    held = Place()
    foreign = tmp_path / "recipe-ray-foreign"
    foreign.mkdir()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    left = Path(done.stdout.strip())
    assert (done.returncode, left.is_dir()) == (9, True)
    new = Place()
    with Ray("", 1, tmp_path, tmp_path / "engine.log"):  # whether it needs a cluster or not
        pass
    assert set(tmp_path.iterdir()) == {held.path, foreign, new.path}
    assert new.path.stat().st_mode & 0o777 == 0o700
    new.end()
    held.end()
    assert list(tmp_path.iterdir()) == [foreign]


def test_sockets_have_short_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the folder for temporary files has a long one, another is taken."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / ("long" * 9)))
    place = Place()
    assert place.path.parent == Path("/tmp")
    place.end()


# -- what a node must have ------------------------------------------------------------------------------


@pytest.fixture
def needs(tmp_path: Path) -> Needs:
    (tmp_path / "seen").write_text("secret")
    return Needs(ray_node.installed(ALWAYS), str(tmp_path / "seen"), "secret")


def test_a_node_like_this_machine_would_do(needs: Needs) -> None:
    assert ray_node.unfit(needs) == ("", False)
    assert needs.ours["python"] == ".".join(map(str, sys.version_info[:3]))
    assert needs.ours["mirepoix"]


def test_why_a_node_would_not_do(needs: Needs, tmp_path: Path) -> None:
    begin = "has other versions, and would make other data: "
    other = needs._replace(ours=needs.ours | {"python": "3.9.9", "none-such": "1"})
    here = needs.ours["python"]
    why = f"{begin}python {here} instead of 3.9.9, none-such absent instead of 1"
    assert ray_node.unfit(other) == (why, False)
    (tmp_path / "seen").write_text("another's")
    assert ray_node.unfit(needs) == (ray_node.UNSEEN, True)
    (tmp_path / "seen").unlink()
    assert ray_node.unfit(needs) == (ray_node.UNSEEN, True)


def double(n: int) -> int:
    if n < 0:
        raise StepError("double", "less than nothing")
    return 2 * n


def test_a_piece_of_work(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of it; what it raises; and a node that would not do works on none."""
    work = (pickle.dumps(double), needs, False)
    what, said = ray_node.do(work, pickle.dumps(4))
    assert (what, pickle.loads(said)) == ("done", 8)
    what, said = ray_node.do(work, pickle.dumps(-4))
    error = pickle.loads(said)
    assert (what, type(error), str(error)) == ("raised", StepError, "double: less than nothing")
    other = needs._replace(secret="another's")
    monkeypatch.setitem(sys.modules, "ray", _ray())
    assert ray_node.do((work[0], other, False), pickle.dumps(4)) == (
        "refused",
        f"the node here {ray_node.UNSEEN}".encode(),
    )


def test_a_node_that_lacks_the_package_of_a_plug_in(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, in the words of what it lacks; of the batch function's package, and of the piece's."""
    monkeypatch.setitem(sys.modules, "ray", _ray())
    absent = b"cnone_such_package\nf\n."  # a pickle of none_such_package.f
    why = "the node here lacks what it is to work with: No module named 'none_such_package'; install there what is "
    for work, piece in ((absent, pickle.dumps(4)), (pickle.dumps(double), absent)):
        assert ray_node.do((work, needs, False), piece) == ("refused", f"{why}installed here".encode())


def _ray() -> object:
    class Util:
        @staticmethod
        def get_node_ip_address() -> str:
            return "here"

    class Module:
        util = Util

    return Module


# -- who may be the head of a cluster -------------------------------------------------------------------


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """The address of a server that does something with whoever comes first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: answer(server.accept()[0]), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_who_may_be_the_head_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins as a server of HTTP/2 does (RFC 9113, 3.4)."""
    kept: list[socket.socket] = []
    monkeypatch.setattr(ray_reach, "ANSWER", 0.3)
    with listening(lambda line: line.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))) as address:
        ray_reach.reachable(address)
    with listening(kept.append) as address, pytest.raises(OSError, match="timed out"):
        ray_reach.reachable(address)
    with listening(lambda line: line.close()) as address, pytest.raises(OSError, match=r"is no Ray|reset"):
        ray_reach.reachable(address)
    with pytest.raises(OSError, match="refused"):
        ray_reach.reachable(address)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(OSError, match="is no Ray"):
            ray_reach.reachable(f"127.0.0.1:{server.server_address[1]}")
        server.shutdown()


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    """It is said before anything is worked on; nothing is left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = tmp_path / "runs/r/logs/engine.log"
    log.parent.mkdir(parents=True)
    with pytest.raises(StepError) as e, Ray(address, 2, tmp_path, log):
        raise AssertionError("there is no such cluster")
    assert str(e.value) == (
        f"ray: no Ray cluster answers at {address}: Connection refused; start one (`ray start --head`), or "
        "leave --address out (log: runs/r/logs/engine.log)"
    )
    assert not list((tmp_path / ".mirepoix/runs").iterdir())


def test_what_is_wrong_with_a_cluster() -> None:
    def why(inner: str) -> str:
        try:
            try:
                raise RuntimeError(inner)
            except RuntimeError as e:
                raise ConnectionError("Failed to connect") from e
        except ConnectionError as e:
            return ray_driver._why(e, "head:1", "--address")

    assert why("Unauthenticated: InvalidAuthToken").startswith(
        "the cluster at head:1 lets in only who has its token"
    )
    assert why("No node info found").startswith("this machine is no node of the cluster at head:1; join it")
    assert why("x").startswith("no Ray cluster answers at head:1: Failed to connect; start one")
    said = "Version mismatch: The cluster was started with:\n    Ray: 2.1.0\n    Python: 3.9.9\nThis process was:\n    Ray: 2.2.0\n    Python: 3.11.1\n"
    assert why(said) == (
        "the cluster at head:1 has another Ray or Python than this machine: Ray: 2.1.0, Python: 3.9.9 there, "
        "Ray: 2.2.0, Python: 3.11.1 here; have the same on all"
    )


# -- the line between the two -----------------------------------------------------------------------------


@pytest.fixture
def line(tmp_path: Path) -> Iterator[tuple[Ray, Connection]]:
    """An engine, and the other end of its line."""
    engine = Ray("", 1, tmp_path, tmp_path / "engine.log")
    ours, theirs = Pipe()
    engine._line = ours
    yield engine, theirs
    ours.close()
    theirs.close()


def test_an_answer_that_nobody_waited_for_in_the_end_is_none(line: tuple[Ray, Connection]) -> None:
    engine, theirs = line
    theirs.send(("done", b"old", b"1"))
    theirs.send(("done", b"new", b"2"))
    assert engine._heard(b"2") == ("done", b"new")


def test_a_cluster_that_says_nothing_and_one_that_is_gone(line: tuple[Ray, Connection]) -> None:
    engine, theirs = line
    with pytest.raises(StepError, match=r"no answer from a Ray cluster on this machine within 0\.1 seconds"):
        engine._heard(patience=0.1)
    theirs.close()
    with pytest.raises(StepError, match=r"has ended; run this again to go on \(log: engine\.log\)"):
        engine._heard()


class Played:
    """The job's end of the line: it says what room there is, anew each time, and does each piece when it is asked."""

    def __init__(self, line: Connection, rooms: list[dict[str, int]]) -> None:
        self.line, self.rooms = line, rooms
        self.held: deque[bytes] = deque()
        self.most: list[int] = []  # pieces that were held, when one was asked for
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                what, said = self.line.recv()
            except (EOFError, OSError):
                return
            if what == "piece":
                self.held.append(said)
            elif what == "room":
                room = self.rooms.pop(0) if len(self.rooms) > 1 else self.rooms[0]
                self.line.send(("room", pickle.dumps(room), said))
            elif what == "next":
                self.most.append(len(self.held))
                self.line.send(("done", self.held.popleft(), said))


def test_nodes_that_come_later_are_given_work(
    line: tuple[Ray, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is room for is asked again, while pieces are worked on and before each replica."""
    engine, theirs = line
    monkeypatch.setattr("runner.engines.talk.LOOKS", 0.0)
    monkeypatch.setattr(engine, "_start", lambda: None)
    none, some = {"CPU": 0, "GPU": 0, "nodes": 0}, {"CPU": 4, "GPU": 2, "nodes": 1}
    played = Played(theirs, [none, none, some])
    assert list(engine.mapped(double, range(12))) == list(range(12))
    assert played.most[:2] == [2, 2]
    assert max(played.most) == 8
    played.rooms[:] = [none, some]
    with pytest.raises(StepError, match="no node of the cluster has a GPU"):
        engine.replicas(True)
    assert engine.replicas(True) == 2
    assert engine.replicas(False) == 1


def test_a_node_without_a_core_has_no_replica() -> None:
    """Such as one that hands out work and does none (`--num-cpus=0`)."""

    class Three:
        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 4.0, "GPU": 1.0}

        def nodes(self) -> list[dict[str, object]]:
            return [
                {"Alive": True, "Resources": {"memory": 1.0}},
                {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}},
                {"Alive": False, "Resources": {"CPU": 4.0}},
            ]

    cluster = ray_driver.Cluster.__new__(ray_driver.Cluster)
    cluster.ray = Three()
    assert cluster.room() == {"CPU": 4, "GPU": 1, "nodes": 1, "apart": 0}


class Busy:
    """Ray, while a piece takes its time."""

    def wait(self, of: list[str], num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        return [], of


def test_nobody_is_kept_waiting_for_a_piece_that_nobody_wants() -> None:
    """Who asked has closed the line, or says something else: the driver hears it while it waits."""
    cluster = ray_driver.Cluster.__new__(ray_driver.Cluster)
    cluster.ray, cluster.waiting = Busy(), deque(["piece"])
    ours, theirs = Pipe()
    ours.send(("next", b"1"))
    ours.close()
    ray_driver.serve(theirs, cluster)  # comes back
    assert list(cluster.waiting) == ["piece"]


def test_a_node_whose_disk_is_full(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Ray keeps its files, and nowhere else."""
    session = SimpleNamespace(get_session_dir_path=lambda: "/there/session")
    monkeypatch.setitem(sys.modules, "ray._private.worker", SimpleNamespace(_global_node=session))
    asked: list[str] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(str(path))
        return SimpleNamespace(free=free)

    monkeypatch.setattr(ray_node.shutil, "disk_usage", usage)
    free = 3_000_000
    why = "has 3.0 MB free in /there/session, where Ray keeps its files: make room there"
    assert ray_node.unfit(needs) == (why, False)
    free = ray_node.ROOM
    assert ray_node.unfit(needs) == ("", False) and set(asked) == {"/there/session"}


def test_what_lets_one_in_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's token and certificates, to the process that talks to his cluster; not to one that is ours."""
    theirs = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t", "RAY_USE_TLS": "1", "RAY_TLS_CA_CERT": "/c"}
    for name, value in (theirs | {"RAY_OTHER": "1"}).items():
        monkeypatch.setenv(name, value)
    more = Ray("there:6379", 1, tmp_path, tmp_path / "log")._more(tmp_path)
    assert {k: v for k, v in more.items() if k in theirs} == theirs and "RAY_OTHER" not in more
    own = Ray("", 1, tmp_path, tmp_path / "log")._more(tmp_path)
    assert not {"RAY_USE_TLS", "RAY_TLS_CA_CERT", "RAY_AUTH_TOKEN"} & set(own)
