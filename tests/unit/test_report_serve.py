"""`recipe report --serve`: what a run notes of itself, and what may be asked of the server, by whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import noting, stepping
from runner import run as runs
from runner.errors import StepError
from runner.load import load_recipe
from runner.making import Making
from runner.noting import Now
from runner.plan import plan
from runner.steps import Plan
from runner.store import Store
from runner.watching import reading
from runner.watching.runs import every, find, names
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: NAME
description: Talk of <b>numbers</b>.
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
dedup: {exact: true}
split: {validation: 0.1}
"""


def recipe(root: Path, name: str = "t") -> Plan:
    rows = (
        {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"It is {n}."}]}
        for n in range(30)
    )  # fmt: skip
    (root / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / f"{name}.yaml").write_text(RECIPE.replace("NAME", name))
    place = Workspace(root)
    return plan(load_recipe(root / f"{name}.yaml", place), place)


def said(root: Path, name: str = "t") -> tuple[Now | None, bool]:
    with reading.opened(root, ".mirepoix", "runs", f"{name}.now") as fd:
        return noting.read(fd)


def states(now: Now | None) -> dict[str, str]:
    assert now is not None
    return {s.name: s.state for s in now.steps}


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Has a function called in the middle of the step `split`."""

    def set_up(look: Any) -> None:
        usual = stepping.MAKERS["split"]

        def split(m: Making) -> None:
            m.progress(3, 12, "rows of a test")
            look(m)
            usual(m)

        monkeypatch.setattr(stepping, "MAKERS", {**stepping.MAKERS, "split": split})

    yield set_up


def test_a_run_notes_what_it_is_at(tmp_path: Path, during: Any) -> None:
    seen = []
    during(lambda m: seen.append(said(tmp_path)))
    runs.run(recipe(tmp_path), to="prepare")
    now, lives = seen[0]
    assert lives and now is not None and (now.state, now.at, now.process) == ("running", "split", os.getpid())
    assert (now.done, now.of, now.what) == (3, 12, "rows of a test")
    assert states(now) == {
        "source.talk": "made", "filter": "made", "dedup": "made", "mix": "made", "split": "running", "report": "to come"
    }  # fmt: skip
    now, lives = said(tmp_path)
    assert not lives and now is not None and (now.state, now.at, now.to) == ("finished", "", "prepare")
    assert all(s.took is not None for s in now.steps if s.state == "made")
    runs.run(recipe(tmp_path), to="prepare")
    assert set(states(said(tmp_path)[0]).values()) == {"kept", "to come"}


def test_no_step_hangs_on_what_a_run_notes(tmp_path: Path) -> None:
    runs.run(recipe(tmp_path))
    (tmp_path / ".mirepoix/runs/t.now").write_bytes(b"anything")
    assert runs.run(recipe(tmp_path)).executed == 0


def test_a_failure_is_noted_with_its_reason_and_its_log(tmp_path: Path, during: Any) -> None:
    def fail(m: Making) -> None:
        raise StepError("split", "no room for <i>this</i>", "runs/t/logs/split.log")

    during(fail)
    with pytest.raises(StepError):
        runs.run(recipe(tmp_path))
    now, lives = said(tmp_path)
    assert not lives and now is not None
    assert (now.state, now.error, now.log) == (
        "failed", "split: no room for <i>this</i>", "runs/t/logs/split.log"
    )  # fmt: skip
    found = find(tmp_path, "t")
    assert found is not None and found.state == "failed" and not found.finished


KILLED = """
import os, sys
from pathlib import Path
from runner import run, stepping
from runner.load import load_recipe
from runner.plan import plan
from runner.workspace import Workspace
def split(m):
    os.kill(os.getpid(), int(sys.argv[1]))
stepping.MAKERS = {**stepping.MAKERS, "split": split}
try:
    here = Workspace(Path.cwd())
    run.run(plan(load_recipe(Path("t.yaml"), here), here))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGKILL, "running"), (signal.SIGINT, "interrupted")], ids=["kill", "ctrl-c"]
)
def test_a_run_that_was_ended_is_interrupted(tmp_path: Path, number: int, word: str) -> None:
    """Killed, it can say nothing: that nobody holds its lock does."""
    recipe(tmp_path)
    argv = [sys.executable, "-c", KILLED, str(int(number))]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode in (-number, 130), done.stderr
    now, lives = said(tmp_path)
    assert not lives and now is not None and (now.state, now.at) == (word, "split")
    found = find(tmp_path, "t")
    assert found is not None and found.state == "interrupted"


def test_a_note_is_written_to_no_other_file(tmp_path: Path) -> None:
    """What lies in its place may be a link, or another name of a file of the user's."""
    planned, own = recipe(tmp_path), tmp_path / "own.txt"
    own.write_text("mine")
    folder = Store(tmp_path).folder("runs")
    for lay in (os.link, os.symlink):
        (folder / "t.now").unlink(missing_ok=True)
        lay(own, folder / "t.now")
        runs.run(planned, to="prepare")
        assert own.read_text() == "mine" and said(tmp_path)[0] is not None


def test_secrets_are_not_noted(tmp_path: Path, during: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIREPOIX_JUDGE_KEY", "sk-9f8e7d6c5b4a")

    def fail(m: Making) -> None:
        raise StepError("split", "the server said sk-9f8e7d6c5b4a")

    during(fail)
    with pytest.raises(StepError):
        runs.run(recipe(tmp_path))
    assert b"sk-9f8e" not in (tmp_path / ".mirepoix/runs/t.now").read_bytes()
    now, _ = said(tmp_path)
    assert now is not None and now.error == "split: the server said " + "*" * 15


def test_a_reader_in_the_middle_of_a_write_waits(tmp_path: Path) -> None:
    """What is torn is told by its sum; of a run that nobody writes any more it says nothing."""
    runs.run(recipe(tmp_path), to="prepare")
    path = tmp_path / ".mirepoix/runs/t.now"
    path.write_bytes(path.read_bytes().replace(b"finished", b"running!"))
    began = time.monotonic()
    assert said(tmp_path) == (None, False) and time.monotonic() - began < 1
    path.write_bytes(b"")
    assert said(tmp_path) == (None, False)


def test_runs_are_found_as_they_are(tmp_path: Path) -> None:
    runs.run(recipe(tmp_path), to="prepare")
    runs.run(recipe(tmp_path, "u"))
    (tmp_path / "runs/empty").mkdir()
    (tmp_path / "runs/out").symlink_to(tmp_path / "runs/u")
    (tmp_path / "runs/a b").mkdir()
    (tmp_path / "runs/a b/report.json").write_text("{}")
    assert names(tmp_path) == ["t", "u"]
    t, u = (find(tmp_path, name) for name in ("t", "u"))
    assert t is not None and u is not None
    assert (t.state, t.finished, u.state, u.finished) == ("finished", False, "finished", True)
    assert (u.verdict, u.rows, u.about) == ("no gates", 27, "Talk of <b>numbers</b>.")
    assert [r.name for r in every(tmp_path)] == ["u", "t"]
    for wrong in ("..", ".", "", "out", "empty", "a b", "../runs/u", "u/../u", "u\0"):
        assert find(tmp_path, wrong) is None, wrong
