"""Packs through a real registry: what is pulled is what was packed, byte for byte, or nothing is there at all.

The registry is Debian's docker-registry on loopback; a proxy of the test's own stands between where something is to be
changed on its way. `.ci/tools` gets the registry; without it, these are skipped by name.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli
from runner.oci import layout, manifest
from runner.oci.manifest import ARTIFACT, CONFIG, FILE, MANIFEST, TITLE

pytest.importorskip("oras", reason="oras is not installed")

RECIPE = """\
recipe: 1
name: t
extends: parts/b.yaml
sources:
  - jsonl: {files: [data/*.jsonl]}
    name: talk
    license: CC0-1.0
"""
Change = Callable[[str, bytes], bytes]


def recipe(*words: Any, code: int = 0) -> Result:
    done = CliRunner().invoke(cli.main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture
def place(tmp_path: Path) -> Path:
    home = tmp_path / "work"
    for name, text in {
        "r.yaml": RECIPE,
        "parts/b.yaml": "filters: [{words: {min: 1}}]\n",
        "data/a.jsonl": talk(40),
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


def talk(n: int) -> str:
    rows = (
        [
            {"role": "user", "content": f"What is {i} and {i * i}?"},
            {"role": "assistant", "content": f"It is {i}, says number {i * 7}."},
        ]
        for i in range(n)
    )
    return "".join(json.dumps({"messages": row}) + "\n" for row in rows)


def pushed(place: Path, registry: str) -> str:
    """The reference, pinned, of the recipe in a registry."""
    done = recipe(
        "push",
        place / "r.yaml",
        "--workspace",
        place,
        "--to",
        f"oci://{registry}/team/t:v1",
        "--allow",
        registry,
        "--json",
    )
    return str(json.loads(done.stdout)["pushed"])


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def between(registry: str, change: Change) -> Iterator[str]:
    """`HOST:PORT` of a proxy that hands a registry's answers on, with their bodies changed. Sizes are what they then are."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = http.client.HTTPConnection(registry)
            asked.request("GET", self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
            got = asked.getresponse()
            body = change(self.path, got.read())
            self.send_response(got.status)
            self.send_header("Content-Type", got.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # whoever has had enough goes away
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def refused(ref: str, allow: str, to: Path, says: str, code: int = 3) -> None:
    """Pulling says so, and writes nothing, there or beside it."""
    before = set(to.parent.iterdir())
    done = recipe("pull", ref, "--to", to, "--allow", allow, "--workspace", to.parent, code=code)
    assert says in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 or code == 2  # a recipe's lines are shown
    assert "Traceback" not in done.output
    assert set(to.parent.iterdir()) == before
    recipe("pull", ref, "--allow", allow, code=code)  # a look is refused as well


def test_pack_push_pull_prepare(place: Path, registry: str, tmp_path: Path) -> None:
    digest = recipe(
        "pack", place / "r.yaml", "--workspace", place, "--out", tmp_path / "t.oci.tar"
    ).stdout.splitlines()[-1]
    to = f"oci://{registry}/team/t:v1"
    recipe("push", tmp_path / "t.oci.tar", "--to", to, "--allow", registry)
    recipe("push", tmp_path / "t.oci.tar", "--to", to, "--allow", registry)  # again: it is there already
    look = recipe("pull", to, "--allow", registry)
    assert digest in look.stdout and "nothing was written" in look.stdout and "CC0-1.0: talk" in look.stdout
    there = tmp_path / "there"
    said = json.loads(recipe("pull", to, "--to", there, "--allow", registry, "--json").stdout)
    assert (
        said["pack"]["digest"] == digest
        and said["pinned"] == f"oci://{registry}/team/t@{digest}"
        and said["written"]
    )
    for name in ("r.yaml", "parts/b.yaml", "data/a.jsonl"):
        assert (there / name).read_bytes() == (place / name).read_bytes()
    again = recipe("pack", there / "r.yaml", "--workspace", there, "--out", tmp_path / "u.tar")
    assert again.stdout.splitlines()[-1] == digest
    for home in (place, there):
        recipe("run", home / "r.yaml", "--to", "prepare", "--workspace", home)
    for name in ("data/train.jsonl", "data/validation.jsonl", "ledger.parquet"):
        assert (there / "runs/t" / name).read_bytes() == (place / "runs/t" / name).read_bytes()
    pinned = recipe("pull", said["pinned"], "--to", tmp_path / "pinned", "--allow", registry)
    assert "written" in pinned.stdout and files(tmp_path / "pinned") == {
        n: b for n, b in files(there).items() if not n.startswith((".mirepoix", "runs"))
    }


def test_large_files_go_up_in_pieces(
    place: Path, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.oci import remote

    monkeypatch.setattr(remote, "_CHUNKED", 3000)
    monkeypatch.setattr(remote, "_PIECE", 1024)
    assert (place / "data/a.jsonl").stat().st_size > 5 * 1024
    recipe("pull", pushed(place, registry), "--to", tmp_path / "there", "--allow", registry)
    assert (tmp_path / "there/data/a.jsonl").read_bytes() == (place / "data/a.jsonl").read_bytes()


def test_what_is_there_already_stays(place: Path, registry: str, tmp_path: Path) -> None:
    ref = pushed(place, registry)
    to = tmp_path / "there"
    recipe("pull", ref, "--to", to, "--allow", registry)
    assert "there already" in recipe("pull", ref, "--to", to, "--allow", registry).stdout
    (to / "mine.txt").write_text("mine")
    before = files(to)
    done = recipe("pull", ref, "--to", to, "--allow", registry, code=2)
    assert "holds 'mine.txt', which is not of this pack" in done.stderr and files(to) == before


def test_who_is_asked_must_be_allowed(place: Path, registry: str, tmp_path: Path) -> None:
    ref = pushed(place, registry)
    done = recipe("pull", ref, "--to", tmp_path / "there", code=3)
    assert f"is not a public one; if you know it: --allow {registry}" in done.stderr
    away = recipe("pull", "oci://127.0.0.1:1/team/t:v1", "--allow", "127.0.0.1:1", code=3)
    assert away.stderr == "error: registry: 127.0.0.1:1 cannot be reached: Connection refused\n"
    tagless = recipe(
        "push", place / "r.yaml", "--workspace", place, "--to", f"oci://{registry}/team/t", code=2
    )
    assert "a pack is pushed to a tag" in tagless.stderr and not tagless.stdout
    missing = recipe("pull", f"oci://{registry}/team/none:v1", "--allow", registry, code=3)
    assert "there is no such pack" in missing.stderr


def flip(path: str, body: bytes) -> bytes:
    return body.replace(b"What is", b"What if") if "/blobs/" in path else body


def longer(path: str, body: bytes) -> bytes:
    return body + b"x" * 4096 if "/blobs/" in path else body


def shorter(path: str, body: bytes) -> bytes:
    return body[:-1] if "/blobs/" in path and len(body) > 1000 else body


def bomb(path: str, body: bytes) -> bytes:
    return body + bytes(60_000_000) if "/manifests/" in path else body


def edited(path: str, body: bytes) -> bytes:
    return body.replace(b"data/a.jsonl", b"data/b.jsonl") if "/manifests/" in path else body


def test_what_is_changed_on_its_way(place: Path, registry: str, tmp_path: Path) -> None:
    ref = pushed(place, registry)
    for change, says in (
        (flip, "'data/a.jsonl' was changed on its way"),
        (longer, "brings more bytes than it says"),
        (shorter, "'data/a.jsonl' was changed on its way"),
        (bomb, "more than the"),
        (edited, "its manifest was changed"),
    ):
        with between(registry, change) as proxy:
            refused(ref.replace(registry, proxy), proxy, tmp_path / "there", says)
    recipe("pull", ref, "--to", tmp_path / "there", "--allow", registry)  # nobody has changed the registry


def test_a_blob_changed_in_the_registry(place: Path, registry: str, tmp_path: Path) -> None:
    ref = pushed(place, registry)
    sha256 = hashlib.sha256((place / "data/a.jsonl").read_bytes()).hexdigest()
    (blob,) = (tmp_path / "registry").rglob(f"{sha256}/data")
    blob.write_bytes(blob.read_bytes().replace(b"What is", b"What if"))
    refused(ref, registry, tmp_path / "there", "'data/a.jsonl' was changed on its way")


def put(registry: str, layers: dict[str, bytes], config: dict[str, Any] | None = None, **other: Any) -> str:
    """A pack that no `recipe pack` writes, in the registry, with all digests as they should be."""

    def blob(raw: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        asked = http.client.HTTPConnection(registry)
        asked.request("POST", "/v2/evil/t/blobs/uploads/")
        answer = asked.getresponse()
        answer.read()
        place = answer.headers["Location"].partition(registry)[2]
        asked.request("PUT", f"{place}&digest={digest}", body=raw)
        assert asked.getresponse().status == 201
        return {"mediaType": FILE, "digest": digest, "size": len(raw)}

    said = config or {"pack": 1, "name": "t", "recipe": "r.yaml"}
    whole = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": blob(json.dumps(said).encode()) | {"mediaType": CONFIG},
        "layers": [blob(raw) | {"annotations": {TITLE: name}} for name, raw in layers.items()],
    } | other
    raw = json.dumps(whole).encode()
    asked = http.client.HTTPConnection(registry)
    asked.request("PUT", "/v2/evil/t/manifests/v1", body=raw, headers={"Content-Type": MANIFEST})
    answer = asked.getresponse()
    assert answer.status == 201, answer.read()
    return f"oci://{registry}/evil/t:v1"


SOUND = {"r.yaml": RECIPE.replace("extends: parts/b.yaml\n", "").encode(), "data/a.jsonl": talk(9).encode()}
HOSTILE: dict[str, tuple[dict[str, bytes], str]] = {
    "a path that leaves the folder": ({"../out.txt": b"x"}, "'../out.txt', which is a path that leaves the folder"),
    "one that does on its way": ({"data/../../out.txt": b"x"}, "a path that leaves the folder"),
    "an absolute one": ({"/tmp/out.txt": b"x"}, "'/tmp/out.txt', which is a path that leaves the folder"),
    "a hidden file": ({".env": b"TOKEN=x"}, "'.env', which is a hidden file"),
    "what git would run": ({".git/hooks/x": b"x"}, "which is a hidden file"),
    "a pickle": ({"data/w.pkl": b"x"}, "which is a pickle"),
    "a pickle by another name": ({"data/w.jsonl": b"\x80\x04x"}, "'data/w.jsonl' is a pickle"),
    "code": ({"sitecustomize.py": b"x"}, "which is code"),
    "two names that are one": ({"DATA/a.jsonl": b"x"}, "names that mean the same on some machines"),
    "a file that is a folder": ({"data": b"x"}, "names that mean the same on some machines"),
    "a name that steers a terminal": ({"a\x1b[2J.txt": b"x"}, "characters that cannot be seen"),
    "a recipe that is none": ({"r.yaml": b"recipe: 1\nname: t\nsorces: []\n"}, "did you mean sources?"),
    "a recipe that wants other files": (
        {"r.yaml": SOUND["r.yaml"].replace(b"data/*.jsonl", b"/etc/*.conf")}, "'/etc' lies outside the workspace, and a pack reads its own files alone"),
}  # fmt: skip


def test_packs_that_are_none(registry: str, tmp_path: Path) -> None:
    for case, (more, says) in HOSTILE.items():
        ref = put(registry, SOUND | more)
        refused(ref, registry, tmp_path / "there", says, 2 if case.startswith("a recipe") else 3)
    assert not [
        p for p in (tmp_path / "out.txt", tmp_path.parent / "out.txt", Path("/tmp/out.txt")) if p.exists()
    ]
    # Without a fault the same pack is taken.
    recipe("pull", put(registry, SOUND), "--to", tmp_path / "there", "--allow", registry)
    assert files(tmp_path / "there") == SOUND


def test_other_kinds_of_things(registry: str, tmp_path: Path) -> None:
    for other, says in (
        ({"artifactType": "application/vnd.other"}, "is no pack of a recipe that this version reads"),
        ({"annotations": {"a": "b"}}, "is no pack of a recipe"),
    ):
        refused(put(registry, SOUND, **other), registry, tmp_path / "there", says)
    refused(
        put(registry, SOUND, {"pack": 2, "name": "t", "recipe": "r.yaml"}),
        registry,
        tmp_path / "there",
        "has version 2",
    )
    refused(
        put(registry, SOUND, {"pack": 1, "name": "../t", "recipe": "r.yaml"}),
        registry,
        tmp_path / "there",
        "no recipe can have",
    )
    refused(
        put(registry, SOUND, {"pack": 1, "name": "t", "recipe": "x.yaml"}),
        registry,
        tmp_path / "there",
        "names no recipe",
    )


def test_sizes_are_capped_before_anything_is_asked_for(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = put(registry, SOUND | {f"data/{n}.jsonl": talk(n).encode() for n in range(2, 9)})
    for name, most, says in (
        ("SMALL", 500, "bytes; 500 are the most"),
        ("WHOLE", 900, "900 are the most"),
        ("MOST_FILES", 3, "holds 9 files"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(manifest, name, most)
            refused(ref, registry, tmp_path / "there", says)


def test_an_extra_file_in_a_folder(place: Path, tmp_path: Path) -> None:
    recipe("pack", place / "r.yaml", "--workspace", place, "--out", tmp_path / "pack")
    extra = tmp_path / "pack/blobs/sha256" / ("0" * 64)
    extra.write_bytes(b"x")
    refused(str(tmp_path / "pack"), "127.0.0.1:1", tmp_path / "there", "which belongs to no pack")
    extra.unlink()
    assert layout.Folder(tmp_path / "pack").manifest()
    recipe("pull", tmp_path / "pack", "--to", tmp_path / "there")
