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

import pytest

from runner.engines import places
from runner.engines.places import Place
from runner.engines.ray import LIBRARIES, Ray
from runner.errors import StepError
from runner.jobs import ray_driver, ray_node
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
    return Needs(ray_node.installed(LIBRARIES), str(tmp_path / "seen"), "secret")


def test_a_node_like_this_machine_would_do(needs: Needs) -> None:
    assert ray_node.unfit(needs) == ""
    assert needs.ours["python"] == ".".join(map(str, sys.version_info[:3]))
    assert needs.ours["mirepoix"]


def test_why_a_node_would_not_do(needs: Needs, tmp_path: Path) -> None:
    begin = "has other versions, and would make other data: "
    other = needs._replace(ours=needs.ours | {"python": "3.9.9", "none-such": "1"})
    here = needs.ours["python"]
    assert ray_node.unfit(other) == f"{begin}python {here} instead of 3.9.9, none-such absent instead of 1"
    (tmp_path / "seen").write_text("another's")
    assert ray_node.unfit(needs) == ray_node.UNSEEN
    (tmp_path / "seen").unlink()
    assert ray_node.unfit(needs) == ray_node.UNSEEN


def double(n: int) -> int:
    if n < 0:
        raise StepError("double", "less than nothing")
    return 2 * n


def test_a_piece_of_work(needs: Needs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of it; what it raises; and a node that would not do works on none."""
    work = (pickle.dumps(double), needs)
    what, said = ray_node.do(work, pickle.dumps(4))
    assert (what, pickle.loads(said)) == ("done", 8)
    what, said = ray_node.do(work, pickle.dumps(-4))
    error = pickle.loads(said)
    assert (what, type(error), str(error)) == ("raised", StepError, "double: less than nothing")
    other = needs._replace(secret="another's")
    monkeypatch.setitem(sys.modules, "ray", _ray())
    assert ray_node.do((work[0], other), pickle.dumps(4)) == (
        "refused",
        f"the node here {ray_node.UNSEEN}".encode(),
    )


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
    monkeypatch.setattr(ray_driver, "ANSWER", 0.3)
    with listening(lambda line: line.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))) as address:
        ray_driver.reachable(address)
    with listening(kept.append) as address, pytest.raises(OSError, match="timed out"):
        ray_driver.reachable(address)
    with listening(lambda line: line.close()) as address, pytest.raises(OSError, match=r"is no Ray|reset"):
        ray_driver.reachable(address)
    with pytest.raises(OSError, match="refused"):
        ray_driver.reachable(address)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(OSError, match="is no Ray"):
            ray_driver.reachable(f"127.0.0.1:{server.server_address[1]}")
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
        f"ray: no Ray cluster answers at {address}: [Errno 111] Connection refused; start one (`ray start --head`), or "
        "leave --address out (log: runs/r/logs/engine.log)"
    )
    assert not list((tmp_path / ".mirepoix/tmp").iterdir())


def test_what_is_wrong_with_a_cluster() -> None:
    def why(inner: str) -> str:
        try:
            try:
                raise RuntimeError(inner)
            except RuntimeError as e:
                raise ConnectionError("Failed to connect") from e
        except ConnectionError as e:
            return ray_driver._why(e, "head:1")

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
