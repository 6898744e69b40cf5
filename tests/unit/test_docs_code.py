"""Code in the documentation is right: whole recipes pass the check, parts fit their place in a schema, Python runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from docs_pages import PAGES, ROOT, Block, Shell, blocks, commands, missing
from docs_rooms import HERE, PLUGGED, laid_out, named_blocks
from jsonschema import Draft202012Validator

from runner import settings
from runner.schema import recipe_schema, suite_schema
from runner.toolset import load_toolset
from runner.yaml12 import parse

YAML = [
    b for page in PAGES for b in blocks(page, "yaml") if page.name not in PLUGGED
]  # those are typed below
TOOLSETS = ("toolset", "services", "retell")
"""What blocks of docs/tool-sets.md begin with that are parts of a tool set; tests/unit/test_toolset_check.py has the whole."""


def part(schema: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    """A schema for some keys of what another is for."""
    return (
        {k: v for k, v in schema.items() if k != "required"} if set(keys) <= set(schema["properties"]) else {}
    )


OTHERS = ("repos", "jobs", "model-index", "dataset_info")
"""What YAML of other programs has: pre-commit's, workflows, and the headers of a hub's cards (tests/unit/test_modelcard.py)."""


@pytest.mark.parametrize("block", YAML, ids=lambda b: f"{b.page}:{b.line}")
def test_yaml_is_a_recipe_a_suite_or_a_part_of_one(block: Block, tmp_path: Path) -> None:
    import textwrap

    data = parse(textwrap.dedent(block.text), block.page).data
    if data is None or set(data) & set(OTHERS):
        return
    assert isinstance(data, dict)
    if next(iter(data)) == "toolset":
        (tmp_path / "t.yaml").write_text(block.text)
        load_toolset(tmp_path / "t.yaml", "t.yaml")
        return
    if set(data) & set(TOOLSETS) or (block.page == "tool-sets.md" and "tables" in data):
        return
    fits = [s for s in (part(recipe_schema(), data), part(suite_schema(), data)) if s]
    assert fits, f"keys of nothing: {sorted(data)}"
    errors = [[e.message for e in Draft202012Validator(schema).iter_errors(data)] for schema in fits]
    assert [] in errors, errors
    if {"recipe", "sources"} <= set(data):
        (tmp_path / "whole.yaml").write_text(block.text)
        code, output = Shell(tmp_path).type("recipe check whole.yaml")
        assert code == 0, output


@pytest.mark.parametrize(
    "block", [b for p in PAGES for b in blocks(p, "json")], ids=lambda b: f"{b.page}:{b.line}"
)
def test_json_is_json(block: Block) -> None:
    decoder, text = json.JSONDecoder(), block.text.strip()
    while text:
        _, end = decoder.raw_decode(text)
        text = text[end:].strip()


def test_the_settings_file_is_one(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs/sources.md", "toml")
    (tmp_path / "settings.toml").write_text(block.text)
    found = settings.load({"MIREPOIX_SETTINGS": str(tmp_path / "settings.toml")})
    assert found["pace"] == "20"


PYTHON = [b for page in PAGES for b in blocks(page, "python")]
ELSEWHERE = {"python.md": "tests/unit/test_api.py", "serving.md": "tests/quickstart/test_served.py"}
"""Pages whose Python another test runs, or its like: one runs from top to bottom, one asks a server."""


@pytest.mark.parametrize(
    "block", [b for b in PYTHON if b.page not in PLUGGED], ids=lambda b: f"{b.page}:{b.line}"
)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = compile(block.text, f"{block.page}:{block.line}", "exec")
    if block.page in ELSEWHERE:
        assert (ROOT / ELSEWHERE[block.page]).is_file()
        return
    HERE[block.page](tmp_path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    if block.page == "ledger.md":
        assert len(names["kept"]) == 5


TYPING = """
import json, sys
from docs_pages import Shell
from pathlib import Path
out = []
for folder, typed in json.load(sys.stdin):
    out.append(Shell(Path(folder)).type(typed))
    print(f"typed: {typed}", file=sys.stderr)
json.dump(out, sys.stdout)
"""


def test_plug_ins_are_added_by_their_pages_alone(tmp_path: Path) -> None:
    """The pages' own code, put where each page says, in a copy of the package; then what each page types."""
    house = tmp_path / "house"
    for path in (ROOT / "runner").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            (house / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            (house / path.relative_to(ROOT)).symlink_to(path)
    typed, shown, codes, tries = [], [], [], []
    for page in PLUGGED:
        folder = tmp_path / page.removesuffix(".md")
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        code = {name: block for name, block in named_blocks(text) if name.startswith("runner/")}
        assert len(code) == 1, page
        for name, block in code.items():
            assert not (ROOT / name).exists(), f"{name} is there: the page would add it"
            (house / name).write_text(block, encoding="utf-8")
        laid_out(page)(folder)
        for command in commands(ROOT / "docs" / page):
            typed.append((str(folder), command.typed))
            shown.append(command.shown)
            codes.append(command.code)
        tries += [b.text for b in blocks(ROOT / "docs" / page, "python")[1:]]
    env = os.environ | {"PYTHONPATH": f"{house}:{ROOT / 'tests/unit'}", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TYPING],
        input=json.dumps(typed),
        env=env,
        cwd=tmp_path,
        text=True,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    for (folder_, line), wanted, code_, (got, output) in zip(
        typed, shown, codes, json.loads(done.stdout), strict=True
    ):
        assert got == code_, f"{folder_}: {line}: {got}\n{output}"
        assert missing(wanted, output) is None, f"{missing(wanted, output)!r} is not said: {line}\n{output}"
    assert len(tries) == 1
    done = subprocess.run(
        [sys.executable, "-c", tries[0]], env=env, cwd=tmp_path, text=True, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_a_plug_in_in_a_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    """The same file beside the entry point of the page's pyproject.toml, as an installer writes it down."""
    import tomllib

    text = (ROOT / "docs/add-a-filter.md").read_text(encoding="utf-8")
    (project,) = [tomllib.loads(b.text)["project"] for b in blocks(ROOT / "docs/add-a-filter.md", "toml")]
    ((name, module),) = project["entry-points"]["mirepoix.plugins"].items()
    (tmp_path / f"{module}.py").write_text(dict(named_blocks(text))["runner/filters/ends_well.py"])
    told = tmp_path / f"{module}-{project['version']}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (told / "entry_points.txt").write_text(f"[mirepoix.plugins]\n{name} = {module}\n")
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    code = "from runner.registry import plugins; print(plugins('filter')['ends_well'].call.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, text=True, check=True, capture_output=True
    )
    assert done.stdout.strip() == module
