"""A pack with the adapter of a run: its weights go along, and are only asked for where they are to be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli
from runner.oci import bringing
from runner.oci.manifest import File

pytest.importorskip("torch", reason="torch is not installed")
from test_results import workspace

RECIPE = "recipe: 1\nname: t\nsources:\n  - jsonl: {files: [data/a.jsonl]}\n    name: talk\n"
ROW = {"messages": [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Well."}]}


def recipe(*words: Any, code: int = 0) -> Result:
    done = CliRunner().invoke(cli.main, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return done


def test_an_adapter_goes_along(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = workspace(tiny, tmp_path / "made")
    (home / "data").mkdir()
    (home / "data/a.jsonl").write_text(json.dumps(ROW))
    (home / "r.yaml").write_text(RECIPE)
    pack = ("pack", home / "r.yaml", "--workspace", home, "--adapter", "small", "--out")
    first = recipe(*pack, tmp_path / "a.tar").stdout.splitlines()[-1]
    assert recipe(*pack, tmp_path / "b.tar").stdout.splitlines()[-1] == first

    asked: list[str] = []
    real = bringing._write

    def write(of: bringing.Holder, file: File, target: Path) -> None:
        asked.append(file.name)
        real(of, file, target)

    monkeypatch.setattr(bringing, "_write", write)
    assert "of which an adapter's weights" in recipe("pull", tmp_path / "a.tar").stdout
    assert "r.yaml" in asked and "adapter/adapter_model.safetensors" not in asked
    recipe("pull", tmp_path / "a.tar", "--to", tmp_path / "there")
    there, kept = tmp_path / "there/adapter", home / "runs/small/adapter"
    weights = (there / "adapter_model.safetensors").read_bytes()
    assert weights == (kept / "adapter_model.safetensors").read_bytes()
    assert (there / "README.md").is_file() and not (there / "export.json").exists()
    assert "`adapter/` is what a run of it trained" in (tmp_path / "there/README.md").read_text()
    assert "no run 'smal' (did you mean small?)" in recipe(*pack[:-2], "smal", code=2).stderr


def test_a_folder_of_that_name_is_in_the_way(tiny: Path, tmp_path: Path) -> None:
    home = workspace(tiny, tmp_path / "made")
    (home / "adapter").mkdir()
    (home / "adapter/a.jsonl").write_text(json.dumps(ROW))
    (home / "r.yaml").write_text(RECIPE.replace("data/a", "adapter/a"))
    done = recipe(
        "pack",
        home / "r.yaml",
        "--workspace",
        home,
        "--adapter",
        "small",
        "--out",
        tmp_path / "a.tar",
        code=2,
    )
    assert "adapter/ is the folder that --adapter fills" in done.stderr and not (tmp_path / "a.tar").exists()
