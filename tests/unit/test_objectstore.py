"""Drivers that are less than they could be: for one thread alone, that lose a race, that move nothing over anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
from fsspec.implementations.local import LocalFileSystem  # noqa: E402

from runner.objectstore import ObjectStore  # noqa: E402


class Poor(LocalFileSystem):  # type: ignore[misc,unused-ignore]
    """A driver of one connection: two threads at once are too many."""

    protocol = "smb"
    cachable = False
    busy, most, late = threading.Semaphore(8), 0, False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(str(path).removeprefix("smb:/"))  # type: ignore[no-any-return]

    def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
        Poor.busy.acquire()
        Poor.most = max(Poor.most, 8 - Poor.busy._value)
        time.sleep(0.005)
        super().put_file(lpath, rpath, **more)
        Poor.busy.release()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        if Poor.late:  # somebody else makes it between our look and our making it
            Poor.late = False
            super().makedirs(path, exist_ok=True)
            raise OSError("Failure")
        super().makedirs(path, exist_ok=exist_ok)

    def mv(self, path1: str, path2: str, **more: Any) -> None:
        if self.exists(path2):
            raise OSError("Object name collision")
        super().mv(path1, path2, **more)


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[ObjectStore]:
    fsspec.register_implementation("smb", Poor, clobber=True)
    Poor.most, Poor.late = 0, False
    (tmp_path / "there").mkdir()
    yield ObjectStore(f"smb:/{tmp_path}/there", "step", "things are kept")
    fsspec.register_implementation("smb", "fsspec.implementations.smb.SMBFileSystem", clobber=True)


def test_one_thread_at_a_time(bucket: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    names = [f"a/{n}" for n in range(8)]
    assert len(list(bucket.each(lambda name: bucket.put(name, tmp_path / "x"), names))) == 8
    assert Poor.most == 1 and sorted(bucket.names()) == names


def test_several_elsewhere(tmp_path: Path) -> None:
    place = ObjectStore(f"file://{tmp_path}", "step", "things are kept")
    start = threading.Barrier(4)
    assert list(place.each(lambda n: (start.wait(10), n)[1], range(4))) == [0, 1, 2, 3]


def test_what_the_first_that_fails_raises_all(tmp_path: Path) -> None:
    place, done = ObjectStore(f"file://{tmp_path}", "step", "things are kept"), list[int]()

    def work(n: int) -> None:
        if n == 3:
            raise ValueError("no")
        time.sleep(0.01)
        done.append(n)

    with pytest.raises(ValueError, match="no"):
        list(place.each(work, range(1000)))
    assert len(done) < 1000, "those that had not begun are not begun"


def test_a_folder_that_another_makes_meanwhile(bucket: ObjectStore) -> None:
    Poor.late = True
    bucket.put("a/b", b"x")
    assert bucket.names() == ["a/b"]


def test_what_is_there_is_replaced(bucket: ObjectStore) -> None:
    bucket.put("a/b", b"old")
    bucket.put("a/b", b"new")
    assert b"".join(bucket.read("a/b")) == b"new" and bucket.names() == ["a/b"]


def test_what_is_there_stays_where_nothing_can_be_written(
    bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a/b", b"old")
    monkeypatch.setattr(Poor, "pipe_file", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(Exception, match="a/b cannot be written: OSError: full"):
        bucket.put("a/b", b"new")
    assert b"".join(bucket.read("a/b")) == b"old" and bucket.names() == ["a/b"]


def test_taken_away(bucket: ObjectStore) -> None:
    for name in ("a/b", "a/c/d", "e"):
        bucket.put(name, b"x")
    bucket.remove("e")
    bucket.remove("e")
    bucket.clear("a")
    bucket.clear("a")
    assert bucket.names() == []
