"""The wheel: its only top-level name is `runner`, it holds all shipped files, and it works away from a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
SHELVES = ("schemas", "recipes", "datasets", "evals")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: setuptools leaves build/ and *.egg-info beside what it builds.
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(out)]
    subprocess.run([*argv, str(source)], check=True, timeout=300)
    return next(out.glob("mirepoix-*.whl"))


def tracked() -> list[str]:
    folders = ["runner", *SHELVES]
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = done.stdout.split() if done.returncode == 0 else []
    if not names:  # not a git checkout
        found = (p for f in folders for p in (ROOT / f).rglob("*") if p.is_file())
        names = [p.relative_to(ROOT).as_posix() for p in found if "__pycache__" not in p.parts]
    return [n for n in [*names, "pyproject.toml", "README.md"] if (ROOT / n).is_file()]


def test_it_holds_every_shipped_file_and_no_other_top_level_name(wheel: Path) -> None:
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert {n.partition("/")[0] for n in inside} == {"runner"}
    wanted = {
        n if n.startswith("runner/") else f"runner/_data/{n}"
        for n in tracked()
        if n.partition("/")[0] in ("runner", *SHELVES)
    }
    assert wanted - inside == set()
    more = inside - wanted  # what is compiled, where it could be built
    assert all(n.startswith(("runner/shingles/_native.", "runner/textscan/_native.")) for n in more)


def test_it_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target, workspace = tmp_path / "site", tmp_path / "work"
    workspace.mkdir()
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    recipe = workspace / "r.yaml"
    recipe.write_text(
        "recipe: 1\nname: away\nextends: quickstart.yaml\nmodel: null\nevaluate: null\n"
        "sources:\n  - jsonl: {files: [datasets/plain-answers.jsonl]}\n    name: plain\nmix: null\n"
    )
    code = "import runner, sys; assert runner.__file__.startswith(sys.argv.pop(1)); from runner.cli import main; main()"
    for argv in (["list", "suites"], ["check", "r.yaml"], ["run", "r.yaml", "--to", "prepare"]):
        done = subprocess.run(
            [sys.executable, "-c", code, str(target), *argv],
            cwd=workspace,
            env=os.environ | {"PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    assert len((workspace / "runs/away/data/train.jsonl").read_text().splitlines()) > 100


def test_the_pins_suit_the_python_that_the_readme_names() -> None:
    """Debian's is 3.11.2: a pin that wants a later one would stop `make` there."""
    pinned = {line.partition("==")[0].lower() for line in (ROOT / ".ci/pins.txt").read_text().split()}
    wanted = {d.name: SpecifierSet(d.metadata["Requires-Python"] or "") for d in distributions()}
    late = [n for n, spec in wanted.items() if n.lower() in pinned and not spec.contains("3.11.0")]
    assert len(pinned & {n.lower() for n in wanted}) > 100
    assert not late
