"""A workspace that came from elsewhere may hold links where we write: nothing is written, deleted or moved through one.

Each case: a link at such a place, to something of the user's; the run is refused with exit code 4 or mends it, and what
the link points to is as it was, to the byte.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner import paths
from runner.cli import main
from runner.errors import NeedsTrust
from runner.net.cache import Cache, Facts
from runner.net.pace import Stop
from runner.process import start
from runner.store import Store

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [talk.jsonl]}
    name: talk
split: {validation: 0.5}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shared").mkdir()
    monkeypatch.chdir(tmp_path / "shared")
    row = {"messages": [{"role": "user", "content": "Hi {n}"}, {"role": "assistant", "content": "Ho {n}"}]}
    Path("talk.jsonl").write_text("".join(json.dumps(row).replace("{n}", str(n)) + "\n" for n in range(4)))
    Path("r.yaml").write_text(RECIPE)
    return tmp_path / "shared"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of the user's, with a file of each name that we write or delete."""
    mine = tmp_path / "mine"
    (mine / "data").mkdir(parents=True)
    for name in (
        "train.jsonl",
        "data/train.jsonl",
        "plan.json",
        "recipe.yaml",
        "lock",
        "ledger.parquet",
        "bashrc",
    ):
        (mine / name).write_text("mine")
    return mine


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        p.relative_to(folder).as_posix(): (p.read_bytes() if p.is_file() else b"", p.stat().st_mode)
        for p in folder.rglob("*")
    }


def run() -> Result:
    return CliRunner().invoke(main, ["run", "r.yaml", "--to", "prepare"])


PLACES = [
    ".mirepoix", ".mirepoix/locks", ".mirepoix/tmp", ".mirepoix/work", ".mirepoix/artifacts", ".mirepoix/runs", "runs", "runs/t",
    "runs/t/data", "runs/t/rejected", "runs/t/logs", "runs/t/adapter", "runs/t/any/where",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_that_is_a_link_is_refused(home: Path, mine: Path, place: str) -> None:
    if place != ".mirepoix":
        Store(home).folder()  # else it would be a stranger's, and nothing would be looked at
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).symlink_to(mine)
    before = state(mine)
    done = run()
    assert done.exit_code == 4, done.output
    assert f"{place}: is a link" in done.stderr
    assert state(mine) == before
    Path(place).unlink()
    assert run().exit_code == 0


@pytest.mark.parametrize(
    "place", [".mirepoix/locks/run.t", ".mirepoix/locks/gc", "runs/t/logs/split.log", "runs/t/recipe.yaml"]
)
def test_a_file_that_is_a_link_is_refused(home: Path, mine: Path, place: str) -> None:
    """A lock used to have its content replaced, a log to be added to: in a `.bashrc` that is code."""
    Store(home).folder()
    Path(place).parent.mkdir(parents=True)
    Path(place).symlink_to(mine / "bashrc")
    before = state(mine)
    done = run()
    assert done.exit_code == 4, done.output
    assert "is a link" in done.stderr
    assert state(mine) == before


def test_a_folder_of_artifacts_that_is_a_link_is_refused(home: Path, mine: Path) -> None:
    assert run().exit_code == 0
    for folder in Path(".mirepoix/artifacts").iterdir():
        folder.rename(mine / folder.name)
        folder.symlink_to(mine / folder.name)
    for manifest in mine.glob("*/*/manifest.json"):
        manifest.write_text("damaged")
    before = state(mine)
    done = run()
    assert done.exit_code == 4
    assert "is a link" in done.stderr
    assert state(mine) == before


def test_work_with_a_link_that_leads_out_is_refused(home: Path, mine: Path) -> None:
    """A step writes job files and templates by name into its work folder."""
    store = Store(home)
    work = store.work("ab" * 32)
    (work / "job.json").symlink_to(mine / "bashrc")
    with pytest.raises(NeedsTrust, match=r"job\.json: is a link"):
        store.work("ab" * 32)
    (work / "job.json").unlink()
    (work / "latest").symlink_to(".")
    assert store.work("ab" * 32) == work


def test_a_job_does_not_add_to_a_log_that_is_a_link(home: Path, mine: Path) -> None:
    Path("logs").mkdir()
    Path("logs/x.log").symlink_to(mine / "bashrc")
    with pytest.raises(NeedsTrust, match="is a link"):
        start(["true"], log=home / "logs/x.log", cwd=home)
    Path("logs/x.log").unlink()
    Path("logs").rmdir()
    Path("logs").symlink_to(mine)
    before = state(mine)
    with pytest.raises(NeedsTrust, match="is a link"):
        start(["true"], log=home / "logs/bashrc", cwd=home)
    assert state(mine) == before


KEY = "cd" * 32


@pytest.mark.parametrize("place", ["raw", "fetched", "fetched/parts"])
def test_the_cache_is_not_kept_behind_a_link(home: Path, mine: Path, place: str) -> None:
    root = home / ".mirepoix"
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(mine)
    before = state(mine)
    with pytest.raises(NeedsTrust, match=f"{place}: is a link"):
        Cache(root).store([b"text"])
    assert state(mine) == before


@pytest.mark.parametrize("what", ["part", "whole", "plain", "json", "new"])
def test_a_part_that_is_a_link_is_none(home: Path, mine: Path, what: str) -> None:
    cache = Cache(home / ".mirepoix")
    parts = paths.folder(home, ".mirepoix", "fetched", "parts")
    (parts / f"{KEY}.{what}").symlink_to(mine / "bashrc")
    before = state(mine)
    with cache.holding(KEY, Stop()) as part:
        assert part.size() == 0 and part.facts() is None and not part.whole.exists()
        part.begin(Facts("http://x"))
        part.append(0, [b"evil"], 100)
        part.complete()
        assert part.whole.read_bytes() == b"evil"
    assert state(mine) == before


def test_a_lock_of_the_cache_that_is_a_link_is_refused(home: Path, mine: Path) -> None:
    parts = paths.folder(home, ".mirepoix", "fetched", "parts")
    (parts / f"{KEY}.lock").symlink_to(mine / "new")
    with pytest.raises(NeedsTrust, match="is a link"), Cache(home / ".mirepoix").holding(KEY, Stop()):
        pass
    assert not (mine / "new").exists()


def test_links_of_libraries_within_a_run_are_let_be(home: Path) -> None:
    Path("runs/t/track/wandb/run-1").mkdir(parents=True)
    Path("runs/t/track/wandb/latest-run").symlink_to("run-1")
    assert run().exit_code == 0
