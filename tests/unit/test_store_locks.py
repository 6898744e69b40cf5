"""Locks: one holder, who is named; who waits goes on when that lets go, is killed, or has made what was wanted."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import NeedsTrust
from runner.store import Store
from runner.store.locks import release, take

PRINT = "ab" * 32
HOLD = """
import sys, time
from pathlib import Path
from runner.store.locks import take
fd = take(Path(sys.argv[1]))
assert fd is not None
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def holder(store: Store) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", HOLD, str(store.folder("locks") / PRINT)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def locks(store: Store) -> list[str]:
    return [p.name for p in (store.root / "locks").iterdir()]


def test_one_holds_it_and_is_named(store: Store, holder: subprocess.Popen[str]) -> None:
    with store.trying(PRINT) as mine:
        assert not mine
    assert store.is_held(PRINT)
    assert store._locks.holder(PRINT) == holder.pid
    holder.kill()
    holder.wait()
    assert not store.is_held(PRINT), "a killed holder holds nothing"
    with store.trying(PRINT) as mine:
        assert mine
        assert store._locks.holder(PRINT) == os.getpid()
    assert locks(store) == []


def test_who_waits_hears_for_whom_once_and_gets_it(store: Store, holder: subprocess.Popen[str]) -> None:
    heard: list[int | None] = []
    threading.Timer(0.8, holder.kill).start()
    with store.waiting(PRINT, heard.append) as mine:
        assert mine
    assert heard == [holder.pid]


def test_nobody_waits_for_what_is_there(store: Store, holder: subprocess.Popen[str]) -> None:
    looks = iter([False, False, True])
    with store.waiting(PRINT, enough=lambda: next(looks)) as mine:
        assert not mine


def test_what_is_held_already_is_not_waited_for(store: Store) -> None:
    with store.waiting(PRINT), store.waiting(PRINT) as mine:
        assert mine
        with store.trying(PRINT) as again:
            assert again
        assert Store(store.workspace).is_held(PRINT), "let go by the first alone"
    assert not store.is_held(PRINT)


def test_a_fork_that_has_the_descriptor_holds_nothing(store: Store) -> None:
    with store.waiting(PRINT):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        with Store(store.workspace).trying(PRINT) as mine:
            assert mine
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_lock_on_a_file_that_is_gone_is_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file goes with its holder: who has opened the old one must not think that it holds the new one."""
    path, real, gone = store.folder("locks") / PRINT, fcntl.flock, [False]

    def flock(fd: int, how: int) -> None:
        if not gone[0]:
            path.unlink()  # its holder lets go just now
            gone[0] = True
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    fd = take(path)
    assert fd is not None
    assert os.path.samestat(os.fstat(fd), path.stat())
    release(path, fd)


def test_many_take_turns(store: Store) -> None:
    inside, most, turns = [0], [0], [0]
    guard = threading.Lock()

    def turn() -> None:
        for _ in range(20):
            with Store(store.workspace).waiting(PRINT):
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    turns[0] += 1
                time.sleep(0.0005)
                with guard:
                    inside[0] -= 1

    threads = [threading.Thread(target=turn) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most[0], turns[0]) == (1, 120)
    assert locks(store) == []


def test_a_lock_that_is_a_link_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (store.folder("locks") / PRINT).symlink_to(tmp_path / "mine")
    with pytest.raises(NeedsTrust, match="is a link"), store.trying(PRINT):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
    assert store._locks.holder(PRINT) is None


def test_an_artifact_that_was_made_anew_meanwhile_is_not_set_aside(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs see that it is damaged; the one makes it anew, and the other must not take that away."""
    with store.making("s", PRINT, {}) as out:
        (out / "a").write_text("whole")
    good = store.get(PRINT)
    assert good is not None
    real, looks = store._look, [True]  # damaged, as it was when we looked first

    def look(fingerprint: str, verify: bool) -> object:
        return looks.pop() if looks else real(fingerprint, verify)

    monkeypatch.setattr(store, "_look", look)
    assert store.get(PRINT) == good
    assert not (store.root / "quarantine").exists()


def test_what_somebody_makes_is_not_set_aside_by_another(store: Store) -> None:
    with store.making("s", PRINT, {}) as out:
        (out / "a").write_text("whole")
    (store.path(PRINT) / "a").chmod(0o644)
    (store.path(PRINT) / "a").write_text("damaged")
    with Store(store.workspace).waiting(PRINT):
        assert store.get(PRINT) is None
        assert store.path(PRINT).is_dir()
    assert store.get(PRINT) is None
    assert not store.path(PRINT).exists()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", ""])
def test_a_manifest_names_files_of_its_own_folder(store: Store, name: str) -> None:
    import json

    with store.making("s", PRINT, {}) as out:
        (out / "a").write_text("x")
    manifest = store.path(PRINT) / "manifest.json"
    data = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps(data | {"files": {name: "00" * 32}}))
    assert store.get(PRINT, verify=False) is None
