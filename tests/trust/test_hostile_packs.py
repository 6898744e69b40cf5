"""Packs and registries of strangers: what is no pack is refused in one sentence, and who the user is, is told to nobody else.

A registry here is a server of the test that says what a hostile one would; tests/programs/test_registry.py has a real one.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli, scrub
from runner.oci import layout
from runner.oci.manifest import ARTIFACT, CONFIG, FILE, MANIFEST, TITLE

LOGIN = "me:canaryOfARegistry/42"
RECIPE = b"""\
recipe: 1
name: t
sources:
  - jsonl: {files: [data/a.jsonl]}
    name: talk
"""
ROW = b'{"messages": [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Well."}]}\n'
FILES = {"r.yaml": RECIPE, "data/a.jsonl": ROW * 9}


def recipe(*words: Any, code: int) -> Result:
    done = CliRunner().invoke(cli.main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output and LOGIN.partition(":")[2] not in done.output
    return done


def sha(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def made(files: dict[str, bytes] = FILES) -> tuple[bytes, dict[str, bytes]]:
    """A manifest and its blobs, as the specification has them."""

    def blob(raw: bytes, kind: str) -> dict[str, Any]:
        blobs[sha(raw)] = raw
        return {"mediaType": kind, "digest": sha(raw), "size": len(raw)}

    blobs: dict[str, bytes] = {}
    said = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": blob(json.dumps({"pack": 1, "name": "t", "recipe": "r.yaml"}).encode(), CONFIG),
        "layers": [blob(raw, FILE) | {"annotations": {TITLE: name}} for name, raw in files.items()],
    }
    raw = json.dumps(said).encode()
    blobs[sha(raw)] = raw
    return raw, blobs


def tar(add: Callable[[tarfile.TarFile], Any] = lambda tar: None, how: str = "w", last: bool = True) -> bytes:
    """A pack as one file, with something more in it."""
    raw, blobs = made()
    index = {"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": sha(raw), "size": len(raw)}]}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=how, format=tarfile.USTAR_FORMAT) as file:  # type: ignore[call-overload]
        if not last:
            add(file)
        for digest, content in blobs.items():
            entry(file, f"blobs/sha256/{digest[7:]}", content)
        entry(file, "oci-layout", layout.MARK)
        entry(file, "index.json", json.dumps(index).encode())
        if last:
            add(file)
    return out.getvalue()


def entry(
    file: tarfile.TarFile, name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.type, about.linkname = (0 if link else len(content)), kind, link
    file.addfile(about, None if link else io.BytesIO(content))


def ended() -> int:
    """Where the last entry of `tar` ends, and the zeros begin."""
    with tarfile.open(fileobj=io.BytesIO(tar())) as file:
        return file.getmembers()[-1].offset_data + 512


def longer(raw: bytes) -> bytes:
    """The first entry says that it has more bytes than the whole file."""
    head = bytearray(raw[:512])
    head[124:136] = b"%011o\0" % (1 << 32)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + raw[512:]


TARS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a link out": (lambda: tar(lambda t: entry(t, "blobs/sha256/" + "0" * 64, kind=tarfile.SYMTYPE, link="/etc/passwd")), "is a link"),
    "a hard link": (lambda: tar(lambda t: entry(t, "index.json", kind=tarfile.LNKTYPE, link="/etc/passwd"), last=False), "is a link"),
    "a device": (lambda: tar(lambda t: entry(t, "blobs/x", kind=tarfile.CHRTYPE, link="-")), "is a link, or no plain file"),
    "a pipe": (lambda: tar(lambda t: entry(t, "blobs/x", kind=tarfile.FIFOTYPE, link="-")), "no plain file"),
    "a path out": (lambda: tar(lambda t: entry(t, "../out.txt")), "'../out.txt', which belongs to no pack"),
    "an absolute path": (lambda: tar(lambda t: entry(t, "/tmp/out.txt")), "which belongs to no pack"),
    "an extra file": (lambda: tar(lambda t: entry(t, "blobs/sha256/" + "0" * 64)), "which belongs to no pack"),
    "a second index": (lambda: tar(lambda t: entry(t, "index.json")), "'index.json', which belongs to no pack"),
    "a sparse file": (lambda: tar(lambda t: entry(t, "blobs/x", kind=tarfile.GNUTYPE_SPARSE)), "no plain file"),
    "a long name's header": (lambda: tar(lambda t: entry(t, "x", b"index.json", kind=tarfile.GNUTYPE_LONGNAME)), "no plain file"),
    "an extended header": (lambda: tar(lambda t: entry(t, "x", b"20 path=/etc/passwd\n", kind=tarfile.XHDTYPE)), "no plain file"),
    "compressed": (lambda: gzip.compress(tar()), "as a tar file it is compressed"),
    "a bomb, compressed": (lambda: gzip.compress(bytes(9_000_000)), "as a tar file it is compressed"),
    "more than there is": (lambda: longer(tar()), "says that it holds more than it does"),
    "cut off": (lambda: tar()[:2000], "pack"),
    "bytes after its end": (lambda: tar() + b"x", "holds something after its end"),
    "another file after its end": (lambda: tar() + tar(), "holds something after its end"),
    "a file between its last two blocks": (lambda: tar()[:ended()] + bytes(512) + tar(), "holds something after its end"),
    "no tar file": (lambda: b"PK\x03\x04" + bytes(2000), "is no pack: as a tar file it is none"),
    "nothing": (lambda: b"", "lacks 'oci-layout'"),
}  # fmt: skip


@pytest.mark.parametrize("case", TARS)
def test_a_file_that_is_no_pack(case: str, tmp_path: Path) -> None:
    file, there = tmp_path / "p.oci.tar", tmp_path / "there"
    file.write_bytes(TARS[case][0]())
    done = recipe("pull", file, "--to", there, code=3)
    assert TARS[case][1] in done.stderr and len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["p.oci.tar"]


def test_the_same_file_without_fault_is_one(tmp_path: Path) -> None:
    (tmp_path / "p.oci.tar").write_bytes(tar() + bytes(20_480))  # other programs round up to more zeros
    recipe("pull", tmp_path / "p.oci.tar", "--to", tmp_path / "there", code=0)
    assert (tmp_path / "there/data/a.jsonl").read_bytes() == ROW * 9


def laid(at: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(tar())) as file:
        file.extractall(at, filter="data")
    return at


def linked(at: Path) -> None:
    blob = at / "blobs/sha256" / sha(ROW * 9)[7:]
    (at.parent / "elsewhere").write_bytes(blob.read_bytes())
    blob.unlink()
    blob.symlink_to(at.parent / "elsewhere")


FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a blob that is a link": (linked, "is a link, or no plain file"),
    "a folder that is a link": (lambda p: (p / "blobs/more").symlink_to("/etc"), "which belongs to no pack|is a link"),
    "a pipe": (lambda p: os.mkfifo(p / "blobs/sha256/pipe"), "no plain file"),
    "an extra file": (lambda p: (p / "run.sh").write_text("x"), "'run.sh', which belongs to no pack"),
    "an extra folder": (lambda p: (p / ".git").mkdir(), "'.git', which belongs to no pack"),
    "an index that nests without end": (lambda p: (p / "index.json").write_bytes(b"[" * 100_000), "index.json that is none"),
    "an index of two": (
        lambda p: (p / "index.json").write_text((p / "index.json").read_text().replace("]}", ", {}]}")), "index.json"),
    "a manifest that is huge": (
        lambda p: (p / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 1 << 40}]})), "names no manifest"),
    "a digest that is a path": (
        lambda p: (p / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": MANIFEST, "digest": "sha256:../../../../etc/passwd", "size": 9}]})), "names no manifest"),
    "an index that is a device": (
        lambda p: ((p / "index.json").unlink(), (p / "index.json").symlink_to("/dev/zero")), "cannot be read|is a link"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_that_is_no_pack(case: str, tmp_path: Path) -> None:
    folder = laid(tmp_path / "pack")
    FOLDERS[case][0](folder)
    done = recipe("pull", folder, "--to", tmp_path / "there", code=3)
    assert (
        any(says in done.stderr for says in FOLDERS[case][1].split("|"))
        and len(done.stderr.splitlines()) == 1
    )
    assert not (tmp_path / "there").exists()


def test_a_target_that_is_a_link_is_not_written_to(tmp_path: Path) -> None:
    folder = laid(tmp_path / "pack")
    (tmp_path / "home").mkdir()
    (tmp_path / "there").symlink_to(tmp_path / "home")
    assert "is no folder" in recipe("pull", folder, "--to", tmp_path / "there", code=2).stderr
    assert not list((tmp_path / "home").iterdir())


class Registry:
    """A registry that serves one pack, and says whatever else `says` has it say. `heard` are paths and logins."""

    def __init__(self) -> None:
        self.manifest, self.blobs = made()
        self.says: Callable[[Any], bool] = lambda handler: False
        self.heard: list[tuple[str, str, str]] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                registry.heard.append((self.command, self.path, self.headers.get("Authorization", "")))
                with suppress(ConnectionError):
                    if registry.says(self):
                        return
                    _, _, digest = self.path.rpartition("/")
                    body = registry.manifest if "/manifests/" in self.path else registry.blobs.get(digest)
                    send(self, 404 if body is None else 200, body or b"")

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.at = f"127.0.0.1:{self.server.server_port}"
        self.ref = f"oci://{self.at}/team/t:v1"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def send(handler: Any, status: int, body: bytes = b"", **headers: str) -> bool:
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    return True


@pytest.fixture
def registry() -> Iterator[Registry]:
    pytest.importorskip("oras", reason="oras is not installed")
    one = Registry()
    yield one
    one.close()


@pytest.fixture
def other() -> Iterator[Registry]:
    one = Registry()
    yield one
    one.close()


@pytest.fixture
def login(registry: Registry, aviary: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The user is logged in at the registry, as `docker login` leaves it: outside the test's folder."""
    home = aviary[2] / "docker"
    home.mkdir()
    auth = base64.b64encode(LOGIN.encode()).decode()
    (home / "config.json").write_text(json.dumps({"auths": {registry.at: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    yield f"Basic {auth}"
    (home / "config.json").unlink()
    home.rmdir()


def allowed(*servers: Registry) -> list[str]:
    return [word for one in servers for word in ("--allow", one.at)]


def test_a_pack_of_this_registry_is_taken(
    registry: Registry, tmp_path: Path, aviary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a login, whatever stands in ~/.netrc, and past the proxies of the environment."""
    netrc = aviary[2] / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {LOGIN}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    recipe("pull", registry.ref, "--to", tmp_path / "there", *allowed(registry), code=0)
    assert (tmp_path / "there/r.yaml").read_bytes() == RECIPE
    assert registry.heard and not any(login for _, _, login in registry.heard)
    netrc.unlink()


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("http://169.254.169.254/latest", "is asked over https only"),
        ("https://169.254.169.254/latest", "is not a public one"),
        ("http://127.0.0.1:9/x", "is not a public one"),
        ("http://2130706433/x", "asked over https only"),
        ("http://example.org/x", "is asked over https only"),
        ("file:///etc/passwd", "gives an answer that is none|only http and https"),
        ("ftp://127.0.0.1/x", "gives an answer that is none|only http and https"),
    ],
)
def test_redirects_lead_nowhere_else(registry: Registry, tmp_path: Path, where: str, says: str) -> None:
    registry.says = lambda h: "/blobs/" in h.path and send(h, 307, Location=where)
    done = recipe("pull", registry.ref, "--to", tmp_path / "there", *allowed(registry), code=3)
    assert any(one in done.stderr for one in says.split("|")), done.stderr
    assert "--allow" not in done.stderr or "127.0.0.1" in where
    assert not (tmp_path / "there").exists()


def test_redirects_without_end(registry: Registry, tmp_path: Path) -> None:
    registry.says = lambda h: send(h, 302, Location=h.path)
    assert "from one place to the next" in recipe("pull", registry.ref, *allowed(registry), code=3).stderr
    assert len(registry.heard) < 10


def test_a_login_is_for_its_own_registry(
    registry: Registry, other: Registry, login: str, tmp_path: Path
) -> None:
    """Asked for it plainly, the registry gets it; a place that it sends us to does not, whether by redirect or realm."""
    registry.says = lambda h: (
        not h.headers.get("Authorization") and send(h, 401, WWW_Authenticate='Basic realm="x"')
    )
    recipe("pull", registry.ref, "--to", tmp_path / "there", *allowed(registry), code=0)
    assert {login} <= {said for _, _, said in registry.heard}

    plain = registry.says
    registry.says = lambda h: (
        plain(h) or ("/blobs/" in h.path and send(h, 307, Location=f"http://{other.at}{h.path}"))
    )
    recipe("pull", registry.ref, "--to", tmp_path / "too", *allowed(registry, other), code=0)
    assert other.heard and not any(said for _, _, said in other.heard)

    other.heard.clear()
    realm = f'Bearer realm="http://{other.at}/token",service="x",scope="y"'
    registry.says = lambda h: send(h, 401, WWW_Authenticate=realm)
    done = recipe("pull", registry.ref, *allowed(registry, other), code=3)
    assert "wants your login sent to" in done.stderr and "nothing was sent" in done.stderr
    assert not other.heard


def test_a_token_is_for_its_own_registry(
    registry: Registry, other: Registry, login: str, tmp_path: Path
) -> None:
    """Neither what keeps its blobs nor where it has an upload put gets the token."""

    def says(h: Any) -> bool:
        if h.path.startswith("/token"):
            return send(h, 200, b'{"token": "canaryOfAToken42"}')
        if h.headers.get("Authorization") != "Bearer canaryOfAToken42":
            return send(h, 401, WWW_Authenticate=f'Bearer realm="http://{registry.at}/token",service="x"')
        if h.command == "HEAD":
            return send(h, 404)
        if h.command == "POST":
            return send(h, 202, Location=f"http://{other.at}/up?a=b")
        return h.command == "PUT" and send(h, 201)

    registry.says = says
    other.says = lambda h: send(h, 201)
    (tmp_path / "p.oci.tar").write_bytes(tar())
    done = recipe("push", tmp_path / "p.oci.tar", "--to", registry.ref, *allowed(registry, other), code=0)
    assert [c for c, _, _ in other.heard] == ["PUT"] * 3 and not any(said for _, _, said in other.heard)
    assert ("GET", "/token?service=x", login) in registry.heard
    assert "canaryOfAToken42" not in done.output


def test_a_token_that_runs_out_is_asked_for_anew(registry: Registry, login: str, tmp_path: Path) -> None:
    """Each is good for one request: a long pull outlives the first."""
    good: list[str] = []

    def says(h: Any) -> bool:
        if h.path.startswith("/token"):
            good[:] = [f"Bearer {len(registry.heard)}"]
            return send(h, 200, json.dumps({"token": good[0].split()[1], "more": "x" * 4096}).encode())
        if h.headers.get("Authorization") in good:
            return bool(good.clear())
        return send(h, 401, WWW_Authenticate=f'Bearer realm="http://{registry.at}/token",service="x"')

    registry.says = says
    recipe("pull", registry.ref, "--to", tmp_path / "there", *allowed(registry), code=0)
    assert (tmp_path / "there/data/a.jsonl").read_bytes() == ROW * 9


def test_who_is_refused_is_told_how_to_log_in(
    registry: Registry, login: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = f'Bearer realm="http://{registry.at}/token",service="x"'
    for header in (
        own,
        'Basic realm="x"',
        "Bearer",
        'Bearer realm=""',
        "Bearer realm=nowhere",
        "",
        "Negotiate",
    ):
        registry.says = lambda h, header=header: send(
            h, 401, **({"WWW_Authenticate": header} if header else {})
        )
        done = recipe("pull", registry.ref, "--to", tmp_path / "there", *allowed(registry), code=3)
        assert len(done.stderr.splitlines()) == 1 and registry.at in done.stderr, (header, done.stderr)
    assert not caplog.records  # oras would have its say, too


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"[" * 100_000, b"{}", b"<html>", b"\xff" * 99, bytes(9_000_000)]
)
def test_manifests_that_are_none(registry: Registry, tmp_path: Path, body: bytes) -> None:
    registry.manifest = body
    done = recipe("pull", registry.ref, "--to", tmp_path / "there", *allowed(registry), code=3)
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "there").exists()


def test_bodies_are_not_unpacked(registry: Registry, tmp_path: Path) -> None:
    """What a server packs is counted as it came, and is not what was asked for."""
    packed = gzip.compress(bytes(20_000_000))
    registry.says = lambda h: "/blobs/" in h.path and send(h, 200, packed, Content_Encoding="gzip")
    done = recipe("pull", registry.ref, "--to", tmp_path / "there", *allowed(registry), code=3)
    assert "more than the" in done.stderr or "brings more bytes" in done.stderr


def test_errors_of_a_registry_steer_no_terminal(registry: Registry) -> None:
    said = json.dumps({"errors": [{"message": "\x1b[2Jyou have been had"}]}).encode()
    registry.says = lambda h: send(h, 500, said)
    done = recipe("pull", registry.ref, *allowed(registry), code=3)
    assert "\x1b" not in done.output and "it says 500" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_login_is_a_secret(registry: Registry, login: str, tmp_path: Path) -> None:
    """It is blotted out wherever secrets are, and a file that holds it does not go along."""
    password = LOGIN.partition(":")[2]
    assert scrub.known().text(f"it is {password}") == f"it is {'*' * len(password)}"
    assert "*" in scrub.known().text(login)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jsonl").write_bytes(ROW.replace(b"Well", password.encode()))
    (tmp_path / "r.yaml").write_bytes(RECIPE)
    done = recipe("pack", tmp_path / "r.yaml", "--workspace", tmp_path, "--out", tmp_path / "p.tar", code=2)
    assert "data/a.jsonl holds one of your secrets" in done.stderr
    for path in (tmp_path / "data/a.jsonl", tmp_path / "r.yaml"):
        path.unlink()


@pytest.mark.parametrize("url", ["http://127.0.0.1/p.tar", "https://example.org/p", "simplecache::s3://b/p", "github://a:b@/p",
                                 "s3://me:password@b/p", "oci://h/UPPER:1", "oci://h/../x:1", "zip://x::file:///y"])  # fmt: skip
def test_addresses_that_are_not_opened(url: str) -> None:
    recipe("pull", url, code=2)


def test_a_folder_by_its_address(tmp_path: Path) -> None:
    """What fsspec opens is looked at as strictly: an extra file is refused, and nothing is there."""
    folder = laid(tmp_path / "pack")
    recipe("pull", f"file://{folder}", "--to", tmp_path / "there", code=0)
    (folder / "blobs/sha256" / ("0" * 64)).write_text("x")
    assert "belongs to no pack" in recipe("pull", f"file://{folder}", "--to", tmp_path / "too", code=3).stderr
    assert not (tmp_path / "too").exists()
    done = recipe("push", folder, "--to", f"file://{tmp_path}/pushed", code=3)
    assert "belongs to no pack" in done.stderr and not (tmp_path / "pushed").exists()
