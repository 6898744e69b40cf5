"""Recipes that extend a pinned pack, without any network; and whose packs are taken where the user has keys for that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli
from runner.load import load_recipe
from runner.plan import plan
from runner.store import Store
from runner.workspace import Workspace

BASE = """\
recipe: 1
name: house
extends: parts/filters.yaml
seed: 5
sources:
  - jsonl: {files: [data/a.jsonl]}
    name: talk
"""
CHILD = """\
recipe: 1
name: mine
extends: {REF}
seed: 7
"""
ROW = json.dumps(
    {
        "messages": [
            {"role": "user", "content": "How are you?"},
            {"role": "assistant", "content": "Quite well."},
        ]
    }
)


def recipe(*words: Any, code: int = 0) -> Result:
    done = CliRunner().invoke(cli.main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done


def write(home: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pack in `house.oci.tar`, its reference; and a workspace of somebody else, where we are."""
    write(
        tmp_path / "house",
        {"house.yaml": BASE, "parts/filters.yaml": "filters: [{words: {min: 1}}]\n", "data/a.jsonl": ROW},
    )
    done = recipe(
        "pack",
        tmp_path / "house/house.yaml",
        "--workspace",
        tmp_path / "house",
        "--out",
        tmp_path / "house.oci.tar",
    )
    ref = f"oci://registry.example/team/house@{done.stdout.splitlines()[-1]}"
    write(tmp_path / "mine", {"mine.yaml": CHILD.replace("{REF}", ref), "data/a.jsonl": ROW})
    monkeypatch.chdir(tmp_path / "mine")
    return ref


def test_a_pack_that_is_not_here_is_said_to_be_brought(packed: str) -> None:
    done = recipe("check", "mine.yaml", code=2)
    assert (
        f"mine.yaml:3:10: extends: this pack is not here yet; bring it: recipe pull {packed} --keep"
        in done.stderr
    )


def test_a_pack_is_extended_as_any_base(packed: str, tmp_path: Path) -> None:
    recipe("pull", tmp_path / "house.oci.tar", "--keep")
    recipe("check", "mine.yaml")
    said = json.loads(recipe("show", "mine.yaml", "--json").stdout)
    who = said["who"] if "who" in said else said["set_by"]
    digest = packed.rpartition(":")[2]
    assert who["seed"] == "mine.yaml:4"
    assert who["sources[0].name"] == f"oci://registry.example/team/house@sha256:{digest[:12]}…/house.yaml:7"
    assert (
        who["filters[0].words.min"]
        == f"oci://registry.example/team/house@sha256:{digest[:12]}…/parts/filters.yaml:1"
    )
    # By a path, the same files are the same steps.
    shutil.copytree(tmp_path / "house/parts", "parts")
    shutil.copyfile(tmp_path / "house/house.yaml", "house.yaml")
    Path("by-path.yaml").write_text(CHILD.replace("{REF}", "house.yaml"))
    both = [
        plan(load_recipe(Path(n), Workspace(Path.cwd())), Workspace(Path.cwd()))
        for n in ("mine.yaml", "by-path.yaml")
    ]
    steps = [{s.name: s.fingerprint for s in one.steps if s.kind != "report"} for one in both]
    assert steps[0] == steps[1] and "split" in steps[0]
    recipe("lock", "mine.yaml")
    lock = json.loads(Path("mine.lock").read_text())
    assert lock["recipe"]["seed"] == 7 and lock["recipe"]["filters"] == [{"words": {"min": 1}}]


def test_a_tag_alone_is_refused_with_the_digest_that_is_known(packed: str, tmp_path: Path) -> None:
    Path("mine.yaml").write_text(CHILD.replace("{REF}", "oci://registry.example/team/house:v1"))
    done = recipe("check", "mine.yaml", code=2)
    assert "mine.yaml:3:10: extends: a tag may come to mean another pack" in done.stderr
    assert "`recipe pull oci://registry.example/team/house:v1` says its digest" in done.stderr
    recipe("pull", tmp_path / "house.oci.tar", "--keep")
    about = next((Store(Path.cwd()).root / "packs").glob("*/about.json"))
    about.write_text(json.dumps({"said": "oci://registry.example/team/house:v1", "signed_by": ""}))
    assert f"(did you mean {packed}?)" in recipe("check", "mine.yaml", code=2).stderr
    for wrong in ("oci://registry.example", "oci://registry.example/House@sha256:12"):
        Path("mine.yaml").write_text(CHILD.replace("{REF}", wrong))
        assert "is no reference to a pack" in recipe("check", "mine.yaml", code=2).stderr


@pytest.mark.parametrize(
    "name", ["files/house.yaml", "files/parts/filters.yaml", "manifest.json", "config.json"]
)
def test_what_is_kept_is_what_came_or_not_there(packed: str, tmp_path: Path, name: str) -> None:
    recipe("pull", tmp_path / "house.oci.tar", "--keep")
    path = Store(Path.cwd()).root / "packs" / packed.rpartition(":")[2] / name
    path.write_bytes(path.read_bytes().replace(b"5", b"6").replace(b"1", b"2"))
    assert "is not here yet" in recipe("check", "mine.yaml", code=2).stderr
    recipe("pull", tmp_path / "house.oci.tar", "--keep")
    recipe("check", "mine.yaml")


def test_another_pack_in_its_place_is_not_it(packed: str, tmp_path: Path) -> None:
    recipe("pull", tmp_path / "house.oci.tar", "--keep")
    home, digest = Store(Path.cwd()).root / "packs", packed.rpartition(":")[2]
    shutil.rmtree(home / digest)
    (tmp_path / "house/house.yaml").write_text(BASE.replace("seed: 5", "seed: 6"))
    pack = (
        "pack",
        tmp_path / "house/house.yaml",
        "--workspace",
        tmp_path / "house",
        "--out",
        tmp_path / "other.tar",
    )
    other = recipe(*pack).stdout.splitlines()[-1].rpartition(":")[2]
    recipe("pull", tmp_path / "other.tar", "--keep")
    (home / other).rename(home / digest)
    assert "is not here yet" in recipe("check", "mine.yaml", code=2).stderr


def test_a_strangers_store_is_not_believed(
    packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe("pull", tmp_path / "house.oci.tar", "--keep")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    from runner.store import marks

    monkeypatch.setattr(marks, "_known", set())
    recipe("check", "mine.yaml", code=4)


def test_a_look_keeps_nothing(packed: str, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    recipe("pull", tmp_path / "house.oci.tar")
    assert set(tmp_path.rglob("*")) == before


def test_what_extends_a_pack_is_packed_and_pulled(packed: str, tmp_path: Path) -> None:
    recipe("pull", tmp_path / "house.oci.tar", "--keep")
    recipe("pack", "mine.yaml", "--out", tmp_path / "mine.oci.tar")
    done = recipe("pull", tmp_path / "mine.oci.tar", "--to", tmp_path / "there")
    assert (
        "team/house@sha256:" in done.stdout
        and (tmp_path / "there/mine.yaml").read_text() == Path("mine.yaml").read_text()
    )
    recipe("check", tmp_path / "there/mine.yaml", "--workspace", tmp_path / "there", code=2)  # not kept there
    recipe("pull", tmp_path / "house.oci.tar", "--keep", "--workspace", tmp_path / "there")
    recipe("check", tmp_path / "there/mine.yaml", "--workspace", tmp_path / "there")


def test_a_pack_extends_nothing_outside(packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody packs such a thing with `recipe pack`; one that was put together by hand is found out when it is pulled."""
    from runner.packs import gathering, packing

    write(tmp_path, {"secret.yaml": "seed: 3\n"})
    write(
        tmp_path / "house", {"house.yaml": BASE.replace("parts/filters.yaml", str(tmp_path / "secret.yaml"))}
    )
    monkeypatch.setattr(gathering, "chain", lambda recipe, place: {"house.yaml": recipe})
    monkeypatch.setattr(packing, "_alike", lambda *_: None)
    recipe(
        "pack",
        tmp_path / "house/house.yaml",
        "--workspace",
        tmp_path / "house",
        "--out",
        tmp_path / "x.tar",
        code=4,
    )
    monkeypatch.setattr(packing, "Workspace", lambda root, trust: Workspace(root, frozenset({"paths"})))
    recipe(
        "pack", tmp_path / "house/house.yaml", "--workspace", tmp_path / "house", "--out", tmp_path / "x.tar"
    )
    done = recipe("pull", tmp_path / "x.tar", "--to", tmp_path / "there", code=2)
    assert "lies outside the workspace, and a pack reads its own files alone" in done.stderr
    assert not (tmp_path / "there").exists()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Two people's keys."""
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    found = {}
    for who in ("ours", "theirs"):
        made = ec.generate_private_key(ec.SECP256R1())
        found[who], found[f"{who}.pub"] = tmp_path / f"{who}.pem", tmp_path / f"{who}.pub"
        found[who].write_bytes(made.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
        public = made.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
        found[f"{who}.pub"].write_bytes(public)
    return found


def test_whose_packs_are_taken(
    packed: str, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack(name: str, *more: Any) -> Path:
        recipe(
            "pack",
            tmp_path / "house/house.yaml",
            "--workspace",
            tmp_path / "house",
            "--out",
            tmp_path / name,
            *more,
        )
        return tmp_path / name

    mine, other = (
        pack("mine.tar", "--sign", "--key", keys["ours"]),
        pack("other.tar", "--key", keys["theirs"]),
    )
    assert "signed; by whom was not asked" in recipe("pull", mine).stdout
    monkeypatch.setenv("MIREPOIX_PACK_KEYS", str(keys["ours.pub"]))
    for path, why in (
        (tmp_path / "house.oci.tar", "is not signed"),
        (other, "is signed by somebody else, or wrongly"),
    ):
        done = recipe("pull", path, "--to", tmp_path / "there", "--keep", code=3)
        assert f"{why}, and your setting pack_keys wants packs signed by ours.pub" in done.stderr
        assert not (tmp_path / "there").exists() and not Path(".mirepoix").exists()
    done = recipe("pull", mine, "--to", tmp_path / "there")
    assert "signed by the key" in done.stdout
    recipe("verify", tmp_path / "there", "--key", keys["ours.pub"])
    monkeypatch.setenv("MIREPOIX_PACK_KEYS", f"{keys['theirs.pub']},{keys['ours.pub']}")
    recipe("pull", other)
    recipe("push", tmp_path / "house.oci.tar", "--to", tmp_path / "copy")  # one's own is pushed as it is


def test_a_signature_is_of_the_files_that_are_there(
    packed: str, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature of theirs, put beside other files, is found out."""
    house = tmp_path / "house"
    recipe(
        "pack",
        house / "house.yaml",
        "--workspace",
        house,
        "--out",
        tmp_path / "mine.tar",
        "--key",
        keys["ours"],
    )
    recipe("pull", tmp_path / "mine.tar", "--to", tmp_path / "there")
    (house / "house.yaml").write_text(BASE.replace("seed: 5", "seed: 6"))
    from runner.results import signing

    def forged(folder: Path, *_: Any) -> signing.Checked:
        shutil.copyfile(tmp_path / "there/model.sig", folder / "model.sig")
        return signing.Checked("x", 1, [])

    monkeypatch.setattr(signing, "sign", forged)
    recipe(
        "pack",
        house / "house.yaml",
        "--workspace",
        house,
        "--out",
        tmp_path / "forged.tar",
        "--key",
        keys["ours"],
    )
    monkeypatch.setenv("MIREPOIX_PACK_KEYS", str(keys["ours.pub"]))
    done = recipe("pull", tmp_path / "forged.tar", "--to", tmp_path / "too", code=3)
    assert (
        "is not as it was signed (house.yaml was changed)" in done.stderr and not (tmp_path / "too").exists()
    )


def test_what_is_extended_has_to_be_signed_too(
    keys: dict[str, Path], packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = tmp_path / "house"
    done = recipe(
        "pack", house / "house.yaml", "--workspace", house, "--out", tmp_path / "s.tar", "--key", keys["ours"]
    )
    Path("mine.yaml").write_text(
        CHILD.replace("{REF}", f"oci://registry.example/house@{done.stdout.splitlines()[-1]}")
    )
    recipe("pull", tmp_path / "s.tar", "--keep")
    recipe("check", "mine.yaml")
    monkeypatch.setenv("MIREPOIX_PACK_KEYS", str(keys["ours.pub"]))
    done = recipe("check", "mine.yaml", code=2)
    assert (
        "no key of your setting pack_keys was found to have signed this pack; bring it: recipe pull"
        in done.stderr
    )
    recipe("pull", tmp_path / "s.tar", "--keep")
    recipe("check", "mine.yaml")
    monkeypatch.setenv("MIREPOIX_PACK_KEYS", str(keys["theirs.pub"]))
    recipe("check", "mine.yaml", code=2)
    # A key that is named from where we are could be one that came along with a stranger's folder.
    Path("beside.pub").write_bytes(keys["ours.pub"].read_bytes())
    monkeypatch.setenv("MIREPOIX_PACK_KEYS", "beside.pub")
    assert "must be absolute paths" in recipe("pull", tmp_path / "s.tar", code=2).stderr
    assert "must be absolute paths" in recipe("check", "mine.yaml", code=2).stderr
