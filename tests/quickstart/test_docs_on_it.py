"""Commands of the documentation that speak of the quickstart's run, typed on the one that `make quickstart` left here; and
the tutorial, with the base model that it left. `MIREPOIX_TUTORIAL=1` trains the tutorial's model, too: minutes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from docs_pages import PAGES, ROOT, Command, Shell, commands, missing
from docs_rooms import AFTER, ELSEWHERE, clone

from runner.store import marks

ALL = [c for page in PAGES for c in commands(page)]
WHOLE = os.environ.get("MIREPOIX_TUTORIAL") == "1"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / "runs/quickstart/report.json").is_file():
        pytest.skip("there is no quickstart run here: make quickstart")
    monkeypatch.setenv("NO_COLOR", "1")


def here(command: Command) -> bool:
    return command.key in AFTER and command.page != "tutorial.md"


@pytest.mark.parametrize("command", [c for c in ALL if here(c)], ids=lambda c: f"{c.page}:{c.line}")
def test_a_command_works_and_says_what_the_page_shows(command: Command) -> None:
    code, output = Shell(ROOT).type(command.typed)
    assert code == 0, output
    # what a model says and scores is never quite the same
    shown = tuple(f"{line.split()[0]} …" for line in command.shown)
    said = "\n".join(f"{line} ." for line in output.splitlines())
    assert missing(shown, said) is None, f"{missing(shown, said)!r} is not said:\n{output}"


def model_of_the_quickstart(workspace: Path) -> None:
    """The base model, as the quickstart unpacked it: the same step, so that it is not made again."""
    for manifest in (ROOT / ".mirepoix/artifacts").glob("*/*/manifest.json"):
        if '"step":"model"' in manifest.read_text(encoding="utf-8").replace(" ", ""):
            shutil.copytree(manifest.parent, workspace / manifest.parent.relative_to(ROOT))
    marks.trust(workspace / ".mirepoix")


def test_the_tutorial(tmp_path: Path) -> None:
    clone(tmp_path)
    (tmp_path / "keeper").mkdir()
    model_of_the_quickstart(tmp_path / "keeper")
    shell = Shell(tmp_path)
    for command in (c for c in ALL if c.page == "tutorial.md" and c.key not in ELSEWHERE):
        typed = command.typed
        if typed.startswith("mkdir"):
            continue
        if not WHOLE:
            if typed == "recipe report keeper" or "recipe chat" in typed:
                continue
            typed += " --to prepare" if typed == "recipe run keeper.yaml" else ""
        code, output = shell.type(typed)
        where = f"tutorial.md:{command.line}: {typed}\n{output}"
        verdict = WHOLE and typed == "recipe run keeper.yaml"  # gates on so few texts may fail
        assert code in ((0, 1, 5) if verdict else (command.code,)), where
        if WHOLE or typed == command.typed:
            assert missing(command.shown, output) is None, (
                f"{missing(command.shown, output)!r} is not said: {where}"
            )
