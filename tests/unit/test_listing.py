"""`recipe list`: names with a line each, and of one thing all that its schema says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from typed import recipe

from runner import cli
from runner.catalogue import PLUGINS
from runner.registry import plugins
from runner.schema import recipe_schema, suite_schema
from runner.store import Store
from runner.yaml12 import parse

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(kind: str, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(recipe("list", kind, *more, "--json").stdout)[kind]
    return found


def test_one_filter_word_for_word() -> None:
    assert recipe("list", "filters", "words").stdout == (
        "words (version 1)\n"
        "  Keep records in which user and assistant say so many words between them.\n"
        "\n"
        "  min: integer, 0 to 10,000,000; default 0; such as 20\n"
        "      Fewest words kept.\n"
        "  max: integer, 0 to 10,000,000; such as 1200\n"
        "      Most words kept. Default: no limit.\n"
        "\n"
        "filters:\n"
        "- words:\n"
        "    min: 20\n"
        "    max: 1200\n"
    )


@pytest.mark.parametrize("kind", PLUGINS)
def test_every_option_of_every_plug_in_is_told_and_every_example_fits(kind: str) -> None:
    text = recipe("list", kind, "--full").stdout
    found = rows(kind)
    schema = jsonschema.Draft202012Validator(suite_schema() if kind == "judges" else recipe_schema())
    assert [row["name"] for row in found] == list(plugins(PLUGINS[kind]))
    for row in found:
        options = plugins(PLUGINS[kind])[row["name"]].options.__struct_fields__
        assert [k["name"] for k in row["keys"]] == list(options) == list(row["options"])
        assert all(f"  {name}: " in text for name in options)
        assert all(k["takes"] and k["about"] for k in row["keys"]), row["name"]
        data = parse(row["example"], "x").data
        if kind == "judges":
            whole = {"suite": 1, "name": "s", "probes": "probes/p.jsonl", **data}
        else:
            whole = {"recipe": 1, "name": "r", "sources": [{"jsonl": {"files": ["a"]}}], **data}
        schema.validate(whole)
        assert row["example"].splitlines()[-1] in text


def test_a_wrong_name_has_its_nearest() -> None:
    for kind, wrong, right in (
        ("filters", "wrds", "words"),
        ("sources", "gutenburg", "gutenberg"),
        ("suites", "tool-us", "tool-use"),
        ("models", "lama-3.1-8b", "llama-3.1-8b"),
    ):
        done = recipe("list", kind, wrong, code=2)
        assert done.stderr == f"error: no {kind.removesuffix('s')} {wrong!r} (did you mean {right}?)\n"
        said = json.loads(recipe("list", kind, wrong, "--json", code=2).stdout)
        assert (said["ok"], said["exit"]) == (False, 2)


def test_a_suite_and_a_model() -> None:
    (suite,) = rows("suites", "tool-use")
    assert (suite["judge"], suite["probes"], suite["tasks"]) == ("tool_use", 62, [])
    assert rows("suites", "capability")[0]["tasks"] == ["everyday_facts"]
    assert "judge tool_use, 62 probes" in recipe("list", "suites", "tool-use").stdout
    for name in ("llama-3.1-8b", "base/llama-3.1-8b.yaml"):
        (model,) = rows("models", name)
        assert model["values"]["model"]["base"] == model["base"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert recipe("list", "models", "llama-3.1-8b").stdout.endswith("extends: base/llama-3.1-8b.yaml\n")


def test_the_store_says_how_large_it_is() -> None:
    (Store(Path()).folder("quarantine") / "a").write_bytes(b"x" * 5000)
    assert "quarantine" in (said := recipe("list", "store").stdout)
    assert "1, 8.2 kB" in said
    assert "8.2 kB" in recipe("gc", "--dry-run").stdout


def test_a_run_says_where_its_report_is() -> None:
    shutil.copytree(EXAMPLES / "data", "data")
    Path("r.yaml").write_text("recipe: 1\nname: r\nsources:\n  - jsonl: {files: [data/talk.jsonl]}\n")
    recipe("run", "r.yaml", "--to", "prepare")
    assert recipe("list", "runs", "r").stdout == "r\n  no report yet\nrecipe report r\n"


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "..", "a/b", ""])
@pytest.mark.parametrize("verb", [["compare", "NAME", "b"], ["export", "NAME", "--to", "out"], ["replay", "NAME"], ["serve", "NAME"],
                                  ["show", "why", "NAME", "x"], ["report", "NAME"]])  # fmt: skip
def test_what_is_no_run_is_said_so(tmp_path: Path, verb: list[str], name: str) -> None:
    argv = [name if word == "NAME" else word for word in verb]
    done = CliRunner().invoke(cli.main, [*argv, "--workspace", str(tmp_path)])
    assert done.exit_code == 2 and "run" in done.stderr and len(done.stderr) < 600


def test_a_workspace_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    for kind in ("runs", "store", "suites"):
        done = CliRunner().invoke(cli.main, ["list", kind, "--workspace", str(tmp_path / "nowhere")])
        assert done.exit_code == 2 and "no folder" in done.stderr
