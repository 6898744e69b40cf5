"""Wrong recipes made out of every shipped one (kit, not ours): the line and column of what was changed, and for a
misspelt key the right one; each in little memory.

Where the kit's mutator says no more than "this line", any column of its text counts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from runner import cli, library

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("MIREPOIX_KIT") or ROOT.parent / "shared" / "kit")
MUTATE = KIT.parent / "upstream" / "mutate_recipe.py"
EACH = int(os.environ.get("MIREPOIX_MUTANTS", "60"))
RECIPES = sorted(library.shelf("recipes").rglob("*.yaml"))
pytestmark = pytest.mark.skipif(not MUTATE.is_file(), reason=f"needs the recipe mutator of the kit: {MUTATE}")
At = tuple[int, int]


def misspelt(key: str) -> str:
    """As the mutator misspells it."""
    return key[:-2] + key[-1] + key[-2] if key[-1] != key[-2] else f"{key}x"


def at(node: Any) -> At:
    return node.start_mark.line + 1, node.start_mark.column + 1


def wanted(mutant: dict[str, str], text: str) -> set[At]:
    """Where a problem may rightly be placed: at the changed key or its value."""
    where, how = mutant["where"], mutant["how"]
    lines = text.split("\n")
    if where.startswith("line "):
        number = int(where[5:]) + (how == "line repeated (duplicate key)")
        indent = len(lines[number - 1]) - len(lines[number - 1].lstrip())
        return {(number, column + 1) for column in range(indent + 1)}
    if where == "(file)":
        return {(n + more, 1) for n, line in enumerate(lines, 1) if line.startswith("---") for more in (0, 1)}
    path = [] if where == "(top)" else where.split(".")
    if how == "key misspelt":
        path[-1] = misspelt(path[-1])
    elif how == "unknown key added":
        path.append("zzz_unknown")
    key = node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in path:
        if isinstance(node, yaml.MappingNode):
            key, node = next((k, v) for k, v in node.value if k.value == part)
        else:
            key = node = node.value[int(part)]
    if how in ("null item added", "nested list added"):
        line, column = at(node.value[-1])
        return {(line, column), (line, column - 2)}
    inner = [n for pair in node.value for n in pair] if isinstance(node, yaml.MappingNode) else []
    return {at(n) for n in (key, node, *inner)}


def test_places_and_suggestions(tmp_path: Path) -> None:
    rejected = placed = typos = suggested = 0
    missed = []
    for good in RECIPES:
        out = tmp_path / good.stem
        argv = [sys.executable, str(MUTATE), str(good), str(out), "--max", str(EACH)]
        subprocess.run(argv, check=True, capture_output=True)
        for mutant in json.loads((out / "index.json").read_text(encoding="utf-8")):
            file = out / mutant["file"]
            done = CliRunner().invoke(cli.main, ["check", str(file)])
            assert done.exception is None or isinstance(done.exception, SystemExit), (good.stem, mutant)
            assert done.exit_code in (0, 2, 4), (good.stem, mutant)
            if mutant["expect"] != "reject":
                continue
            assert done.exit_code, (good.stem, mutant)
            found = re.findall(rf"^{re.escape(str(file))}:(\d+):(\d+): ", done.stderr, re.M)
            right = not wanted(mutant, file.read_text(encoding="utf-8")).isdisjoint(
                (int(line), int(column)) for line, column in found
            )
            rejected, placed = rejected + 1, placed + right
            if not right:
                missed.append((good.stem, mutant, done.stderr[:300]))
            if mutant["how"] == "key misspelt":
                key = mutant["where"].split(".")[-1]
                typos += 1
                suggested += bool(re.search(rf"did you mean {re.escape(key)}\b", done.stderr))
    assert rejected > 12 * len(RECIPES)
    assert placed >= 0.95 * rejected, (placed, rejected, missed)
    assert suggested >= 0.95 * typos, (suggested, typos)


def test_each_takes_little(tmp_path: Path) -> None:
    """Of the process itself, start and all: at most 200 MiB, and an end (how soon: benchmarks/check)."""
    good = library.shelf("recipes") / "quickstart.yaml"
    argv = [sys.executable, str(MUTATE), str(good), str(tmp_path), "--max", "4"]
    subprocess.run(argv, check=True, capture_output=True)
    broken = KIT / "broken" / "recipes"
    names = ("billion_laughs.yaml", "recursive_alias.yaml", "unclosed.yaml")
    files = [*sorted(tmp_path.glob("*.yaml")), *(broken / n for n in names)]
    # Of a small process of its own, since a child counts as large as whoever forked it.
    measure = (
        "import json, resource, subprocess, sys; resource.setrlimit(resource.RLIMIT_CPU, (30, 30)); "
        "code = subprocess.call(sys.argv[1:], stdout=-3, stderr=-3); "
        "print(json.dumps([code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))"
    )
    for file in files:
        code = f"import sys; sys.argv[1:] = ['check', {str(file)!r}]; from runner.cli import main; main()"
        argv = [sys.executable, "-c", measure, sys.executable, "-c", code]
        status, kib = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        assert status in (0, 2, 4), file
        assert kib < 200 << 10, file
