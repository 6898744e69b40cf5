"""Everything that users edit and share loads: recipes, parts to extend, suites, tool sets; and it is data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from runner import library
from runner.load import load_recipe, load_suite, suite_names
from runner.plan import plan
from runner.record import Probe, Record
from runner.toolset import load_toolset
from runner.workspace import Workspace
from runner.yaml12 import decode, parse

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(library.shelf("recipes").rglob("*.yaml"))
PARTS = [p for p in RECIPES if p.parent.name == "base"]
WHOLE = [p for p in RECIPES if p.parent.name != "base"]
SMALL = "recipe: 1\nname: small\nextends: base/{}\nsources:\n  - jsonl: {{files: [datasets/plain-answers.jsonl]}}\n"
TEXTS = ("held-out/same-author/a.txt", "held-out/other-authors/b.txt")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A folder with stand-ins for the files that users bring along."""
    for name in TEXTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Once upon a time.\n")
    return Workspace(tmp_path)


def bring_files(recipe: Path, root: Path) -> None:
    """Files that a recipe, or the one it builds on, wants of its user stand in the workspace: make one of each."""
    data = parse(decode(recipe.read_bytes(), "r"), "r").data
    parent = recipe.parent / data.get("extends", "")
    if parent.is_file():
        bring_files(parent, root)
    for source in data.get("sources", []):
        for options in source.values():
            for glob in options.get("files") or [] if isinstance(options, dict) else []:
                if not glob.startswith(("datasets/", "evals/")):
                    path = root / glob.replace("**/", "").replace("*", "x")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text("Once upon a time.\n")


def test_there_is_something_to_check() -> None:
    assert WHOLE
    assert len(PARTS) >= 3


@pytest.mark.parametrize("path", WHOLE, ids=lambda p: p.stem)
def test_recipes(path: Path, workspace: Workspace) -> None:
    bring_files(path, workspace.root)
    loaded = load_recipe(path, workspace)
    assert loaded.recipe.name == path.stem
    assert loaded.recipe.description
    assert plan(loaded, workspace).steps


@pytest.mark.parametrize("path", PARTS, ids=lambda p: p.stem)
def test_parts_can_be_extended(path: Path, workspace: Workspace) -> None:
    recipe = workspace.root / "small.yaml"
    recipe.write_text(SMALL.format(path.name))
    loaded = load_recipe(recipe, workspace)
    assert loaded.recipe.model is not None
    assert plan(loaded, workspace, "cpu").step("train")
    assert plan(loaded, workspace, "gpu").step("train")


@pytest.mark.parametrize("name", suite_names(Workspace(ROOT)))
def test_suites(name: str, workspace: Workspace) -> None:
    assert load_suite(name, workspace).common.description


@pytest.mark.parametrize("path", sorted(library.shelf("datasets").glob("tools/*.yaml")), ids=lambda p: p.stem)
def test_tool_sets(path: Path) -> None:
    assert load_toolset(path, path.name).name == path.stem


@pytest.mark.parametrize("path", sorted(library.shelf("datasets").glob("*.jsonl")), ids=lambda p: p.stem)
def test_datasets_are_records(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        assert msgspec.json.decode(line, type=Record).meta.get("license")


@pytest.mark.parametrize("name", suite_names(Workspace(ROOT)))
def test_probes_are_probes(name: str, workspace: Workspace) -> None:
    probes = load_suite(name, workspace).common.probes
    if probes is None:
        return
    (file,) = workspace.inputs("evals", probes)
    ids = [msgspec.json.decode(x, type=Probe).id for x in file.path.read_text(encoding="utf-8").splitlines()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("kind", library.KINDS)
def test_shared_folders_hold_data_only(kind: str) -> None:
    allowed = {".yaml", ".yml", ".json", ".jsonl", ".jinja", ".md", ".txt"}
    for path in library.shelf(kind).rglob("*"):
        if path.is_file():
            assert path.suffix in allowed, path
            if path.suffix == ".json":
                json.loads(path.read_bytes())


def test_recipes_name_their_schema() -> None:
    for path in RECIPES:
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        up = "../" * len(path.relative_to(library.shelf("recipes")).parts)
        assert first == f"# yaml-language-server: $schema={up}schemas/recipe.schema.json", path


def test_a_copy_of_the_shelf_is_as_good(workspace: Workspace) -> None:
    """Users copy a shipped recipe and edit it."""
    shutil.copytree(library.shelf("recipes"), workspace.root / "recipes")
    assert load_recipe(workspace.root / "recipes" / "quickstart.yaml", workspace).recipe.name == "quickstart"
