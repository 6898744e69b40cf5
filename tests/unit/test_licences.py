"""Which licences a recipe mixes, before any row is read; and sources that show nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.licences import licences
from runner.load import load_recipe
from runner.workspace import Workspace


def recipe(folder: Path, text: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(f"recipe: 1\nname: r\nsources:\n{text}")
    return path


def test_the_recipe_speaks_before_the_tool_set_and_the_kind(tmp_path: Path) -> None:
    text = (
        "  - tools: {set: town-library, conversations: 3}\n    name: a\n"
        "  - tools: {set: town-library, conversations: 3}\n    name: b\n    license: CC-BY-4.0\n"
        "  - gutenberg: {ids: [74]}\n    name: c\n"
        "  - jsonl: {files: [d.jsonl]}\n    name: d\n"
    )
    (tmp_path / "d.jsonl").write_text("{}\n")
    place = Workspace(tmp_path)
    assert licences(load_recipe(recipe(tmp_path, text), place).recipe, place) == {
        "CC0-1.0": ["a"],
        "CC-BY-4.0": ["b"],
        "public domain (USA)": ["c"],
        "no licence stated": ["d"],
    }


@pytest.mark.parametrize("stated", ["MIT", '"MIT"', "MIT   # ours"])
def test_a_tool_set_of_the_workspace(tmp_path: Path, stated: str) -> None:
    folder = tmp_path / "datasets/tools"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(f"toolset: 2\nname: mine\nlicense: {stated}\n")
    place = Workspace(tmp_path)
    path = recipe(tmp_path, "  - tools: {set: mine, conversations: 3}\n")
    assert licences(load_recipe(path, place).recipe, place) == {"MIT": ["tools"]}


def test_a_source_that_shows_nothing_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text("not json\n")
    path = recipe(tmp_path, "  - jsonl: {files: [d.jsonl]}\n")
    done = CliRunner().invoke(main, ["show", str(path), "sources", "--workspace", str(tmp_path)])
    assert done.exit_code == 3
    assert "jsonl: 0 records" in done.output
    assert "not JSON" in done.output
