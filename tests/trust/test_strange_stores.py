"""A store that came along with a workspace is not believed: not its artifacts, not its answers, not its checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import settings
from runner.cli import main
from runner.errors import NeedsTrust, UsageError
from runner.store import Store, marks

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
split: {validation: 0.5}
"""
PRINT = "ab" * 32
RUN = ("run", "r.yaml", "--to", "prepare")
Becomes = Callable[[str], Path]


def recipe(*argv: str) -> Result:
    return CliRunner().invoke(main, [*argv])


@pytest.fixture
def becomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Becomes:
    """Somebody of that name sits down at a process of their own; their state folder."""

    def become(name: str) -> Path:
        monkeypatch.setattr(marks, "_known", set())
        monkeypatch.setattr(marks, "forgotten", [])
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / name))
        return tmp_path / name / "mirepoix" / "stores"

    become("me")
    return become


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: Becomes) -> Path:
    """A workspace whose data I have prepared."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    row = {"messages": [{"role": "user", "content": "Hi {n}"}, {"role": "assistant", "content": "Ho {n}"}]}
    Path("talk.jsonl").write_text("".join(json.dumps(row).replace("{n}", str(n)) + "\n" for n in range(4)))
    Path("r.yaml").write_text(RECIPE)
    assert recipe(*RUN).exit_code == 0
    return home


def forge(home: Path) -> None:
    """The data of the step split are others, and its manifest says that they are right."""
    found = home.glob(".mirepoix/artifacts/*/*/manifest.json")
    (path,) = (p for p in found if json.loads(p.read_bytes())["step"] == "split")
    data = path.parent / "data/train.jsonl"
    data.chmod(0o644)
    data.write_text('{"messages":[{"role":"user","content":"FORGED"},{"role":"assistant","content":"x"}]}\n')
    said = {k: v for k, v in json.loads(path.read_bytes()).items() if k != "statement"}
    said["files"]["data/train.jsonl"] = hashlib.sha256(data.read_bytes()).hexdigest()
    path.write_text(json.dumps(said | {"version": 1}))
    assert Store(home, shown=True).get(path.parent.name, verify=True)


def state(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


VERBS = [
    RUN, ("plan", "r.yaml"), ("plan", "r.yaml", "--json"), ("gc",), ("gc", "--dry-run"), ("show", "r.yaml", "drops"),
    ("show", "r.yaml", "sources"), ("replay", "t"),
    ("run", "r.yaml", "--locked", "--to", "prepare"),
]  # fmt: skip


def test_a_forged_store_is_not_taken(home: Path, becomes: Becomes) -> None:
    forge(home)
    assert recipe("lock", "r.yaml").exit_code == 0
    others = becomes("you")
    before = state(home)
    for verb in VERBS:
        done = recipe(*verb)
        assert done.exit_code == 4, (verb, done.output)
        said = done.stdout if "--json" in verb else done.stderr
        assert ".mirepoix: nothing says that you made this store" in said and "--trust store" in said, verb
        assert len(said.splitlines()) == 1 or "--json" in verb
        assert state(home) == before and not others.exists(), verb
    shutil.rmtree(home / ".mirepoix")
    assert "4 steps executed" in recipe(*RUN).output
    assert "FORGED" not in Path("runs/t/data/train.jsonl").read_text()


def test_what_only_shows_it_still_does(home: Path, becomes: Becomes) -> None:
    becomes("you")
    for verb in (("check", "r.yaml"), ("list", "store"), ("list", "runs"), ("show", "r.yaml")):
        assert recipe(*verb).exit_code == 0, verb
    done = recipe("compare", "t", "t:base")
    assert done.exit_code == 2 and "was not judged to its end" in done.stderr, done.output


def test_trusted_once_it_is_known(home: Path, becomes: Becomes) -> None:
    others = becomes("you")
    assert recipe("plan", "r.yaml", "--trust", "paths").exit_code == 4
    done = recipe("plan", "r.yaml", "--trust", "store")
    assert done.exit_code == 0 and done.output.count("\n  skip ") == 4, done.output
    token = Path(".mirepoix/mark").read_text().strip()
    assert [p.name for p in others.iterdir()] == [hashlib.sha256(token.encode()).hexdigest()]
    assert token.encode() not in b"".join(p.read_bytes() for p in others.iterdir()), "its digest is enough"
    becomes("you")
    assert "0 steps executed, 4 kept" in recipe(*RUN).output
    becomes("me")
    assert "0 steps executed, 4 kept" in recipe(*RUN).output, "nothing was taken from who made it"


@pytest.mark.parametrize("verb", [("gc",), ("export", "t", "--as", "run", "--to", "out"), ("replay", "t")])
def test_verbs_without_a_recipe_can_be_told_too(home: Path, becomes: Becomes, verb: tuple[str, ...]) -> None:
    becomes("you")
    done = recipe(*verb, "--trust", "store")
    assert done.exit_code == 0, done.output
    becomes("you")
    assert recipe("plan", "r.yaml").exit_code == 0


def test_it_moves_and_is_copied_with_its_workspace(home: Path, tmp_path: Path, becomes: Becomes) -> None:
    shutil.copytree(home, tmp_path / "copy")
    home.rename(tmp_path / "moved")
    for name in ("copy", "moved"):
        becomes("me")
        os.chdir(tmp_path / name)
        assert "0 steps executed, 4 kept" in recipe(*RUN).output


def test_a_store_of_an_earlier_version_is_marked_when_it_is_trusted(home: Path, becomes: Becomes) -> None:
    Path(".mirepoix/mark").unlink()
    assert recipe(*RUN).exit_code == 4
    assert "0 steps executed, 4 kept" in recipe(*RUN, "--trust", "store").output
    becomes("me")
    assert recipe(*RUN).exit_code == 0


@pytest.mark.parametrize("mark", ["link", "pipe", "short", "long", "folder", "another"])
def test_what_is_no_mark(home: Path, tmp_path: Path, becomes: Becomes, mark: str) -> None:
    """One that points to a store of mine, too: a stranger can know where that is."""
    path = Path(".mirepoix/mark")
    path.rename(tmp_path / "mine")
    token = (tmp_path / "mine").read_text()
    if mark == "link":
        path.symlink_to(tmp_path / "mine")
    elif mark == "pipe":
        os.mkfifo(path)
    elif mark == "folder":
        path.mkdir()
    else:
        path.write_text({"short": token[:9], "long": token * 2, "another": "0" * 64 + "\n"}[mark])
    becomes("me")
    before = state(Path(".mirepoix")) if mark != "pipe" else {}
    done = recipe("plan", "r.yaml")
    assert done.exit_code == 4 and "--trust store" in done.stderr
    assert not before or state(Path(".mirepoix")) == before
    done = recipe("plan", "r.yaml", "--trust", "store")
    assert done.exit_code == (4 if mark == "link" else 0), done.output
    assert "is a link" in done.stderr or mark != "link"


def test_a_link_to_the_store_of_another_workspace_is_no_way_around(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / ".mirepoix").symlink_to(home / ".mirepoix")
    with pytest.raises(NeedsTrust, match="is a link"):
        Store(other).folder("work")
    with pytest.raises(NeedsTrust, match="is a link"):
        marks.trust(other / ".mirepoix")


def _enter(it: Any) -> None:
    with it:
        pass


USES: dict[str, Callable[[Store], Any]] = {
    "root": lambda s: s.root,
    "folder": lambda s: s.folder("tmp"),
    "work": lambda s: s.work(PRINT),
    "get": lambda s: s.get(PRINT, verify=False),
    "making": lambda s: _enter(s.making("x", PRINT, {})),
    "trying": lambda s: _enter(s.trying(PRINT)),
    "waiting": lambda s: _enter(s.waiting(PRINT)),
    "locked": lambda s: _enter(s.locked("t")),
}


@pytest.mark.parametrize("how", USES)
def test_no_use_of_a_store_goes_around_it(tmp_path: Path, becomes: Becomes, how: str) -> None:
    """Checkpoints lie in `work`: their optimizer's state is a pickle."""
    (tmp_path / ".mirepoix/work" / PRINT / "out/checkpoint-1").mkdir(parents=True)
    (tmp_path / ".mirepoix/work" / PRINT / "out/checkpoint-1/optimizer.pt").write_bytes(b"a pickle")
    before = state(tmp_path / ".mirepoix")
    with pytest.raises(NeedsTrust, match=r"--trust store"):
        USES[how](Store(tmp_path))
    assert state(tmp_path / ".mirepoix") == before


def test_where_nothing_can_be_remembered(home: Path, tmp_path: Path, becomes: Becomes) -> None:
    """A container: what was made in this process can be used in it; it is said that this is not so next time."""
    shutil.rmtree(".mirepoix")
    (tmp_path / "nowhere").write_text("no folder")
    becomes("nowhere")
    done = recipe(*RUN)
    assert done.exit_code == 0 and "note: .mirepoix will not be known as yours next time" in done.stderr
    assert "MIREPOIX_STATE" in done.stderr
    assert recipe("plan", "r.yaml").exit_code == 0, "the same process"
    becomes("nowhere")
    assert recipe(*RUN).exit_code == 4
    done = recipe(*RUN, "--trust", "store")
    assert done.exit_code == 0 and "0 steps executed" in done.stdout
    assert "note: .mirepoix will not be known" in done.stderr
    assert recipe("plan", "r.yaml", "--json", "--trust", "store").stdout.startswith("{")


def test_without_a_home_folder(home: Path, monkeypatch: pytest.MonkeyPatch, becomes: Becomes) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    shutil.rmtree(".mirepoix")
    becomes("me")
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", none)
    done = recipe(*RUN)
    assert done.exit_code == 0 and "you have no home folder" in done.stderr, done.output


def test_where_it_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never in a folder named from where we are: that may be a stranger's."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert settings.load().state == tmp_path / ".local/state/mirepoix"
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert settings.load().state == Path("/x/mirepoix")
    monkeypatch.setenv("MIREPOIX_STATE", "/y")
    assert settings.load().state == Path("/y")
    monkeypatch.setenv("MIREPOIX_STATE", "y")
    with pytest.raises(UsageError, match="absolute"):
        _ = settings.load().state


def test_a_kill_between_remembering_and_marking(tmp_path: Path, becomes: Becomes) -> None:
    """What is left is an empty store, which is marked anew; what was half written of a mark goes."""
    (tmp_path / ".mirepoix").mkdir()
    (tmp_path / ".mirepoix/.mark.999999999.tmp").write_text("01")
    store = Store(tmp_path)
    assert store.get(PRINT) is None and not (tmp_path / ".mirepoix/mark").exists(), "a look marks nothing"
    with store.locked("t"):
        assert not list((tmp_path / ".mirepoix").glob(".mark.*"))
    becomes("me")
    assert Store(tmp_path).get(PRINT) is None


def test_threads_that_make_one_at_once_all_know_it(tmp_path: Path, becomes: Becomes) -> None:
    errors: list[BaseException] = []

    def opened(workspace: Path, start: Barrier) -> None:
        start.wait()
        try:
            Store(workspace).folder("locks")
        except BaseException as e:  # a thread would keep it to itself
            errors.append(e)

    for n in range(40):
        start = Barrier(6)
        threads = [Thread(target=opened, args=(tmp_path / f"{n}", start)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert [p.name for p in (tmp_path / f"{n}/.mirepoix").glob(".*")] == []


def test_an_error_while_it_is_remembered_or_marked_leaves_no_strange_store(
    tmp_path: Path, becomes: Becomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is remembered before it is there, and there before anything else is."""
    for point in range(8):
        root, calls = tmp_path / str(point), 0

        def dying(real: Callable[..., Any], point: int = point) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls > point:
                    raise KeyboardInterrupt
                return real(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for where, name in ((os, "fsync"), (os, "mkdir"), (Path, "replace"), (os, "utime")):
                patch.setattr(where, name, dying(getattr(where, name)))
            with ExitStack() as stack:
                stack.enter_context(pytest.raises(KeyboardInterrupt))
                Store(root).folder("tmp")
                raise KeyboardInterrupt
        becomes("me")
        Store(root).folder("tmp")


def test_the_mark_is_for_who_may_write_there(tmp_path: Path, becomes: Becomes) -> None:
    for mode, wanted in ((0o755, 0o600), (0o775, 0o640), (0o2770, 0o640), (0o700, 0o600)):
        root = tmp_path / f"{mode:o}" / ".mirepoix"
        root.mkdir(parents=True)
        root.chmod(mode)
        Store(root.parent).folder()
        assert stat.S_IMODE((root / "mark").stat().st_mode) == wanted
    (entry, *_) = becomes("me").iterdir()
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600 and stat.S_IMODE(entry.parent.stat().st_mode) == 0o700


def test_no_more_are_remembered_than_so_many(
    tmp_path: Path, becomes: Becomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "CAP", 3)
    mine = becomes("me")
    for n in range(5):
        Store(tmp_path / str(n)).folder()
        for path in mine.iterdir():
            os.utime(path, (path.stat().st_mtime - 2 * marks.DAY,) * 2)
        Store(tmp_path / "0").root.exists()
        becomes("me")
        assert marks.check(tmp_path / "0" / ".mirepoix"), "what is in use is not forgotten"
    assert len(list(mine.iterdir())) == 3
    becomes("me")
    with pytest.raises(NeedsTrust):
        (tmp_path / "1/.mirepoix/tmp").mkdir()
        _ = Store(tmp_path / "1").root


def test_a_replay_is_known_by_its_own_store(home: Path, becomes: Becomes) -> None:
    before = {p.name for p in becomes("me").iterdir()}
    assert recipe("replay", "t", "--no-verify").exit_code == 0
    assert {p.name for p in becomes("me").iterdir()} == before
    assert Store(Path(".mirepoix/replay/t")).folder("tmp")
