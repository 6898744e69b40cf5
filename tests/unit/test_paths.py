"""Nothing is written through a link; what a link points to stays as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner import paths
from runner.errors import NeedsTrust


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("mine")
    return tmp_path / "outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_folders_are_made_and_flushed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, real = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: (flushed.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd))
    )
    assert paths.folder(root, "a/b", "c") == root / "a/b/c"
    assert (root / "a/b/c").is_dir()
    assert flushed == [str(root), str(root / "a"), str(root / "a/b")]
    paths.folder(root, "a/b", "c")
    assert len(flushed) == 3, "what is there is not flushed again"
    assert paths.folder(root / "new", "x").is_dir()


@pytest.mark.parametrize("names", [("..",), ("a/../b",), ("/etc",), ("a", "/etc")])
def test_what_is_not_below_is_no_folder(root: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="below"):
        paths.folder(root, *names)


@pytest.mark.parametrize("at", ["a", "a/b", "a/b/c"])
def test_no_folder_behind_a_link(root: Path, outside: Path, at: str) -> None:
    (root / at).parent.mkdir(parents=True, exist_ok=True)
    (root / at).symlink_to(outside)
    for use in (lambda: paths.folder(root, "a/b/c"), lambda: paths.check(root, root / "a/b/c/d")):
        with pytest.raises(NeedsTrust, match=f"{at}: is a link"):
            use()
    assert [p.name for p in outside.iterdir()] == ["file"]


def test_a_link_to_nothing_is_one_too(root: Path, outside: Path) -> None:
    (root / "a").symlink_to(outside / "new")
    with pytest.raises(NeedsTrust):
        paths.folder(root, "a")
    with pytest.raises(NeedsTrust):
        paths.append(root / "a")
    assert not (outside / "new").exists()


def test_the_root_itself_may_be_reached_by_one(root: Path, tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to(root)
    assert paths.folder(tmp_path / "home", "a").is_dir()
    paths.check(tmp_path / "home", tmp_path / "home/a")


def test_a_file_where_a_folder_should_be(root: Path) -> None:
    (root / "a").write_text("x")
    with pytest.raises(NotADirectoryError):
        paths.folder(root, "a", "b")


def test_files_are_not_written_through_links(root: Path, outside: Path) -> None:
    (root / "a").symlink_to(outside / "file")
    with pytest.raises(NeedsTrust, match="a: is a link"):
        paths.append(root / "a")
    with paths.create(root / "a") as f:
        f.write(b"ours")
    assert (outside / "file").read_text() == "mine"
    assert (root / "a").read_bytes() == b"ours" and not (root / "a").is_symlink()
    with paths.append(root / "a") as f:
        f.write(b", too")
    assert (root / "a").read_bytes() == b"ours, too"


def test_links_that_lead_out_are_found_wherever_they_are(root: Path, outside: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/within").symlink_to("b")
    (root / "beside").mkdir()
    paths.check_all(root, root / "a")
    for target in (outside, Path("../../beside"), outside / "nothing", Path("circle")):
        (root / "a/b/circle").symlink_to(target)
        with pytest.raises(NeedsTrust, match="a/b/circle: is a link"):
            paths.check_all(root, root / "a")
        (root / "a/b/circle").unlink()
    paths.check_all(root, root / "nowhere")


def test_links_that_lead_out_are_told_from_those_within(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "a").mkdir(parents=True)
    (home / "a/file").write_text("x")
    (tmp_path / "secret").write_text("s")
    (home / "within").symlink_to("a/file")
    (home / "out").symlink_to(tmp_path / "secret")
    (home / "a/nowhere").symlink_to(tmp_path / "gone")
    assert sorted(p.name for p in paths.leading_out(home)) == ["nowhere", "out"]
    assert paths.leading_out(tmp_path / "no folder") == []


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The system says no name with what it refuses of an open file."""
    with pytest.raises(OSError) as caught, paths.named(tmp_path / "a"), open("/dev/full", "wb", 0) as file:
        file.write(b"x")
    assert caught.value.filename == str(tmp_path / "a")
