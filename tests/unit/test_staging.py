"""Batch functions where the workspace is not seen: paths are names on their way, and files go along, and come back."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from runner.errors import StepError
from runner.jobs import ray_node
from runner.staging import Parcel, Staged, mirror, objects, pickled
from runner.staging.mirror import Mirror
from runner.staging.stager import Stager
from runner.store import file_digest, remote
from runner.store.locks import release, take

TOKEN = "0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (root := tmp_path / "w").mkdir()
    (root / "a.txt").write_text("a")
    for name in ("artifacts/ab/x/kept.npy", "artifacts/ab/x/deep/er.txt", "work/y/columns.npy"):
        (path := root / ".mirepoix" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def stager(root: Path, bucket: Path) -> Stager:
    return Stager(remote.opened(str(bucket)), root, TOKEN)


@pytest.fixture
def there(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Another machine."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return Mirror(remote.opened(str(bucket)), TOKEN)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# -- names ----------------------------------------------------------------------------------------------


def test_paths_of_the_workspace_are_named_by_where_they_are_in_it(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    what = {"in": root / "a.txt", "by a link": link / "a.txt", "out": root / "../b.txt", "itself": root}
    raw, found = pickled.packed(what, root)
    assert set(found) == {"a.txt", (tmp_path / "b.txt").as_posix(), "."}
    assert str(root).encode() not in raw
    assert pickled.unpacked(raw, lambda name: Path("/x", name)) == {
        "in": Path("/x/a.txt"), "by a link": Path("/x/a.txt"), "out": tmp_path / "b.txt", "itself": Path("/x"),
    }  # fmt: skip


def test_what_is_installed_stays_where_it_is_installed(root: Path) -> None:
    installed = [Path(os.__file__), Path(pytest.__file__), Path(pickled.__file__)]
    raw, found = pickled.packed(installed, root)
    assert found == {} and pickle.loads(raw) == installed


# -- there and back -------------------------------------------------------------------------------------


def test_what_is_sent_is_laid_out_there(stager: Stager, there: Mirror, root: Path) -> None:
    what: Any = [root / "a.txt", root / ".mirepoix/artifacts/ab/x", root / ".mirepoix/work/none/yet"]
    a, folder, none = there.unpack(stager.pack(what))  # type: ignore[misc]
    assert a.read_text() == "a" and files(folder) == ["deep/er.txt", "kept.npy"]
    assert (folder / "kept.npy").read_text() == "artifacts/ab/x/kept.npy"
    assert not none.exists() and none.parent.is_dir()
    assert not any(p.is_relative_to(root) for p in (a, folder, none))


def test_weights_of_models_stay(stager: Stager, there: Mirror, root: Path) -> None:
    (root / "model").mkdir()
    (root / "model/tokenizer.json").write_text("{}")
    (root / "model/model.safetensors").write_text("x")
    assert files(there.unpack(stager.pack(root / "model"))) == ["tokenizer.json"]  # type: ignore[arg-type]


def test_a_file_goes_once_and_artifacts_go_where_artifacts_are(
    stager: Stager, root: Path, bucket: Path
) -> None:
    (root / "b.txt").write_text("a")  # the same bytes
    first = stager.pack([root / "a.txt", root / "b.txt", root / ".mirepoix/artifacts/ab/x/kept.npy"])
    a, b, kept = first.files
    assert a.at == b.at == f"staging/{TOKEN}/{a.sha256}" and kept.at == remote.file_at(kept.sha256)
    assert files(bucket) == sorted([a.at, kept.at])
    before = (bucket / a.at).stat().st_mtime_ns
    assert stager.pack(root / "a.txt").files == [a]
    assert (bucket / a.at).stat().st_mtime_ns == before


def test_a_file_that_changed_meanwhile_is_sent_as_it_is_now(
    stager: Stager, there: Mirror, root: Path
) -> None:
    one = there.unpack(stager.pack(root / "a.txt"))
    (root / "b.txt").write_text("new")
    (root / "b.txt").replace(root / "a.txt")
    two = there.unpack(stager.pack(root / "a.txt"))
    assert one == two and Path(str(two)).read_text() == "new"


def test_what_is_written_there_comes_to_its_place(
    stager: Stager, there: Mirror, root: Path, bucket: Path
) -> None:
    work = there.unpack(stager.pack(root / ".mirepoix/work/y"))
    assert isinstance(work, Path)
    (work / "parts").mkdir()
    (work / "parts/1.jsonl").write_text("one")
    (work / "new").write_text("more columns")
    (work / "new").replace(work / "columns.npy")  # what was sent, written anew
    came = there.pack([work / "parts/1.jsonl", 7])
    assert files(there.folder) == [], "what was sent back is there no more"
    assert stager.unpack(came) == [root / ".mirepoix/work/y/parts/1.jsonl", 7]
    assert (root / ".mirepoix/work/y/parts/1.jsonl").read_text() == "one"
    assert (root / ".mirepoix/work/y/columns.npy").read_text() == "more columns"
    assert not any(one.at in files(bucket) for one in came.files)
    stager.end()
    assert not files(bucket / "staging")


@pytest.mark.parametrize(
    "name", ["a.txt", ".mirepoix/work/../../x", ".mirepoix/artifacts/ab/x/kept.npy", "/etc/x"]
)
def test_nothing_comes_to_another_place(name: str, stager: Stager, root: Path, bucket: Path) -> None:
    before = {n: (root / n).read_text() for n in files(root)}
    with pytest.raises(StepError, match="where no step keeps its work"):
        stager.unpack(Parcel(pickle.dumps(1), [Staged(name, "staging/x", "0" * 64)]))
    assert {n: (root / n).read_text() for n in files(root)} == before


def test_nothing_comes_through_a_link(stager: Stager, root: Path, bucket: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (root / ".mirepoix/work/link").symlink_to(tmp_path / "mine")
    (bucket / "staging").mkdir(parents=True)
    (bucket / "staging/x").write_text("x")
    sent = Staged(".mirepoix/work/link/x", "staging/x", file_digest(bucket / "staging/x"))
    with pytest.raises(Exception, match="is a link"):
        stager.unpack(Parcel(pickle.dumps(1), [sent]))
    assert not files(tmp_path / "mine")


def test_damage_on_the_way_is_found(stager: Stager, there: Mirror, root: Path, bucket: Path) -> None:
    parcel = stager.pack(root / "a.txt")
    (bucket / parcel.files[0].at).write_text("b")
    with pytest.raises(StepError, match=r"was not what was sent for a\.txt; run it again"):
        there.unpack(parcel)
    again = Stager(remote.opened(str(bucket)), root, TOKEN)  # run again, it is sent again
    assert Path(str(there.unpack(again.pack(root / "a.txt")))).read_text() == "a"
    there.placed(".mirepoix/work/y/z").write_text("z")
    came = there.pack(1)
    (bucket / came.files[0].at).write_text("y")
    with pytest.raises(StepError, match="is not what a node has sent"):
        stager.unpack(came)
    assert files(root / ".mirepoix/work") == ["y/columns.npy"]


def test_links_to_folders_are_gone_through_once_and_what_is_hidden_stays(
    stager: Stager, there: Mirror, root: Path, tmp_path: Path
) -> None:
    (root / "data/.git").mkdir(parents=True)
    (root / "data/.git/blob").write_text("x")
    (tmp_path / "real").mkdir()
    (tmp_path / "real/b.txt").write_text("b")
    (root / "data/link").symlink_to(tmp_path / "real")
    (root / "data/circle").symlink_to(root / "data")
    assert files(Path(str(there.unpack(stager.pack(root / "data"))))) == ["link/b.txt"]


def test_what_comes_back_has_the_names_that_it_went_by(
    stager: Stager, there: Mirror, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").write_text("o")
    both = [root / "a.txt", tmp_path / "outside.txt"]
    assert stager.unpack(there.pack(there.unpack(stager.pack(both)))) == both


def test_nothing_is_left_where_nothing_came_of_it(stager: Stager, there: Mirror, root: Path) -> None:
    work = there.unpack(stager.pack(root / ".mirepoix/work/y"))
    assert isinstance(work, Path)
    (work / "half").write_text("ha")
    there.drop()
    assert files(work) == ["columns.npy"] and there.pack(1).files == []


# -- the node's own folder ------------------------------------------------------------------------------


def test_processes_of_a_machine_fetch_a_file_once(
    stager: Stager, there: Mirror, root: Path, bucket: Path
) -> None:
    parcel = stager.pack(root / "a.txt")
    there.unpack(parcel)
    other = Mirror(remote.opened(str(bucket)), TOKEN)
    shutil.rmtree(bucket)
    assert Path(str(other.unpack(parcel))).read_text() == "a"
    assert other.folder != there.folder


def test_what_a_killed_process_left_goes_with_the_next(
    stager: Stager, bucket: Path, root: Path, tmp_path: Path
) -> None:
    parcel = stager.pack(root / "a.txt")
    code = f"""
import pickle, os, signal
from runner.staging.mirror import Mirror
from runner.store import remote
mirror = Mirror(remote.opened({str(bucket)!r}), "dead")
mirror.unpack(pickle.loads({pickle.dumps(parcel)!r}))
os.kill(os.getpid(), signal.SIGKILL)
"""
    environ = os.environ | {"TMPDIR": str(tmp_path / "t")}
    (tmp_path / "t").mkdir()
    subprocess.run([sys.executable, "-c", code], env=environ, check=False)
    (base,) = (tmp_path / "t").iterdir()
    assert len(files(base / "views")) == 1 and len(files(base / "files")) == 1
    mirror.sweep(base)
    assert files(base) == []


def test_a_run_that_ends_takes_its_files_along_and_leaves_others(
    stager: Stager, there: Mirror, root: Path, bucket: Path
) -> None:
    other = Mirror(remote.opened(str(bucket)), "fedcba9876543210")
    there.unpack(stager.pack(root / "a.txt"))
    kept = other.unpack(stager.pack(root / ".mirepoix/work/y/columns.npy"))
    mirror.sweep(mirror.base(), TOKEN)
    assert not there.folder.exists() and Path(str(kept)).read_text() == "work/y/columns.npy"
    assert [Path(n).parts[0] for n in files(mirror.base())] == ["files", "locks", "views"]


def test_a_view_waits_for_who_looks_whether_it_is_to_be_swept(
    bucket: Path, there: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.folder.with_name("none").mkdir()  # of a process whose lock was never there
    monkeypatch.setattr(mirror, "aside", lambda path: path)
    lock = mirror.base() / "locks" / "other.1"
    fd = take(lock)
    assert fd is not None
    Timer(0.1, release, (lock, fd)).start()
    other = Mirror(remote.opened(str(bucket)), "other.1")
    assert take(lock) is None and other.folder.is_dir()
    assert not there.folder.with_name("none").exists() and there.folder.is_dir()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shutil.rmtree(place := mirror.base())
    place.write_text("")
    with pytest.raises(StepError, match="is not a folder of yours alone; remove it, or set TMPDIR"):
        mirror.base()


def test_a_folder_that_others_may_write_to_is_not_used(there: Mirror) -> None:
    mirror.base().chmod(0o777)
    with pytest.raises(StepError, match="is not a folder of yours alone"):
        mirror.base()


# -- who would do ---------------------------------------------------------------------------------------


def test_a_node_is_asked_for_the_workspace_and_then_for_the_bucket(
    stager: Stager, bucket: Path, root: Path
) -> None:
    stager.open("secret")
    (root / "seen").write_text("secret")
    needs = ray_node.Needs(ray_node.installed(()), str(root / "seen"), "secret", str(bucket), TOKEN)
    assert ray_node.unfit(needs) == ("", False)
    (root / "seen").unlink()
    assert ray_node.unfit(needs) == ("", True)
    assert ray_node.unfit(needs._replace(store="")) == (ray_node.UNSEEN, True)
    why, _ = ray_node.unfit(needs._replace(secret="another"))
    assert why.startswith("sees another artifact store of that name: ")
    why, _ = ray_node.unfit(needs._replace(token="none"))
    assert why.startswith(
        f"sees neither the workspace nor the artifact store: file://{bucket}: staging/none/seen cannot"
    )
    why, _ = ray_node.unfit(needs._replace(store="s4://x"))
    assert why.startswith("sees neither the workspace nor the artifact store: artifact_store: 's4://x'")
    assert objects.seen(TOKEN) in files(bucket)


def test_a_node_that_comes_when_nothing_is_staged(
    stager: Stager, bucket: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so: what others look for is there no more."""
    needs = ray_node.Needs(ray_node.installed(()), str(root / "none"), "secret", str(bucket), TOKEN)
    monkeypatch.setattr(ray_node, "_refused", lambda why: ("refused", why.encode()))
    assert ray_node.do((pickle.dumps(len), needs, False), pickle.dumps("x")) == (
        "refused",
        ray_node.LATE.encode(),
    )
    none = needs._replace(store="")
    assert ray_node.do((pickle.dumps(len), none, False), pickle.dumps("x"))[1] == ray_node.UNSEEN.encode()
