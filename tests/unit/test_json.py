"""Every verb: --json is one JSON document on stdout and nothing else, in failure too; and no verb colours what is no
terminal, or where NO_COLOR is set."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
import typed

from runner import cli

recipe = partial(typed.recipe, code=None)

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECIPE = "recipe: 1\nname: r\nsources:\n  - jsonl: {files: [data/talk.jsonl]}\n"

# Verb → arguments with which it succeeds here, or fails, and the exit code. {} stands for nothing at all.
CALLS: dict[str, list[tuple[list[str], int]]] = {
    "new": [(["fresh", "--tools", "weather"], 0), (["fresh2"], 2)],
    "check": [(["r.yaml"], 0), (["bad.yaml"], 2), (["gone.yaml", "bad.yaml"], 2)],
    "plan": [(["r.yaml"], 0), (["bad.yaml"], 2)],
    "compile": [(["r.yaml", "--out", "out"], 0), (["bad.yaml", "--out", "out"], 2)],
    "run": [(["r.yaml"], 0), (["bad.yaml"], 2), (["r.yaml", "--to", "train"], 2)],
    "show": [(["r.yaml"], 0), (["r.yaml", "drops"], 0), (["r.yaml", "row", "talk/talk/1"], 2), (["r.yaml", "x"], 2)],
    "list": [(["suites"], 0), (["filters", "words"], 0), (["runs"], 0), (["store"], 0), (["filters", "x"], 2)],
    "doctor": [([], 0), (["r.yaml"], 0), (["bad.yaml"], 3), (["gone.yaml"], 2)],
    "schema": [(["suite"], 0), (["suit"], 2)],
    "completion": [(["bash"], 0), (["tcsh"], 2)],
    "report": [(["r"], 0), (["gone"], 2), ([], 2)],
    "compare": [(["r", "gone"], 2), (["r"], 2)],
    "diff": [(["r.yaml", "r.yaml"], 0), (["r.yaml", "gone.yaml"], 2)],
    "evaluate": [(["gone", "--suite", "tool-use"], 2), (["gone"], 2)],
    "serve": [(["gone"], 2), (["gone", "--port", "x"], 2)],
    "chat": [(["gone"], 2)],
    "export": [(["gone", "--to", "there"], 2), (["r", "--to", "there"], 2), (["r"], 2)],
    "push": [(["gone", "--to", "hub:a/b"], 2)],
    "gc": [(["--dry-run"], 0), (["--older", "-1"], 2)],
    "lock": [(["r.yaml"], 0), (["r.yaml", "--check"], 0), (["bad.yaml"], 2)],
    "replay": [(["r"], 0), (["gone"], 2)],
    "sign": [(["gone"], 2)],
    "verify": [(["gone"], 2)],
    "pack": [(["r.yaml", "--out", "pack"], 0), (["bad.yaml", "--out", "pack2"], 2)],
    "pull": [(["gone", "--to", "pulled"], 2)],
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with a finished run."""
    folder, before = tmp_path_factory.mktemp("json"), Path.cwd()
    shutil.copytree(EXAMPLES / "data", folder / "data")
    (folder / "r.yaml").write_text(RECIPE)
    (folder / "bad.yaml").write_text("recipe: 1\nname: b\nseed: x\nsorces: []\n")
    os.chdir(folder)
    try:
        assert recipe("run", "r.yaml").exit_code == 0
        yield folder
    finally:
        os.chdir(before)


def verbs(group: click.Group) -> Iterator[click.Command]:
    for verb in group.commands.values():
        yield from verbs(verb) if isinstance(verb, click.Group) else [verb]


def test_every_verb_takes_json_and_a_workspace() -> None:
    for verb in verbs(cli.main):
        named = {option for p in verb.params for option in p.opts}
        assert {"--json", "--workspace"} <= named, verb.name
    assert set(CALLS) == {str(v.name) for v in verbs(cli.main)}  # a new verb needs its row


@pytest.mark.parametrize("verb", CALLS)
def test_json_is_one_document_and_plain_is_plain(verb: str, home: Path) -> None:
    for arguments, code in CALLS[verb]:
        _afresh(home)
        done = recipe(verb, *arguments, "--json")
        assert done.exit_code == code, (arguments, done.output)
        data: Any = json.loads(done.stdout)
        assert isinstance(data, dict) and "\x1b" not in done.output
        if code:
            assert (data["ok"], data["exit"]) == (False, code), arguments
            assert all(one["what"] for one in data.get("errors", [])), arguments
            assert data.get("errors") or verb == "doctor", arguments
        else:
            assert data.get("ok", True) is True and (verb == "report" or data.get("exit", 0) == 0)
        _afresh(home)
        plain = recipe(verb, *arguments)
        assert plain.exit_code == code
        assert "\x1b" not in plain.output
        assert not code or verb == "doctor" or (plain.stderr and not plain.stdout.strip()), arguments


def _afresh(home: Path) -> None:
    """Without what verbs that make something new would find in their way."""
    for name in ("fresh.yaml", "out", "pack", "pack2", "r.lock"):
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        elif name != "r.lock":
            path.unlink(missing_ok=True)


def test_a_lock_that_does_not_hold_says_drift_and_errors(home: Path) -> None:
    assert recipe("lock", "r.yaml").exit_code == 0
    talk = home / "data" / "talk.jsonl"
    text = talk.read_text()
    try:
        talk.write_text(text + text.splitlines()[0] + "\n")
        done = recipe("lock", "r.yaml", "--check", "--json")
        data = json.loads(done.stdout)
        assert (done.exit_code, data["ok"], data["exit"]) == (2, False, 2)
        assert data["drift"] and data["errors"]
        assert "data/talk.jsonl" in json.dumps(data["errors"])
    finally:
        talk.write_text(text)


def test_a_run_without_a_report_says_what_to_do(home: Path) -> None:
    (home / "half.yaml").write_text(RECIPE.replace("name: r", "name: half"))
    assert recipe("run", "half.yaml", "--to", "prepare").exit_code == 0
    said = recipe("report", "half").stderr
    assert said.startswith("error: the run 'half' has no report yet") and "did you mean" not in said
    assert "(did you mean r?)" in recipe("report", "rr").stderr


def test_a_row_that_is_not_there_has_its_nearest(home: Path) -> None:
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Say {n}."},
                {"role": "assistant", "content": f"It is {n * 7}."},
            ]
        }
        for n in range(40)
    ]
    (home / "data" / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "many.yaml").write_text(RECIPE.replace("name: r", "name: many").replace("talk", "many"))
    assert recipe("run", "many.yaml", "--to", "prepare").exit_code == 0
    for wrong, said in (
        ("jsonl/mny/7", "did you mean jsonl/many/7?"),
        ("many/12", "did you mean jsonl/many/12?"),
        ("00033", "did you mean jsonl/many/33?"),
        ("nothing-like-it", "its ids are like jsonl/many/"),
    ):
        assert said in recipe("show", "many.yaml", "row", wrong).stderr


_COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|38|48)[;m]")
_ALL = """
import sys
from runner.cli import main
for args in (["check", "bad.yaml"],) if "one" in sys.argv else (["check", "bad.yaml"], ["check", "r.yaml"], ["plan", "r.yaml"], ["run", "r.yaml"], ["list", "filters"],
             ["doctor"], ["report", "r"], ["show", "r.yaml", "drops"], ["diff", "r.yaml", "r.yaml"], ["gc", "--dry-run"]):
    try:
        main(args, prog_name="recipe", standalone_mode=False)
    except SystemExit:
        pass
"""


@pytest.mark.parametrize("wanted", [True, False])
def test_a_terminal_gets_colours_unless_it_wants_none(wanted: bool, home: Path) -> None:
    ours, theirs = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")} | {
        "TERM": "xterm-256color"
    }
    env |= {} if wanted else {"NO_COLOR": "1"}
    env["PYTHONPATH"] = str(Path(cli.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", _ALL, "one" if wanted else "all"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert process.wait(60) == 0, said.decode(errors="replace")[-3000:]
    assert b"seed" in said
    assert bool(_COLOUR.search(said)) is wanted
