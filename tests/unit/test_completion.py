"""Tab: what the shells are told to offer, through click's own classes; and once in a real bash."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from runner import cli
from runner.cli import completing


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for run in ("twain", "weather"):
        (tmp_path / "runs" / run).mkdir(parents=True)
    (tmp_path / "mine.yaml").write_text("recipe: 1\n")
    (tmp_path / "evals/suites").mkdir(parents=True)
    (tmp_path / "evals/suites/own.yaml").write_text("suite: 1\nname: own\n")
    return tmp_path


def offered(*words: str) -> list[str]:
    """What Tab offers behind `recipe WORDS`, the last of which is begun; `file` stands for the shell's own."""
    complete = ShellComplete(cli.main, {}, "recipe", "_RECIPE_COMPLETE")
    found = complete.get_completions(list(words[:-1]), words[-1])
    return [item.value if item.type == "plain" else item.type for item in found]


def test_verbs_and_options() -> None:
    assert set(offered("")) == {name for name, verb in cli.main.commands.items() if not verb.hidden}
    assert offered("do") == ["doctor"]
    assert "--json" in offered("plan", "--")
    assert offered("list", "s") == ["sources", "suites", "store"]
    assert offered("plan", "--gpu", "h") == ["h100", "h200"]


def test_names() -> None:
    assert offered("report", "") == ["twain", "weather"]
    assert offered("compare", "twain", "w") == ["weather"]
    assert offered("export", "t") == ["twain"]
    assert offered("list", "models", "base/lla") == ["base/llama-3.1-8b.yaml"]
    assert offered("list", "filters", "wor") == ["words"]
    assert offered("new", "x", "--suite", "o") == ["own"]
    assert offered("new", "x", "--tools", "weather-") == ["weather-api"]
    assert offered("new", "x", "--base", "base/smollm2-1.") == ["base/smollm2-1.7b.yaml"]
    assert offered("evaluate", "x", "--suite", "tool") == ["tool-use"]
    assert offered("report", "--workspace", "nowhere", "") == []


def test_recipes_are_files_or_those_that_come_along() -> None:
    assert offered("check", "mi") == ["file"]
    assert offered("run", "recipes/quick") == ["recipes/quickstart.yaml"]
    assert offered("run", "recipes/nothing-like-it") == ["file"]


def test_what_is_wrong_is_not_for_tab_to_say(home: Path) -> None:
    shutil.rmtree(home / "runs")
    (home / "runs").write_text("no folder")
    assert offered("report", "") == []
    assert offered("list", "nokind", "") == []


@pytest.mark.parametrize("shell", completing.SHELLS)
def test_the_script_of_each_shell(shell: str) -> None:
    done = CliRunner().invoke(cli.main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_RECIPE_COMPLETE={shell}_complete" in done.stdout
    said = json.loads(CliRunner().invoke(cli.main, ["completion", shell, "--json"]).stdout)
    assert said["script"].strip() == done.stdout.strip()
    assert said["how"] in cli.main.commands["completion"].help
    assert CliRunner().invoke(cli.main, ["completion", "tcsh"]).exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_in_a_real_bash(home: Path) -> None:
    (home / "bin").mkdir()
    program = home / "bin" / "recipe"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.argv[0] = \'recipe\'; '
                       'from runner.cli import entry; entry()" "$@"\n')  # fmt: skip
    program.chmod(0o755)
    script = (
        'eval "$(recipe completion bash)"; complete -p recipe\n'
        "COMP_WORDS=(recipe report tw); COMP_CWORD=2; COMPREPLY=(); _recipe_completion recipe\n"
        'echo "offered: ${COMPREPLY[*]}"\n'
    )
    path = [str(Path(cli.__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    more = {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": ":".join(filter(None, path))}
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=os.environ | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "complete -o nosort -F _recipe_completion recipe" in done.stdout, done.stderr
    assert done.stdout.endswith("offered: twain\n")
