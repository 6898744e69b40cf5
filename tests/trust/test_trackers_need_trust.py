"""A recipe alone never decides that data leave for a tracker: the command line or the user's settings do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from runner.cli import main
from runner.recipe import Track
from runner.results.finished import Finished
from runner.workspace import Workspace

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [rows.jsonl]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
compute: {profile: cpu}
track:
  wandb:
    project: theirs
    mode: online
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    Path("rows.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    Path("r.yaml").write_text(RECIPE)
    return tmp_path


def recipe(*argv: str) -> Result:
    return CliRunner().invoke(main, [*argv])


@pytest.mark.parametrize(
    "verb", [("check",), ("plan",), ("run",), ("run", "--to", "prepare"), ("lock",), ("show",)]
)
def test_online_needs_the_users_word(verb: tuple[str, ...]) -> None:
    before = sorted(Path().rglob("*"))
    for more in ([], ["--trust", "paths"], ["--trust", "store"]):
        done = recipe(verb[0], "r.yaml", *verb[1:], *more)
        assert done.exit_code == 4, done.output
        line, source, carets, end = done.stderr.split("\n", 3)
        assert (source[:5], carets.strip(" |"), end.strip()) == ("10 | ", "^" * len("online"), "")
        assert line.startswith("r.yaml:10:11: track.wandb.mode: online sends")
        assert "--trust trackers" in line and "offline" in line
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("how", ["flag", "variable", "file"])
def test_the_users_word(home: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "variable":
        monkeypatch.setenv("MIREPOIX_TRACKERS", "other, wandb")
    if how == "file":
        (home / "mirepoix").mkdir()
        (home / "mirepoix/settings.toml").write_text('trackers = ["wandb"]\n')
    assert recipe("check", "r.yaml", *["--trust", "trackers"] * (how == "flag")).exit_code == 0


def test_a_word_for_another_tracker_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIREPOIX_TRACKERS", "trackio,wandb2")
    assert recipe("check", "r.yaml").exit_code == 4


def test_a_workspace_cannot_say_it() -> None:
    Path("settings.toml").write_text('trackers = "wandb"\n')
    Path("mirepoix").mkdir()
    Path("mirepoix/settings.toml").write_text('trackers = "wandb"\n')
    assert recipe("check", "r.yaml").exit_code == 4


def test_offline_needs_none() -> None:
    Path("r.yaml").write_text(RECIPE.replace("mode: online", "mode: offline"))
    assert recipe("check", "r.yaml").exit_code == 0


def test_nor_does_making_a_finished_run_s_plan_again(home: Path) -> None:
    """A replay and an export train nothing, and tell nobody."""
    lock: object = None
    told = Finished("t", Path().resolve(), lock, yaml.safe_load(RECIPE))  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.locking.pinned", lambda loaded, lock: loaded)
        assert told.plan(Workspace(Path().resolve())).loaded.recipe.track == Track()
