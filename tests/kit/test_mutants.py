"""Hundreds of wrong recipes and dozens of broken files (kit, not ours): refused or kept aside, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner import cli, ledger, library

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("MIREPOIX_KIT") or ROOT.parent / "shared" / "kit")
MUTATE = KIT.parent / "upstream" / "mutate_recipe.py"
BROKEN = KIT / "broken"
CASES: list[dict[str, Any]] = (
    json.loads((BROKEN / "cases.json").read_text(encoding="utf-8")) if BROKEN.is_dir() else []
)
needs_cases = pytest.mark.skipif(not CASES, reason=f"needs the broken files of the kit: {BROKEN}")


def recipe(*arguments: str) -> Result:
    done = CliRunner().invoke(cli.main, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert all(c.isprintable() or c in "\n\t" for c in done.output), "what could steer a terminal"
    assert max(map(len, done.output.splitlines()), default=0) < 2000
    return done


def cases(folder: str) -> Iterator[Any]:
    for case in CASES:
        if case["file"].startswith(f"{folder}/"):
            yield pytest.param(case, id=case["file"])


@pytest.mark.skipif(not MUTATE.is_file(), reason=f"needs the recipe mutator of the kit: {MUTATE}")
def test_mutants_of_the_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = library.shelf("recipes") / "quickstart.yaml"
    argv = [sys.executable, str(MUTATE), str(good), str(tmp_path / "recipes"), "--max", "400"]
    subprocess.run(argv, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    mutants = json.loads((tmp_path / "recipes" / "index.json").read_text(encoding="utf-8"))
    assert len(mutants) > 300
    missed = []
    for mutant in mutants:
        file = f"recipes/{mutant['file']}"
        done = recipe("check", file)
        assert done.exit_code in (0, 2, 4), mutant
        if mutant["expect"] != "reject":
            continue
        # The place is a line of the file and, but for broken YAML, the key that was changed.
        key = mutant["where"].split(".")[-1]
        placed = done.stderr.startswith((f"{file}:", "recipes/base/"))
        named = (
            key in done.stderr
            or key.isdigit()
            or mutant["where"].startswith(("(", "line "))
            or ("unknown key" in done.stderr)
        )
        if done.exit_code == 0 or not placed or not named:
            missed.append((mutant, done.stderr))
    assert not missed


@needs_cases
@pytest.mark.parametrize("case", cases("recipes"))
def test_broken_recipes(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = Path(case["file"]).name
    shutil.copy(BROKEN / case["file"], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    done = recipe("check", name)
    assert done.exit_code in (2, 4)
    assert done.stderr.startswith(f"{name}:")
    assert [p.name for p in tmp_path.iterdir()] == [name], "no file may appear"


RECIPE = """\
recipe: 1
name: case
sources:
  - {plugin}: {{files: ["case/{name}"]}}
    name: case
    chat: {{passages: {{words: [1, 400]}}}}
split: {{validation: 0}}
"""


def ran(case: dict[str, Any], plugin: str, home: Path) -> tuple[Result, list[Any], list[dict[str, Any]]]:
    name = Path(case["file"]).name
    (home / "case").mkdir()
    shutil.copy(BROKEN / case["file"], home / "case" / name)
    (home / "r.yaml").write_text(RECIPE.format(plugin=plugin, name=name))
    done = recipe("run", "r.yaml", "--to", "prepare")
    run = home / "runs" / "case"
    if done.exit_code:
        return done, [], []
    lines = (run / "data" / "train.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    return done, ledger.read(run / "ledger.parquet"), [json.loads(x) for x in lines]


@needs_cases
@pytest.mark.parametrize("case", cases("jsonl"))
def test_broken_records(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done, fates, kept = ran(case, "jsonl", tmp_path)
    assert done.exit_code in (0, 3)
    if case["expect"] == "reject":
        assert done.exit_code == 3 or not kept
        assert done.exit_code == 3
        assert "source.case: r.yaml:4:5: sources[0]: gave no records" in done.stderr
    if case["expect"] == "keep":
        assert done.exit_code == 0
        assert len(kept) == case["valid"]
        assert len(fates) == len(kept)
    bad = case.get("bad_lines", [])
    if case["expect"] == "skip" and done.exit_code == 0:
        lost = {int(f.id.rpartition("/")[2]) for f in fates if f.fate == "dropped"}
        assert set(bad) <= lost
        assert len(kept) >= case.get("valid", 1)
        assert (tmp_path / "runs" / "case" / "rejected" / "case.jsonl").stat().st_size
    source = (BROKEN / case["file"]).read_bytes()
    for record in kept:
        text = json.dumps(record, ensure_ascii=False)
        assert "\0" not in text
        assert "\ufffd" not in text or "\ufffd".encode() in source, "text was changed in silence"


@needs_cases
@pytest.mark.parametrize("case", cases("txt"))
def test_broken_texts(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done, fates, kept = ran(case, "text", tmp_path)
    assert done.exit_code in (0, 3)
    if case["expect"] == "reject":
        assert done.exit_code == 3
        assert "its one row was rejected; case/" in done.stderr
    if case["expect"] == "keep":
        assert done.exit_code == 0
        assert len(fates) == len(kept) > 0
    for record in kept:
        assert "PROJECT GUTENBERG EBOOK" not in json.dumps(record) or case["file"].endswith(
            "marker_in_body.txt"
        )
