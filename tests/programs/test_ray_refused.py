"""Clusters that would not do: found before any work, one sentence, with the next step; nothing is half made."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import DEAR, Nodes, digests, ended, joined, made, nodes, started, workspace

from runner import api
from runner.errors import StepError
from runner.jobs.ray_node import UNSEEN
from runner.prepare import selected

ROWS = 300


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return workspace(tmp_path / "w", ROWS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with nodes() as one:
        yield one


def refused(root: Path, address: str, why: str, within: float, **more: Any) -> None:
    """A run ends at once, before any step, and says why in one line."""
    began = time.monotonic()
    code, told = ended(root, "--engine", "ray", "--address", address, **more)
    assert code == 3, told
    assert told == f"error: ray: {why} (log: runs/r/logs/engine.log)\n"
    assert time.monotonic() - began < within
    assert not (root / ".mirepoix/artifacts").exists()
    assert not [*(root / ".mirepoix/tmp").iterdir(), *(root / ".mirepoix/runs").glob("*.seen")]


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that does something with whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                answer(line)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_no_cluster(root: Path) -> None:
    start = "; start one (`ray start --head`), or leave --address out"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    refused(root, address, f"no Ray cluster answers at {address}: Connection refused{start}", 30)


@DEAR
def test_something_else_that_listens(root: Path) -> None:
    """A server that never answers, one of HTTP, and one of HTTP/2 that never says more than its first word."""
    start = "; start one (`ray start --head`), or leave --address out"
    kept: list[socket.socket] = []
    with listening(kept.append) as address:
        refused(root, address, f"no Ray cluster answers at {address}: timed out{start}", 60)

    def begins(line: socket.socket) -> None:
        line.sendall(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
        kept.append(line)

    with listening(begins) as address:
        why = f"no answer from a Ray cluster at {address} within 45 seconds"
        refused(root, address, why, 100)


@DEAR
def test_a_cluster_of_another_token(root: Path, tmp_path: Path) -> None:
    tokens = [tmp_path / "ours", tmp_path / "theirs"]
    for n, token in enumerate(tokens):
        token.touch(0o600)
        token.write_text(str(n) * 64)
    ways: list[dict[str, str]] = [{"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(t)} for t in tokens]
    with nodes(1, ways[1]) as cluster:
        at = f"the cluster at {cluster.address} lets in only who has its token; set RAY_AUTH_MODE=token and "
        why = f"{at}RAY_AUTH_TOKEN_PATH as where it was started"
        refused(root, cluster.address, why, 100, **ways[0])
        refused(root, cluster.address, why, 100, RAY_AUTH_MODE="disabled")
        code, told = ended(root, "--engine", "ray", "--address", cluster.address, **ways[1])
        assert code == 0, told


@DEAR
def test_a_machine_that_is_no_node(root: Path, cluster: Nodes) -> None:
    """Whoever sees no node among the machine's processes."""
    why = f"this machine is no node of the cluster at {cluster.address}; join it (`ray start --address="
    why += f"{cluster.address}`; with --num-cpus=0 nothing is worked on here), or run the recipe on a machine that is one"
    refused(root, cluster.address, why, 100, before=apart("-p", "-f", "--mount-proc"))


def apart(*how: str) -> list[str]:
    """The start of a command in namespaces of its own; skips where that is not allowed."""
    argv = ["unshare", *how]
    if shutil.which("unshare") is None or subprocess.run([*argv, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces of one's own here (unshare)")
    return argv


def fake(folder: Path, name: str, number: str) -> Path:
    """A folder for PYTHONPATH in which a library says to be of another version."""
    info = folder / f"{name}-{number}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    return folder


@DEAR
def test_a_node_with_other_versions(root: Path, cluster: Nodes, tmp_path: Path) -> None:
    """Of a library, and one that lacks it."""
    path = fake(tmp_path / "p", "numpy", "1.0")
    with joined(cluster.address, tmp_path / "log", PYTHONPATH=str(path)):
        why = "the node 127.0.0.1 has other versions, and would make other data: "
        refused(root, cluster.address, f"{why}numpy 1.0 instead of {version('numpy')}", 100)


@DEAR
def test_a_node_that_comes_later(cluster: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is given no work where it would make other data."""
    root = workspace(tmp_path / "w", 6000)
    path = fake(tmp_path / "p", "numpy", "1.0")
    monkeypatch.setattr(selected, "PIECE", 64)
    with ExitStack() as stack:

        def tell(event: Any) -> None:
            if (event.what, event.step) == ("starts", "filter"):
                stack.enter_context(joined(cluster.address, tmp_path / "log", PYTHONPATH=str(path)))

        with pytest.raises(StepError) as e:
            api.run(
                root / "r.yaml",
                to="prepare",
                engine="ray",
                address=cluster.address,
                workspace=root,
                progress=tell,
            )
    why = f"has other versions, and would make other data: numpy 1.0 instead of {version('numpy')}"
    assert str(e.value) == f"ray: the node 127.0.0.1 {why} (log: runs/r/logs/engine.log)"


def python_without(folder: Path, *without: str) -> str:
    """A Python that has all that ours has, but for some packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    theirs = next((folder / "lib").iterdir()) / "site-packages"
    for entry in next((Path(sys.prefix) / "lib").iterdir()).joinpath("site-packages").iterdir():
        if not any(name in entry.name for name in without) and not (theirs / entry.name).exists():
            (theirs / entry.name).symlink_to(entry)
    return str(folder / "bin/python")


@DEAR
def test_a_node_without_mirepoix(root: Path, cluster: Nodes, tmp_path: Path) -> None:
    python = python_without(tmp_path / "v", "mirepoix")
    assert subprocess.run([python, "-c", "import runner"], cwd=tmp_path, capture_output=True).returncode
    with joined(cluster.address, tmp_path / "log", python=python):
        why = "the node 127.0.0.1 has no mirepoix, or another; install the same version as here, with its extra ray"
        refused(root, cluster.address, why, 100)


@DEAR
def test_a_node_that_does_not_see_the_workspace(root: Path, cluster: Nodes, tmp_path: Path) -> None:
    hides = ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(root)]
    with joined(cluster.address, tmp_path / "log", before=[*apart("-m"), *hides]):
        why = f"the node 127.0.0.1 {UNSEEN}"
        refused(root, cluster.address, why, 100)


@DEAR
def test_a_node_whose_disk_is_full(root: Path, cluster: Nodes, tmp_path: Path) -> None:
    small = ["sh", "-c", 'mount -t tmpfs -o size=40m none "$0" && exec "$@"', tempfile.gettempdir() + "/ray"]
    with joined(cluster.address, tmp_path / "log", before=[*apart("-m"), *small]):
        code, told = ended(root, "--engine", "ray", "--address", cluster.address)
    why = r"has \d\d\.\d MB free in \S+/session_\S+, where Ray keeps its files: make room there"
    assert re.search(rf"error: ray: the node 127\.0\.0\.1 {why} \(log: ", told), told
    assert code == 3 and not list((root / ".mirepoix").glob("artifacts/*/*"))


@DEAR
def test_a_cluster_that_speaks_tls_alone(root: Path, tmp_path: Path) -> None:
    """With the same certificates it is joined; without them it is no cluster."""
    authority, key, signed = (tmp_path / n for n in ("ca.pem", "key.pem", "signed.pem"))
    certify(authority, key, signed)
    tls = {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(signed),
        "RAY_TLS_SERVER_KEY": str(key),
        "RAY_TLS_CA_CERT": str(authority),
    }
    wanted = made(workspace(tmp_path / "local", 300), "--engine", "local")
    with nodes(1, tls) as cluster:
        how = ("--engine", "ray", "--address", cluster.address)
        code, told = ended(root, *how)
        assert code == 3 and f"no Ray cluster answers at {cluster.address}" in told, told
        code, told = ended(root, *how, **tls)
        assert code == 0, told
    assert digests(root) == wanted


def certify(authority: Path, key: Path, signed: Path) -> None:
    """A key for 127.0.0.1, and a certificate that is its own authority."""
    x509 = pytest.importorskip("cryptography.x509", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key.write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    authority.write_bytes(certificate.public_bytes(pem))
    signed.write_bytes(certificate.public_bytes(pem))


@DEAR
def test_another_ray(root: Path, tmp_path: Path) -> None:
    """A cluster of another version, which nobody of ours may join."""
    package, ours = tmp_path / "p/ray", version("ray")
    package.mkdir(parents=True)
    theirs = Path(next(iter(find_spec("ray").submodule_search_locations or ())))  # type: ignore[union-attr]
    for entry in theirs.iterdir():
        if entry.name != "_version.py":
            (package / entry.name).symlink_to(entry)
    (package / "_version.py").write_text((theirs / "_version.py").read_text().replace(ours, "2.1.0"))
    python = ".".join(map(str, sys.version_info[:3]))
    with nodes(1, {"PYTHONPATH": str(package.parent)}) as cluster:
        refused(
            root,
            cluster.address,
            f"the cluster at {cluster.address} has another Ray or Python than this machine: Ray: 2.1.0, Python: {python} "
            f"there, Ray: {ours}, Python: {python} here; have the same on all",
            100,
        )


def test_no_room_for_temporary_files(root: Path, tmp_path: Path) -> None:
    """It is said before Ray is started."""
    with tempfile.TemporaryDirectory(prefix="t-") as short:
        before = [*apart("-m"), "sh", "-c", 'mount -t tmpfs -o size=8m none "$0" && exec "$@"', short]
        code, told = ended(root, "--engine", "ray", before=before, TMPDIR=short)
    why = rf"Ray keeps its files in {short}, where \d\.\d MB are free: make room there, or name another folder \(TMPDIR\)"
    assert re.search(rf"error: ray: {why} \(log: runs/r/logs/engine\.log\)\n$", told), told
    assert code == 3


@DEAR
@pytest.mark.parametrize("room", ["2m", "1m"])
def test_a_full_disk(room: str, root: Path, tmp_path: Path) -> None:
    """One sentence; all that was made is whole, and kept by the next run."""
    there = tmp_path / "small"
    there.mkdir()
    script = """
    mount -t tmpfs -o size="$1" none "$0" && cp "$2"/* "$0" && cd "$0" && shift 2
    "$@"; echo "exit $?"; mount -o remount,size=100m "$0"; "$@"; echo "exit $?"; cp -r . "$OUT"
    """
    workspace(tmp_path / "more", 3000)
    same = made(tmp_path / "more")
    argv = [*apart("-m"), "bash", "-c", script, str(there), room, str(workspace(tmp_path / "v", 3000))]
    argv += [
        str(Path(sys.executable).with_name("recipe")),
        "run",
        "r.yaml",
        "--to",
        "prepare",
        "--engine",
        "ray",
    ]
    more = os.environ | {"MIREPOIX_WORKERS": "2", "OUT": str(tmp_path / "out")}
    told = subprocess.run(argv, env=more, capture_output=True, text=True, timeout=300).stderr
    assert "Traceback" not in told
    assert len(errors := [line for line in told.splitlines() if line.startswith("error: ")]) == 1, told
    assert "no space left on the disk" in errors[0]
    assert ("steps made before" in told) == ("  made " in told.partition("error: ")[0])
    assert digests(tmp_path / "out") == same


@DEAR
def test_memory_that_ends(tmp_path: Path) -> None:
    """A cluster's node whose memory another program takes: Ray ends the workers, until we give up. The next run goes
    on."""
    root = workspace(tmp_path / "w", 40_000)
    same = made(workspace(tmp_path / "more", 40_000))
    facts = dict(line.split()[:2] for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(facts[f"{name}:"]) << 10 for name in ("MemTotal", "MemAvailable"))
    if free < 8 << 30:
        pytest.skip("less than 8 GiB of memory free")
    share = (total - free + (2 << 30)) / total
    limit = {"RAY_memory_usage_threshold": f"{share:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    with nodes(1, limit) as cluster:
        process = started(root, "--engine", "ray", "--address", cluster.address)
        assert process.stdout
        while b"run   filter" not in (line := process.stdout.readline()):
            assert line, "it ended before"
        takes = "x = b'x' * (5 << 30); print(len(x), flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", takes], stdin=-1, stdout=-1) as other:
            assert other.stdout
            other.stdout.readline()
            rest, _ = process.communicate(timeout=200)
            other.kill()
        why = "a node of the cluster has too little memory for what it works on at once: give nodes more memory, or fewer "
        told = rest.decode()
        assert told.endswith(
            f"error: ray: {why}CPUs; run it again to go on (log: runs/r/logs/engine.log)\n"
        ), told
        assert process.returncode == 3
        code, told = ended(root, "--engine", "ray", "--address", cluster.address)
        assert code == 0, told
        assert "kept  2 steps made before" in told
        assert digests(root) == same
