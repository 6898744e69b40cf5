"""Artifacts are whole or not there; the lock is the kernel's; files are old or new, never half."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner import store as stores
from runner.errors import Locked
from runner.store import Artifact, Store, aside, canonical, copy_into, digest, place, write_atomic
from runner.store.files import replacing

PRINT = "ab" + "0" * 62


def make(store: Store, text: str = "hello", fingerprint: str = PRINT) -> Artifact:
    with store.making("step", fingerprint, {"n": 1}) as out:
        (out / "sub").mkdir()
        (out / "sub" / "a.txt").write_text(text)
        (out / "b.txt").write_text("b")
    found = store.get(fingerprint)
    assert found is not None
    return found


def everything(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def test_an_artifact_has_a_manifest_of_its_files(tmp_path: Path) -> None:
    made = make(Store(tmp_path))
    assert made.file("sub/a.txt").read_text() == "hello"
    assert sorted(made.manifest.files) == ["b.txt", "sub/a.txt"]
    assert made.manifest.files["b.txt"] == stores.file_digest(made.file("b.txt"))
    assert (made.manifest.step, made.manifest.ingredients) == ("step", {"n": 1})
    assert everything(tmp_path / ".mirepoix" / "tmp") == []


class Killed(BaseException):
    """As a kill: nothing after it runs, not even clean-up (rmtree is undone by the test)."""


def test_the_work_of_finished_steps_goes_that_of_others_stays(tmp_path: Path) -> None:
    """A kill between the two moves leaves a training's checkpoints beside its artifact."""
    store, other = Store(tmp_path), "cd" + "0" * 62
    for fingerprint in (PRINT, other):
        (store.work(fingerprint) / "checkpoint").write_text("of a training")
    make(store)
    with store.locked("r"):
        assert [p.name for p in (store.root / "work").iterdir()] == [other]


@pytest.mark.parametrize("point", range(40))
def test_killed_at_any_point_it_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    calls = 0

    def dying(real):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls > point:
                raise Killed
            return real(*args, **kwargs)

        return call

    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(Path, "rename", dying(Path.rename))
        patch.setattr(shutil, "rmtree", lambda *args, **kwargs: None)
        try:
            make(store)
            died = False
        except Killed:
            died = True
    found = store.get(PRINT)
    assert found is not None or died
    if found:
        assert found.file("sub/a.txt").read_text() == "hello"
    assert make(store, "again" if found is None else "hello").manifest.fingerprint == PRINT
    assert died or point > 8, "the points reach the end"


def test_an_error_while_making_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ValueError, match="no"), store.making("s", PRINT, {}) as out:
        (out / "x").write_text("half")
        raise ValueError("no")
    assert store.get(PRINT) is None
    assert everything(tmp_path) == [".mirepoix/mark"]


@pytest.mark.parametrize(
    "harm", ["change", "remove", "pipe", "cut manifest", "other manifest", "not json", "version"]
)
def test_a_damaged_artifact_is_set_aside(tmp_path: Path, harm: str) -> None:
    store = Store(tmp_path)
    made = make(store)
    manifest = made.file("manifest.json")
    data = json.loads(manifest.read_text())
    if harm == "change":
        made.file("sub/a.txt").write_text("hullo")
    elif harm in ("remove", "pipe"):
        made.file("b.txt").unlink()
        if harm == "pipe":
            os.mkfifo(made.file("b.txt"))
    elif harm == "cut manifest":
        manifest.write_bytes(manifest.read_bytes()[:50])
    elif harm == "not json":
        manifest.write_bytes(b"\xff\x00")
    else:
        key, value = ("version", 99) if harm == "version" else ("fingerprint", "cd" + PRINT[2:])
        manifest.write_text(json.dumps(data | {key: value}))
    if harm != "change":
        assert store.get(PRINT, verify=False) is None
        assert made.path.is_dir(), "a mere look changes nothing"
    assert store.get(PRINT) is None
    assert not made.path.exists()
    assert len(list((tmp_path / ".mirepoix" / "quarantine").iterdir())) == 1
    make(store)
    made.file("b.txt").write_text("harmed again")
    assert store.get(PRINT) is None
    assert len(list((tmp_path / ".mirepoix" / "quarantine").iterdir())) == 2


def test_work_outlives_and_tmp_of_killed_runs_is_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.work(PRINT) / "checkpoint").write_text("x")
    (store.root / "tmp" / "old.123").mkdir(parents=True)
    with store.locked("r"):
        assert not (store.root / "tmp" / "old.123").exists()
        assert (store.work(PRINT) / "checkpoint").exists()


HOLD = """
import sys, time
from pathlib import Path
from runner.store import Store
with Store(Path(sys.argv[1])).locked("r"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_holds_the_lock_until_it_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"process {holder.pid}"), Store(tmp_path).locked("r"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with Store(tmp_path).locked("r"):
            pass
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout:
            holder.stdout.close()


def test_the_lock_can_be_taken_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        with store.locked("r"), pytest.raises(Locked), store.locked("r"):
            pass


def test_write_atomic_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "f"
    write_atomic(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *args: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert everything(tmp_path) == ["a/f"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_replacing_is_old_or_new(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a folder; what came in the way meanwhile stays, and so does the old one where the new one fails."""
    target = tmp_path / "there/t"

    def made(at: Path, text: str) -> None:
        if kind == "folder":
            at.mkdir()
        (at / "a" if kind == "folder" else at).write_text(text)

    def found() -> tuple[list[str], str]:
        return everything(tmp_path), (target / "a" if kind == "folder" else target).read_text()

    for text in ("old", "new"):
        with replacing(target, lambda: None) as filling:
            made(filling, text)
        names = ["there/t/a" if kind == "folder" else "there/t"]
        assert found() == (names, text)
    with pytest.raises(ZeroDivisionError), replacing(target, lambda: 1 // 0) as filling:
        made(filling, "not wanted")
    with pytest.raises(KeyError), replacing(target, lambda: None) as filling:
        made(filling, "half")
        raise KeyError
    rename = Path.rename

    def stopped(self: Path, to: Path) -> Path:
        if self.suffix == ".tmp":
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt), replacing(target, lambda: None) as filling:
        made(filling, "too late")
    assert found() == (names, "new")


def test_place_links_or_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s").write_text("x")
    place(tmp_path / "s", tmp_path / "d" / "t")
    assert (tmp_path / "d" / "t").samefile(tmp_path / "s")
    monkeypatch.setattr(os, "link", lambda *args: (_ for _ in ()).throw(OSError()))
    place(tmp_path / "s", tmp_path / "d" / "t")
    assert (tmp_path / "d" / "t").read_text() == "x"
    assert not (tmp_path / "d" / "t").samefile(tmp_path / "s")


def test_canonical_json() -> None:
    assert canonical({"b": 1, "a": ["é", 1.5, None]}) == '{"a":["é",1.5,null],"b":1}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


def test_a_copy_says_what_it_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content := b"\x00line\n" * (1 << 18))
    with (tmp_path / "b").open("wb") as file:
        file.write(b"before")
        assert copy_into(file, tmp_path / "a") == (len(content), stores.file_digest(tmp_path / "a"))
    assert (tmp_path / "b").read_bytes() == b"before" + content


def test_each_writer_has_a_name_of_its_own(tmp_path: Path) -> None:
    names = {aside(tmp_path / "part") for _ in range(20)}
    assert len(names) == 20 and {n.parent for n in names} == {tmp_path}
    assert all(n.name.startswith("part.") for n in names)
