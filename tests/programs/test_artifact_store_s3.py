"""Artifacts in a bucket, through a real S3 API: what one workspace has made, another takes, byte for byte.

The server is moto's, on loopback; s3fs is told of it by the environment alone, as users do. `.ci/tools` gets both;
without them, these are skipped by name.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from four_steps import STEPS, workspace

from runner.store import Store, file_digest

pytest.importorskip("s3fs", reason="s3fs is not installed: bash .ci/tools")
MOTO = Path(__file__).parents[2] / "build/moto/bin/moto_server"
if not MOTO.is_file():
    pytest.skip("no moto here: bash .ci/tools", allow_module_level=True)

DEAR = pytest.mark.skipif(
    os.environ.get("MIREPOIX_KILLS", "") in ("", "0"), reason="takes longer: MIREPOIX_KILLS=1 runs it"
)
PLACE = "s3://team/artifacts"
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=mine/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
}
"""Moto wants a signature, any."""
QUIET = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "")
"""All that is asked is on loopback."""


class Server:
    """An S3 server, which forgets all as it ends, with a bucket `team`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "moto.log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        host, _, port = self.address.partition(":")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([MOTO, "-H", host, "-p", port], stdout=log, stderr=log)
        for _ in range(600):
            assert self._process.poll() is None, "moto did not start"
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        self.ask("PUT", "/team")

    def fresh(self) -> None:
        """As it was in the beginning."""
        if self._process is None:
            self.start()
        else:
            self.ask("POST", "/moto-api/reset")
            self.ask("PUT", "/team")

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        asked = http.client.HTTPConnection(self.address, timeout=60)
        asked.request(method, quote(path, safe="/?=&"), body, SIGNED)
        answer = asked.getresponse()
        said = answer.read()
        assert answer.status < 300, said
        return said

    def objects(self, below: str = "artifacts/") -> list[str]:
        listed = self.ask("GET", f"/team?list-type=2&prefix={below}").decode()
        return sorted(re.findall("<Key>([^<]+)</Key>", listed))

    def __getitem__(self, name: str) -> bytes:
        return self.ask("GET", f"/team/{name}")


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("moto"))
    try:
        yield one
    finally:
        one.end()


@pytest.fixture
def server(only: Server) -> Server:
    only.fresh()
    return only


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return workspace(tmp_path / "home")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return workspace(tmp_path / "there")


def command(home: Path) -> list[str]:
    code = "from runner.cli import entry; entry()"
    return [sys.executable, "-c", code, "run", "r.yaml", "--to", "prepare", "--workspace", str(home)]


def around(address: str, place: str = PLACE, **other: str) -> dict[str, str]:
    """What s3fs is told. It asks once: by itself it would ask five times, and tell a server that is gone from a busy
    one after half a minute."""
    told = {
        "AWS_ACCESS_KEY_ID": "mine",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://{address}",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MIREPOIX_ARTIFACT_STORE": place,
    }
    return os.environ | QUIET | told | other


def run(home: Path, env: dict[str, str], code: int = 0) -> str:
    """What `recipe run` says, to whoever reads its errors."""
    done = subprocess.run(command(home), cwd=home, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "never retrieved" not in done.stderr, done.stderr
    return done.stderr


def error(said: str) -> str:
    """The one sentence that an error is."""
    (one,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return one


def kinds(said: str) -> dict[str, list[str]]:
    """What was told of which steps: run, made, got …"""
    out: dict[str, list[str]] = {}
    for line in said.splitlines():
        if found := re.match(r"  (\w+) +(\S+)", line):
            out.setdefault(found[1], []).append(found[2])
    return out


def artifacts(home: Path) -> dict[str, bytes]:
    root = home / ".mirepoix/artifacts"
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def whole(home: Path) -> None:
    """All steps are made, and none is damaged; nothing is left of unfinished ones."""
    store = Store(home, shown=True)
    found = [p.parent.name for p in store.root.glob("artifacts/*/*/manifest.json")]
    made = [a for f in found if (a := store.get(f)) is not None]
    assert sorted(a.manifest.step for a in made) == sorted(STEPS)
    assert not [*store.root.glob("tmp/*")]


def all_there(server: Server, home: Path) -> None:
    """The bucket holds what the workspace has made: every manifest, every file, and nothing else."""
    wanted = {"artifacts/mirepoix.json"}
    for path in (home / ".mirepoix/artifacts").rglob("*"):
        if path.name == "manifest.json":
            name = path.parent.name
            key = f"artifacts/artifacts/{name[:2]}/{name}.json"
        elif path.is_file():
            key = f"artifacts/files/{(sha := file_digest(path))[:2]}/{sha}"
        else:
            continue
        assert server[key] == path.read_bytes()
        wanted.add(key)
    assert set(server.objects()) == wanted


def own_file(home: Path, step: str) -> tuple[str, str, bytes]:
    """The largest file of a step's artifact that no other step has: its name, its object's, and its bytes."""
    store = Store(home, shown=True)
    found = [store.get(p.parent.name) for p in store.root.glob("artifacts/*/*/manifest.json")]
    (one,) = [a for a in found if a is not None and a.manifest.step == step]
    others = {s for a in found if a is not None and a is not one for s in a.manifest.files.values()}
    own = [n for n, sha in one.manifest.files.items() if sha not in others]
    name = max(own, key=lambda n: one.file(n).stat().st_size)
    sha = one.manifest.files[name]
    return name, f"artifacts/files/{sha[:2]}/{sha}", one.file(name).read_bytes()


def test_another_workspace_takes_all(server: Server, home: Path, there: Path) -> None:
    assert kinds(run(home, around(server.address)))["made"] == STEPS
    all_there(server, home)
    before = server.objects()
    said = kinds(run(there, around(server.address)))
    assert said == {"got": STEPS}
    assert artifacts(there) == artifacts(home)
    for name in ("data/train.jsonl", "data/validation.jsonl", "ledger.parquet"):
        assert (there / "runs/t" / name).read_bytes() == (home / "runs/t" / name).read_bytes()
    assert kinds(run(there, around(server.address))) == {"kept": ["4"]} and server.objects() == before


def test_the_other_variable_that_names_the_server(server: Server, home: Path) -> None:
    env = around(server.address) | {"FSSPEC_S3_ENDPOINT_URL": f"http://{server.address}"}
    del env["AWS_ENDPOINT_URL"]
    run(home, env)
    all_there(server, home)


def test_what_was_made_before_is_put_there_too(server: Server, home: Path, there: Path) -> None:
    run(home, around(server.address, ""))
    assert not server.objects()
    assert kinds(run(home, around(server.address))) == {"kept": ["4"]}
    all_there(server, home)
    assert kinds(run(there, around(server.address))) == {"got": STEPS}


def test_a_bucket_that_is_not_there(server: Server, home: Path) -> None:
    said = run(home, around(server.address, "s3://none/artifacts"), code=3)
    assert error(said).startswith("error: artifact_store: s3://none/artifacts: ")
    assert "bucket does not exist" in error(said) and len(said.splitlines()) == 1
    assert not artifacts(home)


def test_credentials_that_are_not_taken(server: Server, home: Path) -> None:
    server.ask("POST", "/moto-api/reset-auth", b"0")  # from now on it knows whom it does not know
    said = run(home, around(server.address), code=3)
    assert error(said).startswith("error: artifact_store: s3://team/artifacts: ")
    assert "mine" not in error(said) and "secret" not in said and len(said.splitlines()) == 1
    assert not artifacts(home)
    server.end()  # another knows nothing of that


def test_no_server(home: Path) -> None:
    with socket.socket() as closed:  # bound, so nobody else gets it; nobody listens
        closed.bind(("127.0.0.1", 0))
        said = run(home, around(f"127.0.0.1:{closed.getsockname()[1]}"), code=3)
    assert error(said).startswith("error: artifact_store: s3://team/artifacts: ")
    assert "Could not connect" in error(said) and len(said.splitlines()) == 1
    assert not artifacts(home)


def test_a_server_that_dies_stops_no_work(server: Server, home: Path) -> None:
    with subprocess.Popen(
        command(home), cwd=home, env=around(server.address), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("  run   source.talk")
        process.send_signal(signal.SIGSTOP)
        server.end()
        process.send_signal(signal.SIGCONT)
        said = process.stderr.read()
    assert process.returncode == 3 and "Traceback" not in said, said
    assert kinds(said)["made"] == STEPS
    assert error(said).startswith("error: artifact_store: s3://team/artifacts: ")
    assert "split could not be put there. All of it is here, whole: run this again to put it" in error(said)
    whole(home)
    assert (home / "runs/t/data/train.jsonl").is_file()
    server.start()
    assert kinds(run(home, around(server.address))) == {"kept": ["4"]}
    all_there(server, home)


def test_files_that_are_damaged_there_are_mended(server: Server, home: Path, there: Path) -> None:
    run(home, around(server.address))
    damages: dict[str, Callable[[bytes], bytes | None]] = {
        "source.talk": lambda raw: raw.replace(b"What is", b"What if"),
        "filter": lambda raw: raw[:-1],
        "mix": lambda raw: None,
        "split": lambda raw: b"",
    }
    before = {step: own_file(home, step) for step in STEPS}
    for step, (_, key, raw) in before.items():
        if (bad := damages[step](raw)) is None:
            server.ask("DELETE", f"/team/{key}")
        else:
            server.ask("PUT", f"/team/{key}", bad)
    said = run(there, around(server.address))
    assert kinds(said) == {"note": STEPS, "run": STEPS, "made": STEPS}
    for step, (name, key, raw) in before.items():
        what = "missing" if step == "mix" else "damaged"
        assert f"what {PLACE} has of it is of no use: {name} is {what}; it is made here" in said
        assert server[key] == raw
    whole(there)
    all_there(server, there)


def test_a_manifest_that_is_damaged_there_is_mended(server: Server, home: Path, there: Path) -> None:
    run(home, around(server.address))
    for key in [k for k in server.objects() if k.startswith("artifacts/artifacts/")]:
        server.ask("PUT", f"/team/{key}", server[key][:-2])
    said = run(there, around(server.address))
    assert kinds(said)["made"] == STEPS and said.count("its manifest is damaged") == len(STEPS)
    whole(there)
    all_there(server, there)


class Between(BaseHTTPRequestHandler):
    """Hands all on to a server. What is asked of files with `verb` is held for ever after `passing` of it, and `held` is
    set."""

    protocol_version = "HTTP/1.1"

    upstream: str
    verb: str
    passing: int
    held: threading.Event
    over: threading.Event

    def _on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command == self.verb and "/files/" in self.path:
            type(self).passing -= 1
            if self.passing < 0:
                self.held.set()
                self.over.wait()
                self.close_connection = True
                return
        asked = http.client.HTTPConnection(self.upstream, timeout=60)
        asked.request(self.command, self.path, body, dict(self.headers.items()))
        answer = asked.getresponse()
        said = answer.read()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        size = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(said))
        self.send_header("Content-Length", size)
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _on

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def between(server: Server, verb: str, passing: int) -> Iterator[tuple[str, threading.Event]]:
    """`HOST:PORT` of a proxy that holds what is asked, and what tells that it does."""
    held, over = threading.Event(), threading.Event()
    said = {"upstream": server.address, "verb": verb, "passing": passing, "held": held, "over": over}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Between,), said)) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{proxy.server_port}", held
        finally:
            over.set()
            proxy.shutdown()
            thread.join()


def end_while(server: Server, home: Path, verb: str, passing: int, how: signal.Signals) -> None:
    """End a run by a signal while it waits for the place."""
    with between(server, verb, passing) as (address, held):
        process = subprocess.Popen(
            command(home), cwd=home, env=around(address), stderr=subprocess.PIPE, text=True
        )
        try:
            assert held.wait(120), "nothing was asked for"
            process.send_signal(how)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
            process.wait(30)
    assert "Traceback" not in said, said
    assert process.returncode == (-how if how == signal.SIGKILL else 130)


@pytest.mark.parametrize(
    ("how", "passing"),
    [
        pytest.param(signal.SIGKILL, 0, marks=DEAR),
        (signal.SIGKILL, 4),
        pytest.param(signal.SIGINT, 2, marks=DEAR),
    ],
    ids=["-9", "-9 later", "-2"],
)
def test_ended_while_it_puts(server: Server, home: Path, passing: int, how: signal.Signals) -> None:
    end_while(server, home, "PUT", passing, how)
    # What is there by now is whole: each manifest's files are.
    for key in [k for k in server.objects() if k.startswith("artifacts/artifacts/")]:
        for sha in json.loads(server[key])["files"].values():
            assert hashlib.sha256(server[f"artifacts/files/{sha[:2]}/{sha}"]).hexdigest() == sha
    run(home, around(server.address))
    whole(home)
    all_there(server, home)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=DEAR)], ids=["-9", "-2"])
def test_ended_while_it_takes(server: Server, home: Path, there: Path, how: signal.Signals) -> None:
    run(home, around(server.address))
    end_while(server, there, "GET", 2, how)
    assert set(artifacts(there).items()) < set(artifacts(home).items())
    assert kinds(run(there, around(server.address))).keys() <= {"got", "kept"}
    whole(there)
    assert artifacts(there) == artifacts(home)
