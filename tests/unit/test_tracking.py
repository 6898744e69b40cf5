"""Trackers are told how the training goes, and nothing else of whoever trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner import process
from runner.errors import StepError
from runner.load import load_recipe
from runner.making import Making
from runner.plan import plan
from runner.train import tracking
from runner.workspace import Workspace

RECIPE = """recipe: 1
name: t
sources:
  - jsonl: {files: [rows.jsonl]}
model: {base: embedded/smollm2-135m-instruct, template: chatml-tools}
compute: {profile: cpu}
"""
SECRET = "s3cr3t-f00d-cafe"  # no real one


def making(root: Path, track: str) -> Making:
    (root / "rows.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    (root / "r.yaml").write_text(RECIPE + f"track: {track}\n")
    workspace = Workspace(root, frozenset({"trackers"}))
    made = plan(load_recipe(root / "r.yaml", workspace), workspace)
    run = root / "runs" / "t"
    (root / "work").mkdir(exist_ok=True)
    log = run / "logs" / "train.log"
    return Making(made.step("train"), made, {}, root / "out", root / "work", log, lambda *_: None)


def test_without_trackers_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracking.KEY, SECRET)
    assert tracking.environment(making(tmp_path, "{}")) == {"WANDB_MODE": "disabled", "WANDB_API_KEY": ""}
    assert not (tmp_path / "runs").exists()


def test_the_key_goes_to_whom_it_is_for_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv(tracking.KEY, SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tracking.KEY not in process.environment()  # no other job has it
    offline = tracking.environment(making(tmp_path, "{wandb: {project: p}}"))
    assert offline["WANDB_MODE"] == "offline" and offline[tracking.KEY] == ""
    online = making(tmp_path, "{wandb: {project: p, mode: online}}")
    told = tracking.environment(online)
    assert told[tracking.KEY] == SECRET and told["WANDB_BASE_URL"] == "https://api.wandb.ai"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert tracking.environment(online)["WANDB_BASE_URL"] == "https://wandb.example.org"
    monkeypatch.delenv(tracking.KEY)
    with pytest.raises(StepError, match="WANDB_API_KEY is not set"):
        tracking.environment(online)


def test_a_tracker_that_is_not_installed_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "version", lambda name: "absent")
    for track, name in (("{wandb: {project: p}}", "wandb"), ("{tensorboard: true}", "tensorboard"),
                        ("{trackio: {project: p}}", "trackio")):  # fmt: skip
        with pytest.raises(StepError, match=rf"track.{name} .* pip install '{name}'"):
            tracking.environment(making(tmp_path, track))


JOB = """
import os, sys, wandb
os.environ["OTHER_TOKEN"] = sys.argv[2]
run = wandb.init(project="p", config={"learning_rate": 0.1})
print("token", sys.argv[2])
for n in range(3):
    run.log({"train/loss": 1.0 / (n + 1)})
run.finish()
"""


def test_no_secret_reaches_wandbs_files(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    told = tracking.environment(making(tmp_path, "{wandb: {project: p}}"))
    environment = process.environment(told) | {
        "HOME": str(tmp_path / "home"),
        "HF_TOKEN": SECRET,
        "MY_PASSWORD": SECRET,
    }
    (tmp_path / "home").mkdir()
    code = tmp_path / "job.py"
    code.write_text(JOB)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=os.environ | {"HOME": str(tmp_path)})
    url = f"https://user:{SECRET}@example.org/x.git"
    subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", url], check=True)
    argv = [sys.executable, str(code), "--token", SECRET]
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    files = [p for p in tracking.folder(making(tmp_path, "{}")).rglob("*") if p.is_file()]
    whole = b"".join(p.read_bytes() for p in files)
    assert b"train/loss" in whole and b"learning_rate" in whole, "the run is there"
    for secret in (SECRET, "job.py", "example.org"):
        assert secret.encode() not in whole, [p for p in files if secret.encode() in p.read_bytes()]
    names = {p.name for p in files}
    assert not names & {"wandb-metadata.json", "requirements.txt", "output.log"}, names


def test_what_a_tracker_links_to_is_put_in_its_place(tmp_path: Path) -> None:
    track = tmp_path / "track/wandb/run/files"
    track.mkdir(parents=True)
    (tmp_path / "axolotl.yml").write_text("base_model: x\n")
    (track / "config.yml").symlink_to(tmp_path / "axolotl.yml")
    (track / "gone.yml").symlink_to(tmp_path / "gone.yml")
    (track / "folder").symlink_to(tmp_path)
    (track.parent / "latest").symlink_to("files")
    tracking.settle(tmp_path / "track")
    assert (track / "config.yml").read_text() == "base_model: x\n" and not (track / "config.yml").is_symlink()
    assert (
        sorted(p.name for p in track.iterdir()) == ["config.yml"] and (track.parent / "latest").is_symlink()
    )
    tracking.settle(tmp_path / "none")
