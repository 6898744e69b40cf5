"""A signed folder: whatever is changed in it is named, and no other key passes for its owner's.

Keys are made here; the reference is the OpenSSF's own `model_signing`, both ways.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli, extras, scrub, settings
from runner.errors import UsageError, safe
from runner.results import folder as exported
from runner.results import keys, signing

pytest.importorskip("cryptography", reason="cryptography is not installed")
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

SECRET = "canary-of-a-passphrase"


def pair(at: Path, name: str, made: Any, passphrase: str = "") -> tuple[Path, Path]:
    """A private key and its public one, as files."""
    hidden = s.BestAvailableEncryption(passphrase.encode()) if passphrase else s.NoEncryption()
    private, public = at / f"{name}.pem", at / f"{name}.pub"
    private.write_bytes(made.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, hidden))
    public.write_bytes(made.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def new(at: Path, name: str = "mine", curve: ec.EllipticCurve | None = None) -> tuple[Path, Path]:
    return pair(at, name, ec.generate_private_key(curve or ec.SECP256R1()))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A folder as an export leaves it."""
    with exported.whole(tmp_path / "pack", {"as": "adapter"}) as out:
        (out / "README.md").write_text("A card.")
        (out / "sub").mkdir()
        (out / "sub" / "weights é.safetensors").write_bytes(bytes(range(256)) * 99)
        (out / ".hidden").touch()
    return tmp_path / "pack"


def recipe(*words: Any, code: int) -> Result:
    done = CliRunner().invoke(cli.main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return done


def never() -> str:
    raise AssertionError("this key has no passphrase")


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def linked(path: Path) -> None:
    """Another name of the same bytes."""
    elsewhere = path.parents[2] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a byte": (lambda p: flipped(p / "sub/weights é.safetensors"), "sub/weights é.safetensors was changed"),
    "a byte less": (lambda p: os.truncate(p / "README.md", 3), "README.md was changed"),
    "a file less": (lambda p: (p / "README.md").unlink(), "README.md is missing"),
    "another name": (lambda p: (p / "README.md").rename(p / "x"), "README.md is missing\nx was added; it is not signed"),
    "an empty file": (lambda p: (p / "sub/new").touch(), "sub/new was added; it is not signed"),
    "a hidden file": (lambda p: (p / ".env").touch(), ".env was added; it is not signed"),
    "what git would run": (
        lambda p: ((p / ".git").mkdir(), (p / ".git/config").touch()), ".git/config was added; it is not signed"),
    "a store": (lambda p: ((p / ".mirepoix").mkdir(), (p / ".mirepoix/x").touch()), ".mirepoix/x was added"),
    "a file that is a link": (lambda p: linked(p / "sub/weights é.safetensors"), "sub/weights é.safetensors is a link"),
    "a folder that is a link": (lambda p: (p / "far").symlink_to("/"), "far is a link"),
    "a link to nothing": (lambda p: (p / "far").symlink_to("nowhere"), "far is a link"),
    "a pipe": (lambda p: os.mkfifo(p / "pipe"), "pipe is no plain file"),
    "a file that is a pipe now": (
        lambda p: ((p / "README.md").unlink(), os.mkfifo(p / "README.md")), "README.md is no plain file"),
    "a name that is not UTF-8": (lambda p: ((p / "d").mkdir(), (p / "d" / "\udcff").touch()), "d/\\udcff has a name"),
    "no signature": (lambda p: (p / signing.NAME).unlink(), "model.sig is missing: the folder is not signed"),
    "a signature that is a link": (lambda p: linked(p / "sub/../model.sig"), "model.sig is a link"),
    "a signature that is a pipe": (
        lambda p: ((p / "model.sig").unlink(), os.mkfifo(p / "model.sig")), "model.sig is no plain file"),
    "a signature that is none": (lambda p: (p / "model.sig").write_text("{"), "model.sig is damaged"),
    "one that nests": (lambda p: (p / "model.sig").write_text("[" * 200_000), "model.sig is damaged"),
    "one that is a list": (lambda p: (p / "model.sig").write_text("[1]"), "model.sig is damaged"),
    "one without an end": (lambda p: os.truncate(p / "model.sig", signing.LARGEST + 1), "model.sig is too large"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_is_named(tmp_path: Path, pack: Path, what: str) -> None:
    private, public = new(tmp_path)
    recipe("sign", pack, "--key", private, code=0)
    assert "4 files as signed" in recipe("verify", pack, "--key", public, code=0).stdout
    change, said = CHANGES[what]
    change(pack)
    done = recipe("verify", pack, "--key", public, code=1)
    assert said in done.stderr and not done.stdout
    assert len(done.stderr.splitlines()) == 2 + (what == "another name")
    assert ("before it is run in" in done.stderr) == (what == "a store")
    faults = json.loads(recipe("verify", pack, "--key", public, "--json", code=1).stdout)["faults"]
    assert [safe(f"{f['name']} {f['what']}") for f in faults] == done.stderr.splitlines()[:-1]


def test_a_copy_is_the_same_and_a_second_signature_too(tmp_path: Path, pack: Path) -> None:
    private, public = new(tmp_path)
    recipe("sign", pack, "--key", private, code=0)
    first = (pack / signing.NAME).read_bytes()
    shutil.copytree(pack, tmp_path / "copy")
    assert signing.verify(tmp_path / "copy", public).holds
    recipe("sign", pack, "--key", private, code=0)
    assert (pack / signing.NAME).read_bytes() == first  # the same folder, the same key
    assert sorted(p.name for p in pack.iterdir()) == [
        ".hidden", "README.md", "export.json", "model.sig", "sub"]  # fmt: skip
    (pack / "README.md").write_text("Another card.")
    assert not signing.verify(pack, public).holds


def test_another_key_is_another(tmp_path: Path, pack: Path) -> None:
    """Also where the signature says that it is this key's, and where a signature of another folder is put in."""
    (private, public), (_, others) = new(tmp_path), new(tmp_path, "other")
    recipe("sign", pack, "--key", private, code=0)
    assert "model.sig is another key's" in recipe("verify", pack, "--key", others, code=1).stderr
    sig = pack / signing.NAME
    said = json.loads(sig.read_bytes())
    for hint in ({"hint": signing.verify(pack, others).key}, {}):
        sig.write_text(json.dumps(said | {"verificationMaterial": {"publicKey": hint}}))
        assert (
            "model.sig was changed, or is not the key's"
            in recipe("verify", pack, "--key", others, code=1).stderr
        )
    sig.write_text(json.dumps(said))
    shutil.copytree(pack, tmp_path / "two")
    (tmp_path / "two/README.md").write_text("Evil.")
    assert "README.md was changed" in recipe("verify", tmp_path / "two", "--key", public, code=1).stderr


def changed_payload(said: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    envelope = said["dsseEnvelope"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    change(payload)
    return {
        **said,
        "dsseEnvelope": envelope | {"payload": base64.b64encode(json.dumps(payload).encode()).decode()},
    }


def test_a_list_that_somebody_else_wrote_is_not_believed(tmp_path: Path, pack: Path) -> None:
    private, public = new(tmp_path)
    recipe("sign", pack, "--key", private, code=0)
    sig = pack / signing.NAME
    said = json.loads(sig.read_bytes())
    signature = said["dsseEnvelope"]["signatures"][0]
    for wrong in (
        changed_payload(said, lambda p: p["predicate"]["resources"].clear()),
        changed_payload(said, lambda p: p["predicate"]["serialization"]["ignore_paths"].append("README.md")),
        said | {"dsseEnvelope": said["dsseEnvelope"] | {"payloadType": "text/plain"}},
        said | {"dsseEnvelope": said["dsseEnvelope"] | {"signatures": []}},
        said | {"dsseEnvelope": said["dsseEnvelope"] | {"signatures": [signature, signature]}},
        said | {"dsseEnvelope": said["dsseEnvelope"] | {"signatures": [{"sig": "x" * 96}]}},
        {"mediaType": said["mediaType"]},
    ):
        sig.write_text(json.dumps(wrong))
        assert [f.name for f in signing.verify(pack, public).faults] == ["model.sig"]


def test_what_the_owner_signed_away_is_not_signed(tmp_path: Path, pack: Path) -> None:
    """The format lets a signer leave paths out; a folder that holds such files is not as it was signed."""
    theirs = pytest.importorskip("model_signing", reason="model-signing is not installed")
    private, public = new(tmp_path)
    how = theirs.hashing.Config().set_ignored_paths(paths=[pack / "README.md", pack / signing.NAME])
    config = theirs.signing.Config().use_elliptic_key_signer(private_key=private).set_hashing_config(how)
    config.sign(pack, pack / signing.NAME)
    done = recipe("verify", pack, "--key", public, code=1)
    assert "README.md was added; it is not signed" in done.stderr


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
def test_the_format_is_that_of_model_signing(tmp_path: Path, pack: Path, curve: ec.EllipticCurve) -> None:
    theirs = pytest.importorskip("model_signing", reason="model-signing is not installed")
    private, public = new(tmp_path, curve=curve)
    sig = pack / signing.NAME
    recipe("sign", pack, "--key", private, code=0)
    checks = theirs.verifying.Config().use_elliptic_key_verifier(public_key=public)
    checks.verify(pack, sig)
    (pack / "README.md").write_text("Evil.")
    with pytest.raises(ValueError, match="mismatch"):
        theirs.verifying.Config().use_elliptic_key_verifier(public_key=public).verify(pack, sig)
    assert not signing.verify(pack, public).holds
    sig.unlink()
    how = theirs.hashing.Config().set_ignored_paths(paths=[sig])
    signer = theirs.signing.Config().use_elliptic_key_signer(private_key=private).set_hashing_config(how)
    signer.sign(pack, sig)
    assert signing.verify(pack, public) == signing.Checked(signing.verify(pack, public).key, 4, [])
    (pack / "README.md").write_text("A card.")
    assert [f.name for f in signing.verify(pack, public).faults] == ["README.md"]


def test_its_own_command_checks_ours(tmp_path: Path, pack: Path) -> None:
    command = pytest.importorskip("model_signing._cli", reason="model-signing is not installed")
    private, public = new(tmp_path)
    recipe("sign", pack, "--key", private, code=0)
    words = ["verify", "key", str(pack), "--signature", str(pack / "model.sig"), "--public_key", str(public)]
    done = CliRunner().invoke(command.main, words)
    assert done.exit_code == 0 and "succeeded" in done.output, done.output
    flipped(pack / "README.md")
    assert CliRunner().invoke(command.main, words).exit_code != 0


def test_what_is_not_signed(tmp_path: Path, pack: Path) -> None:
    private, _ = new(tmp_path)
    shutil.copy(private, pack / "sub/key")
    assert "the private key lies in" in recipe("sign", pack, "--key", private, code=2).stderr
    assert "the private key lies in" in recipe("sign", pack, "--key", pack / "sub/key", code=2).stderr
    (pack / "sub/key").unlink()
    (pack / "far").symlink_to("README.md")
    assert (
        "far: is a link; only plain files are signed" in recipe("sign", pack, "--key", private, code=2).stderr
    )
    (pack / "far").unlink()
    (pack / ".mirepoix").mkdir()
    assert "is a workspace" in recipe("sign", pack, "--key", private, code=2).stderr
    (pack / ".mirepoix").rmdir()
    (pack / "README.md").write_text("Another card.")
    assert "README.md is not as it was exported" in recipe("sign", pack, "--key", private, code=2).stderr
    (tmp_path / "empty").mkdir()
    assert "holds no files" in recipe("sign", tmp_path / "empty", "--key", private, code=2).stderr
    assert "no folder" in recipe("sign", tmp_path / "nosuch", "--key", private, code=2).stderr
    assert not list(tmp_path.rglob("model.sig"))


def test_a_signature_is_not_written_through_a_link(tmp_path: Path, pack: Path) -> None:
    private, public = new(tmp_path)
    (tmp_path / "bashrc").write_text("mine")
    (pack / signing.NAME).symlink_to(tmp_path / "bashrc")
    recipe("sign", pack, "--key", private, code=0)
    assert (tmp_path / "bashrc").read_text() == "mine" and signing.verify(pack, public).holds


def test_keys_that_are_none(tmp_path: Path, pack: Path) -> None:
    private, public = new(tmp_path)
    old, old_public = pair(tmp_path, "old", ed25519.Ed25519PrivateKey.generate())
    (tmp_path / "text").write_text("no key")
    for key, said in (
        (public, "is no private key in PEM"), (tmp_path / "text", "is no private key in PEM"),
        (old, "no key on one of the curves P-256, P-384, P-521"), (tmp_path / "nosuch", "cannot be read"),
        (tmp_path, "cannot be read"),
    ):  # fmt: skip
        assert said in recipe("sign", pack, "--key", key, code=2).stderr
    recipe("sign", pack, "--key", private, code=0)
    shutil.copy(public, pack / "sub/key.pub")
    for key, said in (
        (private, "is a private key; what is needed is the public one"), (tmp_path / "text", "no public key in PEM"),
        (old_public, "no key on one of the curves"), (pack / "sub/key.pub", "lies in the folder that it is to vouch for"),
        (pack / "nosuch", "cannot be read"),
    ):  # fmt: skip
        assert said in recipe("verify", pack, "--key", key, code=2).stderr


def test_a_passphrase_comes_from_a_setting_and_is_said_nowhere(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIREPOIX_SIGNING_PASSPHRASE", "")  # else that of the canaries' settings
    private, public = pair(tmp_path, "mine", ec.generate_private_key(ec.SECP256R1()), SECRET)
    assert (
        "the key has a passphrase: set MIREPOIX_SIGNING"
        in recipe("sign", pack, "--key", private, code=2).stderr
    )
    monkeypatch.setenv("MIREPOIX_SIGNING_PASSPHRASE", "canary-of-another")
    done = recipe("sign", pack, "--key", private, code=2)
    assert "its passphrase is another" in done.stderr and "canary" not in done.output
    monkeypatch.setenv("MIREPOIX_SIGNING_PASSPHRASE", SECRET)
    monkeypatch.setenv("MIREPOIX_SIGNING_KEY", str(private))
    done = recipe("sign", pack, "--json", code=0)
    assert SECRET not in done.output and SECRET in scrub.secrets()
    assert SECRET.encode() not in (pack / signing.NAME).read_bytes()
    assert signing.verify(pack, public).holds
    monkeypatch.delenv("MIREPOIX_SIGNING_KEY")
    assert "say --key KEY.pem, or set signing_key" in recipe("sign", pack, code=2).stderr


def test_no_key_and_no_passphrase_is_ever_of_a_recipe() -> None:
    assert settings.SETTINGS["signing_passphrase"].secret
    schema = (Path(signing.__file__).parents[2] / "schemas/recipe.schema.json").read_text()
    assert "signing" not in schema and "passphrase" not in schema


def test_who_has_no_cryptography_is_told(tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    private, _ = new(tmp_path)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "cryptography":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert (
        f"install it with: {extras.install('sign')}\n"
        in recipe("sign", pack, "--key", private, code=3).stderr
    )


def test_a_disk_that_cannot_be_read_is_no_yes(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may not be looked into may hold anything."""
    private, public = new(tmp_path)
    recipe("sign", pack, "--key", private, code=0)
    real = os.scandir

    def refuses(path: Any) -> Any:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuses)
    recipe("verify", pack, "--key", public, code=3)


def test_the_folder_keeps_its_export(tmp_path: Path, pack: Path) -> None:
    """A signed folder is not written over, and what it lists stays right."""
    private, _ = new(tmp_path)
    assert signing.sign(pack, private, never).key == keys.hint(keys.public(tmp_path / "mine.pub"))
    with pytest.raises(UsageError, match=r"'model\.sig' was added"):
        exported.refuse(pack)
    (pack / signing.NAME).unlink()
    exported.refuse(pack)
