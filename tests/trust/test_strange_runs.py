"""What a stranger left in runs/ is shown or said to be damaged: nothing waits for a pipe, nothing ends in a traceback."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner import cli, paths

RECIPE = """\
recipe: 1
name: t
sources:
  - jsonl: {files: [a.jsonl]}
    name: talk
"""
VERBS = (
    ["list", "runs"], ["report", "t"], ["compare", "t", "t"], ["gc", "--dry-run"], ["plan", "r.yaml"],
    ["export", "t", "--as", "adapter", "--to", "out"], ["show", "why", "t", "data/train.jsonl"],
)  # fmt: skip


@pytest.fixture
def patience() -> Iterator[None]:
    def over(number: int, frame: object) -> None:
        pytest.fail("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["plan.json", "report.json"])
@pytest.mark.parametrize("what", ["deep", "pipe"])
@pytest.mark.usefixtures("patience")
def test_what_a_run_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    Path("r.yaml").write_text(RECIPE)
    run = Path("runs/t")
    run.mkdir(parents=True)
    for other in ("plan.json", "report.json"):
        (run / other).write_text(json.dumps({"exit": 0, "gates": []} if other == "report.json" else {}))
    (run / name).unlink()
    if what == "pipe":
        os.mkfifo(run / name)
    else:
        (run / name).write_bytes(b"[" * 200_000)
    for verb in VERBS:
        done = CliRunner().invoke(cli.main, verb)
        assert done.exception is None or isinstance(done.exception, SystemExit), (verb, done.exception)
        assert done.exit_code in (0, 2, 3), (verb, done.output)


def test_only_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert paths.read_json(tmp_path / "a.json") == {"a": 1}
    with pytest.raises(OSError, match="a pipe or a device"):
        paths.read(Path("/dev/zero"))
