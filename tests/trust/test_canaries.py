"""The canaries sing: whatever they are to find is found, and the tests that docs/security.md names are watched."""

from __future__ import annotations

import base64
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import canaries as birds
import pytest

KEY = birds.secret("HF_TOKEN")


def test_which_tests_are_watched(canaries: birds.Watch | None) -> None:
    """All of this folder, and those of others that the table names."""
    assert canaries is not None and os.environ["HF_TOKEN"] == KEY
    assert {"unit/test_net_guard.py", "unit/test_opened.py", "unit/test_page.py"} < birds.named()


@pytest.mark.parametrize("before", range(4))
def test_a_secret_is_found_however_it_is_spelled(tmp_path: Path, before: int) -> None:
    for said in (KEY, quote(KEY, safe=""), base64.b64encode(("x" * before + KEY).encode()).decode()):
        (tmp_path / "f").write_text(f"it was {said}, they said")
        assert birds.told(tmp_path), said
    (tmp_path / "f").unlink()


def asks(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 5).close()


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


WRONG: dict[str, tuple[Callable[[Path, int], object], str]] = {
    "a file elsewhere": (lambda p, n: open("/tmp/mirepoix-canary", "w").close(), "open /tmp/mirepoix-canary"),
    "a folder elsewhere": (lambda p, n: Path("/tmp/mirepoix-canaries").mkdir(), "os.mkdir /tmp/mirepoix-canaries"),
    "a file by a link": (
        lambda p, n: ((p / "l").symlink_to("/tmp"), (p / "l/mirepoix-canary").touch()), "mirepoix-canary"),
    "a file of the home": (lambda p, n: (Path.home() / ".bashrc").write_text("# mine\n"), "in the home: .bashrc"),
    "a file in the home": (lambda p, n: subprocess.run(["touch", Path.home() / "new"]), "in the home: new"),
    "a listener": (lambda p, n: asks(n), "was asked"),
    "Python": (lambda p, n: exec(compile("1", str(p / "evil.py"), "exec")), "Python of a workspace was run"),
    "a shell": (lambda p, n: subprocess.run("true", shell=True), "a shell"),
    "a pickle": (lambda p, n: pickle.loads(pickle.dumps(Runs())), "a pickle that names posix.system"),
    "a secret": (lambda p, n: (p / "log").write_text(f"Bearer {KEY}"), "a secret in"),
    "a secret in a name": (lambda p, n: (p / KEY.replace("/", "_")).touch(), "a secret in"),
    "a process that asks": (
        lambda p, n: subprocess.run([sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {n}), 5).recv(1)"]),
        "the listener was asked"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_may_not_be_is_seen(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, canaries: birds.Watch, what: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    birds.plant(home)
    work = tmp_path / "w"
    work.mkdir()
    do, said = WRONG[what]
    with pytest.MonkeyPatch.context() as patch:
        trap = birds.Trap()
        with birds.watched(patch, canaries.root, home, tmp_path, trap) as watch:
            do(work, trap.port)
            with pytest.raises(AssertionError, match=said):
                watch.check(work)
            Path("/tmp/mirepoix-canary").unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                Path("/tmp/mirepoix-canaries").rmdir()
    for path in work.iterdir():
        path.unlink()
